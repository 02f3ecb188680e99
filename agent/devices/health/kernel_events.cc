#include "agent/devices/health/kernel_events.h"

#include "agent/devices/pci/bus.h"

namespace allot::agent {

std::optional<KernelEvent> ReadKernelMessage(std::string_view message) {
  constexpr std::string_view kXid = "NVRM: Xid (PCI:";
  if (!message.starts_with(kXid)) return std::nullopt;
  message.remove_prefix(kXid.size());
  const size_t end = message.find("): ");
  if (end == message.npos) return std::nullopt;
  std::string address(message.substr(0, std::min(end, message.find(' '))));
  for (char& c : address)
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
  // Without the function: a GPU is function 0.
  if (!pci::IsAddress(address)) address += ".0";
  if (!pci::IsAddress(address)) return std::nullopt;
  std::string_view rest = message.substr(end + 3);
  const size_t digits = rest.find_first_not_of("0123456789");
  // A number at the very end may have been cut.
  if (digits == rest.npos) return std::nullopt;
  const auto code = ParseUnsigned(rest.substr(0, digits));
  if (!code || *code > 1'000'000) return std::nullopt;
  return KernelEvent{"nvidia",
                     {.device = std::move(address),
                      .name = "xid",
                      .value = static_cast<double>(*code),
                      .event = true}};
}

}  // namespace allot::agent
