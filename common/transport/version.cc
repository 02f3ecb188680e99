#include "common/transport/version.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <limits>
#include <mutex>
#include <set>
#include <utility>

#include "common/base/logging.h"
#include "common/wire/codec.h"

namespace allot::transport {
namespace {

constexpr uint32_t kVersionTag = 8;   // field 1, a varint
constexpr size_t kNotedMax = 10'000;  // peers come and go; then it is said again

}  // namespace

uint32_t VersionOf(std::string_view envelope) {
  if (envelope.size() > std::numeric_limits<int32_t>::max()) return 0;
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(envelope.data()),
                                            static_cast<int>(envelope.size()));
  // The last value counts, as everywhere in Protobuf; and what is not Protobuf to its end says
  // none.
  uint32_t version = 0, tag = 0;
  while ((tag = in.ReadTag()) != 0) {
    if (tag == kVersionTag) {
      if (!in.ReadVarint32(&version)) return 0;
    } else if (!google::protobuf::internal::WireFormatLite::SkipField(&in, tag)) {
      return 0;
    }
  }
  return in.ConsumedEntireMessage() ? version : 0;
}

std::string WhichToUpgrade(std::string_view peer, uint32_t theirs) {
  const bool ours_is_old = theirs > wire::kProtocolVersion;
  return fmt::format("{} speaks protocol version {}, this program {}: upgrade {}", peer, theirs,
                     wire::kProtocolVersion, ours_is_old ? "this program" : "that one");
}

bool NoteOtherVersion(std::string_view peer, uint32_t theirs) {
  static std::mutex mutex;
  static auto& noted = *new std::set<std::pair<std::string, uint32_t>>;
  {
    std::lock_guard lock(mutex);
    if (noted.size() >= kNotedMax) noted.clear();
    if (!noted.emplace(peer, theirs).second) return false;
  }
  spdlog::error("{}; until then nothing of what it says is heard", WhichToUpgrade(peer, theirs));
  return true;
}

}  // namespace allot::transport
