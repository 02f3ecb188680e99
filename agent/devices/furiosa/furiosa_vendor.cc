#include "agent/devices/furiosa/furiosa_vendor.h"

#include <cctype>
#include <map>

namespace allot::agent {
namespace {

struct Managed {
  uint32_t number = 0;
  std::string path;    // of the class entry
  std::string prefix;  // of its nodes: "/dev/rngd/npu0"
};

// "rngd!npu0mgmt" and "npu0_mgmt", by the PCI address in `busname`.
std::map<std::string, Managed> ReadManaged(const Host& host) {
  std::map<std::string, Managed> by_address;
  for (const char* folder : {"rngd_mgmt", "npu_mgmt"}) {
    const std::string all = fmt::format("/sys/class/{}", folder);
    for (const std::string& name : host.List(all)) {
      const size_t slash = name.rfind('!');
      std::string_view short_name = name;
      if (slash != name.npos) short_name.remove_prefix(slash + 1);
      if (!short_name.ends_with("mgmt")) continue;
      short_name.remove_suffix(4);
      if (short_name.ends_with('_')) short_name.remove_suffix(1);
      const auto number = NumberAfter(short_name, "npu");
      const Reading<std::string> address = host.Line(fmt::format("{}/{}/busname", all, name));
      if (!number || !address) continue;
      const std::string parent =
          slash == name.npos ? "/dev/" : fmt::format("/dev/{}/", name.substr(0, slash));
      by_address[*address] = {*number, all + "/" + name, fmt::format("{}npu{}", parent, *number)};
    }
  }
  return by_address;
}

// Anything but 1 is not alive; no file at all says nothing.
std::optional<double> NotAlive(const Host& host, const std::string& path) {
  const Reading<int64_t> alive = host.Int(path);
  if (alive.state == Reading<int64_t>::kAbsent) return std::nullopt;
  return alive && *alive == 1 ? 0 : 1;
}

}  // namespace

void FuriosaVendor::Find(const Snapshot& machine, Discovery* discovery) {
  const Host& host = *machine.host;
  const std::map<std::string, Managed> managed = ReadManaged(host);
  for (const pci::Function* function : machine.bus.OfVendor(0x1ed2)) {
    if (function->row == nullptr && !function->IsClass(0x1200)) continue;
    FoundDevice found = FromFunction(machine, *function, "furiosa", {});
    Device& device = found.device;
    found.family = "npu";
    if (const auto it = managed.find(function->address); it != managed.end()) {
      const Managed& npu = it->second;
      for (std::string& node : machine.nodes.StartingWith(npu.prefix))
        if (node.size() == npu.prefix.size() ||  // "/dev/npu0" itself, but not npu01
            !std::isdigit(static_cast<unsigned char>(node[npu.prefix.size()])))
          device.nodes.push_back(std::move(node));
      found.Tell("dev_nodes", "sysfs management class, /dev");
      device.visible_variable = "FURIOSA_DEVICES";
      device.visible_value = fmt::format("npu:{}", npu.number);
      found.Tell("visible_env", "sysfs management class");
      if (const Reading<std::string> uuid = host.Line(npu.path + "/device_uuid");
          uuid && !uuid->empty()) {
        found.uuid = *uuid;
        found.Tell("uuid", "sysfs management class");
      }
      WatchSignal(device.id, "not_alive",
                  [path = npu.path + "/alive"](const Host& h) { return NotAlive(h, path); });
      if (device.state == DeviceState::kReady && NotAlive(host, npu.path + "/alive") == 1) {
        device.state = DeviceState::kUnhealthy;
        found.Tell("state", "sysfs management class alive");
      }
    }
    Watch(machine, FindSensors(host, function->path()), &found);
    discovery->devices.push_back(std::move(found));
  }
}

}  // namespace allot::agent
