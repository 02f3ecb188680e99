// The agent's state folder, with files that somebody else wrote: records under any name, the count
// of starts, the gateways that are remembered.
#include <google/protobuf/stubs/logging.h>

#include <filesystem>

#include "agent/runtime/state_folder.h"
#include "agent/shell/energy.h"
#include "agent/shell/gateway_memory.h"
#include "tests/fuzz/fuzz.h"

namespace allot::agent {
namespace {

namespace fs = std::filesystem;

FUZZ(state_folder) {
  const google::protobuf::LogSilencer quiet;
  fuzz::Cut cut(input);
  const std::string folder = fuzz::Folder() + "/state";
  std::error_code ignored;
  fs::remove_all(folder, ignored);
  fs::create_directories(folder + "/processes");
  fuzz::WriteFile(folder + "/boot", cut.Part());
  fuzz::WriteFile(folder + "/instance", cut.Part());
  fuzz::WriteFile(folder + "/gateways", cut.Part());
  const std::string_view energy = cut.Part();
  size_t written = 0;
  for (int i = 0; !cut.empty() && i < 4; ++i) {
    std::string name(cut.Part().substr(0, 100));
    const std::string_view text = cut.Part();
    for (char& c : name)
      if (c == '/' || c == '\0') c = '_';
    if (name.empty() || name == "." || name == ".." || fs::exists(folder + "/processes/" + name))
      continue;
    fuzz::WriteFile(folder + "/processes/" + name, text);
    ++written;
  }

  for (const GatewayAddress& gateway : RememberedGateways(folder).gateways)
    HOLDS(gateway.endpoint.size() <= input.size());
  EnergyMeter meter;
  meter.Resume("job-1.0.1", {"0000:01:00.0"}, FromMicros(1), energy);
  meter.End("job-1.0.1", FromMicros(1), FromMicros(2'000'000));

  const StatusOr<std::unique_ptr<StateFolder>> state = StateFolder::Open(folder, "/dev/null");
  if (!state.ok()) return fuzz::HoldsOfError(state.status());
  HOLDS((*state)->instance().size() == 32);
  const StateFolder::Scan scan = (*state)->ScanProcesses();
  // Every record is used, set aside with a word why, or of a process that never ran.
  HOLDS(scan.names.size() == written);
  HOLDS(scan.processes.size() + scan.warnings.size() <= written);
  for (const FoundProcess& found : scan.processes)
    HOLDS(TaskOfProcess(found.id) || ReplicaOfProcess(found.id));
  for (const std::string& warning : scan.warnings)
    HOLDS_FOR(fuzz::IsPlain(warning, false), warning);
  // What was set aside is not met again.
  const StateFolder::Scan again = (*state)->ScanProcesses();
  HOLDS(again.warnings.empty());
  HOLDS(again.processes.size() == scan.processes.size());
}

}  // namespace
}  // namespace allot::agent
