#include "simulator/faults.h"

namespace allot::simulator {

static_assert(static_cast<size_t>(Fault::kAgentPause) + 1 == kFaultKinds);

std::string_view ToString(Fault fault) {
  constexpr std::array<std::string_view, kFaultKinds> kNames = {
      "message_loss",     "message_delay", "message_duplicate",  "message_reorder",
      "partition",        "link_break",    "scheduler_crash",    "unsynced_loss",
      "snapshot_restart", "slow_disk",     "agent_crash",        "node_crash",
      "node_wipe",        "task_failure",  "task_ignores_term",  "spawn_failure",
      "replica_crash",    "replica_sick",  "device_change",      "clock_skew",
      "tick_jitter",      "gateway_crash", "gateway_link_break", "client_gone",
      "scheduler_pause",  "black_hole",    "store_restored",
      "agent_pause"};
  return kNames[static_cast<size_t>(fault)];
}

FaultSet FaultSet::All() {
  FaultSet set;
  for (size_t i = 0; i < kFaultKinds; ++i) set.Add(static_cast<Fault>(i));
  return set;
}

StatusOr<FaultSet> FaultSet::Parse(std::string_view text) {
  if (text == "all") return All();
  FaultSet set;
  if (text == "none") return set;
  while (!text.empty()) {
    const std::string_view name = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), name.size() + 1));
    bool known = false;
    for (size_t i = 0; i < kFaultKinds; ++i) {
      if (ToString(static_cast<Fault>(i)) != name) continue;
      set.Add(static_cast<Fault>(i));
      known = true;
    }
    if (!known) {
      std::string names;
      for (size_t i = 0; i < kFaultKinds; ++i)
        names += fmt::format(" {}", ToString(static_cast<Fault>(i)));
      return InvalidArgument("no fault is named \"{}\"; give all, none, or some of:{}", name,
                             names);
    }
  }
  return set;
}

Faults::Faults(FaultSet allowed, Rng& rng) : rng_(rng) {
  const auto strength = [](Rng& from) { return static_cast<uint32_t>(10 + from.Below(91)); };
  // In a quarter of all seeds, and apart from the others: elsewhere seeds stay what they were before
  // there was this kind.
  Rng aside = rng_;
  const bool restored = aside.OneIn(4);
  if (restored && allowed.Has(Fault::kStoreRestored))
    strength_[Index(Fault::kStoreRestored)] = strength(aside);
  if (aside.OneIn(4) && allowed.Has(Fault::kAgentPause))
    strength_[Index(Fault::kAgentPause)] = strength(aside);
  for (size_t i = 0; i < Index(Fault::kStoreRestored); ++i) {
    // Drawn also where it is not allowed, so that --faults changes as little else as possible.
    const uint32_t drawn = rng_.OneIn(3) ? 0 : strength(rng_);
    if (allowed.Has(static_cast<Fault>(i))) strength_[i] = drawn;
  }
}

bool Faults::Strikes(Fault fault, uint32_t permille) {
  const uint32_t strength = strength_[Index(fault)];
  if (healed_ || strength == 0) return false;
  if (rng_.Below(100'000) >= uint64_t{permille} * strength) return false;
  Count(fault);
  return true;
}

}  // namespace allot::simulator
