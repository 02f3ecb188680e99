// What each vendor's driver shows when a device is in trouble: a file, and what stands in it then.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "vendors.h"

namespace allot::agent::kit {

struct Signal {
  std::string file;
  std::optional<std::string> bad;  // absent: the file is taken away
  std::string reason;              // the word for it, where there is one
  bool stops = true;               // the device is no longer ready
  mutable std::optional<std::string> good = {};

  void Apply(const Copy& copy) const {
    if (copy.Has(file)) good = copy.Read(file);
    if (bad) {
      copy.Write(file, *bad);
    } else {
      copy.Remove(file);
    }
  }
  void Undo(const Copy& copy) const {
    if (good) {
      copy.Write(file, *good);
    } else {
      copy.Remove(file);
    }
  }
};

// Those that this device can give on this machine.
inline std::vector<Signal> SignalsOf(const std::string& key, const FoundDevice& found,
                                     const Copy& copy) {
  std::vector<Signal> signals;
  const std::string address = found.partition ? found.partition->parent : found.device.id;
  const std::string folder = "sys/bus/pci/devices/" + address + "/";
  const auto file = [&](const std::string& path, const std::string& bad, const std::string& reason,
                        bool stops) {
    if (copy.Has(path)) signals.push_back({path, bad, reason, stops});
  };
  if (key == "nvidia" && !found.partition) {
    const std::string information = "proc/driver/nvidia/gpus/" + address + "/information";
    signals.push_back({information, std::nullopt, "", true});  // It fell off the bus.
    file(information, "Model: \t\t NVIDIA\nGPU UUID: \t " + found.uuid + "\nGPU Excluded:\t Yes\n",
         "", true);
  }
  if (key == "amd") file(folder + "ras/umc_err_count", "ue: 2\nce: 0\n", "ecc_uncorrected", true);
  if (key == "habana") {
    file(folder + "status", "Malfunction\n", "", true);
    file(folder + "hard_reset_cnt", "3\n", "resets", false);
  }
  if (key == "aws") {
    const std::string stats =
        "sys/devices/virtual/neuron_device/" + found.device.id + "/stats/hardware/";
    file(stats + "mem_ecc_uncorrected", "1\n", "ecc_uncorrected", true);
    file(stats + "sram_ecc_uncorrected", "1\n", "ecc_uncorrected", true);
  }
  if (key == "rebellions")
    file("sys/class/rebellions/rbln" + found.device.visible_value + "/status", "3\n", "", true);
  if (key == "furiosa" && found.device.visible_value.starts_with("npu:"))
    file("sys/class/rngd_mgmt/rngd!npu" + found.device.visible_value.substr(4) + "mgmt/alive",
         "0\n", "", true);
  // All PCI functions, whoever made them: trouble in the past warns and stops nothing.
  if (copy.Has(folder + "class")) {
    signals.push_back(
        {folder + "aer_dev_fatal", "Undefined 0\nTOTAL_ERR_FATAL 2\n", "aer_fatal", false});
  }
  return signals;
}

}  // namespace allot::agent::kit
