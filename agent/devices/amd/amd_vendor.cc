#include "agent/devices/amd/amd_vendor.h"

#include <algorithm>
#include <map>

#include "agent/devices/isolation_class.h"

namespace allot::agent {
namespace {

using amd::KfdNode;

constexpr uint16_t kAmd = 0x1002;
constexpr double kAgree = 0.08;

bool Agree(std::optional<Bytes> a, std::optional<Bytes> b) {
  if (!a || !b || *a <= 0 || *b <= 0) return false;
  return static_cast<double>(std::max(*a, *b) - std::min(*a, *b)) <=
         kAgree * static_cast<double>(std::max(*a, *b));
}

std::optional<Bytes> VramTotal(const Host& host, const std::string& path) {
  const Reading<int64_t> total = host.Int(path + "/mem_info_vram_total");
  if (!total || *total <= 0 || *total > (int64_t{1} << 50) || *total % 4096 != 0)
    return std::nullopt;
  return *total;
}

// RAS counters of blocks that hold memory; the links (xgmi, pcie) count transmission errors, which
// are repeated.
std::vector<std::string> MemoryErrorFiles(const Host& host, const std::string& path) {
  std::vector<std::string> files;
  for (const std::string& file : host.List(path + "/ras")) {
    const std::string_view block = std::string_view(file).substr(file.starts_with("aca_") ? 4 : 0);
    if ((file.ends_with("_err_count") || file.starts_with("aca_")) && !block.starts_with("xgmi") &&
        !block.starts_with("pcie"))
      files.push_back(path + "/ras/" + file);
  }
  return files;
}

// Sum of "ue: 1" or "ce: 12" over the blocks that tell.
std::optional<double> MemoryErrors(const Host& host, const std::vector<std::string>& files,
                                   std::string_view kind) {
  std::optional<double> sum;
  for (const std::string& file : files) {
    const std::string text = host.Read(file).value_or("");
    const auto field = FindField(text, kind, ':');
    const auto count = field ? ParseInt(*field) : std::nullopt;
    if (count && *count >= 0) sum = sum.value_or(0) + static_cast<double>(*count);
  }
  return sum;
}

struct Mode {
  std::string compute, memory;
  bool IsPartitioned() const {
    return compute == "DPX" || compute == "TPX" || compute == "QPX" || compute == "CPX";
  }
  std::string Text() const { return memory.empty() ? compute : compute + "/" + memory; }
};

Mode ReadMode(const Host& host, const std::string& path) {
  const Reading<std::string> compute = host.Line(path + "/current_compute_partition");
  const Reading<std::string> memory = host.Line(path + "/current_memory_partition");
  return {compute ? *compute : "", memory ? *memory : ""};
}

// The function a KFD node belongs to, and its partition there. Partitions of a function count in
// the function bits, or in the top four bits where the driver is new.
struct Place {
  const pci::Function* function = nullptr;
  uint32_t partition = 0;
};

Place PlaceOf(const pci::Bus& bus, const KfdNode& node) {
  const uint32_t location = node.location & 0xffff;
  const auto address = [&](uint32_t function) {
    return fmt::format("{:04x}:{:02x}:{:02x}.{}", node.domain, location >> 8, location >> 3 & 0x1f,
                       function);
  };
  const auto is_gpu = [](const pci::Function* f) {
    return f != nullptr && (!f->vendor || *f->vendor == kAmd);
  };
  if (const auto* exact = bus.Find(address(location & 7)); is_gpu(exact))
    return {exact, node.location >> 28};
  if (const auto* first = bus.Find(address(0)); is_gpu(first)) return {first, location & 7};
  return {};
}

std::string RenderNode(const Snapshot& machine, std::optional<uint32_t> minor) {
  if (!minor || *minor < 128) return "";
  const std::string node = fmt::format("/dev/dri/renderD{}", *minor);
  return machine.nodes.Has(node) ? node : "";
}

// For a whole GPU whose KFD node does not say: the function's own render node.
std::optional<uint32_t> OwnRenderMinor(const Host& host, const std::string& path) {
  for (const std::string& name : host.List(path + "/drm"))
    if (const auto minor = NumberAfter(name, "renderD")) return minor;
  return std::nullopt;
}

void Connect(const Snapshot& machine, const KfdNode& node, FoundDevice* found) {
  Device& device = found->device;
  if (std::string render = RenderNode(machine, node.render); !render.empty())
    device.nodes = {std::move(render)};
  device.shared_nodes = machine.nodes.Existing({"/dev/kfd"});
  device.visible_variable = "ROCR_VISIBLE_DEVICES";
  device.visible_value = std::to_string(node.rank);
  if (node.gfx) {
    device.features.push_back(amd::GfxName(*node.gfx));
    found->Tell("features", "KFD");
  }
  found->Tell("shared_dev_nodes", "/dev");
  found->Tell("dev_nodes", "KFD, /dev");
  found->Tell("visible_env", "KFD");
}

}  // namespace

AmdMemory ChooseMemory(std::optional<Bytes> sysfs, std::optional<Bytes> kfd,
                       std::optional<Bytes> nominal) {
  if (Agree(sysfs, kfd) || Agree(sysfs, nominal)) return {sysfs, "sysfs"};
  if (Agree(kfd, nominal)) return {kfd, "kfd"};
  // They all differ, or there is one. Two that differ with no third are not decided by guessing,
  // but a measured size is believed where only the box contradicts and both files are whole.
  if (sysfs && kfd) return {nominal, nominal ? "table" : ""};
  if (sysfs) return {sysfs, "sysfs"};
  if (kfd) return {kfd, "kfd"};
  return {nominal, nominal ? "table" : ""};
}

void AmdVendor::Find(const Snapshot& machine, Discovery* discovery) {
  const Host& host = *machine.host;
  const std::vector<KfdNode> nodes = amd::ReadKfd(host);
  std::map<std::string, std::vector<std::pair<uint32_t, KfdNode>>> by_function;
  for (const KfdNode& node : nodes)
    if (const Place place = PlaceOf(machine.bus, node); place.function != nullptr)
      by_function[place.function->address].emplace_back(place.partition, node);

  std::map<uint64_t, std::vector<std::string>> hives;
  for (const pci::Function& function : machine.bus.functions()) {
    const auto it = by_function.find(function.address);
    const bool listed = function.row != nullptr && function.row->key == "amd";
    // A Radeon or an APU is a device if it computes; without that it drives a screen.
    if (!listed && (it == by_function.end() || (function.vendor && *function.vendor != kAmd)))
      continue;
    FoundDevice whole = FromFunction(machine, function, "amd", {"amdgpu"});
    whole.device.kind = DeviceKind::kGpu;
    whole.family = "gpu";
    const std::string path = function.path();
    if (const std::vector<std::string> files = MemoryErrorFiles(host, path); !files.empty()) {
      WatchSignal(function.address, "ecc_uncorrected",
                  [files](const Host& h) { return MemoryErrors(h, files, "ue"); });
      WatchSignal(function.address, "ecc_corrected",
                  [files](const Host& h) { return MemoryErrors(h, files, "ce"); });
      if (MemoryErrors(host, files, "ue").value_or(0) > 0) {
        whole.warnings.emplace_back("ecc_uncorrected");
        whole.Tell("warnings", "sysfs ras");
        if (whole.device.state == DeviceState::kReady) whole.device.state = DeviceState::kUnhealthy;
      }
    }
    const Reading<std::string> unique = host.Line(path + "/unique_id");
    if (unique && !unique->empty()) {
      whole.uuid = *unique;
      whole.Tell("uuid", "sysfs unique_id");
    }
    if (whole.driver != "amdgpu" && (it == by_function.end() || !whole.driver.empty())) {
      discovery->devices.push_back(std::move(whole));
      continue;
    }
    const std::optional<Bytes> vram = VramTotal(host, path);
    if (it == by_function.end()) {
      const AmdMemory memory = ChooseMemory(vram, std::nullopt, whole.device.memory);
      whole.device.memory = memory.bytes;
      whole.memory_source = memory.source;
      whole.device.state = DeviceState::kUnsupported;
      discovery->warnings.push_back(fmt::format(
          "GPU {} has no node in the KFD topology, so nothing can compute on it; is /dev/kfd "
          "there, and the amdgpu driver not set to display only?",
          function.address));
      discovery->devices.push_back(std::move(whole));
      continue;
    }
    auto& parts = it->second;
    std::sort(parts.begin(), parts.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    if (whole.driver.empty()) {  // KFD knows it, so the driver is there.
      whole.driver = "amdgpu";
      if (whole.device.state == DeviceState::kNoDriver) whole.device.state = DeviceState::kReady;
    }
    const Mode mode = ReadMode(host, path);
    if (parts.size() == 1 && !mode.IsPartitioned()) {
      KfdNode node = parts[0].second;
      if (!node.render) node.render = OwnRenderMinor(host, path);
      const AmdMemory memory = ChooseMemory(vram, node.memory, whole.device.memory);
      if (vram && node.memory && !Agree(vram, node.memory))
        discovery->warnings.push_back(
            fmt::format("GPU {} has {} of memory by mem_info_vram_total and {} by KFD; {}",
                        function.address, FormatBytes(*vram), FormatBytes(*node.memory),
                        memory.bytes ? "taking " + FormatBytes(*memory.bytes) : "taking neither"));
      whole.device.memory = memory.bytes;
      whole.memory_source = memory.source;
      std::erase_if(whole.facts, [](const Fact& f) { return f.what == "memory_bytes"; });
      if (memory.bytes) whole.Tell("memory_bytes", memory.source);
      Connect(machine, node, &whole);
      Sensors sensors = FindSensors(host, path);
      sensors.busy_pct = path + "/gpu_busy_percent";
      sensors.memory_used = path + "/mem_info_vram_used";
      sensors.memory_total = path + "/mem_info_vram_total";
      Watch(machine, std::move(sensors), &whole);
      if (node.hive != 0) hives[node.hive].push_back(whole.device.id);
      discovery->devices.push_back(std::move(whole));
      continue;
    }

    discovery->claimed.push_back(function.address);
    const std::optional<Bytes> total = vram ? vram : whole.device.memory;
    const size_t count = std::max<size_t>(parts.size(), parts.back().first + 1);
    // A bank is the share of one partition, or of all that sit on one memory partition (NPS4).
    const auto is_share = [&](Bytes bank) {
      const uint32_t domains = NumberAfter(mode.memory, "NPS").value_or(1);
      return !total || Agree(bank * static_cast<Bytes>(count), *total) ||
             (domains > 1 && domains <= 8 && Agree(bank * domains, *total));
    };
    for (const auto& [index, node] : parts) {
      FoundDevice part = whole;
      part.device.id = fmt::format("{}/p{}", function.address, index);
      part.partition = Partition{.scheme = "amd-compute",
                                 .parent = function.address,
                                 .mode = mode.Text(),
                                 .index = static_cast<int>(index)};
      part.device.isolation = IsolationOfComputePartition(count, mode.memory);
      // The function's total is of the whole GPU; a bank must be its share of it.
      part.device.memory.reset();
      part.memory_source.clear();
      std::erase_if(part.facts, [](const Fact& f) { return f.what == "memory_bytes"; });
      if (node.memory && is_share(*node.memory)) {
        part.device.memory = node.memory;
        part.memory_source = "kfd";
        part.Tell("memory_bytes", "kfd");
      }
      Connect(machine, node, &part);
      part.Tell("partition", "sysfs current_compute_partition, KFD");
      if (node.hive != 0) hives[node.hive].push_back(part.device.id);
      discovery->devices.push_back(std::move(part));
    }
  }
  for (auto& [hive, members] : hives) AddGroup("xgmi-hive", std::move(members), discovery);
}

}  // namespace allot::agent
