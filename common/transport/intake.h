// What an envelope costs, before it is read and while it is handled. Pure.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/base/status.h"
#include "common/proto/wire.pb.h"
#include "common/transport/link.h"

namespace allot::transport {

struct EnvelopeSize {
  uint64_t messages = 0;
  uint64_t values = 0;  // of fields, in messages within messages too: each takes memory once read
};
// Counts without reading: two bytes may become fifty in memory. ResourceExhausted: more than
// limits::kEnvelopeMessages or kEnvelopeValues, and `size` is what was seen by then. What is no
// envelope is counted as far as it is one.
Status Measure(std::string_view envelope, EnvelopeSize* size);

// An envelope that is handled in turns of limits::kTurnMessages, so that others have theirs.
class Turns {
 public:
  Turns(wire::Envelope envelope, Bodies bodies);
  // The next messages, as an envelope with what was said of the whole one, and their bodies. False:
  // these are the last.
  bool Next(wire::Envelope* part, Bodies* bodies);
  static bool Needed(const wire::Envelope& envelope);

 private:
  wire::Envelope envelope_;  // but for its messages
  google::protobuf::RepeatedPtrField<wire::Message> messages_;
  Bodies bodies_;
  int next_ = 0;
  size_t next_body_ = 0;
};

}  // namespace allot::transport
