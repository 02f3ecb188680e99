#include "agent/devices/cpu/cpu_facts.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <set>

#include "agent/devices/host/parse.h"
#include "common/base/units.h"
#include "fmt/format.h"

namespace allot::agent {
namespace {

// Instruction sets that decide how fast a model runs; the other hundred flags say nothing to us.
constexpr std::array kInterestingFlags = {
    "avx",         "avx2",        "fma",         "f16c",     "avx_vnni", "avx512f",
    "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16",
    "amx_fp16",    "asimd",       "asimdhp",     "asimddp",  "bf16",     "i8mm",
    "sve",         "sve2",        "svebf16",     "svei8mm"};

std::vector<std::string> Words(std::string_view text) {
  std::vector<std::string> words;
  for (size_t at = 0; at < text.size();) {
    const size_t start = text.find_first_not_of(" \t", at);
    if (start == text.npos) break;
    at = std::min(text.find_first_of(" \t", start), text.size());
    words.emplace_back(text.substr(start, at - start));
  }
  return words;
}

// "(R)", "(TM)" and what stands between parentheses in general.
std::string WithoutParentheses(std::string_view text) {
  std::string out;
  int depth = 0;
  for (const char c : text) {
    if (c == '(') ++depth;
    if (depth == 0) out += c;
    if (c == ')' && depth > 0) --depth;
  }
  return out;
}

bool IsNoise(const std::string& word, std::string_view vendor) {
  static const std::set<std::string> noise = {"cpu",      "processor", "platinum", "gold",
                                              "silver",   "bronze",    "with",     "radeon",
                                              "graphics", "genuine",   "authentic"};
  if (noise.contains(word) || word == vendor) return true;
  // "96-core", "96-cores"
  for (const std::string_view end : {"-core", "-cores"})
    if (word.size() > end.size() && word.ends_with(end) &&
        std::all_of(word.begin(), word.end() - static_cast<std::ptrdiff_t>(end.size()),
                    [](char c) { return c >= '0' && c <= '9'; }))
      return true;
  return false;
}

// Memory that was plugged into a running guest can be missing in its NUMA nodes' files: on one
// with 126 GiB the only node told of 4.5. The machine's total is right then, and the nodes keep
// their proportions.
double NodesFactor(const CpuFacts& facts) {
  constexpr double kOrdinary = 1.1;  // The two never agree to the byte.
  const bool all = std::all_of(facts.packages.begin(), facts.packages.end(),
                               [](const CpuPackage& p) { return p.memory > 0; });
  if (!all || !facts.machine_memory || facts.nodes_memory.value_or(0) <= 0) return 1.0;
  const double factor =
      static_cast<double>(*facts.machine_memory) / static_cast<double>(*facts.nodes_memory);
  return factor > kOrdinary ? factor : 1.0;
}

}  // namespace

std::string CpuVendorKey(std::string_view vendor_id) {
  if (vendor_id == "GenuineIntel") return "intel";
  if (vendor_id == "AuthenticAMD") return "amd";
  if (vendor_id == "HygonGenuine") return "hygon";
  // The kernel's number, and lscpu's word for it.
  if (vendor_id == "0x41" || vendor_id == "ARM") return "arm";
  if (vendor_id == "0xc0" || vendor_id == "Ampere") return "ampere";
  if (vendor_id == "0x4e" || vendor_id == "NVIDIA") return "nvidia";
  if (vendor_id == "0x6d" || vendor_id == "Microsoft") return "microsoft";
  if (vendor_id == "0x48" || vendor_id == "HiSilicon") return "hisilicon";
  return "unknown";
}

constexpr size_t kNameMax = 100;  // of a model; the longest that vendors give is half of it

std::string CpuCatalogueName(std::string_view vendor_id, std::string_view model_name) {
  const std::string vendor = CpuVendorKey(vendor_id);
  std::string name;
  // "Intel(R) Xeon(R) CPU E5-2690 v4 @ 2.60GHz": the clock says nothing that the model does not.
  for (const std::string& raw :
       Words(WithoutParentheses(model_name.substr(0, model_name.find('@'))))) {
    std::string word;
    for (const char c : Lower(raw))
      if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.')
        word += c;
    if (word.empty() || IsNoise(word, vendor)) continue;
    if (name.size() + word.size() > kNameMax) break;
    name += (name.empty() ? "" : "-") + word;
  }
  return vendor + "/" + (name.empty() ? "cpu" : name);
}

namespace {

// lscpu's names; the kernel prints numbers only.
std::string ArmModel(std::string_view implementer, std::string_view part) {
  struct Row {
    std::string_view implementer, part, name;
  };
  static constexpr Row kRows[] = {
      {"0x41", "0xd08", "Cortex-A72"},  {"0x41", "0xd0c", "Neoverse-N1"},
      {"0x41", "0xd40", "Neoverse-V1"}, {"0x41", "0xd49", "Neoverse-N2"},
      {"0x41", "0xd4f", "Neoverse-V2"}, {"0x41", "0xd8e", "Neoverse-N3"},
      {"0x41", "0xd84", "Neoverse-V3"}, {"0x48", "0xd01", "Kunpeng-920"},
      {"0x4e", "0x010", "Olympus"},     {"0x6d", "0xd49", "Azure-Cobalt-100"},
      {"0xc0", "0xac3", "Ampere-1"},    {"0xc0", "0xac4", "Ampere-1a"},
  };
  for (const Row& row : kRows)
    if (implementer == row.implementer && part == row.part) return std::string(row.name);
  return "";
}

}  // namespace

void ParseCpuInfo(std::string_view text, CpuFacts* facts) {
  std::string part;
  // All processors of a machine are alike in what we read, so the first one is enough.
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    at = end + 1;
    const size_t colon = line.find(':');
    if (colon == line.npos) continue;
    const std::string_view key = Trim(line.substr(0, colon));
    const std::string_view value = Trim(line.substr(colon + 1));
    if ((key == "vendor_id" || key == "CPU implementer") && facts->vendor_id.empty()) {
      facts->vendor_id = value;
    } else if (key == "model name" && facts->model_name.empty()) {
      facts->model_name = value;
    } else if (key == "CPU part" && part.empty()) {
      part = value;
    } else if ((key == "flags" || key == "Features") && facts->flags.empty()) {
      facts->flags = Words(value);
    }
  }
  if (facts->model_name.empty()) facts->model_name = ArmModel(facts->vendor_id, part);
}

std::optional<double> ParseCpuMax(std::string_view text) {
  double quota = 0, period = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), quota);
  if (error != std::errc() || end == text.data() + text.size()) return std::nullopt;
  const auto [end2, error2] = std::from_chars(end + 1, text.data() + text.size(), period);
  if (error2 != std::errc() || end2 == end || quota <= 0 || period <= 0) return std::nullopt;
  return quota / period;
}

std::vector<FoundDevice> MakeCpuDevices(const CpuFacts& facts) {
  std::vector<std::string> features;
  for (const char* flag : kInterestingFlags)
    if (std::find(facts.flags.begin(), facts.flags.end(), flag) != facts.flags.end())
      features.emplace_back(flag);

  const double factor = NodesFactor(facts);
  size_t threads = 0;
  double memory = 0;
  for (const CpuPackage& package : facts.packages) {
    threads += package.threads.size();
    memory += static_cast<double>(package.memory) * factor;
  }
  // A quota is not tied to packages; each offers its part of it, the first what rounding leaves.
  int64_t quota = facts.quota_threads
                      ? std::max<int64_t>(1, std::llround(std::floor(*facts.quota_threads)))
                      : static_cast<int64_t>(threads);
  quota = std::min<int64_t>(quota, static_cast<int64_t>(threads));
  const double memory_share = facts.memory_limit && memory > 0
                                  ? std::min(1.0, static_cast<double>(*facts.memory_limit) / memory)
                                  : 1.0;

  std::vector<FoundDevice> devices;
  int64_t given = 0;
  for (size_t i = 0; i < facts.packages.size(); ++i) {
    const CpuPackage& package = facts.packages[i];
    FoundDevice found;
    found.name = facts.model_name;
    found.source = facts.topology_source + "; /proc/cpuinfo";
    if (facts.quota_threads || facts.memory_limit) found.source += "; cgroup limits";
    Device& device = found.device;
    device.id = fmt::format("cpu{}", i);
    device.kind = DeviceKind::kCpu;
    device.vendor = CpuVendorKey(facts.vendor_id);
    device.model = CpuCatalogueName(facts.vendor_id, facts.model_name);
    if (package.memory > 0)
      device.memory =
          static_cast<Bytes>(static_cast<double>(package.memory) * factor * memory_share);
    device.cores = quota * static_cast<int64_t>(package.threads.size()) /
                   std::max<int64_t>(1, static_cast<int64_t>(threads));
    given += device.cores;
    device.numa_node = package.numa_node;
    device.features = features;
    for (const char* fact : {"id", "cores"}) found.Tell(fact, facts.topology_source);
    if (device.memory) found.Tell("memory_bytes", facts.topology_source);
    if (device.numa_node >= 0) found.Tell("numa_node", facts.topology_source);
    found.Tell("model", "/proc/cpuinfo");
    if (!features.empty()) found.Tell("features", "/proc/cpuinfo");
    devices.push_back(std::move(found));
  }
  for (size_t i = 0; given < quota && !devices.empty(); i = (i + 1) % devices.size(), ++given)
    ++devices[i].device.cores;
  return devices;
}

}  // namespace allot::agent
