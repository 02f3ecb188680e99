#include "agent/devices/host/parse.h"

#include <algorithm>
#include <charconv>

namespace allot::agent {
namespace {

constexpr size_t kCpuListMax = 65536;

template <class T>
std::optional<T> Whole(std::string_view text, int base = 10) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return lower;
}

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const size_t first = text.find_first_not_of(kBlank);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::vector<std::string_view> Split(std::string_view text, char by) {
  std::vector<std::string_view> parts;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(by, at), text.size());
    parts.push_back(Trim(text.substr(at, end - at)));
    at = end + 1;
  }
  return parts;
}

std::vector<std::string_view> CompleteLines(std::string_view text) {
  std::vector<std::string_view> lines;
  for (size_t end; (end = text.find('\n')) != text.npos; text.remove_prefix(end + 1))
    lines.push_back(text.substr(0, end));
  return lines;
}

std::optional<int64_t> ParseInt(std::string_view text) { return Whole<int64_t>(text); }
std::optional<uint64_t> ParseUnsigned(std::string_view text) { return Whole<uint64_t>(text); }

std::optional<double> ParseDecimal(std::string_view text) {
  double value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  const bool digit = !text.empty() && text.back() >= '0' && text.back() <= '9';
  if (!digit || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<uint32_t> ParseHexId(std::string_view text, size_t digits) {
  if (!text.starts_with("0x") || text.size() != digits + 2) return std::nullopt;
  return Whole<uint32_t>(text.substr(2), 16);
}

std::optional<DeviceNumber> ParseDeviceNumber(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == text.npos) return std::nullopt;
  const auto major = Whole<uint32_t>(text.substr(0, colon));
  const auto minor = Whole<uint32_t>(text.substr(colon + 1));
  if (!major || !minor) return std::nullopt;
  return DeviceNumber{*major, *minor};
}

std::optional<std::vector<uint32_t>> ParseCpuList(std::string_view text) {
  std::vector<uint32_t> list;
  if (text.empty()) return list;
  for (const std::string_view part : Split(text, ',')) {
    const size_t dash = part.find('-');
    const auto first = Whole<uint32_t>(part.substr(0, dash));
    const auto last = dash == part.npos ? first : Whole<uint32_t>(part.substr(dash + 1));
    if (!first || !last || *last < *first || *last - *first >= kCpuListMax - list.size())
      return std::nullopt;
    for (uint32_t i = *first; i <= *last; ++i) list.push_back(i);
  }
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
  return list;
}

std::optional<std::string_view> FindField(std::string_view text, std::string_view key, char by) {
  for (const std::string_view line : CompleteLines(text)) {
    const size_t at = line.find(by);
    if (at != line.npos && Trim(line.substr(0, at)) == key) return Trim(line.substr(at + 1));
  }
  return std::nullopt;
}

std::optional<uint32_t> NumberAfter(std::string_view text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return std::nullopt;
  return Whole<uint32_t>(text.substr(prefix.size()));
}

}  // namespace allot::agent
