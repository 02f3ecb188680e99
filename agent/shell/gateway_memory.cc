#include "agent/shell/gateway_memory.h"

#include "agent/runtime/files.h"
#include "common/base/logging.h"
#include "common/proto/wire.pb.h"

namespace allot::agent {
namespace {

std::string FileIn(const std::string& folder) { return folder + "/gateways"; }

}  // namespace

void RememberGateways(const std::string& folder, const SetGateways& gateways) {
  wire::Welcome memory;  // of a Welcome this is the part that outlives it
  for (const GatewayAddress& address : gateways.gateways) {
    wire::GatewayAddress* row = memory.add_gateways();
    row->set_endpoint(address.endpoint);
    row->set_public_key(address.public_key);
  }
  const Status written = ReplaceFileUnsynced(FileIn(folder), memory.SerializeAsString());
  if (!written.ok()) SPDLOG_WARN("gateways are not remembered: {}", MessageOf(written));
}

SetGateways RememberedGateways(const std::string& folder) {
  SetGateways gateways;
  const StatusOr<std::string> content = ReadWholeFile(FileIn(folder));
  wire::Welcome memory;
  if (!content.ok() || !memory.ParseFromString(*content)) return gateways;
  for (const wire::GatewayAddress& address : memory.gateways())
    gateways.gateways.push_back({address.endpoint(), address.public_key()});
  return gateways;
}

}  // namespace allot::agent
