#include "common/transport/zmtp.h"

#include <algorithm>

namespace allot::transport {
namespace {

constexpr uint8_t kLong = 2, kCommand = 4, kReserved = 0xF8;
constexpr std::string_view kMessage("\x07MESSAGE", 8);

uint8_t ByteAt(std::string_view bytes, size_t i) { return static_cast<uint8_t>(bytes[i]); }

}  // namespace

std::string Greeting() {
  std::string text("\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01", 12);
  text += "CURVE";
  text.resize(kGreetingBytes, '\0');
  return text;
}

bool MayBeGreeting(std::string_view bytes) {
  // Eight bytes of the signature are padding; peers differ in them, and in the minor version.
  static const std::string ours = Greeting();
  for (size_t i = 0; i < std::min(bytes.size(), size_t{32}); ++i) {
    const uint8_t byte = ByteAt(bytes, i);
    const bool good = i == 0    ? byte == 0xFF
                      : i < 9   ? true
                      : i == 9  ? byte == 0x7F
                      : i == 10 ? byte >= 3
                      : i == 11 ? true
                                : bytes[i] == ours[i];
    if (!good) return false;
  }
  return true;
}

std::optional<FrameHead> ReadFrameHead(std::string_view bytes) {
  if (bytes.size() < 2) return std::nullopt;
  FrameHead head;
  const uint8_t flags = ByteAt(bytes, 0);
  head.command = (flags & kCommand) != 0;
  // Libzmq refuses what else the flags may say; to us it is a frame without a bound.
  if ((flags & kReserved) != 0) return FrameHead{false, 1, UINT64_MAX};
  if ((flags & kLong) == 0) {
    head.head_bytes = 2;
    head.body_bytes = ByteAt(bytes, 1);
    return head;
  }
  if (bytes.size() < kFrameHeadBytesMax) return std::nullopt;
  head.head_bytes = kFrameHeadBytesMax;
  for (size_t i = 1; i < kFrameHeadBytesMax; ++i)
    head.body_bytes = head.body_bytes << 8 | ByteAt(bytes, i);
  return head;
}

bool FrameScanner::Scan(std::string_view bytes, uint64_t frame_bytes_max) {
  while (!bytes.empty()) {
    if (left_ > 0) {
      const auto now = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size()));
      left_ -= now;
      bytes.remove_prefix(now);
      if (left_ == 0 && counted_) ++whole_;
      continue;
    }
    head_ += bytes.front();
    bytes.remove_prefix(1);
    const std::optional<FrameHead> head = ReadFrameHead(head_);
    if (!head) continue;
    head_.clear();
    ++frames_;
    if (head->body_bytes > frame_bytes_max) {
      too_long_ = head->body_bytes;
      return false;
    }
    left_ = head->body_bytes;
    // With CURVE a message is a command of that name; pings and the like are shorter than its box.
    counted_ = left_ >= kMessage.size() + 25;
  }
  return true;
}

}  // namespace allot::transport
