// What a line says, and which lines there are.
#include "common/audit/audit.h"
#include "common/base/printable.h"
#include "common/base/utc.h"

#include <fmt/format.h>

namespace allot::audit {
namespace {

constexpr size_t kNameBytes = 64, kTextBytes = limits::kAuditTextBytes.value;
constexpr size_t kSendersMax = 10'000;

void Field(std::string_view name, std::string_view value, size_t bytes_max, std::string* out) {
  if (value.empty()) return;
  *out += fmt::format(",\"{}\":\"{}\"", name, OneLineCut(value, bytes_max, /*in_quotes=*/true));
}

}  // namespace

std::string Line(const Entry& entry, Time time, uint64_t left_out) {
  std::string out = fmt::format("{{\"time\":\"{}\"", FormatUtc(time));
  Field("who", entry.who, kNameBytes, &out);
  Field("role", entry.role, kNameBytes, &out);
  Field("tenant", entry.tenant, kNameBytes, &out);
  Field("from", entry.from, kNameBytes, &out);
  Field("verb", entry.verb, kNameBytes, &out);
  Field("what", entry.what, kTextBytes, &out);
  Field("verdict", entry.allowed ? "allowed" : "refused", kNameBytes, &out);
  if (entry.code != 0) out += fmt::format(",\"code\":{}", entry.code);
  Field("why", entry.why, kTextBytes, &out);
  if (left_out != 0) out += fmt::format(",\"left_out\":{}", left_out);
  return out + "}";
}

Limiter::Verdict Limiter::Judge(Duration now, const Entry& entry) {
  if (entry.allowed) return {};
  // Names are of tokens and peers, of which there are few; whatever else comes shares with
  // strangers.
  const bool room = senders_.size() < kSendersMax || senders_.contains(entry.who);
  Sender& sender = senders_[room ? entry.who : std::string()];
  if (!sender.lines.Take(now)) {
    ++sender.left_out;
    return {.write = false};
  }
  return {.write = true, .left_out = std::exchange(sender.left_out, 0)};
}

}  // namespace allot::audit
