// Text in envelopes that is none. A Protobuf `string` that is not UTF-8 makes the receiver refuse
// the whole envelope, so one odd byte of a driver, a process or a model server would cost all that
// travels with it. Here is the one place where that ends, for every message of every program:
// what is sent is mended, and of what came all messages that can be read are.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/proto/wire.pb.h"

namespace allot::transport {

// Which messages a body frame belongs to: docs/protocol.md. `kind`: of wire::Message.
bool HasBody(uint32_t kind);

// False: some `string` in it is not UTF-8.
bool TextIsSound(const wire::Envelope& envelope);
// Replaces every byte that is not part of UTF-8 by U+FFFD, keys of maps included.
void MendText(wire::Envelope* envelope);

// What can be read of an envelope that cannot be read whole. `lost`: how many messages could not;
// `bodies` loses the frames that belonged to them. False: it is no envelope at all.
bool SalvageEnvelope(std::string_view frame, wire::Envelope* envelope,
                     std::vector<std::string>* bodies, size_t* lost);

}  // namespace allot::transport
