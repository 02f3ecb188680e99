// What vendors that are read from sysfs have in common: the facts every PCI function has, the
// device nodes of a class, sampling of the sensors found at discovery, and the signals of a link.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/devices/sysfs/sensors.h"
#include "agent/devices/vendor.h"

namespace allot::agent {

class SysfsVendor : public Vendor {
 public:
  Discovery Discover(const Snapshot& machine) final;
  std::vector<DeviceTelemetry> Sample() override;
  std::vector<HealthSignal> Signals() override;
  bool may_hang() const override { return true; }

 protected:
  virtual void Find(const Snapshot& machine, Discovery* discovery) = 0;
  // Reads the sensors now, and again whenever samples are taken.
  void Watch(const Snapshot& machine, Sensors sensors, FoundDevice* found);
  // Read whenever signals are; what it cannot read is absent.
  using ReadSignal = std::function<std::optional<double>(const Host&)>;
  void WatchSignal(std::string device, std::string name, ReadSignal read);

 private:
  struct Watched {
    std::string id;
    Sensors sensors;
  };
  struct WatchedSignal {
    std::string device, name;
    ReadSignal read;
  };
  void WatchLink(const std::string& address);
  std::shared_ptr<const Host> host_;
  std::vector<Watched> watched_;
  std::vector<WatchedSignal> signals_;
};

// Id, ids, class, NUMA node, driver, product and nominal memory by the table, and warnings about
// the link. `drivers` are those that make it ready; none given: any but those that hold a device
// for a guest. Functions without a row in the table get `key` and no memory.
FoundDevice FromFunction(const Snapshot& machine, const pci::Function& function,
                         std::string_view key, const std::vector<std::string_view>& drivers);

// A virtual function is a part of a card: whose and which one its `physfn` link and its parent's
// `virtfnN` links say. Nothing for a physical function, and in a guest, which sees no parent.
// FromFunction has asked already.
std::optional<Partition> VirtualFunction(const Host& host, const pci::Function& function);
// Many virtual functions have the id of their card, and none of them its memory.
void MakePart(Partition partition, const std::string& source, FoundDevice* found);

// Does this driver only keep the device for a guest?
bool IsReserving(std::string_view driver);

// One entry of a device class that belongs to a PCI function.
struct ClassEntry {
  std::string name;  // "accel0", "tenstorrent!0"
  std::string path;  // "/sys/bus/pci/devices/…/accel/accel0"
  std::string node;  // "/dev/accel/accel0"; empty if there is none
};

// Entries of `folder` ("accel") in the function's own folder, else those of /sys/class/`folder`
// whose `device` link names the function. The node is found by the number in the entry's `dev`
// file, by its name if there is no such file, and not at all if the file makes no sense.
std::vector<ClassEntry> ClassEntries(const Snapshot& machine, const pci::Function& function,
                                     std::string_view folder);

// The node of a class entry alone, as above. `named` is its path if there is no `dev` file.
std::string NodeOf(const Snapshot& machine, const std::string& entry_path,
                   const std::string& named);

// What a library or tool says of the memory, in bytes. It takes the place of a nominal size and of
// none, not of what the driver counts, and not if it is far from the box's: then it is in another
// unit, or of another thing.
void LearnMemory(uint64_t bytes, std::string kind, const std::string& source, FoundDevice* found);

// The device's sample among these; a new one if it has none yet.
DeviceTelemetry& SampleOf(const std::string& id, std::vector<DeviceTelemetry>* samples);

// A group of all these devices, if there are two or more.
void AddGroup(std::string kind, std::vector<std::string> members, Discovery* discovery);

}  // namespace allot::agent
