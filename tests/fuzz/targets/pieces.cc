// Numbers by which a peer steers what we send it: credit of streams and acknowledged bytes.
#include <map>

#include "common/transport/pieces.h"
#include "tests/fuzz/fuzz.h"

namespace allot::transport {
namespace {

struct Expected {
  std::string pushed, sent;
  uint64_t credit = 0;
  bool ended = false, over = false;
};

void TakeAll(PieceSender* sender, Duration now, std::map<uint64_t, Expected>* streams) {
  while (const std::optional<PieceSender::Piece> piece = sender->Next(now)) {
    Expected& stream = streams->at(piece->stream);
    HOLDS(!stream.over);
    HOLDS(piece->bytes.size() <= kPieceBytesMax);
    HOLDS(!piece->bytes.empty() || piece->last);
    stream.sent += piece->bytes;
    HOLDS(stream.sent.size() <= stream.credit);     // never more than it may
    HOLDS(stream.pushed.starts_with(stream.sent));  // in order, nothing lost
    HOLDS(piece->last == (stream.ended && stream.sent == stream.pushed));
    stream.over = piece->last;
    HOLDS(sender->Has(piece->stream) == !piece->last);
  }
  uint64_t waiting = 0;
  for (const auto& [id, stream] : *streams)
    if (!stream.over) waiting += stream.pushed.size() - stream.sent.size();
  HOLDS(sender->waiting() == waiting);
  HOLDS(sender->pacer().window() >= Pacer::kWindowMin);
  HOLDS(sender->pacer().window() <= Pacer::kWindowMax);
  HOLDS(sender->pacer().in_flight() <= Pacer::kWindowMax + kPieceBytesMax);
}

FUZZ(pieces) {
  fuzz::Cut cut(input);
  PieceSender sender;
  std::map<uint64_t, Expected> streams;  // of numbers that are used once, as on a link
  Duration now{};
  uint64_t next = 0;
  for (int steps = 0; !cut.empty() && steps < 200; ++steps) {
    const uint8_t what = cut.Byte();
    const uint64_t id = next == 0 ? 0 : cut.Byte() % next;
    switch (what % 6) {
      case 0: {
        const uint64_t credit = cut.Number(what / 64 * 2 + 1);
        sender.Open(next, credit);
        streams[next++].credit = credit;
        break;
      }
      case 1: {
        const std::string bytes(cut.Number(2), static_cast<char>('a' + steps % 26));
        sender.Push(id, bytes);
        if (next > 0 && !streams[id].ended) streams[id].pushed += bytes;
        break;
      }
      case 2:
        sender.End(id);
        if (next > 0) streams[id].ended = true;
        break;
      case 3: {
        const uint64_t total = cut.Number(what / 64 * 2 + 2);
        sender.Grant(id, total);
        if (next > 0) streams[id].credit = std::max(streams[id].credit, total);
        break;
      }
      case 4:
        now += Duration(cut.Number(3));
        sender.Taken(now, cut.Number(what / 64 * 2 + 2));
        break;
      default:
        if (next == 0) break;
        sender.Drop(id);
        streams[id].over = true;
    }
    TakeAll(&sender, now, &streams);
  }
}

}  // namespace
}  // namespace allot::transport
