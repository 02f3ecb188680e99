// The part of FuriosaAI's management library (furiosa_smi) that we use, declared by ourselves:
// layouts and names as in the vendor's public header (furiosa-ai/furiosa-smi-go,
// pkg/smi/furiosa_smi.h). Included in this folder only.
//
// The library's names carry no versions and its structs have changed under them, so only what all
// public versions agree on is used: handles by PCI address, power, and temperatures. The device's
// description and its memory are left alone; they have had three layouts each.
//
// Everything here may hang: on the vendor's thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "agent/devices/host/library.h"
#include "common/base/status.h"

namespace allot::agent::furiosa_smi {

using Result = int;
inline constexpr Result kOk = 0;
using Handle = uint32_t;

// Each with room of ours behind it, should a newer library write more.
struct Power {  // FuriosaSmiDevicePowerConsumption
  double watts;
  double room[15];
};
// FuriosaSmiDeviceTemperature, celsius. The first version wrote two ints here, which read as a
// double are no number of ordinary size.
struct Temperature {
  double soc_peak, ambient;
  double room[14];
};
struct PeCounter {  // FuriosaSmiPePerformanceCounter
  long timestamp;
  uint32_t core;
  uint64_t cycles, task_cycles;  // since some moment; only differences mean something
};
static_assert(sizeof(PeCounter) == 32);
inline constexpr uint32_t kPeMax = 64;
struct PerformanceCounter {  // FuriosaSmiDevicePerformanceCounter
  uint32_t pe_count;
  PeCounter pe[kPeMax];
  uint64_t room[64];
};

// Function pointers; the first group is there.
struct Api {
  Result (*GetHandleByBdf)(const char*, Handle*) = nullptr;
  Result (*GetPower)(Handle, Power*) = nullptr;
  Result (*GetTemperature)(Handle, Temperature*) = nullptr;

  Result (*Init)() = nullptr;      // the versions between have no such call
  Result (*Shutdown)() = nullptr;  // the first version alone
  // Null also where the counters had another layout: before the core was part of them the library
  // made its own observers, and where there is no call for frequencies neither is known.
  Result (*GetPerformanceCounter)(Handle, PerformanceCounter*) = nullptr;
};

class Library : public VendorLibrary<Api> {
 public:
  using VendorLibrary::VendorLibrary;
};

// Opens and initializes the library; closes it at the end. NotFound if there is no such library,
// which is how a machine without these NPUs looks.
StatusOr<std::unique_ptr<Library>> Open(const std::vector<std::string>& files);

}  // namespace allot::agent::furiosa_smi
