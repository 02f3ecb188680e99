// The PCI functions of a machine, read once per discovery, and what a function tells in the same
// words whoever made it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/devices/host/host.h"
#include "agent/devices/pci/ids.h"

namespace allot::agent::pci {

struct Function {
  std::string address;  // "0000:1b:00.0"
  std::optional<uint16_t> vendor, device;
  std::optional<uint32_t> class_code;  // 24 bits: 0x030200
  const IdRow* row = nullptr;          // in the id table; else nothing is known of it

  std::string path() const { return "/sys/bus/pci/devices/" + address; }
  std::string pci_id() const;     // "10de:2330"; "" unless both are known
  std::string pci_class() const;  // "030200"; "" if unknown
  bool IsClass(uint32_t base_and_sub) const {
    return class_code && *class_code >> 8 == base_and_sub;
  }
  // "0000:1b:00", which functions of one card share.
  std::string_view slot() const { return std::string_view(address).substr(0, address.size() - 2); }
};

bool IsAddress(std::string_view text);

class Bus {
 public:
  static Bus Scan(const Host& host);
  const std::vector<Function>& functions() const { return functions_; }  // by address
  const Function* Find(std::string_view address) const;
  // Those of the id table that this vendor folder handles.
  std::vector<const Function*> Of(std::string_view key) const;
  std::vector<const Function*> OfVendor(uint16_t vendor) const;

 private:
  std::vector<Function> functions_;
};

// Why a function that looks tempting is no device of ours: "BMC display controller". Nothing for
// functions of vendors that make no accelerator and that nobody would take for one.
std::optional<std::string> WhyIgnored(const Function& function);

}  // namespace allot::agent::pci
