#include "agent/devices/cpu/machine.h"

#include <algorithm>
#include <map>
#include <set>

namespace allot::agent {
namespace {

constexpr const char* kCpus = "/sys/devices/system/cpu";
constexpr const char* kNodes = "/sys/devices/system/node";

std::optional<std::vector<uint32_t>> CpuList(const Host& host, const std::string& path) {
  const Reading<std::string> line = host.Line(path);
  return line ? ParseCpuList(*line) : std::nullopt;
}

// "MemTotal:       527994880 kB", and with "Node 0 " before it. The unit must be there: a line cut
// short has another number.
std::optional<Bytes> MemTotal(const std::string& text, std::string_view key) {
  const auto value = FindField(text, key, ':');
  if (!value || !value->ends_with(" kB")) return std::nullopt;
  const auto kib = ParseInt(Trim(value->substr(0, value->size() - 3)));
  if (!kib || *kib < 0 || *kib > (int64_t{1} << 45)) return std::nullopt;
  return *kib * kKiB;  // 0 is a node without memory, such as one for a GPU's.
}

void ReadMemory(const Host& host, CpuMachine* machine) {
  const std::set<uint32_t> of_devices = NumaNodesOfDevices(host);
  bool all_known = true;
  Bytes sum = 0, devices_have = 0;
  for (const std::string& name : host.List(kNodes)) {
    const auto id = NumberAfter(name, "node");
    if (!id) continue;
    NumaNode node{.id = *id};
    const std::string folder = fmt::format("{}/{}", kNodes, name);
    if (const Reading<std::string> list = host.Line(folder + "/cpulist");
        list && ParseCpuList(*list))
      node.cpulist = *list;
    node.memory =
        MemTotal(host.Read(folder + "/meminfo").value_or(""), fmt::format("Node {} MemTotal", *id));
    if (of_devices.contains(*id)) {
      devices_have += node.memory.value_or(0);
      continue;
    }
    all_known &= node.memory.has_value();
    sum += node.memory.value_or(0);
    machine->numa_nodes.push_back(std::move(node));
  }
  std::sort(machine->numa_nodes.begin(), machine->numa_nodes.end(),
            [](const NumaNode& a, const NumaNode& b) { return a.id < b.id; });
  machine->memory = MemTotal(host.Read("/proc/meminfo").value_or(""), "MemTotal");
  if (machine->memory) *machine->memory -= std::min(devices_have, *machine->memory);
  if (machine->memory == 0) machine->memory.reset();
  if (!machine->memory && all_known && sum > 0) machine->memory = sum;
}

struct Socket {
  std::set<uint32_t> threads;                // of the package, as one of its processors lists them
  std::set<std::vector<uint32_t>> siblings;  // threads of one core each
  size_t shown = 0;                          // processors that have a topology folder
};

std::map<int64_t, Socket> ReadSockets(const Host& host) {
  std::map<int64_t, Socket> sockets;
  for (const std::string& name : host.List(kCpus)) {
    const auto number = NumberAfter(name, "cpu");
    if (!number) continue;
    const std::string folder = fmt::format("{}/{}/topology/", kCpus, name);
    const Reading<int64_t> id = host.Int(folder + "physical_package_id");
    if (!id) continue;
    // Old kernels call them core_siblings_list and thread_siblings_list.
    auto package = CpuList(host, folder + "package_cpus_list");
    if (!package) package = CpuList(host, folder + "core_siblings_list");
    auto core = CpuList(host, folder + "core_cpus_list");
    if (!core) core = CpuList(host, folder + "thread_siblings_list");
    Socket& socket = sockets[*id];
    ++socket.shown;
    socket.threads.insert(*number);
    if (package) socket.threads.insert(package->begin(), package->end());
    if (core && !core->empty()) socket.siblings.insert(*std::move(core));
  }
  return sockets;
}

// `threads` are those that are online; `told` is what the processors say of themselves.
uint32_t CoresOf(const Socket& socket, uint32_t threads, std::optional<uint64_t> told) {
  if (socket.siblings.empty()) return threads;
  // All processors are shown: as many cores as there are groups of threads, alike or not.
  if (socket.shown >= threads)
    return std::min(threads, static_cast<uint32_t>(socket.siblings.size()));
  // Some are. Where single threads are offline, the first core is not like all others.
  const auto alike =
      std::max<uint32_t>(1, threads / static_cast<uint32_t>(socket.siblings.begin()->size()));
  if (told && *told > alike && *told <= threads && alike < threads)
    return static_cast<uint32_t>(*told);
  return alike;
}

std::optional<uint64_t> CoresTold(const std::string& cpuinfo) {
  const auto count = FindField(cpuinfo, "cpu cores", ':');
  return count ? ParseUnsigned(*count) : std::nullopt;
}

void ReadTopology(const Host& host, const std::string& cpuinfo, CpuMachine* machine) {
  const auto online = CpuList(host, fmt::format("{}/online", kCpus));
  uint32_t cores = 0, threads = 0;
  for (const auto& [id, socket] : ReadSockets(host)) {
    CpuPackage package;
    for (const uint32_t thread : socket.threads)
      if (!online || std::binary_search(online->begin(), online->end(), thread))
        package.threads.push_back(thread);
    if (package.threads.empty()) continue;
    package.cores =
        CoresOf(socket, static_cast<uint32_t>(package.threads.size()), CoresTold(cpuinfo));
    for (const NumaNode& node : machine->numa_nodes) {
      const std::vector<uint32_t> of_node =
          ParseCpuList(node.cpulist).value_or(std::vector<uint32_t>{});
      if (of_node.empty() || !socket.threads.contains(of_node[0])) continue;
      if (package.numa_node < 0) package.numa_node = static_cast<int32_t>(node.id);
      package.memory += node.memory.value_or(0);
    }
    cores += package.cores;
    threads += static_cast<uint32_t>(package.threads.size());
    machine->packages.push_back(std::move(package));
  }
  if (!machine->packages.empty()) {
    machine->sockets = static_cast<uint32_t>(machine->packages.size());
    machine->cores = cores;
    machine->threads = online ? static_cast<uint32_t>(online->size()) : threads;
    return;
  }
  if (online) machine->threads = static_cast<uint32_t>(online->size());
  // No topology: what the processors say of themselves.
  std::set<std::string_view> ids;
  for (const std::string_view line : CompleteLines(cpuinfo))
    if (line.starts_with("physical id") && line.find(':') != line.npos)
      ids.insert(Trim(line.substr(line.find(':') + 1)));
  const auto count = CoresTold(cpuinfo);
  if (ids.empty() || !count || *count > 4096) return;
  machine->sockets = static_cast<uint32_t>(ids.size());
  machine->cores = *machine->sockets * static_cast<uint32_t>(*count);
}

std::string PlatformOf(const Host& host) {
  const auto field = [&](const char* name) {
    const Reading<std::string> line = host.Line(fmt::format("/sys/class/dmi/id/{}", name));
    return line ? *line : std::string();
  };
  const std::string vendor = field("sys_vendor"), product = field("product_name");
  if (vendor == "Amazon EC2") return "aws";
  if (vendor == "Google") return "gcp";
  if (vendor == "Microsoft Corporation" && product == "Virtual Machine") return "azure";
  if (field("chassis_asset_tag") == "OracleCloud.com") return "oci";
  for (const std::string_view maker :
       {"QEMU", "VMware, Inc.", "Xen", "innotek GmbH", "Red Hat", "KVM", "OpenStack Foundation"})
    if (vendor == maker) return "vm";
  return vendor.empty() ? "" : "bare-metal";
}

// Who made it, in lscpu's words.
std::string ArmMaker(const std::string& implementer) {
  if (implementer == "0x41") return "ARM";
  if (implementer == "0x48") return "HiSilicon";
  if (implementer == "0x4e") return "NVIDIA";
  if (implementer == "0x6d") return "Microsoft";
  return implementer == "0xc0" ? "Ampere" : implementer;
}

bool IsVectorSet(std::string_view flag, bool arm) {
  if (!arm) return flag.starts_with("avx") || flag.starts_with("amx");
  return flag.starts_with("asimd") || flag.starts_with("sve") || flag.starts_with("sme") ||
         flag == "bf16" || flag == "i8mm" || flag == "fphp";
}

}  // namespace

std::set<uint32_t> NumaNodesOfDevices(const Host& host) {
  constexpr const char* kGpus = "/proc/driver/nvidia/gpus";
  std::set<uint32_t> nodes;
  for (const std::string& gpu : host.List(kGpus)) {
    const std::string text = host.Read(fmt::format("{}/{}/numa_status", kGpus, gpu)).value_or("");
    // "Node:      2", and -1 where there is none. Whatever "Status" says: memory that goes on or
    // off line is the GPU's too.
    const auto node = FindField(text, "Node", ':');
    const auto number = node ? ParseInt(*node) : std::nullopt;
    if (number && *number >= 0 && *number < (1 << 16)) nodes.insert(static_cast<uint32_t>(*number));
  }
  return nodes;
}

CpuMachine ReadCpuMachine(const Host& host) {
  CpuMachine machine;
  const std::string cpuinfo = host.Read("/proc/cpuinfo").value_or("");
  CpuFacts facts;
  ParseCpuInfo(cpuinfo, &facts);
  const bool arm = facts.vendor_id.starts_with("0x");
  if (arm) {
    machine.arch = "aarch64";
  } else if (!facts.vendor_id.empty()) {
    machine.arch = "x86_64";
  }
  machine.name = CpuCatalogueName(facts.vendor_id, facts.model_name);
  machine.vendor_id = arm ? ArmMaker(facts.vendor_id) : facts.vendor_id;
  machine.model_name = facts.model_name;
  machine.flags = std::move(facts.flags);
  for (const std::string& flag : machine.flags)
    if (IsVectorSet(flag, arm)) machine.isa.push_back(flag);
  ReadMemory(host, &machine);
  ReadTopology(host, cpuinfo, &machine);
  for (const std::string& name : host.List("/sys/class/powercap"))
    if (NumberAfter(name, "intel-rapl:")) machine.energy_source = "powercap";
  machine.platform = PlatformOf(host);
  return machine;
}

}  // namespace allot::agent
