// Small texts of kernels, drivers and vendors' tools.
#include <algorithm>
#include <cmath>

#include "agent/devices/cpu/cpu_facts.h"
#include "agent/devices/health/kernel_events.h"
#include "agent/devices/host/kernel_log.h"
#include "agent/devices/host/parse.h"
#include "agent/devices/pci/bus.h"
#include "agent/devices/rebellions/rbln_smi.h"
#include "agent/devices/tpu/bounds.h"
#include "common/base/text.h"
#include "tests/fuzz/fuzz.h"

namespace allot::agent {
namespace {

bool Within(std::string_view part, std::string_view whole) {
  return part.empty() ||
         (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void HoldsOfNumbers(std::string_view text) {
  if (const auto number = ParseInt(text))
    HOLDS(ParseUnsigned(text).has_value() == (*number >= 0 && text.front() != '-'));
  if (const auto number = ParseDecimal(text)) HOLDS(std::isfinite(*number));
  if (const auto id = ParseHexId(text, 4)) HOLDS(*id <= 0xFFFF);
  if (const auto number = ParseDeviceNumber(text))
    HOLDS(number->major <= UINT32_MAX && text.find(':') != std::string_view::npos);
  if (const auto list = ParseCpuList(text)) {
    HOLDS(list->size() <= 65'536);
    HOLDS(std::adjacent_find(list->begin(), list->end(), std::greater_equal<>()) == list->end());
  }
  if (const auto share = ParseCpuMax(text)) HOLDS(std::isfinite(*share) && *share > 0);
  if (pci::IsAddress(text)) HOLDS(text.size() >= 12 && fuzz::IsPlain(text, false));
  for (const std::string_view part : Split(text, ',')) HOLDS(Within(part, text));
  for (const std::string_view line : CompleteLines(text))
    HOLDS(Within(line, text) && line.find('\n') == std::string_view::npos);
  if (const auto field = FindField(text, "model name", ':')) HOLDS(Within(*field, text));
  NumberAfter(text, "renderD");
}

void HoldsOfLog(std::string_view text) {
  const std::optional<std::string> message = KernelMessage(text);
  const std::optional<KernelEvent> event = ReadKernelMessage(message ? *message : text);
  if (!event) return;
  HOLDS(!event->vendor.empty() && !event->signal.device.empty() && !event->signal.name.empty());
  HOLDS(fuzz::IsPlain(event->signal.device, false) && event->signal.device.size() < 256);
}

FUZZ(readers) {
  fuzz::Cut cut(input);
  const int kind = cut.Byte() % 5;
  const std::string_view text = cut.Rest();
  if (kind == 0) return HoldsOfNumbers(text);
  if (kind == 1) return HoldsOfLog(text);
  if (kind == 2) {
    CpuFacts facts;
    ParseCpuInfo(text, &facts);
    const std::string name = CpuCatalogueName(facts.vendor_id, facts.model_name);
    // It is a catalogue name, a label of metrics and a word in policies.
    HOLDS_FOR(fuzz::IsPlain(name, false) && IsValidUtf8(name), name);
    HOLDS_FOR(name.starts_with(CpuVendorKey(facts.vendor_id) + "/"), name);
    HOLDS(name.size() < 512);
  } else if (kind == 3) {
    const StatusOr<std::vector<rbln::Npu>> npus = rbln::ParseSmi(text);
    if (!npus.ok()) return fuzz::HoldsOfError(npus.status());
    for (const rbln::Npu& npu : *npus) {
      HOLDS(!npu.address.empty());
      for (const auto& number : {npu.celsius, npu.utilization, npu.card_watts})
        HOLDS(!number || std::isfinite(*number));
      if (npu.utilization) HOLDS(*npu.utilization >= 0 && *npu.utilization <= 1);
    }
  } else {
    std::vector<size_t> positions;
    for (size_t i = cut.Byte() % 9; i > 0; --i) positions.push_back(cut.Byte());
    const std::string bounds = TpuBounds(positions, std::string(cut.Rest()));
    HOLDS_FOR(bounds.empty() || bounds.find_first_not_of("0123456789,") == std::string::npos,
              bounds);
  }
}

}  // namespace
}  // namespace allot::agent
