#include "scheduler/shell/api/lists.h"

#include <string>
#include <utility>

#include <boost/asio/post.hpp>

namespace allot::scheduler {

struct Lists::List {
  http::ResponderPtr responder;
  Next next;
  bool any = false, ended = false;
  bool under_way = false;  // a piece waits to be durable

  std::string Piece() {
    std::string piece;
    while (piece.size() < kPieceBytes) {
      JsonWriter json;
      if (!next(json)) {
        ended = true;
        break;
      }
      if (std::exchange(any, true)) piece += ',';
      piece += json.Take();
    }
    if (ended) piece += "]}";
    return piece;
  }
};

void Lists::Answer(http::ResponderPtr responder, std::string_view key, Next next) {
  // What is in memory may be ahead of what a crash would leave, and nobody may see that.
  if (pipeline_.degraded()) return responder->Send(http::ErrorResponse(pipeline_.Accepting()));
  const auto list =
      std::make_shared<List>(List{.responder = std::move(responder), .next = std::move(next)});
  std::string first = "{\"version\":1,\"" + std::string(key) + "\":[" + list->Piece();
  std::shared_ptr<void> hold = held_.Hold(first.size());
  if (hold == nullptr) return list->responder->Send(held_.TooMuch());
  pipeline_.WhenDurable([weak = std::weak_ptr(self_), list, first = std::move(first),
                         hold = std::move(hold)]() mutable {
    hold.reset();
    if (list->ended) return list->responder->Send({.body = std::move(first)});
    if (const auto self = weak.lock()) (*self)->Begin(list, std::move(first));
  });
}

void Lists::Begin(const ListPtr& list, std::string first) {
  open_.insert(list);
  const auto self = std::weak_ptr(self_);
  list->responder->OnRoom([self, weak = std::weak_ptr(list)] {
    const auto list = weak.lock();
    const auto lists = self.lock();
    if (list != nullptr && lists != nullptr) (*lists)->Continue(list);
  });
  list->responder->OnClientGone([self, weak = std::weak_ptr(list)] {
    const auto list = weak.lock();
    const auto lists = self.lock();
    if (list == nullptr || lists == nullptr) return;
    list->ended = true;
    (*lists)->open_.erase(list);
  });
  list->responder->StartStream(200, {}, "application/json");
  list->responder->Write(std::move(first));
  ContinueSoon(list);
}

// Behind whatever else the loop has to do.
void Lists::ContinueSoon(const ListPtr& list) {
  boost::asio::post(loop_, [self = std::weak_ptr(self_), weak = std::weak_ptr(list)] {
    const auto list = weak.lock();
    const auto lists = self.lock();
    if (list != nullptr && lists != nullptr) (*lists)->Continue(list);
  });
}

void Lists::Continue(const ListPtr& list) {
  if (list->ended || list->under_way || list->responder->Backlog() > 0) return;
  if (pipeline_.degraded()) {  // What was said so far was durable.
    list->ended = true;
    list->responder->Abort();
    open_.erase(list);
    return;
  }
  list->under_way = true;
  pipeline_.WhenDurable([self = std::weak_ptr(self_), list, piece = list->Piece()]() mutable {
    const auto lists = self.lock();
    if (lists == nullptr || !(*lists)->open_.contains(list)) return;
    list->under_way = false;
    list->responder->Write(std::move(piece));
    if (!list->ended) return (*lists)->ContinueSoon(list);
    list->responder->End();
    (*lists)->open_.erase(list);
  });
}

}  // namespace allot::scheduler
