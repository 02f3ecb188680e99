// Who must pass the kit, and on which machines.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/devices/vendor.h"
#include "machine_kit.h"

namespace allot::agent::kit {

// Every key of the id table, so a new vendor is in as soon as it has a row, and "cpu".
std::vector<std::string> VendorKeys();

// The recorded machines that have a device of this vendor.
std::vector<Machine> MachinesOf(const std::string& key);

bool IsOf(const std::string& key, const Device& device);

// The vendor as the agent makes it for this host, and what it finds there alone.
struct Found {
  std::unique_ptr<Vendor> vendor;
  Discovery discovery;
  std::vector<FoundDevice> devices() const;  // of the vendor
  std::string key;
};
Found FindAlone(const std::string& key, const std::shared_ptr<const Host>& host);

// The same vendor, with a library that looks like its own from outside if it opens one.
std::unique_ptr<Vendor> VendorWithLibrary(const std::string& key);

// What the whole agent finds: all vendors, claims settled.
Discovery FindAll(const std::shared_ptr<const Host>& host);

std::string TestName(const std::string& key);  // "d_matrix"

}  // namespace allot::agent::kit
