// Quantities as people read them in tables. Absent is "-".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/views.h"

namespace allot::client {

std::string Seconds(std::optional<double> seconds);          // "1.5s", "3m20s"
std::string Money(std::optional<double> usd);                // "$0.0021", "$12.40"
std::string PerHour(std::optional<double> usd);              // "$2.95/h"
std::string Energy(std::optional<double> joules);            // "42J", "1.5kJ", "3.2MJ"
std::string Power(std::optional<double> watts);              // "72W", "12.5kW"
std::string Memory(std::optional<int64_t> bytes);            // "80GiB"
std::string Ratio(std::optional<double> ratio);              // "42%"
std::string Number(std::optional<double> number);            // "1.5", "2"
std::string Millis(std::optional<double> seconds);           // "12.3ms"
std::string Emulated(bool emulated);                         // "emulated" or ""
std::string Devices(const std::vector<DeviceRef>& devices);  // "2×nvidia/h100-sxm-80g"
bool AnyEmulated(const std::vector<DeviceRef>& devices);
std::string LeastIsolation(const std::vector<DeviceRef>& devices);  // "hard"; empty if unknown
std::string Shell(const std::vector<std::string>& argv);            // quoted where needed

}  // namespace allot::client
