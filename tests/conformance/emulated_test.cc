// An emulated device is shown to a process by the variable that a real one of its model is.
#include <map>

#include <gtest/gtest.h>

#include "agent/devices/emulated/emulated_vendor.h"
#include "vendors.h"

namespace allot::agent::kit {
namespace {

// By vendor as the catalogue calls it, from every recorded machine.
std::map<std::string, std::string> RealVariables() {
  std::map<std::string, std::string> variables;
  for (const Machine& machine : RecordedMachines()) {
    for (const FoundDevice& found : FindAll(*Host::Recorded(machine.folder)).devices) {
      const std::string& model = found.device.model;
      if (!found.device.visible_variable.empty()) variables[model] = found.device.visible_variable;
    }
  }
  return variables;
}

TEST(Emulated, IsShownByTheVariableOfTheRealOne) {
  const auto real = RealVariables();
  size_t compared = 0;
  for (const auto& [model, variable] : real) {
    if (Catalogue::BuiltIn().Find(model) == nullptr) continue;
    google::protobuf::RepeatedPtrField<config::EmulatedDevices> wish;
    wish.Add()->set_model(model);
    const auto vendor = MakeEmulatedVendor(wish, Catalogue::BuiltIn());
    ASSERT_TRUE(vendor.ok()) << vendor.status();
    const Discovery found = (*vendor)->Discover(*Snapshot::Take(Host::Live()));
    ASSERT_EQ(found.devices.size(), 1u);
    EXPECT_EQ(found.devices[0].device.visible_variable, variable) << model;
    ++compared;
  }
  EXPECT_GE(compared, 15u);
}

}  // namespace
}  // namespace allot::agent::kit
