#include <sstream>

#include <hwloc.h>

#include "agent/devices/cpu/cpu_vendor.h"
#include "agent/devices/cpu/machine.h"

namespace allot::agent {
namespace {

// Limits of every cgroup from ours up to the root count; the tightest one holds.
void ReadCgroup(const Host& host, CpuFacts* facts) {
  const auto read = [&](const std::string& path) { return host.Read(path).value_or(""); };
  std::string path;
  std::istringstream lines(read("/proc/self/cgroup"));
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("0::")) path = line.substr(3);
  if (path.find("..") != std::string::npos) path.clear();  // Outside of what we can see.
  for (;;) {
    const std::string folder = "/sys/fs/cgroup" + path;
    if (const auto quota = ParseCpuMax(read(folder + "/cpu.max")))
      facts->quota_threads = std::min(facts->quota_threads.value_or(*quota), *quota);
    std::istringstream memory(read(folder + "/memory.max"));
    if (Bytes limit = 0; memory >> limit && limit > 0)
      facts->memory_limit = std::min(facts->memory_limit.value_or(limit), limit);
    if (path.empty() || path == "/") return;
    path = path.substr(0, path.rfind('/'));
  }
}

CpuPackage ReadPackage(hwloc_topology_t topology, hwloc_obj_t object) {
  CpuPackage package;
  const int threads =
      hwloc_get_nbobjs_inside_cpuset_by_type(topology, object->cpuset, HWLOC_OBJ_PU);
  for (int i = 0; i < threads; ++i)
    package.threads.push_back(hwloc_get_obj_inside_cpuset_by_type(
                                  topology, object->cpuset, HWLOC_OBJ_PU, static_cast<unsigned>(i))
                                  ->os_index);
  const int cores =
      hwloc_get_nbobjs_inside_cpuset_by_type(topology, object->cpuset, HWLOC_OBJ_CORE);
  package.cores = static_cast<uint32_t>(cores > 0 ? cores : threads);
  package.memory = static_cast<Bytes>(object->total_memory);
  if (object->nodeset != nullptr) package.numa_node = hwloc_bitmap_first(object->nodeset);
  return package;
}

}  // namespace

CpuFacts ReadCpuFacts(const CpuSources& sources) {
  CpuFacts facts;
  ReadCgroup(*sources.host, &facts);
  CpuMachine machine = ReadCpuMachine(*sources.host);
  facts.machine_memory = machine.memory;
  facts.nodes_memory = 0;
  for (const NumaNode& node : machine.numa_nodes) *facts.nodes_memory += node.memory.value_or(0);
  if (!sources.host->live() && sources.synthetic.empty()) {
    facts.vendor_id = std::move(machine.vendor_id);
    facts.model_name = std::move(machine.model_name);
    facts.flags = std::move(machine.flags);
    facts.packages = std::move(machine.packages);
    facts.topology_source = "sysfs";
    return facts;
  }
  ParseCpuInfo(sources.host->Read("/proc/cpuinfo").value_or(""), &facts);
  hwloc_topology_t topology = nullptr;
  if (hwloc_topology_init(&topology) != 0) return facts;
  if (!sources.synthetic.empty()) {
    hwloc_topology_set_synthetic(topology, sources.synthetic.c_str());
  } else {
    // Only what this process may use: taskset, cpusets and containers restrict it.
    hwloc_topology_set_flags(topology, HWLOC_TOPOLOGY_FLAG_RESTRICT_TO_CPUBINDING);
  }
  if (hwloc_topology_load(topology) == 0) {
    const int packages = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PACKAGE);
    for (int i = 0; i < packages; ++i) {
      CpuPackage package = ReadPackage(
          topology, hwloc_get_obj_by_type(topology, HWLOC_OBJ_PACKAGE, static_cast<unsigned>(i)));
      if (!package.threads.empty()) facts.packages.push_back(std::move(package));
    }
    // Some virtual machines do not tell of packages.
    if (facts.packages.empty())
      facts.packages.push_back(ReadPackage(topology, hwloc_get_root_obj(topology)));
  }
  hwloc_topology_destroy(topology);
  return facts;
}

}  // namespace allot::agent
