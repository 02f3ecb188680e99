// Bodies of many requests on their way over one link, piece by piece. Pure.
//
// Streams take turns, so that one large body delays another's token by a piece and not by itself;
// each keeps to the credit its receiver gives it (whoever does not read holds back only what is
// its own), and all together keep to the link's pacer. Both ends of a link have one; the receiver
// counts with a PieceCounter.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>

#include "common/transport/pacer.h"

namespace allot::transport {

inline constexpr size_t kPieceBytesMax = 16 << 10;

class PieceSender {
 public:
  static constexpr uint64_t kAnyCredit = UINT64_MAX;
  struct Piece {
    uint64_t stream = 0;
    std::string bytes;
    bool last = false;  // nothing of this stream follows, and it is forgotten
  };

  // `paced` is false towards a peer that acknowledges nothing: then all that is there leaves.
  explicit PieceSender(bool paced = true) : paced_(paced) {}
  void SetPaced(bool paced) { paced_ = paced; }

  // Nothing happens to a stream that is not open.
  void Open(uint64_t stream, uint64_t credit = kAnyCredit);
  bool Has(uint64_t stream) const { return streams_.contains(stream); }
  void Push(uint64_t stream, std::string bytes);
  void End(uint64_t stream);   // nothing more will be pushed
  void Drop(uint64_t stream);  // what waits is thrown away
  void DropAll();
  // `total` bytes of the stream may have been sent by then; less than before changes nothing.
  void Grant(uint64_t stream, uint64_t total);
  void Taken(Duration now, uint64_t total) { pacer_.Acknowledged(now, total); }

  uint64_t waiting(uint64_t stream) const;  // bytes pushed and not sent
  uint64_t waiting() const { return waiting_; }
  const Pacer& pacer() const { return pacer_; }
  // What may leave now; absent: nothing may. Pieces that were pushed are not joined.
  std::optional<Piece> Next(Duration now);

 private:
  struct Stream {
    std::deque<std::string> chunks;
    size_t front_sent = 0;  // of the first chunk
    uint64_t waiting = 0, sent = 0, credit = 0;
    bool ended = false, queued = false;
  };
  void Queue(uint64_t id, Stream& stream);

  bool paced_;
  Pacer pacer_;
  uint64_t waiting_ = 0;
  std::map<uint64_t, Stream> streams_;
  std::deque<uint64_t> turns_;  // streams that have something they may send, in turn
};

// What has arrived, and when to say so.
class PieceCounter {
 public:
  void Arrived(size_t bytes) { total_ += bytes; }
  // The total, if it is time to acknowledge it.
  std::optional<uint64_t> Due() {
    if (total_ - told_ < Pacer::kAcknowledgeAfter) return std::nullopt;
    told_ = total_;
    return total_;
  }

 private:
  uint64_t total_ = 0, told_ = 0;
};

}  // namespace allot::transport
