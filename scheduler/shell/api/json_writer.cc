#include "scheduler/shell/api/json_writer.h"

#include <chrono>

#include "common/base/text.h"
#include "fmt/format.h"

namespace allot::scheduler {

std::string FormatTime(Time time) {
  using std::chrono::days;
  const auto since = time.time_since_epoch();
  const auto day = std::chrono::floor<days>(since);
  const std::chrono::year_month_day date{std::chrono::sys_days(day)};
  const int64_t micros = (since - day).count();
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     micros / 3'600'000'000, micros / 60'000'000 % 60, micros / 1'000'000 % 60,
                     micros % 1'000'000);
}

void JsonWriter::Quoted(std::string_view text) {
  std::string mended;
  if (!IsValidUtf8(text)) {
    mended = ReplaceInvalidUtf8(text);
    text = mended;
  }
  out_ += '"';
  size_t plain = 0;  // text[plain, i) needs no escape
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out_.append(text, plain, i - plain);
    plain = i + 1;
    switch (c) {
      case '"':
        out_ += "\\\"";
        break;
      case '\\':
        out_ += "\\\\";
        break;
      case '\n':
        out_ += "\\n";
        break;
      case '\r':
        out_ += "\\r";
        break;
      case '\t':
        out_ += "\\t";
        break;
      default:
        fmt::format_to(std::back_inserter(out_), "\\u{:04x}", c);
    }
  }
  out_.append(text, plain);
  out_ += '"';
}

}  // namespace allot::scheduler
