// Programs of another version of the protocol: known by field 1 of every envelope, which no version
// moves. Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace allot::transport {

// Of bytes that need not be an envelope of ours; 0: none is said, or it is no Protobuf.
uint32_t VersionOf(std::string_view envelope);

// Which side is to be upgraded: `peer` ("n1 (agent)") speaks `theirs`.
std::string WhichToUpgrade(std::string_view peer, uint32_t theirs);

// Logs it as an error, the first time of each peer and version in the life of this program: an old
// program says the same each second until it is upgraded. True if it was logged.
bool NoteOtherVersion(std::string_view peer, uint32_t theirs);

}  // namespace allot::transport
