// How a session's answer leaves it: at once, or as the client takes it.
#include <algorithm>
#include <string>
#include <utility>

#include "common/http/session.h"

namespace allot::http {

using boost::system::error_code;

void Session::WriteParts(std::string_view a, std::string_view b, std::string_view c) {
  if (closed()) return;
  size_t written = 0;
  if (out_.empty()) {
    error_code error;
    written = WriteSome({a, b, c}, &error);
    if (error && !WouldBlock(error)) return Fail();
    if (written == a.size() + b.size() + c.size()) return;
  }
  for (std::string_view part : {a, b, c}) {
    const size_t done = std::min(written, part.size());
    written -= done;
    part.remove_prefix(done);
    Queue(part);
  }
  ArmWrite();
}

void Session::CheckStanding() {
  if (phase_ != Phase::kAnswering || authorization_.empty() || responder_.expired()) return;
  const Status why = server_->options.standing(authorization_);
  if (why.ok()) return;
  ClientGone();
  if (head_sent_) return Abort();
  keep_alive_ = false;
  SendAnswer(Own(401, why));
}

// The body is not copied: it may be large, and its client slow.
void Session::WriteAnswer(std::string_view head, std::string body) {
  if (closed()) return;
  if (!out_.empty() || body.size() <= kSmallBody) return WriteParts(head, body, {});
  error_code error;
  const size_t written = WriteSome({head, body, {}}, &error);
  if (error && !WouldBlock(error)) return Fail();
  if (written == head.size() + body.size()) return;
  if (written < head.size()) {
    Queue(head.substr(written));
    Queue(body);
  } else {
    out_start_ = written - head.size();
    Waiting(body.size() - out_start_, body.size());
    out_.push_back(std::move(body));
  }
  ArmWrite();
}

void Session::Queue(std::string_view part) {
  if (part.empty()) return;
  Waiting(part.size(), part.size());
  if (out_.empty() || out_.back().size() + part.size() > kSmallBody) {
    out_.emplace_back(part);
  } else {
    out_.back().append(part);
  }
}

void Session::Waiting(size_t bytes, size_t held) {
  if (backlog_ == 0) {
    waiting_since_ = taken_at_ = Clock::now();
    taken_ = 0;
  }
  backlog_ += bytes;
  held_ += held;
  server_->answers_bytes += held;
}

void Session::Taken(size_t bytes) {
  taken_at_ = Clock::now();
  taken_ += bytes;
  backlog_ -= bytes;
}

void Session::ArmWrite() {
  if (writing_ || out_.empty() || closed()) return;
  writing_ = true;
  socket_.async_wait(Socket::wait_write, [self = shared_from_this()](const error_code& error) {
    self->writing_ = false;
    if (self->closed()) return;
    if (error) return self->Fail();
    const size_t before = self->backlog_;
    self->FlushQueue();
    if (self->phase_ == Phase::kAnswering && self->backlog_ < before) TellRoom(self->responder_);
  });
}

void Session::FlushQueue() {
  while (!out_.empty()) {
    error_code error;
    const std::string& front = out_.front();
    const size_t written = WriteSome({std::string_view(front).substr(out_start_), {}, {}}, &error);
    if (WouldBlock(error)) return ArmWrite();
    if (error) return Fail();
    Taken(written);
    out_start_ += written;
    if (out_start_ == front.size()) {
      // Memory is what counts: of a large answer all of it is there until its end has gone.
      held_ -= front.size();
      server_->answers_bytes -= front.size();
      out_.pop_front();
      out_start_ = 0;
    }
  }
  if (phase_ == Phase::kReading && !parser_.started()) ExtendDeadline();
  AfterFlush();
}

}  // namespace allot::http
