#include "common/base/ids.h"

#include <charconv>

#include "fmt/format.h"

namespace allot {
namespace {

template <class Rep>
std::optional<Rep> ParseNumber(std::string_view text, std::string_view prefix, int base) {
  if (!text.starts_with(prefix)) return std::nullopt;
  text.remove_prefix(prefix.size());
  Rep value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size() || value == 0) return std::nullopt;
  return value;
}

}  // namespace

std::string ToString(JobId id) { return fmt::format("job-{}", id.value()); }
std::string ToString(ReplicaId id) { return fmt::format("replica-{}", id.value()); }
std::string ToString(RequestId id) { return fmt::format("req-{:016x}", id.value()); }
std::string ToString(const TaskId& id) {
  return fmt::format("job-{}/{}", id.job.value(), id.index);
}
std::string ToString(const TaskKey& k) {
  return fmt::format("job-{}/{}#{}", k.task.job.value(), k.task.index, k.attempt.value());
}

// As it is written above and in no other way: what has one name is found by it.
template <class Id>
std::optional<Id> Parse(std::string_view text, std::string_view prefix, int base) {
  const auto number = ParseNumber<uint64_t>(text, prefix, base);
  if (!number || ToString(Id(*number)) != text) return std::nullopt;
  return Id(*number);
}

std::string ToString(Incarnation incarnation) {
  return incarnation.valid() ? fmt::format("{:016x}", incarnation.value()) : "none";
}
std::string Suffix(Incarnation incarnation, std::string_view before) {
  return incarnation.valid() ? fmt::format("{}{:016x}", before, incarnation.value()) : "";
}

std::optional<JobId> ParseJobId(std::string_view text) { return Parse<JobId>(text, "job-", 10); }
std::optional<ReplicaId> ParseReplicaId(std::string_view text) {
  return Parse<ReplicaId>(text, "replica-", 10);
}
std::optional<Incarnation> ParseIncarnation(std::string_view text) {
  return Parse<Incarnation>(text, "", 16);
}
std::optional<RequestId> ParseRequestId(std::string_view text) {
  return Parse<RequestId>(text, "req-", 16);
}

}  // namespace allot
