// Connections until their key is proven: what they may cost, and what is said for libzmq meanwhile.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "common/base/address.h"
#include "common/transport/gate_impl.h"
#include "common/transport/hello.h"

namespace allot::transport {
namespace {

constexpr int kAcceptBurst = 64;  // connections before others have their turn
// A fleet that dials at once is behind few addresses and takes as long for its handshakes; so
// whoever is younger gives way to nobody, and dialling waits in the kernel's queue meanwhile.
constexpr Duration kYoung = std::chrono::milliseconds(250);
constexpr Duration kFilesPause = std::chrono::milliseconds(100);
constexpr Duration kLogEvery = std::chrono::seconds(1);

constexpr std::string_view kHello("\x04\xc8\x05HELLO", 8);
constexpr size_t kHelloBytes = 202;
constexpr std::string_view kInitiate("\x08INITIATE", 9), kReady("\x05READY", 6),
    kWelcome("\x07WELCOME", 8);

int64_t FilesMax() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return INT64_MAX;
  return static_cast<int64_t>(limit.rlim_cur);
}

void Keep(int fd) {
  const auto set = [fd](int level, int name, int value) {
    ::setsockopt(fd, level, name, &value, sizeof value);
  };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  // A machine that lost its power sends no FIN. The kernel's keepalive finds out for free.
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 30);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 10);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, 60'000);  // and data nobody acknowledges
}

// As text, and what connections of it are counted under: whoever has one IPv6 address has a /64.
std::pair<std::string, std::string> AddressAndGroup(const sockaddr_storage& from) {
  char text[INET6_ADDRSTRLEN] = "";
  if (from.ss_family == AF_INET) {
    ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(&from)->sin_addr, text, sizeof text);
    return {text, text};
  }
  if (from.ss_family != AF_INET6) return {"", ""};
  const in6_addr& v6 = reinterpret_cast<const sockaddr_in6*>(&from)->sin6_addr;
  ::inet_ntop(AF_INET6, &v6, text, sizeof text);
  std::string address(PlainHost(text));
  if (IN6_IS_ADDR_V4MAPPED(&v6)) return {address, address};
  return {std::move(address), std::string(reinterpret_cast<const char*>(v6.s6_addr), 8)};
}

}  // namespace

void Gate::Impl::Accept() {
  for (int i = 0; i < kAcceptBurst; ++i) {
    if (!tokens_.Take(now_, 1)) {
      ++counters_.throttled_handshakes;
      return PauseAccept(Duration(0));
    }
    if (static_cast<int64_t>(strangers_.size()) >= limits::kStrangers.value) {
      const auto most = std::max_element(
          by_group_.begin(), by_group_.end(),
          [](const auto& a, const auto& b) { return a.second.size() < b.second.size(); });
      if (!PushOut(*most->second.begin())) {
        tokens_.GiveBack(1);
        return PauseAccept(now_ + kLookEvery);
      }
    }
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    const int fd =
        ::accept4(outer_, reinterpret_cast<sockaddr*>(&from), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      tokens_.GiveBack(1);
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
        PauseAccept(now_ + kFilesPause);
      if (errno != ECONNABORTED && errno != EINTR) return;
      continue;
    }
    ++counters_.accepted;
    Admit(fd, from);
  }
}

void Gate::Impl::PauseAccept(Duration at) {
  accept_at_ = at;
  if (std::exchange(accept_paused_, true)) return;
  Watch(EPOLL_CTL_MOD, outer_, kListenerTag, 0);
}

void Gate::Impl::Admit(int fd, const sockaddr_storage& from) {
  auto [address, group] = AddressAndGroup(from);
  if (fd >= FilesMax() - limits::kFilesKept.value) {
    ++counters_.files;
    ++counters_.disconnected;
    ::close(fd);
    return Say(address, "all files of this process are in use");
  }
  for (auto of_group = by_group_.find(group);
       of_group != by_group_.end() &&
       static_cast<int64_t>(of_group->second.size()) >= limits::kStrangersOfAnAddress.value &&
       PushOut(*of_group->second.begin());
       of_group = by_group_.find(group)) {
  }
  auto one = std::make_unique<Connection>();
  one->id = ++last_id_;
  one->outer = fd;
  one->address = std::move(address);
  one->group = std::move(group);
  one->since = now_;
  one->watched_outer = EPOLLIN;
  Watch(EPOLL_CTL_ADD, fd, one->id << 1, EPOLLIN);
  strangers_.insert(one->id);
  by_group_[one->group].insert(one->id);
  connections_.emplace(one->id, std::move(one));
}

bool Gate::Impl::PushOut(uint64_t id) {
  Connection& one = *Find(id);
  if (now_ - one.since < kYoung) return false;
  Fail(one, counters_.pushed_out, "later connections took its place");
  return true;
}

void Gate::Impl::NoStranger(Connection& one) {
  strangers_.erase(one.id);
  const auto of_group = by_group_.find(one.group);
  if (of_group == by_group_.end()) return;
  of_group->second.erase(one.id);
  if (of_group->second.empty()) by_group_.erase(of_group);
}

void Gate::Impl::Fail(Connection& one, std::atomic<uint64_t>& counter, std::string_view why) {
  ++counter;
  Say(one.address, why);
  End(one);
}

void Gate::Impl::Say(const std::string& address, std::string_view why) {
  if (now_ - said_ < kLogEvery) {
    ++unsaid_;
    return;
  }
  said_ = now_;
  spdlog::warn("connection refused address={} why=\"{}\" more={}", address, why,
               std::exchange(unsaid_, 0));
}

bool Gate::Impl::Fill(Connection& one, int fd, std::string* message, size_t wanted, bool peer) {
  while (message->size() < wanted) {
    char buffer[limits::kStrangerBytes.value];
    const size_t room = std::min(sizeof buffer, wanted - message->size());
    const ssize_t got = ::recv(fd, buffer, room, 0);
    if (got > 0) {
      message->append(buffer, static_cast<size_t>(got));
      continue;
    }
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
    Fail(one, counters_.left, peer ? "it left before it proved a key" : "the handshake failed");
    return false;
  }
  return true;
}

bool Gate::Impl::FillFrame(Connection& one, int fd, std::string* message, bool peer) {
  if (!Fill(one, fd, message, 2, peer)) return false;
  std::optional<FrameHead> head = ReadFrameHead(*message);
  if (!head) {
    if (!Fill(one, fd, message, kFrameHeadBytesMax, peer)) return false;
    head = ReadFrameHead(*message);
  }
  const auto most = static_cast<uint64_t>(limits::kStrangerBytes.value) - kFrameHeadBytesMax;
  if (head->body_bytes > most) {
    Fail(one, counters_.too_long,
         fmt::format("a message of {} bytes before a key is proven, where {} are taken",
                     head->body_bytes, most));
    return false;
  }
  return Fill(one, fd, message, head->head_bytes + head->body_bytes, peer);
}

bool Gate::Impl::FillGreeting(Connection& one, size_t wanted) {
  const uint64_t id = one.id;
  const bool whole = Fill(one, one.outer, &one.message, wanted, /*peer=*/true);
  if (Find(id) == nullptr) return false;
  if (MayBeGreeting(one.message)) return whole;
  Fail(one, counters_.not_curve, "it does not speak ZMTP 3 with CURVE");
  return false;
}

void Gate::Impl::StrangerReady(Connection& one) {
  const uint64_t id = one.id;
  if (one.stage == Stage::kGreeting) {
    // Answered as soon as the signature is there: libzmq says the rest when it has heard us.
    if (one.message.size() < kSignatureBytes) {
      if (!FillGreeting(one, kSignatureBytes) || !Put(one, /*outer=*/true, Greeting())) return;
    }
    if (!FillGreeting(one, kGreetingBytes)) return;
    one.stage = Stage::kHello;
  }
  if (one.stage == Stage::kHello) {
    // The greeting stays in front: libzmq hears both at once.
    const bool whole =
        Fill(one, one.outer, &one.message, kGreetingBytes + kHelloBytes, /*peer=*/true);
    if (Find(id) == nullptr) return;
    const std::string_view said = std::string_view(one.message).substr(kGreetingBytes);
    const size_t known = std::min(said.size(), kHello.size());
    if (said.substr(0, known) != kHello.substr(0, known)) {
      const bool is_long = (said[0] & 2) != 0;  // where all handshakes begin with a short frame
      return Fail(one, is_long ? counters_.too_long : counters_.not_curve,
                  "its first message is no HELLO of CURVE");
    }
    if (!whole) return;
    one.stage = Stage::kTokens;
    waiting_.push_back(id);
    WatchOuter(one);
    ServeWaiting();
    return;
  }
  if (one.stage == Stage::kInitiate) {
    if (!FillFrame(one, one.outer, &one.message, /*peer=*/true)) return;
    const size_t head = ReadFrameHead(one.message)->head_bytes;
    if (!std::string_view(one.message).substr(head).starts_with(kInitiate))
      return Fail(one, counters_.left, "its second message is no INITIATE of CURVE");
    one.stage = Stage::kVerdict;
    if (!Put(one, /*outer=*/false, std::exchange(one.message, {}))) return;
    WatchOuter(one);
    WatchInner(one);
  }
}

void Gate::Impl::ServeWaiting() {
  while (!waiting_.empty()) {
    Connection* const one = Find(waiting_.front());
    if (one != nullptr && !tokens_.Take(now_, kKeyTried)) {
      ++counters_.throttled_handshakes;
      return;
    }
    waiting_.pop_front();
    if (one != nullptr) Introduce(*one);
  }
}

int Gate::Impl::DoorFor(std::string_view hello) {
  const std::lock_guard lock(mutex_);
  // Where there is one key, libzmq finds out by itself whether it is for that.
  if (doors_.size() == 1) return doors_.front().open ? doors_.front().path : -1;
  const auto found = std::find_if(doors_.begin(), doors_.end(), [&](const Door& door) {
    return door.open && IsHelloFor(hello, door.keys.secret_key);
  });
  return found == doors_.end() ? -1 : found->path;
}

void Gate::Impl::Introduce(Connection& one) {
  const int door = DoorFor(std::string_view(one.message).substr(kGreetingBytes));
  if (door < 0) return Fail(one, counters_.refused, "it dials a key that is not ours (any more)");
  // Such names are seen by whoever runs here (/proc/net/unix), and one that somebody else has is
  // taken: what comes next must not follow from those before.
  uint64_t surprise = 0;
  if (::getrandom(&surprise, sizeof surprise, 0) != sizeof surprise) surprise = 0;
  one.inner = ConnectInner(door, fmt::format("{}{}.{:016x}", prefix_, one.id, surprise));
  // Libzmq ends the process when it cannot accept for want of files.
  if (one.inner < 0 || one.inner >= FilesMax() - limits::kFilesKept.value)
    return Fail(one, counters_.files, "all files of this process are in use");
  one.watched_inner = EPOLLIN;
  Watch(EPOLL_CTL_ADD, one.inner, one.id << 1 | 1, EPOLLIN);
  one.stage = Stage::kGreeted;
  Put(one, /*outer=*/false, std::exchange(one.message, {}));
}

void Gate::Impl::AnswerReady(Connection& one) {
  while (OfLibzmq(one.stage)) {
    if (one.stage == Stage::kGreeted) {
      if (!Fill(one, one.inner, &one.answer, kGreetingBytes, /*peer=*/false)) return;
      // The peer was answered in its stead; another word from it would make two of them.
      if (one.answer != Greeting())
        return Fail(one, counters_.left, "this libzmq greets in another way than we do for it");
      one.answer.clear();
      one.stage = Stage::kWelcome;
    }
    if (!FillFrame(one, one.inner, &one.answer, /*peer=*/false)) return;
    const size_t head = ReadFrameHead(one.answer)->head_bytes;
    const std::string_view body = std::string_view(one.answer).substr(head);
    const bool good = body.starts_with(one.stage == Stage::kWelcome ? kWelcome : kReady);
    const bool proven = good && one.stage == Stage::kVerdict;
    if (good && one.stage == Stage::kWelcome) one.stage = Stage::kInitiate;
    if (proven) Proven(one);
    if (!Put(one, /*outer=*/true, std::exchange(one.answer, {}))) return;
    // It was told why; libzmq itself would wait for it to go.
    if (!good) return Fail(one, counters_.refused, "its key is not admitted");
  }
  WatchOuter(one);
  WatchInner(one);
}

void Gate::Impl::Proven(Connection& one) {
  one.stage = Stage::kOpen;
  NoStranger(one);
  one.since = now_;
  unheard_.emplace(now_ + std::chrono::milliseconds(limits::kUnheardMilliseconds.value), one.id);
  one.budget = std::make_shared<Budget>(options_);
  Keep(one.outer);
  const std::lock_guard lock(mutex_);
  open_.emplace(one.id, Entry{one.address, one.taken});
}

}  // namespace allot::transport
