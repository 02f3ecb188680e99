#include "common/transport/pieces.h"

#include <algorithm>
#include <utility>

namespace allot::transport {

void PieceSender::Open(uint64_t stream, uint64_t credit) {
  streams_.try_emplace(stream).first->second.credit = credit;
}

void PieceSender::Queue(uint64_t id, Stream& stream) {
  const bool may_send = stream.waiting > 0 ? stream.sent < stream.credit : stream.ended;
  if (!may_send || std::exchange(stream.queued, true)) return;
  turns_.push_back(id);
}

void PieceSender::Push(uint64_t stream, std::string bytes) {
  const auto it = streams_.find(stream);
  if (it == streams_.end() || it->second.ended || bytes.empty()) return;
  it->second.waiting += bytes.size();
  waiting_ += bytes.size();
  it->second.chunks.push_back(std::move(bytes));
  Queue(stream, it->second);
}

void PieceSender::End(uint64_t stream) {
  const auto it = streams_.find(stream);
  if (it == streams_.end()) return;
  it->second.ended = true;
  Queue(stream, it->second);
}

void PieceSender::Drop(uint64_t stream) {
  const auto it = streams_.find(stream);
  if (it == streams_.end()) return;
  waiting_ -= it->second.waiting;
  if (it->second.queued) std::erase(turns_, stream);
  streams_.erase(it);
}

void PieceSender::DropAll() {
  streams_.clear();
  turns_.clear();
  waiting_ = 0;
}

void PieceSender::Grant(uint64_t stream, uint64_t total) {
  const auto it = streams_.find(stream);
  if (it == streams_.end() || total <= it->second.credit) return;
  it->second.credit = total;
  Queue(stream, it->second);
}

uint64_t PieceSender::waiting(uint64_t stream) const {
  const auto it = streams_.find(stream);
  return it == streams_.end() ? 0 : it->second.waiting;
}

std::optional<PieceSender::Piece> PieceSender::Next(Duration now) {
  const uint64_t room = paced_ ? pacer_.room() : kAnyCredit;
  // An end that has nothing before it needs no room.
  const auto turn = std::find_if(turns_.begin(), turns_.end(), [&](uint64_t stream) {
    return room > 0 || streams_.at(stream).waiting == 0;
  });
  if (turn == turns_.end()) return std::nullopt;
  const uint64_t id = *turn;
  turns_.erase(turn);
  Stream& stream = streams_.at(id);
  stream.queued = false;
  Piece piece{.stream = id, .bytes = {}, .last = false};
  if (stream.waiting > 0) {
    std::string& front = stream.chunks.front();
    const uint64_t rest = front.size() - stream.front_sent;
    const uint64_t bytes = std::min(
        {rest, paced_ ? uint64_t{kPieceBytesMax} : rest, room, stream.credit - stream.sent});
    if (bytes == front.size()) {
      piece.bytes = std::move(front);
    } else {
      piece.bytes = front.substr(stream.front_sent, bytes);
    }
    stream.front_sent += bytes;
    if (bytes == rest) {
      stream.chunks.pop_front();
      stream.front_sent = 0;
    }
    stream.sent += bytes;
    stream.waiting -= bytes;
    waiting_ -= bytes;
    if (paced_) pacer_.Sent(now, bytes);
  }
  if (stream.ended && stream.waiting == 0) {
    piece.last = true;
    streams_.erase(id);
  } else {
    Queue(id, stream);
  }
  return piece;
}

}  // namespace allot::transport
