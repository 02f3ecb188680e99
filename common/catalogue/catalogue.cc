#include "common/catalogue/catalogue.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>

#include "common/base/printable.h"
#include "common/base/text.h"
#include "common/catalogue/csv.h"

namespace allot {
namespace {

constexpr std::array<std::string_view, 16> kColumns = {"model",       "vendor",
                                                       "kind",        "cores",
                                                       "memory_gib",  "memory_bandwidth_gbs",
                                                       "bf16_tflops", "bf16_achieved_tflops",
                                                       "fp8_tflops",  "int8_tops",
                                                       "watts",       "price_usd_per_hour",
                                                       "price_basis", "estimates",
                                                       "source",      "notes"};

bool IsColumn(std::string_view name) {
  return std::find(kColumns.begin(), kColumns.end(), name) != kColumns.end();
}

std::string ColumnNames() { return fmt::format("{}", fmt::join(kColumns, ", ")); }

// "nvidia/h100-sxm-80g", "intel/xeon-8480+"
bool IsModelName(std::string_view text) {
  const auto word = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  const size_t slash = text.find('/');
  return text.size() <= 128 && slash != std::string_view::npos && slash > 0 &&
         slash + 1 < text.size() && text.find('/', slash + 1) == std::string_view::npos &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return word(c) || c == '/' || c == '-' || c == '.' || c == '+' || c == '_';
         });
}

class RowReader {
 public:
  RowReader(const std::string& file_name, const std::vector<CsvField>& header,
            const std::vector<CsvField>& record)
      : file_name_(file_name) {
    for (size_t i = 0; i < header.size(); ++i) fields_[header[i].text] = &record[i];
  }

  StatusOr<CatalogueRow> Read() {
    CatalogueRow row;
    row.model = Text("model");
    if (!IsModelName(row.model)) {
      return Error("model", "give it as vendor/form in lower case, like nvidia/h100-sxm-80g");
    }
    row.vendor = Text("vendor");
    if (row.vendor.empty()) row.vendor = row.model.substr(0, row.model.find('/'));
    const std::optional<DeviceKind> kind = ParseDeviceKind(Text("kind"));
    if (!kind) return Error("kind", "it is one of GPU, CPU, ASIC");
    row.kind = *kind;

    std::optional<double> cores, memory_gib;
    RETURN_IF_ERROR(Number("cores", &cores));
    RETURN_IF_ERROR(Number("memory_gib", &memory_gib));
    if (cores) row.cores = std::llround(*cores);
    if (memory_gib) row.memory = std::llround(*memory_gib * static_cast<double>(kGiB));
    RETURN_IF_ERROR(Number("memory_bandwidth_gbs", &row.memory_bandwidth_gbs));
    RETURN_IF_ERROR(Number("bf16_tflops", &row.bf16_tflops));
    RETURN_IF_ERROR(Number("bf16_achieved_tflops", &row.bf16_achieved_tflops));
    RETURN_IF_ERROR(Number("fp8_tflops", &row.fp8_tflops));
    RETURN_IF_ERROR(Number("int8_tops", &row.int8_tops));
    RETURN_IF_ERROR(Number("watts", &row.watts));
    RETURN_IF_ERROR(Number("price_usd_per_hour", &row.price_usd_per_hour));
    RETURN_IF_ERROR(Estimates(&row.estimates));
    row.price_basis = Text("price_basis");
    row.source = Text("source");
    row.notes = Text("notes");
    return row;
  }

 private:
  const CsvField* Find(std::string_view column) const {
    const auto found = fields_.find(column);
    return found == fields_.end() ? nullptr : found->second;
  }
  std::string Text(std::string_view column) const {
    const CsvField* field = Find(column);
    return field == nullptr ? "" : field->text;
  }
  // Empty stays unknown; it is never 0.
  Status Number(std::string_view column, std::optional<double>* out) const {
    const std::string text = Text(column);
    if (text.empty()) return absl::OkStatus();
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || !(value >= 0 && value <= 1e9)) {
      return Error(column, "give a number from 0 to 1e9, or leave it empty if unknown");
    }
    *out = value;
    return absl::OkStatus();
  }
  Status Estimates(std::vector<std::string>* out) const {
    const std::string text = Text("estimates");
    for (size_t at = 0; at < text.size();) {
      const size_t end = std::min(text.find(';', at), text.size());
      out->push_back(text.substr(at, end - at));
      if (!IsColumn(out->back())) {
        return Error("estimates", "name columns of this file, separated by ';'");
      }
      at = end + 1;
    }
    return absl::OkStatus();
  }
  Status Error(std::string_view column, std::string_view what) const {
    const CsvField& field = *Find(column);  // model and kind are always there.
    return InvalidArgument("{}:{}:{}: {} is \"{}\"; {}", file_name_, field.line, field.column,
                           column, Shown(field.text), what);
  }

  const std::string& file_name_;
  std::map<std::string, const CsvField*, std::less<>> fields_;
};

Status CheckHeader(const std::string& file_name, const std::vector<CsvField>& header) {
  std::vector<std::string> seen;
  for (const CsvField& field : header) {
    if (!IsColumn(field.text)) {
      return InvalidArgument("{}:{}:{}: unknown column \"{}\"; the columns are {}", file_name,
                             field.line, field.column, Shown(field.text), ColumnNames());
    }
    if (std::find(seen.begin(), seen.end(), field.text) != seen.end()) {
      return InvalidArgument("{}:{}:{}: column \"{}\" is here twice", file_name, field.line,
                             field.column, Shown(field.text));
    }
    seen.push_back(field.text);
  }
  for (const char* needed : {"model", "kind"}) {
    if (std::find(seen.begin(), seen.end(), needed) == seen.end()) {
      return InvalidArgument("{}:1:1: column \"{}\" is missing", file_name, needed);
    }
  }
  return absl::OkStatus();
}

bool ByModel(const CatalogueRow& a, const CatalogueRow& b) { return a.model < b.model; }

}  // namespace

StatusOr<Catalogue> Catalogue::Parse(std::string_view csv, const std::string& file_name) {
  if (!IsValidUtf8(csv)) {
    return InvalidArgument("{}: not valid UTF-8; save the file as UTF-8", file_name);
  }
  ASSIGN_OR_RETURN(const auto records, ParseCsv(csv, file_name));
  if (records.empty()) {
    return InvalidArgument("{}:1:1: no header; the columns are {}", file_name, ColumnNames());
  }
  RETURN_IF_ERROR(CheckHeader(file_name, records[0]));
  Catalogue catalogue;
  std::map<std::string, uint32_t> lines;
  for (size_t i = 1; i < records.size(); ++i) {
    ASSIGN_OR_RETURN(CatalogueRow row, RowReader(file_name, records[0], records[i]).Read());
    const CsvField& first = records[i][0];
    const auto [known, fresh] = lines.emplace(row.model, first.line);
    if (!fresh) {
      return InvalidArgument("{}:{}:{}: {} is here twice, first in line {}", file_name, first.line,
                             first.column, Shown(row.model), known->second);
    }
    catalogue.rows_.push_back(std::move(row));
  }
  std::sort(catalogue.rows_.begin(), catalogue.rows_.end(), ByModel);
  return catalogue;
}

const CatalogueRow* Catalogue::Find(std::string_view model) const {
  const auto at = std::lower_bound(
      rows_.begin(), rows_.end(), model,
      [](const CatalogueRow& row, std::string_view name) { return row.model < name; });
  return at != rows_.end() && at->model == model ? &*at : nullptr;
}

void Catalogue::Override(const Catalogue& other) {
  std::vector<CatalogueRow> merged = other.rows_;
  for (CatalogueRow& row : rows_) {
    if (other.Find(row.model) == nullptr) merged.push_back(std::move(row));
  }
  std::sort(merged.begin(), merged.end(), ByModel);
  rows_ = std::move(merged);
}

}  // namespace allot
