#include "agent/devices/amd/amd_vendor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/devices/amd/rocm_smi.h"
#include "machine_kit.h"
#include "vendor_library.h"

namespace allot::agent {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr const char* kMachine = "amd-8xmi300x-spx";
constexpr const char* kFirst = "0000:05:00.0";
constexpr const char* kSecond = "0000:26:00.0";

class RocmSmi : public ::testing::Test {
 protected:
  ~RocmSmi() override { unsetenv("FAKE_ROCM_SMI"); }
  AmdVendor vendor_{{ALLOT_FAKE_ROCM_SMI}};
};

TEST_F(RocmSmi, AddressesAreAsSysfsHasThem) {
  EXPECT_EQ(rsmi::AddressOf(0x500), "0000:05:00.0");
  EXPECT_EQ(rsmi::AddressOf(uint64_t{0x1a} << 32 | 0xc1 << 8 | 0x1f << 3 | 7), "001a:c1:1f.7");
  EXPECT_EQ(rsmi::AddressOf(uint64_t{3} << 28 | 0x500), "0000:05:00.0") << "a partition's number";
}

TEST_F(RocmSmi, AddsAnEnergyCounterAndLeavesTheRestToTheKernel) {
  AmdVendor kernel;
  const Discovery without = DiscoverWith(kernel, RecordedHost(kMachine));
  const Discovery found = DiscoverWith(vendor_, RecordedHost(kMachine));
  ASSERT_EQ(found.devices.size(), without.devices.size());
  for (size_t i = 0; i < found.devices.size(); ++i)
    EXPECT_EQ(found.devices[i].device, without.devices[i].device);
  EXPECT_THAT(FindDevice(found, kFirst)->source, HasSubstr("ROCm SMI"));
  const auto samples = vendor_.Sample(), by_kernel = kernel.Sample();
  ASSERT_EQ(samples.size(), by_kernel.size());
  EXPECT_DOUBLE_EQ(*FindSample(samples, kFirst)->energy_joules, 61000);
  EXPECT_EQ(FindSample(samples, kFirst)->power_watts, FindSample(by_kernel, kFirst)->power_watts);
  EXPECT_FALSE(FindSample(samples, kSecond)->energy_joules) << "a counter at 0 counts nothing";
}

TEST_F(RocmSmi, ToldIdentityOnlyWhereTheDriverTellsNone) {
  const std::string driver_tells =
      FindDevice(DiscoverWith(vendor_, RecordedHost(kMachine)), kFirst)->uuid;
  const kit::Copy copy({kMachine, std::string(ALLOT_SOURCE_DIR) + "/tests/machines/" + kMachine});
  copy.Remove(std::string("sys/bus/pci/devices/") + kFirst + "/unique_id");
  const Discovery found = DiscoverWith(vendor_, copy.host());
  EXPECT_EQ(FindDevice(found, kFirst)->uuid, "00000000abcdef12");
  EXPECT_NE(driver_tells, "00000000abcdef12");
}

TEST_F(RocmSmi, EnergyOfAPackageIsOfNoneOfItsPartitions) {
  const Discovery found = DiscoverWith(vendor_, RecordedHost("amd-2xmi300x-cpx-spx"));
  for (const FoundDevice& device : found.devices) {
    if (!device.partition) continue;
    EXPECT_THAT(device.source, ::testing::Not(HasSubstr("ROCm SMI"))) << device.device.id;
  }
}

TEST_F(RocmSmi, WithoutItOrUnknownToItGpusStay) {
  AmdVendor absent({"/no/such/library.so"});
  const Discovery found = DiscoverWith(absent, RecordedHost(kMachine));
  EXPECT_THAT(found.devices, SizeIs(8));
  EXPECT_THAT(found.warnings, IsEmpty()) << "the kernel tells the rest";
  AmdVendor other({ALLOT_FAKE_NVML});
  EXPECT_THAT(DiscoverWith(other, RecordedHost(kMachine)).warnings,
              Contains(HasSubstr("lacks functions")));
  for (const char* mode : {"no-driver", "no-count"}) {
    setenv("FAKE_ROCM_SMI", mode, 1);
    const Discovery failed = DiscoverWith(vendor_, RecordedHost(kMachine));
    EXPECT_THAT(failed.devices, SizeIs(8)) << mode;
    EXPECT_THAT(failed.warnings, Contains(HasSubstr("ROCm SMI"))) << mode;
    EXPECT_FALSE(FindSample(vendor_.Sample(), kFirst)->energy_joules) << mode;
  }
}

TEST_F(RocmSmi, WhileItHangsGpusAreAsTheKernelShowsThem) {
  setenv("FAKE_ROCM_SMI", "hang", 1);
  const auto inventory =
      InventoryOf(std::make_unique<AmdVendor>(std::vector<std::string>{ALLOT_FAKE_ROCM_SMI}),
                  RecordedHost(kMachine), ALLOT_FAKE_ROCM_SMI);
  const Discovery found = inventory->DiscoverAll();
  EXPECT_THAT(found.devices, SizeIs(8));
  EXPECT_THAT(found.warnings, Contains(HasSubstr("amd")));
  LetGo(ALLOT_FAKE_ROCM_SMI);
  Inventory::Update update;
  while (update.telemetry.empty()) update = inventory->Poll(Duration{});
  EXPECT_DOUBLE_EQ(*FindSample(update.telemetry, kFirst)->energy_joules, 61000);
}

}  // namespace
}  // namespace allot::agent
