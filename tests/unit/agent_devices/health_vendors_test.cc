// Every vendor's signals on its recorded machine: what goes wrong in a driver's file becomes the
// verdict of the built-in rules, on that device alone, and passes when the file is well again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/devices/amd/amd_vendor.h"
#include "agent/devices/health/monitor.h"
#include "agent/devices/intel/intel_vendor.h"
#include "agent/devices/registry.h"
#include "common/base/rng.h"
#include "folder.h"
#include "machine_kit.h"

namespace allot::agent {
namespace {

using std::chrono::seconds;
using ::testing::IsEmpty;

std::unique_ptr<Vendor> VendorOf(const std::string& key, std::shared_ptr<const Host> host) {
  auto vendors = MakeVendors({}, Catalogue::BuiltIn(), std::move(host));
  for (auto& vendor : *vendors)
    if (vendor->name() == key) return std::move(vendor);
  ADD_FAILURE() << "no vendor " << key;
  return nullptr;
}

std::string Text(const Device& device) {
  std::string text(ToString(device.state));
  for (const std::string& reason : device.health) text += " " + reason;
  return text;
}

struct Trouble {
  const char* name;
  const char* machine;
  const char* vendor;
  const char* device;
  const char* file;
  const char* bad;      // what the file says when it goes wrong
  const char* verdict;  // state and reasons, until then "ready"
};

const Trouble kTroubles[] = {
    {"NvidiaLinkFatal", "nvidia-4xl4", "nvidia", "0000:01:00.0",
     "sys/bus/pci/devices/0000:01:00.0/aer_dev_fatal", "Undefined 0\nTOTAL_ERR_FATAL 1\n",
     "draining aer_fatal"},
    {"NvidiaLinkWidth", "nvidia-4xl4", "nvidia", "0000:01:00.0",
     "sys/bus/pci/devices/0000:01:00.0/current_link_width", "4\n", "ready pcie_width_degraded"},
    {"AmdUncorrected", "amd-8xmi300x-spx", "amd", "0000:05:00.0",
     "sys/bus/pci/devices/0000:05:00.0/ras/umc_err_count", "ue: 1\nce: 0\n",
     "draining ecc_uncorrected"},
    {"AmdCorrected", "amd-8xmi300x-spx", "amd", "0000:05:00.0",
     "sys/bus/pci/devices/0000:05:00.0/ras/umc_err_count", "ue: 0\nce: 99999\n",
     "ready ecc_corrected"},
    {"AmdPartition", "amd-2xmi300x-cpx-spx", "amd", "0000:05:00.0/p3",
     "sys/bus/pci/devices/0000:05:00.0/ras/umc_err_count", "ue: 1\nce: 0\n",
     "draining ecc_uncorrected"},
    {"NeuronMemory", "aws-inf2-48xlarge", "aws", "neuron3",
     "sys/devices/virtual/neuron_device/neuron3/stats/hardware/mem_ecc_uncorrected", "1\n",
     "draining mem_ecc_uncorrected"},
    {"NeuronSram", "aws-inf2-48xlarge", "aws", "neuron3",
     "sys/devices/virtual/neuron_device/neuron3/stats/hardware/sram_ecc_uncorrected", "2\n",
     "draining sram_ecc_uncorrected"},
    {"NeuronRepairable", "aws-inf2-48xlarge", "aws", "neuron3",
     "sys/devices/virtual/neuron_device/neuron3/stats/hardware/mem_ecc_repairable_uncorrected",
     "1\n", "ready mem_ecc_repairable_uncorrected"},
    {"NeuronHardware", "aws-inf2-48xlarge", "aws", "neuron0",
     "sys/devices/virtual/neuron_device/neuron0/neuron_core1/stats/status/hw_error/total", "3\n",
     "draining hw_error"},
    {"GaudiStatus", "intel-8xgaudi2", "habana", "0000:19:00.0",
     "sys/bus/pci/devices/0000:19:00.0/status", "Malfunction\n", "draining status_bad"},
    {"GaudiStatusWithoutAWord", "intel-8xgaudi2", "habana", "0000:19:00.0",
     "sys/bus/pci/devices/0000:19:00.0/status", "", "draining status_bad"},
    {"GaudiResets", "intel-8xgaudi2", "habana", "0000:19:00.0",
     "sys/bus/pci/devices/0000:19:00.0/hard_reset_cnt", "1\n", "draining resets"},
    {"Furiosa", "npu-rbln-furiosa", "furiosa", "0000:81:00.0",
     "sys/class/rngd_mgmt/rngd!npu0mgmt/alive", "0\n", "draining not_alive"},
    {"Rebellions", "npu-rbln-furiosa", "rebellions", "0000:06:00.0",
     "sys/class/rebellions/rbln0/status", "5\n", "draining status_bad"},
    {"Tenstorrent", "tenstorrent-n300-p150a", "tenstorrent", "0000:41:00.0",
     "sys/bus/pci/devices/0000:41:00.0/tenstorrent/tenstorrent!1/tt_therm_trip_count", "1\n",
     "draining thermal_trips"},
};

class OnRecorded : public ::testing::TestWithParam<Trouble> {
 protected:
  static kit::Machine MachineOf(const std::string& name) {
    return {name, std::string(ALLOT_SOURCE_DIR) + "/tests/machines/" + name};
  }
  // One reading of all that the vendor tells, judged.
  std::string Judge(Vendor& vendor, HealthMonitor& monitor, int second, Device device) {
    monitor.Observed(seconds(second), vendor.name(), vendor.Signals());
    monitor.Apply(seconds(second), &device);
    return Text(device);
  }
};

TEST_P(OnRecorded, ASignalIsAVerdictAndPasses) {
  const Trouble& trouble = GetParam();
  const kit::Copy copy(MachineOf(trouble.machine));
  const auto vendor = VendorOf(trouble.vendor, copy.host());
  const Discovery found = vendor->Discover(*Snapshot::Take(copy.host()));
  HealthMonitor monitor(HealthRules::BuiltIn());
  const std::string well = copy.Read(trouble.file);

  for (const FoundDevice& device : found.devices) {
    Device judged = device.device;
    if (judged.id != trouble.device) continue;
    EXPECT_EQ(Judge(*vendor, monitor, 0, judged), "ready");
    copy.Write(trouble.file, trouble.bad);
    EXPECT_EQ(Judge(*vendor, monitor, 5, judged), trouble.verdict);
    // Its neighbours are what they were.
    for (const FoundDevice& other : found.devices) {
      if (other.device.id.substr(0, other.device.id.find('/')) ==
          judged.id.substr(0, judged.id.find('/')))
        continue;
      const HealthVerdict verdict = monitor.Judge(seconds(5), other.device);
      EXPECT_THAT(verdict.reasons,
                  ::testing::Each(::testing::AnyOf("pcie_width_degraded", "resets", "status_bad")))
          << other.device.id;
    }
    if (well.empty()) {
      copy.Remove(trouble.file);
    } else {
      copy.Write(trouble.file, well);
    }
    EXPECT_EQ(Judge(*vendor, monitor, 10, judged).substr(0, 5),
              std::string(trouble.verdict).substr(0, 5));
    EXPECT_EQ(Judge(*vendor, monitor, 10 + 24 * 3600, judged), "ready");
    return;
  }
  FAIL() << trouble.device << " is not there";
}

INSTANTIATE_TEST_SUITE_P(Vendors, OnRecorded, ::testing::ValuesIn(kTroubles),
                         [](const auto& info) { return std::string(info.param.name); });

// Any file of any machine, broken while the vendor watches: no crash, and only reasons of the list.
class Watched : public ::testing::TestWithParam<kit::Machine> {};

TEST_P(Watched, GarbageInAFileIsNeverACrashOrAnUnknownReason) {
  const kit::Copy copy(GetParam());
  const auto host = copy.host();
  auto vendors = MakeVendors({}, Catalogue::BuiltIn(), host);
  const auto machine = Snapshot::Take(host);
  std::vector<Device> devices;
  for (auto& vendor : *vendors)
    for (const FoundDevice& found : vendor->Discover(*machine).devices)
      devices.push_back(found.device);
  HealthMonitor monitor(HealthRules::BuiltIn());
  const std::vector<std::string> closed = HealthRules::BuiltIn()->Reasons();
  Rng rng(std::hash<std::string>{}(GetParam().name));
  const std::vector<std::string> files = copy.Files();
  for (int i = 1; i <= 40; ++i) {
    const std::string& file = files[rng.Below(files.size())];
    const std::string text = copy.Read(file);
    std::string noise(rng.Below(64), ' ');
    for (char& c : noise) c = static_cast<char>(rng.Below(256));
    const std::string ways[] = {"", text.substr(0, text.size() / 2), noise, "-1\n",
                                "99999999999999999999\n"};
    copy.Write(file, ways[rng.Below(5)]);
    for (auto& vendor : *vendors) {
      monitor.Observed(seconds(i), vendor->name(), vendor->Signals());
      (void)vendor->Sample();
    }
    for (const Device& device : devices)
      for (const std::string& reason : monitor.Judge(seconds(i), device).reasons)
        EXPECT_THAT(closed, ::testing::Contains(reason)) << file;
    copy.Write(file, text);
  }
}

INSTANTIATE_TEST_SUITE_P(Machines, Watched, ::testing::ValuesIn(kit::RecordedMachines()),
                         [](const auto& info) {
                           std::string name = info.param.name;
                           for (char& c : name)
                             if (c == '-') c = '_';
                           return name;
                         });

// Cases that no recorded machine has.
class Card : public ::testing::Test {
 protected:
  Card() {
    for (const auto& [file, text] : std::map<std::string, std::string>{
             {"vendor", "0x8086\n"}, {"device", "0x0bd5\n"}, {"class", "0x038000\n"}})
      machine_.Write(card_ + "/" + file, text);
    machine_.Write("links.txt", card_ + "/driver -> ../../drivers/xe\n");
    machine_.Write(card_ + "/hwmon/hwmon7/temp2_input", "45000\n");
    machine_.Write(card_ + "/hwmon/hwmon7/temp2_label", "pkg\n");
    machine_.Write(card_ + "/hwmon/hwmon7/temp3_input", "51000\n");
    machine_.Write(card_ + "/hwmon/hwmon7/temp3_label", "vram\n");
  }
  std::map<std::string, double> Signals() {
    std::map<std::string, double> values;
    (void)vendor_.Discover(*machine_.snapshot());
    for (const HealthSignal& signal : vendor_.Signals()) values[signal.name] = signal.value;
    return values;
  }
  Folder machine_;
  const std::string card_ = "sys/bus/pci/devices/0000:29:00.0";
  IntelVendor vendor_;
};

TEST_F(Card, TheHotterOfChipAndMemoryIsComparedWithItsLimit) {
  EXPECT_FALSE(Signals().contains("temperature_over_limit"));
  machine_.Write(card_ + "/hwmon/hwmon7/temp2_crit", "105000\n");
  EXPECT_EQ(Signals().at("temperature_over_limit"), 45 - 105);
  EXPECT_FALSE(Signals().contains("temperature_over_max"));
  machine_.Write(card_ + "/hwmon/hwmon7/temp3_crit", "50000\n");
  EXPECT_EQ(Signals().at("temperature_over_limit"), 1);
  machine_.Write(card_ + "/hwmon/hwmon7/temp3_crit", "0\n");  // no limit
  EXPECT_EQ(Signals().at("temperature_over_limit"), 45 - 105);
  machine_.Write(card_ + "/hwmon/hwmon7/temp2_max", "40000\n");
  EXPECT_EQ(Signals().at("temperature_over_max"), 5);
}

TEST_F(Card, ThePowerLimitIsWhatItDrawsAtMost) {
  const auto power = [&] {
    return vendor_.Discover(*machine_.snapshot()).devices.at(0).device.power_max;
  };
  EXPECT_EQ(power(), std::nullopt);
  machine_.Write(card_ + "/hwmon/hwmon7/power1_max", "600000000\n");
  EXPECT_EQ(power(), 600'000);
  machine_.Write(card_ + "/hwmon/hwmon7/power1_max", "0\n");  // switched off
  EXPECT_EQ(power(), std::nullopt);
}

TEST_F(Card, HeatThatSlowsATileDownIsSaid) {
  const std::string of_xe = card_ + "/tile0/gt0/freq0/throttle/reason_thermal";
  machine_.Write(of_xe, "0\n");
  EXPECT_EQ(Signals().at("throttle_thermal"), 0);
  machine_.Write(card_ + "/drm/card1/gt/gt1/throttle_reason_thermal", "1\n");
  EXPECT_EQ(Signals().at("throttle_thermal"), 1);
}

TEST_F(Card, MemoryTemperatureIsSampled) {
  machine_.Write(card_ + "/hwmon/hwmon7/power1_input", "1000000\n");
  (void)vendor_.Discover(*machine_.snapshot());
  const auto samples = vendor_.Sample();
  ASSERT_EQ(samples.size(), 1u);
  EXPECT_DOUBLE_EQ(*samples[0].temperature_celsius, 45);
  EXPECT_DOUBLE_EQ(*samples[0].memory_temperature_celsius, 51);
}

TEST(GaudiPower, ComesFromTheDriversLimit) {
  const auto host =
      *Host::Recorded(std::string(ALLOT_SOURCE_DIR) + "/tests/machines/intel-8xgaudi2");
  const auto vendor = VendorOf("habana", host);
  EXPECT_EQ(vendor->Discover(*Snapshot::Take(host)).devices.at(0).device.power_max, 600'000);
}

}  // namespace
}  // namespace allot::agent
