// The outside of ZMTP 3.1 with CURVE (RFC 23, 26), as far as bytes can be judged without a key:
// the greeting, and where a frame begins and ends. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace allot::transport {

inline constexpr size_t kGreetingBytes = 64;
inline constexpr size_t kSignatureBytes = 10;

// What libzmq says first as a server; it tells no server from a client here.
std::string Greeting();
// May `bytes`, the first of a peer, become a greeting of ZMTP 3 with CURVE? Whole or not.
bool MayBeGreeting(std::string_view bytes);

// What stands before a frame: its flags and its length.
struct FrameHead {
  bool command = false;
  size_t head_bytes = 0;
  uint64_t body_bytes = 0;
};
// Absent: there are too few bytes to tell.
std::optional<FrameHead> ReadFrameHead(std::string_view bytes);
inline constexpr size_t kFrameHeadBytesMax = 9;

// What a message of `bytes` becomes on its way: box, nonce and a byte of flags, and the head.
constexpr uint64_t BytesOnTheWire(uint64_t bytes) {
  const uint64_t body = bytes + 33;
  return body + (body > 255 ? 9 : 2);
}

// Frames that go by in a stream, in whatever parts it comes.
class FrameScanner {
 public:
  // False: a frame is longer than `frame_bytes_max`, and `too_long` of it.
  bool Scan(std::string_view bytes, uint64_t frame_bytes_max);
  uint64_t frames() const { return frames_; }  // heads seen
  uint64_t whole() const { return whole_; }    // messages that went by to their end; no commands
  uint64_t too_long() const { return too_long_; }

 private:
  std::string head_;      // of a frame whose length is not known yet
  uint64_t left_ = 0;     // bytes of the body
  bool counted_ = false;  // the frame that ends with `left_` is a message
  uint64_t frames_ = 0, whole_ = 0, too_long_ = 0;
};

}  // namespace allot::transport
