// The first frame of a message on a link, with the bodies behind it: from any peer that has a key.
#include <google/protobuf/stubs/logging.h>

#include <algorithm>

#include "common/proto/wire.pb.h"
#include "common/transport/frames.h"
#include "common/transport/intake.h"
#include "common/transport/path_proof.h"
#include "common/transport/text_fields.h"
#include "common/transport/version.h"
#include "common/wire/codec.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/ordered.h"

namespace allot::transport {
namespace {

bool Has(const std::vector<std::string>& all, const std::string& one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

FUZZ(envelope) {
  fuzz::Cut cut(input);
  const google::protobuf::LogSilencer quiet;
  Frames frames;
  for (int i = cut.Byte() % 4; i > 0; --i) frames.bodies.emplace_back(cut.Part());
  const std::string_view frame = cut.Rest();
  frames.envelope = zmq::message_t(frame.data(), frame.size());
  const std::vector<std::string> bodies = frames.bodies;

  wire::Envelope envelope;
  LinkCounters counters;
  uint32_t other_version = 7;
  EnvelopeSize size;
  if (!ParseEnvelope(&frames, &envelope, &counters, &size, &other_version)) {
    // What is refused costs nothing but itself: it is of another version or of none, or too much.
    HOLDS(counters.dropped_unreadable == 0);
    HOLDS(other_version != wire::kProtocolVersion);
    HOLDS(other_version == 0 || other_version == VersionOf(frame));
    return;
  }
  HOLDS(other_version == 0);
  HOLDS(envelope.version() == wire::kProtocolVersion);
  HOLDS(TextIsSound(envelope));
  HOLDS(counters.dropped_too_many == 0);
  HOLDS(size.messages >= static_cast<size_t>(envelope.messages_size()));
  // A message needs a byte, so what is kept of an envelope is no more than came.
  HOLDS(static_cast<size_t>(envelope.messages_size()) + counters.dropped_unreadable <=
        frame.size());
  // Bodies belong to messages: some may go with theirs, none is made up and none changes its place.
  HOLDS(frames.bodies.size() <= bodies.size());
  for (const std::string& body : frames.bodies) HOLDS(Has(bodies, body));
  if (counters.dropped_unreadable == 0) HOLDS(frames.bodies == bodies);

  // What is read of an envelope that cannot be read whole is what it would have been otherwise.
  if (wire::Envelope plain; plain.ParseFromArray(frame.data(), static_cast<int>(frame.size()))) {
    wire::Envelope salvaged;
    std::vector<std::string> same = bodies;
    size_t lost = 0;
    HOLDS(SalvageEnvelope(frame, &salvaged, &same, &lost));
    HOLDS(lost == 0 && same == bodies);
    HOLDS(fuzz::Ordered(plain) == fuzz::Ordered(salvaged));
  }

  // It can be sent on and is read alike.
  wire::Envelope again;
  HOLDS(again.ParseFromString(envelope.SerializeAsString()));
  HOLDS(again.messages_size() == envelope.messages_size());

  for (const wire::Message& message : envelope.messages()) {
    if (const StatusOr<AgentMessage> said = wire::DecodeAgentMessage(message); !said.ok())
      HOLDS(!said.status().message().empty());
    if (!message.has_path_probe()) continue;
    wire::PathEcho echo;  // Whoever asks for an echo gets no more than anybody needs.
    if (EchoProbe(message.path_probe(), &echo))
      HOLDS(echo.ByteSizeLong() <= 2 * kProbePaddingBytes);
  }
}

}  // namespace
}  // namespace allot::transport
