// Tables that a site may bring: the device catalogue (CSV) and health rules (TSV).
#include <cmath>

#include "agent/devices/health/rules.h"
#include "common/base/units.h"
#include "common/catalogue/catalogue.h"
#include "tests/fuzz/fuzz.h"

namespace allot {
namespace {

void HoldsOfPlace(const Status& status) {
  fuzz::HoldsOfError(status, 1024);
  HOLDS_FOR(status.message().size() > 3 && MessageOf(status).starts_with("f:"), MessageOf(status));
}

void HoldsOfCatalogue(const Catalogue& catalogue) {
  const CatalogueRow* before = nullptr;
  for (const CatalogueRow& row : catalogue.rows()) {
    HOLDS(!row.model.empty());
    if (before != nullptr) HOLDS(before->model < row.model);
    before = &row;
    HOLDS(catalogue.Find(row.model) == &row);
    if (row.memory) HOLDS(*row.memory >= 0 && *row.memory <= kBytesMax);
    if (row.cores) HOLDS(*row.cores >= 0);
    for (const auto& number : {row.memory_bandwidth_gbs, row.bf16_tflops, row.bf16_achieved_tflops,
                               row.fp8_tflops, row.int8_tops, row.watts, row.price_usd_per_hour})
      if (number) HOLDS(std::isfinite(*number) && *number >= 0);
  }
  Catalogue joined = Catalogue::BuiltIn();
  joined.Override(catalogue);
  for (const CatalogueRow& row : catalogue.rows()) HOLDS(joined.Find(row.model) != nullptr);
}

FUZZ(tables) {
  fuzz::Cut cut(input);
  const int kind = cut.Byte() % 2;
  const std::string_view text = cut.Rest();
  if (kind == 0) {
    const StatusOr<Catalogue> catalogue = Catalogue::Parse(text, "f");
    if (!catalogue.ok()) return HoldsOfPlace(catalogue.status());
    HoldsOfCatalogue(*catalogue);
  } else {
    const StatusOr<agent::HealthRules> rules = agent::HealthRules::Parse(text, "f");
    if (!rules.ok()) return HoldsOfPlace(rules.status());
    for (const agent::HealthRule& rule : rules->rows()) {
      HOLDS(!rule.signal.empty() && !rule.vendor.empty());
      HOLDS(rule.hold.count() >= 0 && rule.hold <= kDurationMax);
      HOLDS(!std::isnan(rule.condition.number));
      for (const auto& [from, to] : rule.condition.codes) HOLDS(from <= to);
      rule.condition.Holds(1);
    }
    for (const std::string& reason : rules->Reasons()) HOLDS(fuzz::IsPlain(reason, false));
    agent::HealthRules::Joined(*rules, *agent::HealthRules::BuiltIn());
  }
}

}  // namespace
}  // namespace allot
