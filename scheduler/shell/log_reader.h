// Logs of tasks and replicas, fetched piece by piece from the node that has them and streamed to
// whoever asked.
//
// One question is under way per stream; the next leaves when the last piece has been taken by the
// client, so a slow client holds back nothing but itself, and a stream costs one piece at most, all
// of them together kAllBytes. Loop thread only.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>
#include <variant>

#include "absl/container/flat_hash_map.h"
#include "common/http/server.h"
#include "scheduler/shell/peers.h"
#include "scheduler/shell/pipeline.h"

namespace allot::scheduler {

class LogReader {
 public:
  struct TaskLog {
    TaskId task;
    Attempt attempt;  // invalid: the last
  };
  using What = std::variant<TaskLog, ReplicaId>;

  LogReader(boost::asio::io_context& loop, Pipeline& pipeline, Peers& peers, History& history);
  ~LogReader();

  // Answers 404, 412 or 503 where there is nothing to stream. With `follow` it waits for a task
  // that has not started and ends when the task has ended and all was sent.
  // `sender`: whose share of all streams it counts in.
  void Start(What what, int64_t offset, bool follow, std::string sender,
             http::ResponderPtr responder);
  size_t streams() const { return streams_.size(); }
  size_t streams(const std::string& sender) const;

 private:
  struct Stream;
  struct Place {
    std::string node;
    TaskKey key;
    ReplicaId replica;
  };
  // The place, or why there is none. Aborted: not yet, ask again.
  StatusOr<Place> Find(const What& what) const;
  StatusOr<Place> FindTask(const TaskLog& log) const;
  StatusOr<Place> FindTaskOf(const JobState& job, const TaskLog& log) const;
  Status Reachable(NodeId node, std::string* name) const;
  void Ask(const std::shared_ptr<Stream>& stream);
  void AskAfter(const std::shared_ptr<Stream>& stream, Duration pause);
  void OnChunk(const std::string& node, wire::LogChunk chunk);
  void OnSilence(const std::shared_ptr<Stream>& stream);
  void Fail(const std::shared_ptr<Stream>& stream, const Status& why);
  void Finish(const std::shared_ptr<Stream>& stream);

  boost::asio::io_context& loop_;
  Pipeline& pipeline_;
  Peers& peers_;
  History& history_;
  uint64_t last_ticket_ = 0;
  absl::flat_hash_map<uint64_t, std::shared_ptr<Stream>> streams_;  // by ticket of its question
  absl::flat_hash_map<std::string, size_t> of_sender_;
};

}  // namespace allot::scheduler
