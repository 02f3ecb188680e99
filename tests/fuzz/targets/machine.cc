// A machine with some of its files written anew: sysfs, procfs, the vendors' tools, links and
// device nodes, as all vendors read them in one discovery.
//
// An input is the number of a recorded machine (tests/machines), then for each file its number and
// what stands in it instead.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "agent/devices/registry.h"
#include "agent/devices/vendor.h"
#include "common/base/text.h"
#include "common/wire/codec.h"
#include "common/wire/parts.h"
#include "tests/fuzz/fuzz.h"

namespace allot::agent {
namespace {

namespace fs = std::filesystem;

struct Recording {
  std::string folder;              // a copy of ours
  std::vector<std::string> files;  // sorted
  std::map<std::string, std::string> texts;
};

std::string Contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

const std::vector<Recording>& Recordings() {
  static const auto& all = *[] {
    auto* const recordings = new std::vector<Recording>;
    std::vector<fs::path> machines;
    for (const auto& entry : fs::directory_iterator(fs::path(ALLOT_SOURCE_DIR) / "tests/machines"))
      if (fs::exists(entry.path() / "expected.json")) machines.push_back(entry.path());
    std::sort(machines.begin(), machines.end());
    for (const fs::path& machine : machines) {
      Recording recording;
      recording.folder = fuzz::Folder() + "/" + machine.filename().string();
      fs::copy(machine, recording.folder, fs::copy_options::recursive);
      for (const auto& entry : fs::recursive_directory_iterator(recording.folder))
        if (entry.is_regular_file()) recording.files.push_back(entry.path());
      std::sort(recording.files.begin(), recording.files.end());
      for (const std::string& file : recording.files) recording.texts[file] = Contents(file);
      recordings->push_back(std::move(recording));
    }
    return recordings;
  }();
  return all;
}

void HoldsOfDevice(const FoundDevice& found) {
  const Device& device = found.device;
  HOLDS(!device.id.empty());
  HOLDS_FOR(IsValidUtf8(device.id) && fuzz::IsPlain(device.id, false), device.id);
  HOLDS_FOR(IsValidUtf8(device.model) && fuzz::IsPlain(device.model, false), device.model);
  if (device.memory) HOLDS(*device.memory >= 0 && *device.memory <= kBytesMax);
  HOLDS(device.cores >= 0);
  for (const std::string& node : device.nodes) HOLDS_FOR(node.starts_with("/dev/"), node);
  for (const std::string& warning : found.warnings)
    HOLDS_FOR(fuzz::IsPlain(warning, false), warning);
  const Readings& r = found.readings;
  for (const auto& number :
       {r.power_w, r.temp_c, r.mem_temp_c, r.util_pct, r.energy_j, r.power_pct_of_max})
    HOLDS(!number || std::isfinite(*number));
  // A scheduler takes it, or the node would be refused whole for one odd file.
  wire::Device told;
  wire::Encode(device, &told);
  const StatusOr<Device> heard = wire::Decode(told);
  HOLDS_FOR(heard.ok(), MessageOf(heard.status()));
}

FUZZ(machine) {
  fuzz::Cut cut(input);
  const auto& recordings = Recordings();
  const Recording& recording = recordings[cut.Byte() % recordings.size()];
  std::set<std::string> changed;
  for (int i = 0; !cut.empty() && i < 8; ++i) {
    const std::string& file = recording.files[cut.Number(2) % recording.files.size()];
    if (file.ends_with("expected.json")) continue;
    fuzz::WriteFile(file, cut.Part());
    changed.insert(file);
  }
  const StatusOr<std::shared_ptr<const Host>> host =
      Host::Recorded(recording.folder, {.tools = true, .programs = {}});
  if (!host.ok()) {
    fuzz::HoldsOfError(host.status());
  } else {
    auto vendors = MakeVendors({}, Catalogue::BuiltIn(), *host);
    HOLDS(vendors.ok());
    const std::shared_ptr<const Snapshot> snapshot = Snapshot::Take(*host);
    for (const std::unique_ptr<Vendor>& vendor : *vendors) {
      // The machine's own processors are hwloc's to read.
      if (vendor->name() == "cpu") continue;
      Discovery discovery = vendor->Discover(*snapshot);
      if (vendor->enriches()) vendor->Enrich(&discovery);
      for (const FoundDevice& found : discovery.devices) HoldsOfDevice(found);
      for (const DeviceTelemetry& sample : vendor->Sample())
        for (const auto& number : {sample.power_watts, sample.temperature_celsius,
                                   sample.utilization_ratio, sample.energy_joules})
          HOLDS(!number || std::isfinite(*number));
      for (const HealthSignal& signal : vendor->Signals())
        HOLDS(!signal.name.empty() && !signal.device.empty());
    }
  }
  for (const std::string& file : changed) fuzz::WriteFile(file, recording.texts.at(file));
}

}  // namespace
}  // namespace allot::agent
