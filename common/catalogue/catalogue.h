// The device catalogue: what is known of a device model, with source and estimate marks.
//
// common/catalogue/devices.csv is compiled in; files named in an agent's config override rows.
// Prices here are only a starting point for price books; the policy's price book decides.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/model/device.h"

namespace allot {

struct CatalogueRow {
  std::string model;   // "nvidia/h100-sxm-80g"
  std::string vendor;  // folder key: "nvidia"
  DeviceKind kind = DeviceKind::kGpu;
  std::optional<int64_t> cores;  // of a CPU
  std::optional<Bytes> memory;
  // Dense peaks, in 1e12 operations a second, and the best matrix product anyone measured.
  std::optional<double> memory_bandwidth_gbs, bf16_tflops, bf16_achieved_tflops, fp8_tflops,
      int8_tops;
  std::optional<double> watts, price_usd_per_hour;
  std::string price_basis;             // what the price is: whose, on demand or scaled
  std::vector<std::string> estimates;  // columns that are an estimate
  std::string source, notes;           // keys of SOURCES.md
};

class Catalogue {
 public:
  static const Catalogue& BuiltIn();
  // CSV text with the header of devices.csv (any order; only model and kind must be there). Errors
  // carry file:line:column.
  static StatusOr<Catalogue> Parse(std::string_view csv, const std::string& file_name);
  const CatalogueRow* Find(std::string_view model) const;
  const std::vector<CatalogueRow>& rows() const { return rows_; }
  void Override(const Catalogue& other);  // rows of the same model are replaced, others added

 private:
  std::vector<CatalogueRow> rows_;  // ordered by model
};

}  // namespace allot
