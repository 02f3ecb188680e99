#include "agent/devices/rebellions/rbln_smi.h"

#include "agent/devices/host/parse.h"
#include "agent/devices/sysfs/sensors.h"
#include "common/json/json.h"

namespace allot::agent::rbln {
namespace {

// Empty if there is no such text.
std::string_view Text(const json::object& object, const char* key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_string()) return "";
  return {value->get_string().data(), value->get_string().size()};
}

// "31C" → 31; nothing without the unit, which another version might have changed.
std::optional<double> Measured(std::string_view text, std::string_view unit, double low,
                               double high, double per = 1) {
  if (!text.ends_with(unit)) return std::nullopt;
  const auto number = ParseDecimal(text.substr(0, text.size() - unit.size()));
  if (!number) return std::nullopt;
  return Plausible(*number / per, low, high);
}

}  // namespace

StatusOr<std::vector<Npu>> ParseSmi(std::string_view text) {
  boost::system::error_code error;
  const json::value all = json::parse(json::string_view(text.data(), text.size()), error);
  const json::value* devices =
      !error && all.is_object() ? all.get_object().if_contains("devices") : nullptr;
  if (devices == nullptr || !devices->is_array())
    return InvalidArgument("rbln-smi writes no list of devices; going on without it");
  std::vector<Npu> npus;
  for (const json::value& value : devices->get_array()) {
    if (!value.is_object()) continue;
    const json::object& device = value.get_object();
    const json::value* pci = device.if_contains("pci");
    if (pci == nullptr || !pci->is_object()) continue;
    Npu npu;
    npu.address = Text(pci->get_object(), "bus_id");
    if (npu.address.empty()) continue;
    npu.uuid = Text(device, "uuid");
    npu.card = Text(device, "sid");
    npu.celsius = Measured(Text(device, "temperature"), "C", -100, 250);
    npu.utilization = Measured(Text(device, "util"), "", 0, 1, 100);
    npu.card_watts = Measured(Text(device, "card_power"), "uW", 0, 1e5, 1e6);
    if (const json::value* memory = device.if_contains("memory");
        memory != nullptr && memory->is_object()) {
      npu.memory_total = ParseUnsigned(Text(memory->get_object(), "total"));
      npu.memory_used = ParseUnsigned(Text(memory->get_object(), "used"));
    }
    npus.push_back(std::move(npu));
  }
  return npus;
}

}  // namespace allot::agent::rbln
