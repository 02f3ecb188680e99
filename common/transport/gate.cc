#include "common/transport/gate.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "common/base/address.h"
#include "common/base/check.h"
#include "common/base/logging.h"
#include "common/base/thread.h"
#include "common/base/token_bucket.h"
#include "common/transport/listener.h"
#include "common/transport/zmtp.h"

namespace allot::transport {
namespace {

constexpr size_t kRelayBytes = 64 << 10;  // of a connection before others have their turn
constexpr int kAcceptBurst = 64;          // connections before others have their turn
constexpr int64_t kKeyTried = 10;         // tenths of a handshake that reached libzmq
constexpr Duration kFlushFor = std::chrono::seconds(10);        // to take the last that we said
constexpr Duration kLookEvery = std::chrono::milliseconds(10);  // while somebody waits for tokens
// A fleet that dials at once is behind few addresses and takes as long for its handshakes; so
// whoever is younger gives way to nobody, and dialling waits in the kernel's queue meanwhile.
constexpr Duration kYoung = std::chrono::milliseconds(250);
constexpr Duration kFilesPause = std::chrono::milliseconds(100);
constexpr Duration kLogEvery = std::chrono::seconds(1);
constexpr uint64_t kWindowOver = 4 << 20;  // what may be on its way beyond the longest frame

constexpr std::string_view kHello("\x04\xc8\x05HELLO", 8);
constexpr size_t kHelloBytes = 202;
constexpr std::string_view kInitiate("\x08INITIATE", 9), kReady("\x05READY", 6),
    kWelcome("\x07WELCOME", 8);

Duration Now() {
  return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch());
}

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

GateCounters::Counts GateCounters::strangers() const {
  return {{"not_curve", not_curve},   {"too_long", too_long}, {"too_slow", too_slow},
          {"pushed_out", pushed_out}, {"refused", refused},   {"left", left},
          {"files", files},           {"silent", silent}};
}

GateCounters::Counts GateCounters::throttled() const {
  return {{"handshakes", throttled_handshakes},
          {"bytes", throttled_bytes},
          {"frames", throttled_frames},
          {"work", throttled_work},
          {"window", throttled_window}};
}

class Gate::Impl {
 public:
  explicit Impl(const Options& options)
      : options_(options),
        prefix_(fmt::format("allot.{:08x}{:08x}.", std::random_device()(), std::random_device()())),
        tokens_(limits::kHandshakesPerSecond.value * 10, limits::kHandshakesBurst.value * 10) {}

  Status Open() {
    ASSIGN_OR_RETURN(const Listener outer, ListenTcp(options_.endpoint));
    outer_ = outer.fd;
    endpoint_ = outer.endpoint;
    ASSIGN_OR_RETURN(const InnerListener inner, ListenInner());
    inner_ = inner.fd;
    inner_path_ = inner.path;
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (epoll_ < 0 || wake_ < 0)
      return ResourceExhausted("cannot watch connections: {}", std::strerror(errno));
    Watch(EPOLL_CTL_ADD, outer_, kListenerTag, EPOLLIN);
    Watch(EPOLL_CTL_ADD, wake_, kWakeTag, EPOLLIN);
    return absl::OkStatus();
  }

  ~Impl() {
    if (thread_.joinable()) {
      stop_ = true;
      Wake();
      thread_.join();
    }
    for (const auto& [id, one] : connections_) {
      if (one->outer >= 0) ::close(one->outer);
      if (one->inner >= 0) ::close(one->inner);
    }
    for (const int fd : {outer_, inner_, inner_path_, epoll_, wake_})
      if (fd >= 0) ::close(fd);
  }

  void Start() {
    thread_ = StartThread([this] { Run(); });
  }

  int TakeInner() { return std::exchange(inner_, -1); }
  const std::string& endpoint() const { return endpoint_; }
  const GateCounters& counters() const { return counters_; }

  // ---- any thread ---------------------------------------------------------------------------

  Arrival Heard(int fd) {
    const std::string name = InnerName(fd);
    uint64_t id = 0;
    if (!name.starts_with(prefix_)) return {};
    std::from_chars(name.data() + prefix_.size(), name.data() + name.size(), id);
    const std::lock_guard lock(mutex_);
    const auto found = open_.find(id);
    if (found == open_.end() || found->second.heard) return {};
    found->second.heard = true;
    Tell({Command::kHeard, id, {}});
    return {id, found->second.address, found->second.taken};
  }
  void Order(uint64_t id, Duration pause, bool close) {
    const std::lock_guard lock(mutex_);
    Tell({close ? Command::kClose : Command::kPause, id, pause});
  }
  void Took(uint64_t id) {
    const std::lock_guard lock(mutex_);
    Tell({Command::kTook, id, {}});
  }
  std::vector<uint64_t> TakeEnded() {
    const std::lock_guard lock(mutex_);
    return std::exchange(ended_, {});
  }

 private:
  static constexpr uint64_t kListenerTag = 0, kWakeTag = 1;  // ids begin at 1: tags at 2

  // What a connection waits for. Until kOpen it is a stranger's.
  enum class Stage {
    kGreeting,
    kHello,   // of the peer
    kTokens,  // its turn to be introduced to libzmq
    kGreeted,
    kWelcome,   // of libzmq
    kInitiate,  // of the peer
    kVerdict,   // of libzmq
    kOpen
  };

  struct Connection {
    uint64_t id = 0;
    int outer = -1, inner = -1;
    Stage stage = Stage::kGreeting;
    std::string address, group;
    Duration since{};     // of acceptance; of the key's proof; of the end of the other side
    std::string message;  // of the handshake, as far as it has come from the peer
    std::string answer;   // likewise from libzmq
    std::string to_inner, to_outer;  // what did not fit yet
    size_t put_inner = 0, put_outer = 0;
    uint32_t watched_outer = 0, watched_inner = 0;
    FrameScanner scanner;
    std::optional<TokenBucket> bytes, frames;
    uint64_t passed = 0;  // bytes of the peer since its key was proven
    std::shared_ptr<Taken> taken = std::make_shared<Taken>();
    bool heard = false, full = false;
    bool peer_gone = false, inner_gone = false, inner_hung = false;
    Duration paused_until{};
  };
  struct Command {
    enum Kind { kHeard, kTook, kPause, kClose } kind;
    uint64_t id;
    Duration time;
  };
  struct Entry {
    std::string address;
    std::shared_ptr<Taken> taken;
    bool heard = false;
  };

  // With the mutex held.
  void Tell(Command command) {
    commands_.push_back(command);
    if (commands_.size() == 1) Wake();
  }
  void Wake() const {
    const uint64_t one = 1;
    while (::write(wake_, &one, sizeof one) < 0 && errno == EINTR) {
    }
  }

  // ---- the thread ---------------------------------------------------------------------------

  void Run() {
    std::vector<epoll_event> events(256);
    while (!stop_) {
      const int count =
          ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), WaitMillis());
      now_ = Now();
      for (int i = 0; i < count; ++i) {
        const uint64_t tag = events[static_cast<size_t>(i)].data.u64;
        const uint32_t what = events[static_cast<size_t>(i)].events;
        if (tag == kListenerTag) {
          Accept();
        } else if (tag == kWakeTag) {
          uint64_t ignored;
          (void)!::read(wake_, &ignored, sizeof ignored);
        } else if (Connection* const one = Find(tag >> 1)) {
          (tag & 1) == 0 ? OuterReady(*one, what) : InnerReady(*one, what);
        }
      }
      Obey();
      LookAtTimes();
    }
  }

  int WaitMillis() {
    Duration wait = std::chrono::seconds(60);
    const Duration now = Now();
    const auto until = [&](Duration at) { wait = std::min(wait, std::max(at - now, Duration(0))); };
    if (!strangers_.empty()) {
      const Connection* const oldest = Find(*strangers_.begin());
      until(oldest->since + Patience());
    }
    if (!unheard_.empty()) until(unheard_.begin()->first);
    if (!ending_.empty()) until(ending_.begin()->first);
    if (!paused_.empty()) until(paused_.begin()->first);
    if (!waiting_.empty() || accept_paused_) until(now + kLookEvery);
    // Rounded up, or it would look again and again within the last millisecond.
    return static_cast<int>((wait.count() + 999) / 1000);
  }
  Duration Patience() const { return std::chrono::milliseconds(options_.handshake_ms_max); }

  static bool OfLibzmq(Stage stage) {
    return stage == Stage::kGreeted || stage == Stage::kWelcome || stage == Stage::kVerdict;
  }

  Connection* Find(uint64_t id) {
    const auto found = connections_.find(id);
    return found == connections_.end() ? nullptr : found->second.get();
  }

  void Watch(int how, int fd, uint64_t tag, uint32_t events) const {
    epoll_event event{};
    event.events = events;
    event.data.u64 = tag;
    ::epoll_ctl(epoll_, how, fd, &event);
  }
  void WatchOuter(Connection& one) {
    if (one.outer < 0) return;
    const bool listens = !one.full && !one.peer_gone && one.to_inner.empty() &&
                         one.paused_until == Duration(0) && !one.inner_gone && !one.inner_hung &&
                         !OfLibzmq(one.stage) && one.stage != Stage::kTokens;
    const uint32_t wanted =
        (listens ? uint32_t{EPOLLIN} : 0) | (one.to_outer.empty() ? 0 : uint32_t{EPOLLOUT});
    if (wanted == one.watched_outer) return;
    one.watched_outer = wanted;
    Watch(EPOLL_CTL_MOD, one.outer, one.id << 1, wanted);
  }
  void WatchInner(Connection& one) {
    if (one.inner < 0) return;
    const bool listens =
        one.to_outer.empty() && !one.inner_gone && !one.peer_gone && one.stage != Stage::kInitiate;
    const uint32_t wanted =
        (listens ? uint32_t{EPOLLIN} : 0) | (one.to_inner.empty() ? 0 : uint32_t{EPOLLOUT});
    if (one.inner_hung) {
      if (!listens) return;
      one.inner_hung = false;
      one.watched_inner = wanted;
      return Watch(EPOLL_CTL_ADD, one.inner, one.id << 1 | 1, wanted);
    }
    if (wanted == one.watched_inner) return;
    one.watched_inner = wanted;
    Watch(EPOLL_CTL_MOD, one.inner, one.id << 1 | 1, wanted);
  }

  // ---- strangers ----------------------------------------------------------------------------

  void Accept() {
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
      const int fd = ::accept4(outer_, reinterpret_cast<sockaddr*>(&from), &size,
                               SOCK_NONBLOCK | SOCK_CLOEXEC);
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

  // Until tokens are there, and `at` is over.
  void PauseAccept(Duration at) {
    accept_at_ = at;
    if (std::exchange(accept_paused_, true)) return;
    Watch(EPOLL_CTL_MOD, outer_, kListenerTag, 0);
  }

  void Admit(int fd, const sockaddr_storage& from) {
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

  // False: it is too young for that.
  bool PushOut(uint64_t id) {
    Connection& one = *Find(id);
    if (now_ - one.since < kYoung) return false;
    Fail(one, counters_.pushed_out, "later connections took its place");
    return true;
  }

  void NoStranger(Connection& one) {
    strangers_.erase(one.id);
    const auto of_group = by_group_.find(one.group);
    if (of_group == by_group_.end()) return;
    of_group->second.erase(one.id);
    if (of_group->second.empty()) by_group_.erase(of_group);
  }

  // The end of one that has not proven a key.
  void Fail(Connection& one, std::atomic<uint64_t>& counter, std::string_view why) {
    ++counter;
    Say(one.address, why);
    End(one);
  }

  // One line a second: a stranger must not be able to fill the disk with our log.
  void Say(const std::string& address, std::string_view why) {
    if (now_ - said_ < kLogEvery) {
      ++unsaid_;
      return;
    }
    said_ = now_;
    spdlog::warn("connection refused address={} why=\"{}\" more={}", address, why,
                 std::exchange(unsaid_, 0));
  }

  // Reads until `message` has `wanted` bytes, and no further. False: it has not (yet).
  bool Fill(Connection& one, int fd, std::string* message, size_t wanted, bool peer) {
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

  // True: the frame is whole in `message`. Whoever it belongs to may be gone otherwise.
  bool FillFrame(Connection& one, int fd, std::string* message, bool peer) {
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

  // The same of the greeting, which is judged byte by byte.
  bool FillGreeting(Connection& one, size_t wanted) {
    const uint64_t id = one.id;
    const bool whole = Fill(one, one.outer, &one.message, wanted, /*peer=*/true);
    if (Find(id) == nullptr) return false;
    if (MayBeGreeting(one.message)) return whole;
    Fail(one, counters_.not_curve, "it does not speak ZMTP 3 with CURVE");
    return false;
  }

  void StrangerReady(Connection& one) {
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

  // Those that have said hello, as far as there are tokens.
  void ServeWaiting() {
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

  void Introduce(Connection& one) {
    one.inner = ConnectInner(inner_path_, fmt::format("{}{}", prefix_, one.id));
    // Libzmq ends the process when it cannot accept for want of files.
    if (one.inner < 0 || one.inner >= FilesMax() - limits::kFilesKept.value)
      return Fail(one, counters_.files, "all files of this process are in use");
    one.watched_inner = EPOLLIN;
    Watch(EPOLL_CTL_ADD, one.inner, one.id << 1 | 1, EPOLLIN);
    one.stage = Stage::kGreeted;
    Put(one, /*outer=*/false, std::exchange(one.message, {}));
  }

  // What libzmq says in the handshake.
  void AnswerReady(Connection& one) {
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

  void Proven(Connection& one) {
    one.stage = Stage::kOpen;
    NoStranger(one);
    tokens_.GiveBack(kKeyTried + 1);
    one.since = now_;
    unheard_.emplace(now_ + std::chrono::milliseconds(limits::kUnheardMilliseconds.value), one.id);
    if (options_.bytes_per_second > 0)
      one.bytes.emplace(options_.bytes_per_second, options_.bytes_burst);
    if (options_.frames_per_second > 0)
      one.frames.emplace(options_.frames_per_second, options_.frames_burst);
    Keep(one.outer);
    const std::lock_guard lock(mutex_);
    open_.emplace(one.id, Entry{one.address, one.taken});
  }

  // ---- peers --------------------------------------------------------------------------------

  void OuterReady(Connection& one, uint32_t what) {
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

  // What a frame asks for is memory that nobody has touched; what came of it is in the window.
  uint64_t FrameMax() const {
    constexpr int64_t kBox = 64;  // what CURVE adds
    return static_cast<uint64_t>(options_.frame_bytes_max + kBox);
  }
  uint64_t Window(const Connection& one) const {
    return one.heard ? static_cast<uint64_t>(options_.frame_bytes_max) + kWindowOver
                     : static_cast<uint64_t>(limits::kUnheardBytes.value);
  }

  void Charge(Connection& one, size_t bytes, uint64_t frames) {
    Duration pause{};
    if (one.bytes) {
      one.bytes->Charge(now_, static_cast<int64_t>(bytes));
      pause = one.bytes->Until(now_);
      if (pause > Duration(0)) ++counters_.throttled_bytes;
    }
    if (one.frames) {
      one.frames->Charge(now_, static_cast<int64_t>(frames));
      const Duration more = one.frames->Until(now_);
      if (more > Duration(0)) ++counters_.throttled_frames;
      pause = std::max(pause, more);
    }
    if (pause > Duration(0)) PauseUntil(one, now_ + pause);
    LookAtWindow(one);
  }

  void LookAtWindow(Connection& one) {
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

  void PauseUntil(Connection& one, Duration at) {
    if (at <= one.paused_until) return;
    one.paused_until = at;
    paused_.emplace(at, one.id);
    WatchOuter(one);
  }

  void InnerReady(Connection& one, uint32_t what) {
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

  // Libzmq has closed, and its last words wait until the peer has taken those before. A socket that
  // was hung up is told of again and again: it is watched anew when they can be read.
  void Hung(Connection& one) {
    one.to_inner = {};  // Nobody reads it any more.
    one.put_inner = 0;
    if (std::exchange(one.inner_hung, true)) return;
    ::epoll_ctl(epoll_, EPOLL_CTL_DEL, one.inner, nullptr);
    WatchOuter(one);
  }

  // ---- both ---------------------------------------------------------------------------------

  // Sends, and keeps what does not fit. False: the connection is over.
  bool Put(Connection& one, bool outer, std::string_view bytes) {
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

  bool Flush(Connection& one, bool outer) {
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

  // Of a connection whose peer is gone: all that it sent must reach libzmq, and whose it was must
  // have been asked, before its descriptor is given to another.
  bool MustWait(const Connection& one) const {
    return !one.to_inner.empty() || (!one.heard && one.scanner.whole() > 0);
  }

  void PeerGone(Connection& one) {
    if (one.stage != Stage::kOpen)
      return Fail(one, counters_.left, "it left before it proved a key");
    if (one.peer_gone) return;
    one.peer_gone = true;
    ::close(std::exchange(one.outer, -1));
    if (one.inner_gone || !MustWait(one)) return End(one);
    ending_.emplace(now_ + kFlushFor, one.id);
    WatchInner(one);
  }

  void InnerGone(Connection& one) {
    if (one.to_outer.empty() || one.outer < 0) return End(one);
    one.inner_gone = true;
    ::epoll_ctl(epoll_, EPOLL_CTL_DEL, one.inner, nullptr);
    ::close(std::exchange(one.inner, -1));
    ending_.emplace(now_ + kFlushFor, one.id);
    WatchOuter(one);
  }

  void End(Connection& one) {
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

  void Obey() {
    std::vector<Command> commands;
    {
      const std::lock_guard lock(mutex_);
      commands.swap(commands_);
    }
    for (const Command& command : commands) {
      Connection* const one = Find(command.id);
      if (one == nullptr) continue;
      switch (command.kind) {
        case Command::kHeard:
          one->heard = true;
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

  void LookAtTimes() {
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
      if (one->since + std::chrono::milliseconds(limits::kUnheardMilliseconds.value) > now_)
        continue;
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

  const Options options_;
  const std::string prefix_;  // of the names that libzmq's side knows connections by
  std::string endpoint_;
  int outer_ = -1, inner_ = -1, inner_path_ = -1, epoll_ = -1, wake_ = -1;
  GateCounters counters_;
  std::atomic<bool> stop_{false};
  std::thread thread_;

  // Of the thread.
  Duration now_{}, said_ = Duration::min() / 2;
  uint64_t unsaid_ = 0, last_id_ = 0;
  std::vector<char> buffer_ = std::vector<char>(kRelayBytes);
  absl::flat_hash_map<uint64_t, std::unique_ptr<Connection>> connections_;
  std::set<uint64_t> strangers_;  // ids grow: the first is the oldest
  std::map<std::string, std::set<uint64_t>> by_group_;
  TokenBucket tokens_;            // in tenths of a handshake
  std::deque<uint64_t> waiting_;  // for tokens
  bool accept_paused_ = false;
  Duration accept_at_{};
  std::multimap<Duration, uint64_t> unheard_, ending_, paused_;
  std::set<uint64_t> stalled_;

  std::mutex mutex_;
  std::vector<Command> commands_;
  absl::flat_hash_map<uint64_t, Entry> open_;  // with a proven key
  std::vector<uint64_t> ended_;
};

Gate::Gate(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Gate::~Gate() = default;

StatusOr<std::unique_ptr<Gate>> Gate::Open(const Options& options) {
  auto impl = std::make_unique<Impl>(options);
  RETURN_IF_ERROR(impl->Open());
  return std::unique_ptr<Gate>(new Gate(std::move(impl)));
}

std::string Gate::endpoint() const { return impl_->endpoint(); }
const GateCounters& Gate::counters() const { return impl_->counters(); }
int Gate::TakeInner() { return impl_->TakeInner(); }
void Gate::Start() { impl_->Start(); }
Gate::Arrival Gate::Heard(int fd) { return impl_->Heard(fd); }
void Gate::Took(uint64_t connection) { impl_->Took(connection); }
void Gate::Pause(uint64_t connection, Duration time) { impl_->Order(connection, time, false); }
void Gate::Close(uint64_t connection) { impl_->Order(connection, {}, true); }
std::vector<uint64_t> Gate::TakeEnded() { return impl_->TakeEnded(); }

}  // namespace allot::transport
