// Comma-separated values (RFC 4180): quoted fields may hold commas, line breaks and doubled quotes.
// Internal to common/catalogue.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace allot {

struct CsvField {
  std::string text;
  uint32_t line = 0, column = 0;  // from 1, of its first character
};

// Empty lines are skipped. Every record has as many fields as the first.
StatusOr<std::vector<std::vector<CsvField>>> ParseCsv(std::string_view text,
                                                      const std::string& file_name);

}  // namespace allot
