#include "agent/devices/tenstorrent/tenstorrent_vendor.h"

namespace allot::agent {
namespace {

// What one PCI function of a card reaches: an n300 has two chips behind one function, a p300 a
// function for each of its two.
struct Card {
  const char* type;
  uint32_t chips;
  int64_t gib;  // from the vendor's pages
};
constexpr Card kCards[] = {
    {"n150", 1, 12},  {"n150d", 1, 12}, {"n150s", 1, 12}, {"n300", 2, 24},
    {"n300d", 2, 24}, {"n300s", 2, 24}, {"p100", 1, 28},  {"p100a", 1, 28},
    {"p150", 1, 32},  {"p150a", 1, 32}, {"p150b", 1, 32}, {"p150c", 1, 32},
    {"p300", 1, 32},  {"p300a", 1, 32}, {"p300b", 1, 32}, {"p300c", 1, 32},
};

// "Wormhole (n150 12 GiB / …)" in the table is a note; the first word is the family.
std::string FirstWord(const std::string& text) { return text.substr(0, text.find(' ')); }

void DescribeCard(const std::string& type, FoundDevice* found) {
  found->name = FirstWord(found->name) + " " + type;
  found->device.model = "tenstorrent/" + type;
  for (const Card& card : kCards) {
    if (type != card.type) continue;
    found->units = card.chips;
    found->device.memory = card.gib * kGiB;
    found->memory_source = "table";
    found->Tell("memory_bytes", "card type table (nominal)");
  }
  found->Tell("units", "sysfs tt_card_type");
}

bool IsPlainWord(const std::string& text) {
  return !text.empty() && text.size() <= 32 &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_") == text.npos;
}

}  // namespace

void TenstorrentVendor::Find(const Snapshot& machine, Discovery* discovery) {
  for (const pci::Function* function : machine.bus.Of("tenstorrent")) {
    FoundDevice found = FromFunction(machine, *function, "tenstorrent", {"tenstorrent"});
    Device& device = found.device;
    found.name = FirstWord(found.name);
    if (function->device == 0xfaca && device.state == DeviceState::kReady)
      device.state = DeviceState::kUnsupported;  // Grayskull: dropped by current software.
    for (const ClassEntry& entry : ClassEntries(machine, *function, "tenstorrent")) {
      const auto number = NumberAfter(entry.name, "tenstorrent!");
      if (!number) continue;
      if (!entry.node.empty()) device.nodes = {entry.node};
      found.Tell("dev_nodes", "sysfs tenstorrent class, /dev");
      device.visible_variable = "TT_VISIBLE_DEVICES";
      device.visible_value = std::to_string(*number);
      found.Tell("visible_env", "sysfs tenstorrent class");
      const Reading<std::string> type = machine.host->Line(entry.path + "/tt_card_type");
      if (type && IsPlainWord(*type)) DescribeCard(*type, &found);
      WatchSignal(
          device.id, "thermal_trips",
          [path = entry.path + "/tt_therm_trip_count"](const Host& host) -> std::optional<double> {
            const Reading<int64_t> trips = host.Int(path);
            if (!trips || *trips < 0) return std::nullopt;
            return static_cast<double>(*trips);
          });
      if (const Reading<std::string> serial = machine.host->Line(entry.path + "/tt_serial");
          serial && !serial->empty()) {
        found.uuid = *serial;
        found.Tell("uuid", "sysfs tt_serial");
      }
    }
    Watch(machine, FindSensors(*machine.host, function->path()), &found);
    discovery->devices.push_back(std::move(found));
  }
}

}  // namespace allot::agent
