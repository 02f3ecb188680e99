// The door of a listening socket: what stands between the network and libzmq (ADR 22).
//
// libzmq gives a stranger's frame as much memory as its head asks for, makes an engine for every
// connection, cannot close one, and reads whoever sends. So connections are accepted here. Until a
// key is proven a connection holds what the handshake needs and no more, for so long and no longer,
// and there are so many of an address and so many in all: the oldest gives way, so that one that
// knows what to say always finds room. libzmq hears of a connection when the first message of the
// handshake is there, through a socket that nobody else can reach; afterwards bytes go by as they
// are, frame by frame in number, length and rate, and no faster than the loop takes them. Nobody is
// disconnected for being quick: he is read more slowly.
//
// Has a thread of its own. All else may be called from any thread. Limits: common/base/limits.h.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/limits.h"
#include "common/base/status.h"
#include "common/base/token_bucket.h"
#include "common/base/units.h"
#include "common/transport/keys.h"

namespace allot::transport {

struct GateCounters {
  std::atomic<uint64_t> accepted{0}, disconnected{0};
  // Of connections that never proved a key, by what ended them: no ZMTP with CURVE; a message over
  // its length; silence; others that came later; a key that is not admitted; the other side or a
  // broken handshake; no files left. Then: a proven key, and not a word.
  std::atomic<uint64_t> not_curve{0}, too_long{0}, too_slow{0}, pushed_out{0}, refused{0}, left{0},
      files{0}, silent{0};
  // Of peers: frames over their length, and times that one was not read for a while, by why.
  std::atomic<uint64_t> frames_too_long{0};
  std::atomic<uint64_t> throttled_handshakes{0}, throttled_bytes{0}, throttled_frames{0},
      throttled_work{0}, throttled_window{0};

  // For metrics: what ended strangers, and what held peers back.
  using Counts = std::vector<std::pair<std::string, uint64_t>>;
  Counts strangers() const;
  Counts throttled() const;
  uint64_t handshakes_failed() const {
    return not_curve + too_long + too_slow + pushed_out + refused + left + files;
  }
};

class Gate {
 public:
  struct Options {
    std::string endpoint;  // tcp://host:port; port 0 picks one; host may be * or an interface
    KeyPair keys = {};     // of whoever listens; none: every HELLO is for it
    int64_t handshake_ms_max = limits::kStrangerMilliseconds.value;
    int64_t frame_bytes_max = limits::kFrameBytes.value;
    // Of a peer, over all of its connections. 0: no bound.
    int64_t bytes_per_second = 0, bytes_burst = 0, frames_per_second = 0, frames_burst = 0;
  };
  // What a peer may have read of it, shared by its connections, so that neither many nor new ones
  // are worth more than one. Made by the loop, kept by the gate's thread.
  struct Budget {
    explicit Budget(const Options& options);
    std::optional<TokenBucket> bytes, frames;
  };
  // How much of a connection the loop has taken. The loop adds, the gate reads.
  struct Taken {
    std::atomic<uint64_t> bytes{0};
    std::atomic<bool> waiting{false};  // the gate wants to hear of more (Gate::Took)
  };
  struct Arrival {
    uint64_t connection = 0;
    std::string address;  // IP whence it comes
    std::shared_ptr<Taken> taken;
  };

  // Unavailable with what to do: the address is in use, is not ours, …
  static StatusOr<std::unique_ptr<Gate>> Open(const Options& options);
  ~Gate();  // all connections end

  std::string endpoint() const;  // with the port that was bound
  const GateCounters& counters() const;
  // A listening socket for libzmq (ZMQ_USEFD), once; who takes it closes it. Start follows.
  int TakeInner();
  // Another key, and another such socket, to which those go whose HELLO is for it; -1: it is there
  // already. Any thread.
  StatusOr<int> AddKey(const KeyPair& keys);
  // HELLOs for it are for nobody. Connections stay.
  void DropKey(const std::string& public_key);
  void Start();

  // Whose is the connection that libzmq got a message from by the descriptor `fd`? Connection 0: it
  // is over already, and whose it was cannot be told. A connection that was heard of may have
  // more on its way, and ends on this side only after all it sent has left. From now on it is read
  // within `budget`. `dialled_rarely`: its handshake is not counted among those that fail.
  Arrival Heard(int fd, std::shared_ptr<Budget> budget, bool dialled_rarely);
  // More was taken, of a connection that waits for it.
  void Took(uint64_t connection);
  // Not read for so long.
  void Pause(uint64_t connection, Duration time);
  void Close(uint64_t connection);
  // Of those that were heard of, which ended since it was asked last.
  std::vector<uint64_t> TakeEnded();

 private:
  class Impl;
  explicit Gate(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace allot::transport
