#include "common/catalogue/csv.h"

namespace allot {
namespace {

class Reader {
 public:
  Reader(std::string_view text, const std::string& file_name)
      : text_(text), file_name_(file_name) {}

  StatusOr<std::vector<std::vector<CsvField>>> Read() {
    std::vector<std::vector<CsvField>> records;
    while (!AtEnd()) {
      std::vector<CsvField> record;
      do {
        record.push_back({"", line_, column_});
        RETURN_IF_ERROR(ReadField(&record.back().text));
      } while (Skip(','));
      const CsvField& last = record.back();
      Skip('\r');
      if (!Skip('\n') && !AtEnd()) {
        return Error(line_, column_, "a comma or the end of the line is wanted here");
      }
      if (record.size() == 1 && last.text.empty()) continue;
      if (!records.empty() && record.size() != records[0].size()) {
        return Error(record[0].line, record[0].column,
                     fmt::format("{} fields; the header has {}", record.size(), records[0].size()));
      }
      records.push_back(std::move(record));
    }
    return records;
  }

 private:
  Status ReadField(std::string* out) {
    if (AtEnd() || text_[at_] != '"') {
      while (!AtEnd() && text_[at_] != ',' && text_[at_] != '\n' && text_[at_] != '\r') {
        if (text_[at_] == '"') {
          return Error(line_, column_, "a quote inside of a field; put the whole field in quotes");
        }
        *out += Take();
      }
      return absl::OkStatus();
    }
    const uint32_t line = line_, column = column_;
    Take();
    while (!AtEnd()) {
      const char c = Take();
      if (c != '"') {
        *out += c;
      } else if (!Skip('"')) {
        return absl::OkStatus();
      } else {
        *out += '"';
      }
    }
    return Error(line, column, "this quote is never closed");
  }

  bool AtEnd() const { return at_ == text_.size(); }
  bool Skip(char c) {
    if (AtEnd() || text_[at_] != c) return false;
    Take();
    return true;
  }
  char Take() {
    const char c = text_[at_++];
    ++column_;
    if (c == '\n') ++line_, column_ = 1;
    return c;
  }
  Status Error(uint32_t line, uint32_t column, std::string_view what) const {
    return InvalidArgument("{}:{}:{}: {}", file_name_, line, column, what);
  }

  std::string_view text_;
  const std::string& file_name_;
  size_t at_ = 0;
  uint32_t line_ = 1, column_ = 1;
};

}  // namespace

StatusOr<std::vector<std::vector<CsvField>>> ParseCsv(std::string_view text,
                                                      const std::string& file_name) {
  return Reader(text, file_name).Read();
}

}  // namespace allot
