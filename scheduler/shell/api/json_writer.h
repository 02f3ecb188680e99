// JSON written straight into a string: for answers whose shape is known, where building a document
// first would cost more than the request itself.
//
//   JsonWriter json;
//   json.Object([&] { json.Field("version", 1).Field("name", name); });
//
// Text that is not UTF-8 gets U+FFFD in place of the bad bytes; numbers that are not finite become
// null.
#pragma once

#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "common/base/units.h"

namespace allot::scheduler {

// "2026-01-31T12:34:56.000123Z"
std::string FormatTime(Time time);

class JsonWriter {
 public:
  template <class Body>
  JsonWriter& Object(Body body) {
    return Nested('{', '}', body);
  }
  template <class Body>
  JsonWriter& Array(Body body) {
    return Nested('[', ']', body);
  }
  JsonWriter& Key(std::string_view name) {
    Comma();
    Quoted(name);
    out_ += ':';
    comma_ = false;
    return *this;
  }
  template <class T>
  JsonWriter& Field(std::string_view name, const T& value) {
    return Key(name).Value(value);
  }
  // Left out where absent: unknown is not zero.
  template <class T>
  JsonWriter& Field(std::string_view name, const std::optional<T>& value) {
    return value ? Field(name, *value) : *this;
  }

  template <class T>
  JsonWriter& Value(const T& value) {
    Comma();
    comma_ = true;
    if constexpr (std::is_same_v<T, bool>) {
      out_ += value ? "true" : "false";
    } else if constexpr (std::is_same_v<T, Time>) {
      out_ += '"';
      out_ += FormatTime(value);
      out_ += '"';
    } else if constexpr (std::is_same_v<T, Duration>) {
      Number(std::chrono::duration<double>(value).count());
    } else if constexpr (std::is_same_v<T, Cost>) {
      Number(value.dollars());
    } else if constexpr (std::is_same_v<T, PriceRate>) {
      Number(value.dollars_per_hour());
    } else if constexpr (std::is_arithmetic_v<T>) {
      Number(value);
    } else {
      Quoted(value);
    }
    return *this;
  }

  std::string Take() { return std::move(out_); }
  size_t size() const { return out_.size(); }

 private:
  void Comma() {
    if (comma_) out_ += ',';
  }
  template <class Body>
  JsonWriter& Nested(char open, char close, Body& body) {
    Comma();
    out_ += open;
    comma_ = false;
    body();
    out_ += close;
    comma_ = true;
    return *this;
  }
  template <class T>
  void Number(T value) {
    if constexpr (std::is_floating_point_v<T>) {
      if (!std::isfinite(value)) {
        out_ += "null";
        return;
      }
    }
    char buffer[32];
    out_.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
  }
  void Quoted(std::string_view text);

  std::string out_;
  bool comma_ = false;
};

}  // namespace allot::scheduler
