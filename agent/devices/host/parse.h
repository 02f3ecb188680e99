// Readers of the small texts that kernels and drivers write. A value is taken whole or not at all:
// a number cut short is another number, so whatever does not end where it should is garbage.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace allot::agent {

// What a file said: nothing (there is no such file, or no right to read it), nonsense, or a value.
// 0 is a value.
template <class T>
struct Reading {
  enum State { kAbsent, kGarbage, kValue } state = kAbsent;
  T value{};
  explicit operator bool() const { return state == kValue; }
  const T& operator*() const { return value; }
  const T* operator->() const { return &value; }
  bool garbage() const { return state == kGarbage; }
  std::optional<T> get() const { return state == kValue ? std::optional<T>(value) : std::nullopt; }
};

std::string_view Trim(std::string_view text);                         // blanks and line ends
std::string Lower(std::string_view text);                             // ASCII
std::vector<std::string_view> Split(std::string_view text, char by);  // parts trimmed
std::vector<std::string_view> CompleteLines(std::string_view text);   // those that end in '\n'
// They view into the text, so it must not be one that is gone with the call.
template <std::same_as<std::string> T>
std::vector<std::string_view> Split(T&& text, char by) = delete;
template <std::same_as<std::string> T>
std::vector<std::string_view> CompleteLines(T&& text) = delete;

std::optional<int64_t> ParseInt(std::string_view text);        // decimal, the whole text
std::optional<uint64_t> ParseUnsigned(std::string_view text);  // the same, not negative
std::optional<double> ParseDecimal(std::string_view text);     // "4.10"; no exponent, no inf
// "0x74a1" of exactly `digits` digits; the prefix must be there.
std::optional<uint32_t> ParseHexId(std::string_view text, size_t digits);

struct DeviceNumber {
  uint32_t major = 0, minor = 0;
  auto operator<=>(const DeviceNumber&) const = default;
};
std::optional<DeviceNumber> ParseDeviceNumber(std::string_view text);  // "226:128"

// "0-55,112-167" in rising order without doubles; "" is the empty list. At most 65,536 numbers.
std::optional<std::vector<uint32_t>> ParseCpuList(std::string_view text);

// The value of "key<by>value" in the complete lines of `text`, trimmed; the first one.
std::optional<std::string_view> FindField(std::string_view text, std::string_view key, char by);
template <std::same_as<std::string> T>
std::optional<std::string_view> FindField(T&& text, std::string_view key, char by) = delete;

// Numbers behind a prefix: NumberAfter("renderD128", "renderD") is 128.
std::optional<uint32_t> NumberAfter(std::string_view text, std::string_view prefix);

}  // namespace allot::agent
