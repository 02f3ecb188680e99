// What the codec's files share: checks of numbers from outside, and the small parts that several
// messages hold. Internal to common/wire.
#pragma once

#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/text.h"
#include "common/wire/codec.h"

namespace allot::wire {

// With the limits of common/base/units.h, which config keeps to as well.
inline constexpr int64_t kDurationMicrosMax = kDurationMax.count();
inline constexpr int64_t kTimeMicrosMax = ToMicros(kTimeMax);
inline constexpr int64_t kPriceMicrosMax = 1'000'000'000'000'000;  // a billion dollars an hour
inline constexpr int64_t kValueNanosMax = 1'000'000'000'000'000;   // a million dollars a second
inline constexpr uint32_t kTasksMax = 1 << 16;

template <class Number>
Status CheckRange(std::string_view what, Number value, Number min, Number max) {
  if (value >= min && value <= max) return absl::OkStatus();  // False for NaN too.
  return InvalidArgument("{} is {}; it must be between {} and {}", what, value, min, max);
}

template <class Enum>
StatusOr<Enum> DecodeEnum(std::string_view what, int32_t number, Enum last) {
  if (number >= 0 && number <= static_cast<int32_t>(last)) return static_cast<Enum>(number);
  return InvalidArgument("{} is {}; this version knows 0 to {}", what, number,
                         static_cast<int32_t>(last));
}

inline StatusOr<Duration> DecodeDuration(std::string_view what, int64_t micros) {
  RETURN_IF_ERROR(CheckRange<int64_t>(what, micros, 0, kDurationMicrosMax));
  return Duration(micros);
}
inline StatusOr<Time> DecodeTime(std::string_view what, int64_t micros) {
  RETURN_IF_ERROR(CheckRange<int64_t>(what, micros, 0, kTimeMicrosMax));
  return FromMicros(micros);
}
inline StatusOr<LeaseTerms> DecodeTerms(std::string_view what, int64_t lease, int64_t margin) {
  LeaseTerms terms;
  ASSIGN_OR_RETURN(terms.lease, DecodeDuration(what, lease));
  ASSIGN_OR_RETURN(terms.margin, DecodeDuration(what, margin));
  return terms;
}
inline StatusOr<PriceRate> DecodePrice(std::string_view what, int64_t micros_per_hour) {
  RETURN_IF_ERROR(CheckRange<int64_t>(what, micros_per_hour, 0, kPriceMicrosMax));
  return PriceRate{micros_per_hour};
}

template <class Strings>  // A repeated string field.
void EncodeStrings(const std::vector<std::string>& from, Strings* to) {
  to->Reserve(static_cast<int>(from.size()));
  for (const std::string& item : from) to->Add(ReplaceInvalidUtf8(item));
}
template <class Strings>
std::vector<std::string> DecodeStrings(const Strings& from) {
  return {from.begin(), from.end()};
}
template <class ProtoMap>
void EncodeMap(const std::map<std::string, std::string>& from, ProtoMap* to) {
  for (const auto& [key, value] : from) {
    (*to)[ReplaceInvalidUtf8(key)] = ReplaceInvalidUtf8(value);
  }
}
template <class ProtoMap>
std::map<std::string, std::string> DecodeMap(const ProtoMap& from) {
  return {from.begin(), from.end()};
}

// A repeated message field to and from a vector, through the Encode and Decode of its items.
template <class Model, class Repeated>
void EncodeAll(const std::vector<Model>& from, Repeated* to) {
  to->Reserve(static_cast<int>(from.size()));
  for (const Model& item : from) Encode(item, to->Add());
}
template <class Repeated, class Model>
Status DecodeAll(const Repeated& from, std::vector<Model>* to) {
  to->reserve(static_cast<size_t>(from.size()));
  for (const auto& item : from) {
    ASSIGN_OR_RETURN(to->emplace_back(), Decode(item));
  }
  return absl::OkStatus();
}

void Encode(const allot::Resources& resources, Resources* out);
StatusOr<allot::Resources> Decode(const Resources& in);
void Encode(const allot::DeviceRequest& request, DeviceRequest* out);
StatusOr<allot::DeviceRequest> Decode(const DeviceRequest& in);
void Encode(const allot::HealthCheck& health, HealthCheck* out);
StatusOr<allot::HealthCheck> Decode(const HealthCheck& in);
void Encode(const allot::Objective& objective, Objective* out);
StatusOr<allot::Objective> Decode(const Objective& in);
void Encode(const allot::Device& device, Device* out);
StatusOr<allot::Device> Decode(const Device& in);
void Encode(const allot::DeviceTelemetry& telemetry, DeviceTelemetry* out);
StatusOr<allot::DeviceTelemetry> Decode(const DeviceTelemetry& in);

}  // namespace allot::wire
