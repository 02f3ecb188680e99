// A stand-in for librocm_smi64.so, which is no library of AMD's. It knows two GPUs of the recorded
// machine amd-8xmi300x-spx (the first, and a second that counts no energy, as the second die of a
// card does) and one that is not there. FAKE_ROCM_SMI in the environment changes it: "no-driver"
// fails to start, "no-count" does not tell its GPUs, "hang" does not come back from telling them
// until FakeLetGo.
// Written from AMD's public header (ROCm/rocm_smi_lib, rocm_smi.h), apart from our own
// declarations.
#include "../fake_library.h"

#include <cstdint>

namespace {

bool Is(const char* mode) { return IsSet("FAKE_ROCM_SMI", mode); }
// Domain in the upper half, the number of a partition in the top four bits of the lower one.
const uint64_t kBdfIds[] = {0x05 << 8, 0x26 << 8 | 0u << 28,
                            uint64_t{1} << 32 | 0xff << 8 | 3 << 3};

}  // namespace

extern "C" {

typedef enum {
  RSMI_STATUS_SUCCESS = 0x0,
  RSMI_STATUS_INVALID_ARGS,
  RSMI_STATUS_NOT_SUPPORTED,
  RSMI_STATUS_INIT_ERROR = 8
} rsmi_status_t;

rsmi_status_t rsmi_init(uint64_t) {
  return Is("no-driver") ? RSMI_STATUS_INIT_ERROR : RSMI_STATUS_SUCCESS;
}
rsmi_status_t rsmi_shut_down() { return RSMI_STATUS_SUCCESS; }
rsmi_status_t rsmi_num_monitor_devices(uint32_t* count) {
  if (Is("hang")) Hang();
  if (Is("no-count")) return RSMI_STATUS_INIT_ERROR;
  *count = 3;
  return RSMI_STATUS_SUCCESS;
}
rsmi_status_t rsmi_dev_pci_id_get(uint32_t index, uint64_t* bdfid) {
  if (index >= 3) return RSMI_STATUS_INVALID_ARGS;
  *bdfid = kBdfIds[index];
  return RSMI_STATUS_SUCCESS;
}
rsmi_status_t rsmi_dev_unique_id_get(uint32_t index, uint64_t* id) {
  *id = 0xabcdef12 + index;
  return RSMI_STATUS_SUCCESS;
}
rsmi_status_t rsmi_dev_energy_count_get(uint32_t index, uint64_t* counts, float* microjoules,
                                        uint64_t* nanoseconds) {
  *counts = index == 0 ? 4'000'000'000ULL : 0;
  *microjoules = 15.25F;
  *nanoseconds = 1;
  return RSMI_STATUS_SUCCESS;
}

}  // extern "C"
