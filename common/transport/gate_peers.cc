// Connections of peers: their bytes to libzmq and back, their budgets, and the end of any
// connection.
#include <sys/socket.h>

#include "common/transport/gate_impl.h"

namespace allot::transport {
namespace {

constexpr Duration kFlushFor = std::chrono::seconds(10);  // to take the last that we said
constexpr uint64_t kWindowOver = 4 << 20;  // what may be on its way beyond the longest frame

}  // namespace

void Gate::Impl::OuterReady(Connection& one, uint32_t what) {
  const uint64_t id = one.id;
  if ((what & EPOLLOUT) != 0 && !Flush(one, /*outer=*/true)) return;
  if ((what & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
  if (one.stage != Stage::kOpen) {
    const bool listens = (one.watched_outer & EPOLLIN) != 0;
    if (listens) return StrangerReady(one);
    if ((what & (EPOLLHUP | EPOLLERR)) != 0) PeerGone(one);
    return;
  }
  if ((one.watched_outer & EPOLLIN) == 0) {
    // It has ended while it is not read. What it said before is not waited for.
    if ((what & (EPOLLHUP | EPOLLERR)) != 0) PeerGone(one);
    return;
  }
  const ssize_t got = ::recv(one.outer, buffer_.data(), buffer_.size(), 0);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
  if (got <= 0) return PeerGone(one);
  const std::string_view bytes(buffer_.data(), static_cast<size_t>(got));
  const uint64_t frames = one.scanner.frames();
  if (!one.scanner.Scan(bytes, FrameMax())) {
    ++counters_.frames_too_long;
    spdlog::warn("message too long address={} bytes={} most={}: the connection is closed",
                 one.address, one.scanner.too_long(), FrameMax());
    return End(one);
  }
  one.passed += bytes.size();
  if (!Put(one, /*outer=*/false, bytes)) return;
  if (Find(id) == nullptr) return;
  Charge(one, bytes.size(), one.scanner.frames() - frames);
  WatchOuter(one);
}

uint64_t Gate::Impl::FrameMax() const {
  constexpr int64_t kBox = 64;  // what CURVE adds
  return static_cast<uint64_t>(options_.frame_bytes_max + kBox);
}

uint64_t Gate::Impl::Window(const Connection& one) const {
  return one.heard ? static_cast<uint64_t>(options_.frame_bytes_max) + kWindowOver
                   : static_cast<uint64_t>(limits::kUnheardBytes.value);
}

void Gate::Impl::Charge(Connection& one, size_t bytes, uint64_t frames) {
  Duration pause{};
  if (one.budget->bytes) {
    one.budget->bytes->Charge(now_, static_cast<int64_t>(bytes));
    pause = one.budget->bytes->Until(now_);
    if (pause > Duration(0)) ++counters_.throttled_bytes;
  }
  if (one.budget->frames) {
    one.budget->frames->Charge(now_, static_cast<int64_t>(frames));
    const Duration more = one.budget->frames->Until(now_);
    if (more > Duration(0)) ++counters_.throttled_frames;
    pause = std::max(pause, more);
  }
  if (pause > Duration(0)) PauseUntil(one, now_ + pause);
  LookAtWindow(one);
}

void Gate::Impl::LookAtWindow(Connection& one) {
  const bool was = one.full;
  one.full = one.passed - std::min(one.passed, one.taken->bytes.load()) > Window(one);
  if (one.full) {
    one.taken->waiting = true;
    // It may have taken more before it saw that.
    one.full = one.passed - std::min(one.passed, one.taken->bytes.load()) > Window(one);
  }
  if (!one.full) one.taken->waiting = false;
  if (one.full && !was) {
    ++counters_.throttled_window;
    one.since = now_;
    stalled_.insert(one.id);
  }
  if (!one.full && was) stalled_.erase(one.id);
}

void Gate::Impl::PauseUntil(Connection& one, Duration at) {
  if (at <= one.paused_until) return;
  one.paused_until = at;
  paused_.emplace(at, one.id);
  WatchOuter(one);
}

void Gate::Impl::InnerReady(Connection& one, uint32_t what) {
  if ((what & EPOLLOUT) != 0 && !Flush(one, /*outer=*/false)) return;
  if ((what & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
  if (OfLibzmq(one.stage)) return AnswerReady(one);
  if ((one.watched_inner & EPOLLIN) == 0) {
    if ((what & (EPOLLHUP | EPOLLERR)) == 0) return;
    if (one.stage != Stage::kOpen) return Fail(one, counters_.left, "the handshake failed");
    if (one.peer_gone) return End(one);
    return Hung(one);
  }
  const ssize_t got = ::recv(one.inner, buffer_.data(), buffer_.size(), 0);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
  if (got <= 0) return InnerGone(one);
  Put(one, /*outer=*/true, {buffer_.data(), static_cast<size_t>(got)});
}

void Gate::Impl::Hung(Connection& one) {
  one.to_inner = {};  // Nobody reads it any more.
  one.put_inner = 0;
  if (std::exchange(one.inner_hung, true)) return;
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, one.inner, nullptr);
  WatchOuter(one);
}

// ---- both ---------------------------------------------------------------------------------

bool Gate::Impl::Put(Connection& one, bool outer, std::string_view bytes) {
  std::string& rest = outer ? one.to_outer : one.to_inner;
  size_t& put = outer ? one.put_outer : one.put_inner;
  if (rest.empty()) {
    const int fd = outer ? one.outer : one.inner;
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent >= 0) {
        bytes.remove_prefix(static_cast<size_t>(sent));
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        break;
      } else if (errno != EINTR) {
        if (outer) {
          PeerGone(one);
          return false;
        }
        return true;  // Libzmq has closed; what it said last is still to be read.
      }
    }
    if (bytes.empty()) return true;
  }
  rest.append(bytes);
  put = 0;
  WatchOuter(one);
  WatchInner(one);
  return true;
}

bool Gate::Impl::Flush(Connection& one, bool outer) {
  std::string& rest = outer ? one.to_outer : one.to_inner;
  size_t& put = outer ? one.put_outer : one.put_inner;
  const int fd = outer ? one.outer : one.inner;
  while (put < rest.size()) {
    const ssize_t sent = ::send(fd, rest.data() + put, rest.size() - put, MSG_NOSIGNAL);
    if (sent >= 0) {
      put += static_cast<size_t>(sent);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return true;
    } else if (errno != EINTR) {
      if (outer) {
        PeerGone(one);
        return false;
      }
      break;
    }
  }
  rest = {};  // and its memory
  put = 0;
  if ((outer && one.inner_gone) || (!outer && one.peer_gone && !MustWait(one))) {
    End(one);
    return false;
  }
  WatchOuter(one);
  WatchInner(one);
  return true;
}

bool Gate::Impl::MustWait(const Connection& one) const {
  return !one.to_inner.empty() || (!one.heard && one.scanner.whole() > 0);
}

void Gate::Impl::PeerGone(Connection& one) {
  if (one.stage != Stage::kOpen) return Fail(one, counters_.left, "it left before it proved a key");
  if (one.peer_gone) return;
  one.peer_gone = true;
  ::close(std::exchange(one.outer, -1));
  if (one.inner_gone || !MustWait(one)) return End(one);
  ending_.emplace(now_ + kFlushFor, one.id);
  WatchInner(one);
}

void Gate::Impl::InnerGone(Connection& one) {
  if (one.to_outer.empty() || one.outer < 0) return End(one);
  one.inner_gone = true;
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, one.inner, nullptr);
  ::close(std::exchange(one.inner, -1));
  ending_.emplace(now_ + kFlushFor, one.id);
  WatchOuter(one);
}

void Gate::Impl::End(Connection& one) {
  ++counters_.disconnected;
  NoStranger(one);
  stalled_.erase(one.id);
  if (one.outer >= 0) ::close(one.outer);
  if (one.inner >= 0) ::close(one.inner);
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = open_.find(one.id); found != open_.end()) {
      if (found->second.heard) ended_.push_back(one.id);
      open_.erase(found);
    }
  }
  connections_.erase(one.id);  // Last: `one` was it.
}

void Gate::Impl::Obey() {
  std::vector<Command> commands;
  {
    const std::lock_guard lock(mutex_);
    commands.swap(commands_);
  }
  for (Command& command : commands) {
    if (command.dialled_rarely) tokens_.GiveBack(kKeyTried + 1);
    Connection* const one = Find(command.id);
    if (one == nullptr) continue;
    switch (command.kind) {
      case Command::kHeard:
        one->heard = true;
        one->budget = std::move(command.budget);
        if (one->peer_gone && !MustWait(*one)) {
          End(*one);
          break;
        }
        LookAtWindow(*one);
        WatchOuter(*one);
        break;
      case Command::kTook:
        LookAtWindow(*one);
        WatchOuter(*one);
        break;
      case Command::kPause:
        ++counters_.throttled_work;
        PauseUntil(*one, now_ + command.time);
        break;
      case Command::kClose:
        End(*one);
        break;
    }
  }
}

void Gate::Impl::LookAtTimes() {
  while (!strangers_.empty()) {
    Connection& one = *Find(*strangers_.begin());
    if (one.since + Patience() > now_) break;
    Fail(one, counters_.too_slow, "it did not prove a key in time");
  }
  while (!unheard_.empty() && unheard_.begin()->first <= now_) {
    Connection* const one = Find(unheard_.begin()->second);
    unheard_.erase(unheard_.begin());
    if (one == nullptr || one->heard || one->scanner.whole() > 0) continue;
    ++counters_.silent;
    End(*one);
  }
  while (!ending_.empty() && ending_.begin()->first <= now_) {
    Connection* const one = Find(ending_.begin()->second);
    ending_.erase(ending_.begin());
    if (one != nullptr) End(*one);
  }
  while (!paused_.empty() && paused_.begin()->first <= now_) {
    Connection* const one = Find(paused_.begin()->second);
    paused_.erase(paused_.begin());
    if (one == nullptr || one->paused_until > now_) continue;
    one->paused_until = Duration(0);
    WatchOuter(*one);
  }
  // A message that never ends is never taken.
  for (auto it = stalled_.begin(); it != stalled_.end();) {
    Connection* const one = Find(*it++);
    if (one->since + std::chrono::milliseconds(limits::kUnheardMilliseconds.value) > now_) continue;
    ++counters_.frames_too_long;
    spdlog::warn("message too long address={} most={}: the connection is closed", one->address,
                 Window(*one));
    End(*one);
  }
  ServeWaiting();
  if (accept_paused_ && accept_at_ <= now_ && tokens_.Until(now_, 1) == Duration(0)) {
    accept_paused_ = false;
    Watch(EPOLL_CTL_MOD, outer_, kListenerTag, EPOLLIN);
  }
}

}  // namespace allot::transport
