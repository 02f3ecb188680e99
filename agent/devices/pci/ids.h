// The table of accelerators by PCI id (accelerators.tsv, compiled in): who handles a function, what
// it is called, and its nominal memory, with the source of each row.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/model/device.h"

namespace allot::agent::pci {

struct IdRow {
  uint16_t vendor = 0;
  std::optional<uint16_t> device;  // absent: any of the vendor
  std::string key;                 // vendor folder: "habana"
  DeviceKind kind = DeviceKind::kAsic;
  std::string family;           // "gpu", "gaudi", "neuron", "tpu", "lpu", "rdu", "npu", "ipu"
  std::string model;            // "Gaudi2"
  std::optional<Bytes> memory;  // nominal: what the box says
  uint32_t units = 1;           // schedulable parts: NeuronCores, chips, processing elements
  std::string source;           // of the row
  std::string name;             // catalogue name: "intel/gaudi2"
};

class IdTable {
 public:
  static const IdTable& BuiltIn();
  // Errors carry file:line.
  static StatusOr<IdTable> Parse(std::string_view tsv, const std::string& file_name);
  const IdRow* Find(uint16_t vendor, uint16_t device) const;
  // Does this vendor make any accelerator we know?
  bool KnowsVendor(uint16_t vendor) const;
  const std::vector<IdRow>& rows() const { return rows_; }

 private:
  std::vector<IdRow> rows_;
};

}  // namespace allot::agent::pci
