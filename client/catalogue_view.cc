#include "client/catalogue_view.h"

#include <algorithm>

#include "client/local/files.h"
#include "client/table.h"
#include "client/text.h"
#include "common/config/bind.h"
#include "common/json/json.h"
#include "fmt/format.h"

namespace allot::client {
namespace {

bool IsEstimate(const CatalogueRow& row, std::string_view column) {
  return std::find(row.estimates.begin(), row.estimates.end(), column) != row.estimates.end();
}

std::string Marked(const CatalogueRow& row, std::string_view column, std::string text) {
  return text + (IsEstimate(row, column) ? "*" : "");
}

std::string Figure(const CatalogueRow& row, std::string_view column,
                   const std::optional<double>& value, std::string_view unit = "") {
  return value ? Marked(row, column, fmt::format("{:g}{}", *value, unit)) : "";
}

// SRAM of a fifth of a gibibyte is not a whole number of anything.
std::string MemoryOf(const CatalogueRow& row) {
  if (!row.memory) return "";
  return Marked(row, "memory_gib",
                fmt::format("{:.4g}GiB", static_cast<double>(*row.memory) / kGiB));
}

// fp8 where there is one, else int8: "1979", "i624".
std::string LowPrecision(const CatalogueRow& row) {
  if (row.fp8_tflops) return Figure(row, "fp8_tflops", row.fp8_tflops);
  return row.int8_tops ? "i" + Figure(row, "int8_tops", row.int8_tops) : "";
}

std::string Price(const CatalogueRow& row) {
  if (!row.price_usd_per_hour) return "";
  return Marked(row, "price_usd_per_hour", PerHour(row.price_usd_per_hour));
}

}  // namespace

StatusOr<Catalogue> LoadCatalogue(const std::vector<std::string>& files) {
  Catalogue catalogue = Catalogue::BuiltIn();
  for (const std::string& file : files) {
    ASSIGN_OR_RETURN(const std::string csv, local::ReadFile(file));
    ASSIGN_OR_RETURN(const Catalogue more, Catalogue::Parse(csv, file));
    catalogue.Override(more);
  }
  return catalogue;
}

StatusOr<std::vector<CatalogueRow>> SelectRows(const Catalogue& catalogue,
                                               const std::string& glob) {
  if (glob.empty()) return catalogue.rows();
  std::vector<CatalogueRow> rows;
  std::vector<std::string> models;
  for (const CatalogueRow& row : catalogue.rows()) {
    models.push_back(row.model);
    if (GlobMatch(glob, row.model)) rows.push_back(row);
  }
  if (!rows.empty()) return rows;
  std::string near = config::DidYouMean(glob, models);
  // "h100" is not near to "nvidia/h100-sxm-80g" letter by letter.
  if (near.empty())
    for (const std::string& model : models)
      if (near.empty() && model.find(glob) != std::string::npos) near = fmt::format("*{}*", glob);
  return NotFound(
      "no model \"{}\" in the catalogue; {}`allot catalogue` lists all, and --file FILE "
      "adds yours",
      glob, near.empty() ? "" : fmt::format("did you mean \"{}\"? ", near));
}

std::string CatalogueTable(const std::vector<CatalogueRow>& rows) {
  using enum Table::Align;
  Table table({{"MODEL"},
               {"KIND"},
               {"MEMORY", kRight},
               {"GB/S", kRight},
               {"BF16", kRight},
               {"FP8/INT8", kRight},
               {"WATTS", kRight},
               {"PRICE", kRight},
               {"BASIS"}});
  for (const CatalogueRow& row : rows)
    table.Add({row.model, std::string(ToString(row.kind)), MemoryOf(row),
               Figure(row, "memory_bandwidth_gbs", row.memory_bandwidth_gbs),
               Figure(row, "bf16_tflops", row.bf16_tflops), LowPrecision(row),
               Figure(row, "watts", row.watts), Price(row), row.price_basis});
  return table.ToString();
}

std::string CatalogueFacts(const CatalogueRow& row) {
  std::string out = fmt::format("{}\n", row.model);
  const auto line = [&](std::string_view what, const std::string& text) {
    out += fmt::format("  {:<14}{}\n", what, text.empty() ? "-" : text);
  };
  const auto figure = [&](std::string_view what, std::string_view column,
                          const std::optional<double>& value,
                          std::string_view unit) { line(what, Figure(row, column, value, unit)); };
  line("kind", std::string(ToString(row.kind)));
  line("vendor", row.vendor);
  if (row.cores) line("cores", std::to_string(*row.cores));
  line("memory", MemoryOf(row));
  figure("bandwidth", "memory_bandwidth_gbs", row.memory_bandwidth_gbs, " GB/s");
  figure("bf16", "bf16_tflops", row.bf16_tflops, " TFLOP/s dense");
  figure("bf16 achieved", "bf16_achieved_tflops", row.bf16_achieved_tflops, " TFLOP/s measured");
  figure("fp8", "fp8_tflops", row.fp8_tflops, " TFLOP/s dense");
  figure("int8", "int8_tops", row.int8_tops, " TOP/s dense");
  figure("power", "watts", row.watts, " W");
  line("price", Price(row));
  line("price basis", row.price_basis);
  line("sources", row.source);
  line("notes", row.notes);
  if (!row.estimates.empty()) out += "* is an estimate; the notes or the price basis say how.\n";
  out += "The keys of the sources are in common/catalogue/SOURCES.md.\n";
  return out;
}

std::string CatalogueJson(const std::vector<CatalogueRow>& rows) {
  json::array devices;
  for (const CatalogueRow& row : rows) {
    json::object o;
    o["model"] = row.model;
    o["vendor"] = row.vendor;
    const std::string_view kind = ToString(row.kind);
    o["kind"] = json::string(kind.data(), kind.size());
    if (row.cores) o["cores"] = *row.cores;
    if (row.memory) o["memory_bytes"] = *row.memory;
    const auto number = [&](const char* key, std::optional<double> value) {
      if (value) o[key] = *value;
    };
    number("memory_bandwidth_gbs", row.memory_bandwidth_gbs);
    number("bf16_tflops", row.bf16_tflops);
    number("bf16_achieved_tflops", row.bf16_achieved_tflops);
    number("fp8_tflops", row.fp8_tflops);
    number("int8_tops", row.int8_tops);
    number("power_watts", row.watts);
    number("price_usd_per_hour", row.price_usd_per_hour);
    if (!row.price_basis.empty()) o["price_basis"] = row.price_basis;
    json::array estimates;
    for (const std::string& column : row.estimates) estimates.emplace_back(column);
    o["estimates"] = std::move(estimates);
    o["source"] = row.source;
    if (!row.notes.empty()) o["notes"] = row.notes;
    devices.push_back(std::move(o));
  }
  return json::serialize(json::object{{"version", 1}, {"devices", std::move(devices)}});
}

}  // namespace allot::client
