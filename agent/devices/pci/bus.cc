#include "agent/devices/pci/bus.h"

#include <algorithm>

namespace allot::agent::pci {
namespace {

bool IsHex(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
}

struct Known {
  uint16_t vendor;
  std::optional<uint16_t> device;
  std::optional<uint32_t> base_class;  // the first byte, or the first two
  bool two_bytes;
  const char* why;
};

// The first row that fits tells; from particular to general.
const std::vector<Known>& KnownRows() {
  static const std::vector<Known> rows = {
      {0x10de, {}, 0x0680, true, "nvswitch bridge, not a compute device"},
      {0x10de, {}, 0x0403, true, "audio function of a GPU"},
      {0x1ae0, 0x0042, {}, false, "gVNIC network adapter with the same vendor id as the TPU"},
      {0x1ae0, {}, 0x0108, true, "NVMe disk controller with the same vendor id as the TPU"},
      {0x1d0f, {}, 0x0108, true, "NVMe EBS controller"},
      {0x1d0f, {}, 0x03, false, "virtual display controller"},
      {0x8086, 0x0b25, {}, false, "Data Streaming Accelerator"},
      {0x8086, 0x11fb, {}, false, "Data Streaming Accelerator"},
      {0x8086, 0x1212, {}, false, "Data Streaming Accelerator"},
      {0x8086, 0x0cfe, {}, false, "In-Memory Analytics Accelerator"},
      {0x8086, {}, 0x0b40, true, "QuickAssist co-processor"},
      {0x8086, {}, 0x03, false, "integrated graphics or a display adapter we do not know"},
      {0x1a03, {}, 0x03, false, "BMC display controller"},
      {0x102b, {}, 0x03, false, "BMC display controller"},
      {0x1af4, {}, 0x01, false, "virtio disk"},
      {0x1af4, {}, 0x02, false, "virtio network adapter"},
  };
  return rows;
}

const char* ByClass(uint32_t class_code) {
  switch (class_code >> 16) {
    case 0x01:
      return "storage controller";
    case 0x02:
      return "network adapter";
    case 0x03:
      return "display controller";
    case 0x04:
      return "multimedia function";
    case 0x05:
      return "memory controller";
    case 0x06:
      return "bridge";
    case 0x08:
      return "system peripheral";
    case 0x0b:
      return "co-processor we do not know";
    case 0x0c:
      return "serial bus controller";
    case 0x11:
      return "signal processing controller";
    case 0x12:
      return "processing accelerator we do not know";
    default:
      return "not a compute device";
  }
}

}  // namespace

std::string Function::pci_id() const {
  return vendor && device ? fmt::format("{:04x}:{:04x}", *vendor, *device) : "";
}
std::string Function::pci_class() const {
  return class_code ? fmt::format("{:06x}", *class_code) : "";
}

bool IsAddress(std::string_view text) {
  // Domains have four digits, more behind some bridges.
  if (text.size() < 12 || text.size() > 16) return false;
  const std::string_view tail = text.substr(text.size() - 8);
  return IsHex(text.substr(0, text.size() - 8)) && tail[0] == ':' && IsHex(tail.substr(1, 2)) &&
         tail[3] == ':' && IsHex(tail.substr(4, 2)) && tail[6] == '.' && tail[7] >= '0' &&
         tail[7] <= '7';
}

Bus Bus::Scan(const Host& host) {
  Bus bus;
  for (std::string& name : host.List("/sys/bus/pci/devices")) {
    if (!IsAddress(name)) continue;
    Function function;
    function.address = std::move(name);
    const std::string path = function.path();
    const auto id = [&](const char* file) -> std::optional<uint16_t> {
      const Reading<uint32_t> value = host.HexId(path + file, 4);
      return value ? std::optional<uint16_t>(static_cast<uint16_t>(*value)) : std::nullopt;
    };
    function.vendor = id("/vendor");
    function.class_code = host.HexId(path + "/class", 6).get();
    function.device = id("/device");
    if (function.vendor && function.device)
      function.row = IdTable::BuiltIn().Find(*function.vendor, *function.device);
    bus.functions_.push_back(std::move(function));
  }
  return bus;
}

const Function* Bus::Find(std::string_view address) const {
  const auto it = std::lower_bound(
      functions_.begin(), functions_.end(), address,
      [](const Function& function, std::string_view a) { return function.address < a; });
  return it != functions_.end() && it->address == address ? &*it : nullptr;
}

std::vector<const Function*> Bus::Of(std::string_view key) const {
  std::vector<const Function*> found;
  for (const Function& function : functions_)
    if (function.row != nullptr && function.row->key == key) found.push_back(&function);
  return found;
}

std::vector<const Function*> Bus::OfVendor(uint16_t vendor) const {
  std::vector<const Function*> found;
  for (const Function& function : functions_)
    if (function.vendor == vendor) found.push_back(&function);
  return found;
}

std::optional<std::string> WhyIgnored(const Function& function) {
  if (!function.vendor || !function.class_code) {
    return "its vendor or class cannot be read";
  }
  for (const Known& row : KnownRows()) {
    if (row.vendor != *function.vendor) continue;
    if (row.device && row.device != function.device) continue;
    if (row.base_class && *row.base_class != *function.class_code >> (row.two_bytes ? 8 : 16))
      continue;
    return row.why;
  }
  const uint32_t base = *function.class_code >> 16;
  const bool tempting = base == 0x03 || base == 0x12 || base == 0x0b || base == 0x02 ||
                        base == 0x01 || *function.class_code >> 8 == 0x0880;
  if (!tempting && !IdTable::BuiltIn().KnowsVendor(*function.vendor)) return std::nullopt;
  return ByClass(*function.class_code);
}

}  // namespace allot::agent::pci
