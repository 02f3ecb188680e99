#include "agent/devices/pci/ids.h"

#include <algorithm>

#include "agent/devices/host/parse.h"

namespace allot::agent::pci {
namespace {

constexpr size_t kColumns = 11;

std::optional<uint16_t> Id(std::string_view text) {
  const auto id = ParseHexId("0x" + std::string(text), 4);
  return id ? std::optional<uint16_t>(static_cast<uint16_t>(*id)) : std::nullopt;
}

}  // namespace

StatusOr<IdTable> IdTable::Parse(std::string_view tsv, const std::string& file_name) {
  IdTable table;
  size_t number = 0;
  for (const std::string_view line : CompleteLines(tsv)) {
    ++number;
    if (line.empty() || line.starts_with('#')) continue;
    const std::vector<std::string_view> cells = Split(line, '\t');
    if (cells.size() != kColumns)
      return InvalidArgument("{}:{}: {} columns; there must be {}", file_name, number, cells.size(),
                             kColumns);
    IdRow row;
    const auto vendor = Id(cells[0]);
    row.device = Id(cells[1]);
    const auto units = ParseUnsigned(cells[8]);
    if (!vendor || (!row.device && cells[1] != "*") || !units || *units == 0)
      return InvalidArgument(
          "{}:{}: vendor and device are four hexadecimal digits (device may be "
          "*), units a number from 1",
          file_name, number);
    row.vendor = *vendor;
    row.units = static_cast<uint32_t>(*units);
    row.key = cells[3];
    row.kind = cells[4] == "gpu" ? DeviceKind::kGpu : DeviceKind::kAsic;
    row.family = cells[5];
    row.model = cells[6];
    if (!cells[7].empty()) {
      row.memory = ParseInt(cells[7]);
      if (!row.memory || *row.memory <= 0)
        return InvalidArgument("{}:{}: memory_bytes is \"{}\"; leave it empty if it is unknown",
                               file_name, number, cells[7]);
    }
    row.source = cells[9];
    row.name = cells[10];
    table.rows_.push_back(std::move(row));
  }
  return table;
}

const IdRow* IdTable::Find(uint16_t vendor, uint16_t device) const {
  const IdRow* any = nullptr;
  for (const IdRow& row : rows_) {
    if (row.vendor != vendor) continue;
    if (row.device == device) return &row;
    if (!row.device) any = &row;
  }
  return any;
}

bool IdTable::KnowsVendor(uint16_t vendor) const {
  return std::any_of(rows_.begin(), rows_.end(),
                     [&](const IdRow& row) { return row.vendor == vendor; });
}

}  // namespace allot::agent::pci
