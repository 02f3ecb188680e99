#include "agent/devices/nvidia/nvidia_vendor.h"

#include <cstdlib>

#include <gtest/gtest.h>

#include <map>

#include "folder.h"

namespace allot::agent {
namespace {

class Nvidia : public ::testing::Test {
 protected:
  ~Nvidia() override {
    unsetenv("FAKE_NVML");
    unsetenv("FAKE_NVML_XID");
  }
  // What the vendor tells now, by device and signal.
  std::map<std::string, std::map<std::string, double>> Signals(NvidiaVendor& vendor) {
    std::map<std::string, std::map<std::string, double>> values;
    for (const HealthSignal& signal : vendor.Signals()) {
      EXPECT_EQ(signal.event, signal.name == "xid");
      values[signal.device][signal.name] = signal.value;
    }
    return values;
  }
  // Both steps, as the inventory makes them.
  Discovery Discover(NvidiaVendor& vendor) {
    Discovery discovery = vendor.Discover(*machine_.snapshot());
    vendor.Enrich(&discovery);
    return discovery;
  }
  Folder machine_;
};

TEST_F(Nvidia, FindsGpusByAddressWithWhatTheDriverTells) {
  NvidiaVendor vendor({ALLOT_FAKE_NVML});
  const Discovery found = Discover(vendor);
  ASSERT_EQ(found.devices.size(), 3u);
  const FoundDevice& h100 = found.devices[2];  // ordered by address
  EXPECT_EQ(h100.name, "NVIDIA H100 80GB HBM3");
  EXPECT_EQ(h100.source, "NVML, driver 550.54.15");
  Device expected;
  expected.id = "0000:97:00.0";
  expected.kind = DeviceKind::kGpu;
  expected.vendor = "nvidia";
  expected.model = "nvidia/h100-sxm-80g";
  expected.memory = 85520809984;
  expected.visible_variable = "CUDA_VISIBLE_DEVICES";
  expected.visible_value = "GPU-aaaa";
  expected.nodes = {"/dev/nvidia0"};
  expected.features = {"sm_90"};
  expected.power_max = 700'000;
  EXPECT_EQ(h100.device, expected);
}

TEST_F(Nvidia, MigIsSaidAndNotUsed) {
  NvidiaVendor vendor({ALLOT_FAKE_NVML});
  const Discovery found = Discover(vendor);
  EXPECT_EQ(found.devices[0].device.id, "0000:17:00.0");
  EXPECT_EQ(found.devices[0].device.state, DeviceState::kUnsupported);
  ASSERT_EQ(found.warnings.size(), 2u);
  EXPECT_NE(found.warnings[0].find("0000:17:00.0 is in MIG mode"), std::string::npos);
}

TEST_F(Nvidia, ALostGpuIsUnhealthyAndTheOthersAreNot) {
  NvidiaVendor vendor({ALLOT_FAKE_NVML});
  const Discovery found = Discover(vendor);
  EXPECT_EQ(found.devices[1].device.state, DeviceState::kUnhealthy);
  EXPECT_FALSE(found.devices[1].device.memory);
  EXPECT_EQ(found.devices[2].device.state, DeviceState::kReady);
}

TEST_F(Nvidia, SamplesInBaseUnitsAndLeavesOutWhatIsUnknown) {
  NvidiaVendor vendor({ALLOT_FAKE_NVML});
  Discover(vendor);
  const std::vector<DeviceTelemetry> samples = vendor.Sample();
  ASSERT_EQ(samples.size(), 3u);
  EXPECT_EQ(samples[0].id, "0000:97:00.0");
  EXPECT_DOUBLE_EQ(*samples[0].power_watts, 123.456);
  EXPECT_DOUBLE_EQ(*samples[0].temperature_celsius, 41);
  EXPECT_DOUBLE_EQ(*samples[0].utilization_ratio, 0.37);
  EXPECT_DOUBLE_EQ(*samples[0].energy_joules, 5000.5);
  EXPECT_EQ(*samples[0].memory_used, 400) << "without the 600 that the driver reserves";
  EXPECT_DOUBLE_EQ(*samples[0].memory_temperature_celsius, 57);
  EXPECT_FALSE(samples[1].memory_temperature_celsius);
  EXPECT_FALSE(samples[1].utilization_ratio);
  EXPECT_FALSE(samples[2].power_watts || samples[2].memory_used);
}

TEST_F(Nvidia, AWellGpuTellsThatItIs) {
  NvidiaVendor vendor({ALLOT_FAKE_NVML});
  EXPECT_TRUE(vendor.Signals().empty());
  Discover(vendor);
  const auto h100 = Signals(vendor).at("0000:97:00.0");
  for (const char* name :
       {"ecc_uncorrected", "ecc_corrected", "row_remap_pending", "row_remap_failure",
        "throttle_thermal", "throttle_power_brake", "gpu_lost"})
    EXPECT_EQ(h100.at(name), 0) << name;
  EXPECT_EQ(h100.at("temperature_over_limit"), 41 - 92);
  EXPECT_FALSE(h100.contains("retired_pages_pending"));  // not supported
  EXPECT_FALSE(h100.contains("xid"));
}

TEST_F(Nvidia, ErrorsLimitsAndThrottlingAreSignals) {
  NvidiaVendor vendor({ALLOT_FAKE_NVML});
  Discover(vendor);
  setenv("FAKE_NVML", "sick", 1);
  const auto signals = Signals(vendor);
  const auto& h100 = signals.at("0000:97:00.0");
  EXPECT_EQ(h100.at("ecc_uncorrected"), 2);
  EXPECT_EQ(h100.at("ecc_corrected"), 5000);
  for (const char* name :
       {"row_remap_pending", "row_remap_failure", "throttle_thermal", "throttle_power_brake"})
    EXPECT_EQ(h100.at(name), 1) << name;
  EXPECT_EQ(h100.at("temperature_over_limit"), 1);
  EXPECT_EQ(signals.at("0000:17:00.0").at("ecc_uncorrected"), 0);
}

TEST_F(Nvidia, ALostGpuTellsNothingElse) {
  NvidiaVendor vendor({ALLOT_FAKE_NVML});
  Discover(vendor);
  const auto lost = Signals(vendor).at("0000:31:00.0");
  EXPECT_EQ(lost, (std::map<std::string, double>{{"gpu_lost", 1}}));
}

TEST_F(Nvidia, AnXidIsToldOnceAlsoIfItComesBetweenTwoDiscoveries) {
  NvidiaVendor vendor({ALLOT_FAKE_NVML});
  Discover(vendor);
  setenv("FAKE_NVML_XID", "79", 1);
  Discover(vendor);
  EXPECT_EQ(Signals(vendor).at("0000:97:00.0").at("xid"), 79);
  EXPECT_FALSE(Signals(vendor).at("0000:97:00.0").contains("xid"));
}

TEST_F(Nvidia, NoLibraryAndNoGpuIsNoNews) {
  NvidiaVendor vendor({"/no/such/library.so"});
  const Discovery found = Discover(vendor);
  EXPECT_TRUE(found.devices.empty());
  EXPECT_TRUE(found.warnings.empty());
  EXPECT_TRUE(vendor.Sample().empty());
}

TEST_F(Nvidia, AGpuWithoutItsLibraryIsWarnedAbout) {
  machine_.Write("sys/bus/pci/devices/0000:97:00.0/vendor", "0x10de\n");
  machine_.Write("sys/bus/pci/devices/0000:97:00.0/class", "0x030200\n");
  NvidiaVendor vendor({"/no/such/library.so"});
  ASSERT_EQ(Discover(vendor).warnings.size(), 1u);
  EXPECT_NE(Discover(vendor).warnings[0].find("install the driver"), std::string::npos);
}

TEST_F(Nvidia, ADriverThatDoesNotStartIsAWarningAndTriedAgain) {
  setenv("FAKE_NVML", "no-driver", 1);
  NvidiaVendor vendor({ALLOT_FAKE_NVML});
  const Discovery found = Discover(vendor);
  EXPECT_TRUE(found.devices.empty());
  ASSERT_EQ(found.warnings.size(), 1u);
  EXPECT_NE(found.warnings[0].find("Driver Not Loaded"), std::string::npos);
  unsetenv("FAKE_NVML");
  EXPECT_EQ(Discover(vendor).devices.size(), 3u);
}

TEST_F(Nvidia, AnythingElseThatIsALibraryIsRefused) {
  NvidiaVendor vendor({"libm.so.6"});
  ASSERT_EQ(Discover(vendor).warnings.size(), 1u);
}

TEST(NvidiaNames, BecomeCatalogueNames) {
  const struct {
    const char* product;
    Bytes memory;
    const char* model;
  } rows[] = {
      {"NVIDIA H100 80GB HBM3", 85520809984, "nvidia/h100-sxm-80g"},
      {"NVIDIA H100 PCIe", 85520809984, "nvidia/h100-pcie-80g"},
      {"NVIDIA H200", 150754820096, "nvidia/h200-sxm-141g"},
      {"NVIDIA A100-SXM4-40GB", 42949672960, "nvidia/a100-sxm-40g"},
      {"NVIDIA A100-SXM4-80GB", 85899345920, "nvidia/a100-sxm-80g"},
      {"NVIDIA A100 80GB PCIe", 85899345920, "nvidia/a100-pcie-80g"},
      {"NVIDIA A10G", 24146608128, "nvidia/a10g"},
      {"NVIDIA L4", 24152899584, "nvidia/l4"},
      {"NVIDIA L40S", 48305799168, "nvidia/l40s"},
      {"NVIDIA B200", 191503335424, "nvidia/b200"},
      {"NVIDIA GH200 480GB", 102625181696, "nvidia/gh200"},
      {"Tesla V100-SXM2-16GB", 16945512448, "nvidia/v100-sxm2-16gb"},
      {"NVIDIA GeForce RTX 4090", 25757220864, "nvidia/geforce-rtx-4090"},
      {"", 0, "nvidia/gpu"},
  };
  for (const auto& row : rows) EXPECT_EQ(NvidiaCatalogueName(row.product, row.memory), row.model);
}

}  // namespace
}  // namespace allot::agent
