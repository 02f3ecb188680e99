// What every benchmark prints: method, machine, runs, median and spread, as a table or as JSON.
//
//   Report report("core_step", argc, argv);             // understands --json, --runs N, --NAME
//   VALUE report.Method("…how it is measured…"); for (int run = 0; run < report.runs(); ++run)
//     report.Add("placements", "1/s", value);           // one value a run
//   report.Goal("placements", 100'000, Report::kAtLeast);
//   return report.Print();
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "fmt/format.h"

namespace allot::benchmarks {

// The value below which `ratio` of them lie (nearest rank). Sorts in place.
inline double Percentile(std::vector<double>& values, double ratio) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const auto rank = static_cast<size_t>(ratio * static_cast<double>(values.size() - 1) + 0.5);
  return values[std::min(rank, values.size() - 1)];
}

// Resident memory of this process now; 0 where the kernel does not tell.
inline double ResidentMib() {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("VmRSS:")) return std::strtod(line.c_str() + 6, nullptr) / 1024;
  }
  return 0;
}

class Report {
 public:
  enum Direction { kAtLeast, kAtMost };

  Report(std::string benchmark, int argc, char** argv) : benchmark_(std::move(benchmark)) {
    for (int i = 1; i < argc; ++i) {
      const std::string_view word = argv[i];
      if (word == "--json") {
        json_ = true;
      } else if (word.starts_with("--") && i + 1 < argc) {
        options_[std::string(word.substr(2))] = argv[++i];
      } else {
        std::fprintf(stderr, "usage: %s [--json] [--runs N] [--NAME VALUE …]\n", argv[0]);
        std::exit(2);
      }
    }
  }

  bool json() const { return json_; }
  int runs() const { return std::max(1, static_cast<int>(Option("runs", 5))); }
  // --NAME VALUE as a number, or `otherwise`.
  int64_t Option(const std::string& name, int64_t otherwise) const {
    const auto it = options_.find(name);
    return it == options_.end() ? otherwise : std::strtoll(it->second.c_str(), nullptr, 10);
  }

  void Method(std::string text) { method_.push_back(std::move(text)); }
  void Note(std::string text) { notes_.push_back(std::move(text)); }

  void Add(const std::string& name, const std::string& unit, double value) {
    Series& series = Find(name);
    series.unit = unit;
    series.values.push_back(value);
  }
  // Says whether the median meets it; never changes the exit code (machines differ).
  void Goal(const std::string& name, double value, Direction direction) {
    Series& series = Find(name);
    series.goal = value;
    series.direction = direction;
  }

  double Median(const std::string& name) {
    std::vector<double> values = Find(name).values;
    return MedianOf(values);
  }

  int Print() {
    json_ ? PrintJson() : PrintTable();
    return 0;
  }

 private:
  struct Series {
    std::string name, unit;
    std::vector<double> values;
    std::optional<double> goal;
    Direction direction = kAtLeast;
  };

  Series& Find(const std::string& name) {
    for (Series& series : series_) {
      if (series.name == name) return series;
    }
    series_.push_back(Series{name, "", {}, std::nullopt, kAtLeast});
    return series_.back();
  }

  static double MedianOf(std::vector<double>& values) {
    if (values.empty()) return 0;
    std::sort(values.begin(), values.end());
    const size_t n = values.size();
    return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
  }

  static std::string CpuModel() {
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);) {
      if (!line.starts_with("model name")) continue;
      const size_t colon = line.find(": ");
      if (colon != std::string::npos) return line.substr(colon + 2);
    }
    return "unknown processor";
  }

  static std::string Number(double v) {
    if (v >= 1000) return fmt::format("{:.0f}", v);
    if (v >= 10) return fmt::format("{:.1f}", v);
    return fmt::format("{:.3f}", v);
  }

  static std::string Quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
      if (c == '"' || c == '\\') out += '\\';
      if (static_cast<unsigned char>(c) >= 0x20) out += c;
    }
    return out + "\"";
  }

  static std::string Verdict(const Series& series, double median) {
    if (!series.goal) return "";
    const bool met = series.direction == kAtLeast ? median >= *series.goal : median <= *series.goal;
    return fmt::format("goal {} {}: {}",
                       series.direction == kAtLeast ? ">=" : "<=", Number(*series.goal),
                       met ? "met" : "MISSED");
  }

  void PrintTable() {
    fmt::print("{}\n", benchmark_);
    for (const std::string& line : method_) fmt::print("  method   {}\n", line);
    fmt::print("  machine  {}, {} cores\n", CpuModel(), std::thread::hardware_concurrency());
    fmt::print("  {:<44} {:>12} {:>12} {:>12} {:>4}  {:<6}\n", "figure", "median", "least", "most",
               "runs", "unit");
    for (Series& series : series_) {
      const size_t runs = series.values.size();
      if (runs == 0) continue;
      const double median = MedianOf(series.values);
      fmt::print("  {:<44} {:>12} {:>12} {:>12} {:>4}  {:<6} {}\n", series.name, Number(median),
                 Number(series.values.front()), Number(series.values.back()), runs, series.unit,
                 Verdict(series, median));
    }
    for (const std::string& note : notes_) fmt::print("  note     {}\n", note);
  }

  void PrintJson() {
    std::string out =
        fmt::format("{{\"version\": 1, \"benchmark\": {}, \"method\": [", Quoted(benchmark_));
    for (size_t i = 0; i < method_.size(); ++i) out += (i == 0 ? "" : ", ") + Quoted(method_[i]);
    out += fmt::format("], \"machine\": {{\"cpu\": {}, \"cores\": {}}}, \"figures\": [",
                       Quoted(CpuModel()), std::thread::hardware_concurrency());
    bool first = true;
    for (Series& series : series_) {
      if (series.values.empty()) continue;
      const double median = MedianOf(series.values);
      out += fmt::format(
          "{}{{\"name\": {}, \"unit\": {}, \"median\": {}, \"least\": {}, \"most\": {}, \"runs\": "
          "{}",
          first ? "" : ", ", Quoted(series.name), Quoted(series.unit), median,
          series.values.front(), series.values.back(), series.values.size());
      if (series.goal) {
        out += fmt::format(", \"goal\": {}, \"goal_is\": \"{}\"", *series.goal,
                           series.direction == kAtLeast ? "at_least" : "at_most");
      }
      out += "}";
      first = false;
    }
    out += "], \"notes\": [";
    for (size_t i = 0; i < notes_.size(); ++i) out += (i == 0 ? "" : ", ") + Quoted(notes_[i]);
    fmt::print("{}]}}\n", out);
  }

  std::string benchmark_;
  bool json_ = false;
  std::map<std::string, std::string> options_;
  std::vector<std::string> method_, notes_;
  std::vector<Series> series_;
};

}  // namespace allot::benchmarks
