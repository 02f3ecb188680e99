// Lists whose length is the cluster's: rendered piece by piece, each when its client has taken the
// one before, so that neither the loop nor memory pays for the whole of one. A list that fits into
// one piece is one answer with a length.
//
// Every piece is of the moment it is rendered in: what changes meanwhile may show at the end of a
// list and not at its beginning. Loop thread only.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include <boost/asio/io_context.hpp>

#include "absl/container/flat_hash_set.h"
#include "common/base/limits.h"
#include "common/http/server.h"
#include "scheduler/shell/api/held_answers.h"
#include "scheduler/shell/api/json_writer.h"
#include "scheduler/shell/pipeline.h"

namespace allot::scheduler {

class Lists {
 public:
  // Writes the next element of the list, or some, to `json`; false where it has ended. Keeps its
  // own place, by something that stays: an id, a name.
  using Next = std::function<bool(JsonWriter& json)>;

  static constexpr size_t kPieceBytes = limits::kApiListPieceBytes.value;

  Lists(boost::asio::io_context& loop, Pipeline& pipeline, HeldAnswers& held)
      : loop_(loop), pipeline_(pipeline), held_(held) {}

  // 200 with {"version": 1, "KEY": […]}, or 503 while the journal cannot be written.
  void Answer(http::ResponderPtr responder, std::string_view key, Next next);
  size_t open() const { return open_.size(); }

 private:
  struct List;
  using ListPtr = std::shared_ptr<List>;
  void Begin(const ListPtr& list, std::string first);
  void Continue(const ListPtr& list);
  void ContinueSoon(const ListPtr& list);

  boost::asio::io_context& loop_;
  Pipeline& pipeline_;
  HeldAnswers& held_;
  absl::flat_hash_set<ListPtr> open_;
  std::shared_ptr<Lists*> self_ = std::make_shared<Lists*>(this);
};

}  // namespace allot::scheduler
