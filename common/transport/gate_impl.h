// The insides of gate.h: one class. Here what it knows and its thread's loop; gate_strangers.cc has
// connections until their key is proven, gate_peers.cc those after that, and what both need.
#pragma once

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "common/base/logging.h"
#include "common/base/thread.h"
#include "common/base/token_bucket.h"
#include "common/transport/gate.h"
#include "common/transport/listener.h"
#include "common/transport/zmtp.h"

namespace allot::transport {

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
    doors_.push_back({options_.keys, inner.path});
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
    for (const int fd : {outer_, inner_, epoll_, wake_})
      if (fd >= 0) ::close(fd);
    for (const Door& door : doors_) ::close(door.path);
  }

  void Start() {
    thread_ = StartThread([this] { Run(); });
  }

  int TakeInner() { return std::exchange(inner_, -1); }
  StatusOr<int> AddKey(const KeyPair& keys) {
    const std::lock_guard lock(mutex_);
    for (Door& door : doors_) {
      if (door.keys.public_key != keys.public_key) continue;
      door.open = true;
      return -1;
    }
    ASSIGN_OR_RETURN(const InnerListener inner, ListenInner());
    doors_.push_back({keys, inner.path});
    return inner.fd;
  }
  void DropKey(const std::string& public_key) {
    const std::lock_guard lock(mutex_);
    for (Door& door : doors_)
      if (door.keys.public_key == public_key) door.open = false;
  }
  const std::string& endpoint() const { return endpoint_; }
  const GateCounters& counters() const { return counters_; }

  // ---- any thread ---------------------------------------------------------------------------

  Arrival Heard(int fd, std::shared_ptr<Budget> budget, bool dialled_rarely) {
    const std::string name = InnerName(fd);
    uint64_t id = 0;
    if (!name.starts_with(prefix_)) return {};
    std::from_chars(name.data() + prefix_.size(), name.data() + name.size(), id);
    const std::lock_guard lock(mutex_);
    const auto found = open_.find(id);
    if (found == open_.end() || found->second.heard) return {};
    found->second.heard = true;
    Tell({Command::kHeard, id, {}, std::move(budget), dialled_rarely});
    return {id, found->second.address, found->second.taken};
  }
  void Order(uint64_t id, Duration pause, bool close) {
    const std::lock_guard lock(mutex_);
    Tell({close ? Command::kClose : Command::kPause, id, pause, nullptr, false});
  }
  void Took(uint64_t id) {
    const std::lock_guard lock(mutex_);
    Tell({Command::kTook, id, {}, nullptr, false});
  }
  std::vector<uint64_t> TakeEnded() {
    const std::lock_guard lock(mutex_);
    return std::exchange(ended_, {});
  }

 private:
  static constexpr int64_t kKeyTried = 10;         // tenths of a handshake that reached libzmq
  static constexpr size_t kRelayBytes = 64 << 10;  // of a connection before others have their turn
  static constexpr Duration kLookEvery =
      std::chrono::milliseconds(10);                         // while somebody waits for tokens
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
    std::shared_ptr<Budget> budget;  // its own until it was heard of
    uint64_t passed = 0;             // bytes of the peer since its key was proven
    std::shared_ptr<Taken> taken = std::make_shared<Taken>();
    bool heard = false, full = false;
    bool peer_gone = false, inner_gone = false, inner_hung = false;
    Duration paused_until{};
  };
  struct Command {
    enum Kind { kHeard, kTook, kPause, kClose } kind;
    uint64_t id;
    Duration time;
    std::shared_ptr<Budget> budget;
    bool dialled_rarely;
  };
  struct Entry {
    std::string address;
    std::shared_ptr<Taken> taken;
    bool heard = false;
  };

  // What of libzmq listens within this process, and by which key.
  struct Door {
    KeyPair keys;
    int path = -1;
    bool open = true;  // else it was closed, and may be opened again
  };
  // Of the door whose key the HELLO is for; -1: there is none.
  int DoorFor(std::string_view hello);

  static Duration Now() {
    return std::chrono::duration_cast<Duration>(
        std::chrono::steady_clock::now().time_since_epoch());
  }

  // With the mutex held.
  void Tell(Command command) {
    commands_.push_back(std::move(command));
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
  void Accept();
  // Until tokens are there, and `at` is over.
  void PauseAccept(Duration at);
  void Admit(int fd, const sockaddr_storage& from);
  // False: it is too young for that.
  bool PushOut(uint64_t id);
  void NoStranger(Connection& one);
  // The end of one that has not proven a key.
  void Fail(Connection& one, std::atomic<uint64_t>& counter, std::string_view why);
  // One line a second: a stranger must not be able to fill the disk with our log.
  void Say(const std::string& address, std::string_view why);
  // Reads until `message` has `wanted` bytes, and no further. False: it has not (yet).
  bool Fill(Connection& one, int fd, std::string* message, size_t wanted, bool peer);
  // True: the frame is whole in `message`. Whoever it belongs to may be gone otherwise.
  bool FillFrame(Connection& one, int fd, std::string* message, bool peer);
  // The same of the greeting, which is judged byte by byte.
  bool FillGreeting(Connection& one, size_t wanted);
  void StrangerReady(Connection& one);
  // Those that have said hello, as far as there are tokens.
  void ServeWaiting();
  void Introduce(Connection& one);
  // What libzmq says in the handshake.
  void AnswerReady(Connection& one);
  void Proven(Connection& one);

  // ---- peers --------------------------------------------------------------------------------
  void OuterReady(Connection& one, uint32_t what);
  // What a frame asks for is memory that nobody has touched; what came of it is in the window.
  uint64_t FrameMax() const;
  uint64_t Window(const Connection& one) const;
  void Charge(Connection& one, size_t bytes, uint64_t frames);
  void LookAtWindow(Connection& one);
  void PauseUntil(Connection& one, Duration at);
  void InnerReady(Connection& one, uint32_t what);
  // Libzmq has closed, and its last words wait until the peer has taken those before. A socket that
  // was hung up is told of again and again: it is watched anew when they can be read.
  void Hung(Connection& one);
  // Sends, and keeps what does not fit. False: the connection is over.
  bool Put(Connection& one, bool outer, std::string_view bytes);
  bool Flush(Connection& one, bool outer);
  // Of a connection whose peer is gone: all that it sent must reach libzmq, and whose it was must
  // have been asked, before its descriptor is given to another.
  bool MustWait(const Connection& one) const;
  void PeerGone(Connection& one);
  void InnerGone(Connection& one);
  void End(Connection& one);
  void Obey();
  void LookAtTimes();

  const Options options_;
  const std::string prefix_;  // of the names that libzmq's side knows connections by
  std::string endpoint_;
  int outer_ = -1, inner_ = -1, epoll_ = -1, wake_ = -1;
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
  std::vector<Door> doors_;
};

}  // namespace allot::transport
