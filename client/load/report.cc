#include "client/load/report.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "client/table.h"
#include "client/text.h"
#include "common/json/json.h"

namespace allot::client::load {
namespace {

double Rank(const std::vector<double>& sorted, double q) {
  const auto rank = static_cast<size_t>(std::ceil(q * static_cast<double>(sorted.size())));
  return sorted[std::max<size_t>(rank, 1) - 1];
}

std::string FailureOf(const Sample& sample) {
  if (sample.truncated) return "cut off";
  return sample.status == 0 ? "no answer" : fmt::format("HTTP {}", sample.status);
}

// Seconds of a whole replica.
double HeldSeconds(const Sample& sample, const LoadRun& run) {
  const auto it = run.concurrency.find(sample.replica);
  const double slots =
      it == run.concurrency.end() ? 1 : static_cast<double>(std::max<int64_t>(1, it->second));
  return sample.seconds / slots;
}

json::value QuantilesJson(const std::optional<Quantiles>& q) {
  if (!q) return nullptr;
  return json::object{{"p50", q->p50}, {"p95", q->p95}, {"p99", q->p99}};
}

std::optional<Quantiles> QuantilesFrom(const json::object& parent, const char* key) {
  const json::value* v = parent.if_contains(key);
  if (v == nullptr || !v->is_object()) return std::nullopt;
  const json::object& o = v->get_object();
  return Quantiles{o.at("p50").to_number<double>(), o.at("p95").to_number<double>(),
                   o.at("p99").to_number<double>()};
}

std::string Text(const json::value& v) {
  const auto& s = v.as_string();
  return std::string(s.data(), s.size());
}

std::string P(const std::optional<Quantiles>& q, double Quantiles::*which) {
  return q ? Millis((*q).*which) : "";
}

}  // namespace

std::optional<Quantiles> QuantilesOf(std::vector<double> values) {
  if (values.empty()) return std::nullopt;
  std::sort(values.begin(), values.end());
  return Quantiles{Rank(values, 0.50), Rank(values, 0.95), Rank(values, 0.99)};
}

Report Summarize(const LoadRun& run) {
  Report report;
  report.requests = static_cast<int>(run.samples.size());
  report.seconds = run.seconds;
  std::vector<double> latency, ttft;
  double cost = 0, energy = 0;
  bool power_known = true;
  std::map<std::tuple<std::string, std::string, bool>, std::vector<double>> devices;
  std::map<std::string, int> failures;
  for (const Sample& s : run.samples) {
    if (s.stream) ++report.streamed;
    if (report.policy.empty()) report.policy = s.policy;
    if (!s.ok()) {
      ++failures[FailureOf(s)];
      continue;
    }
    ++report.ok;
    latency.push_back(s.seconds);
    if (s.ttft_seconds) ttft.push_back(*s.ttft_seconds);
    cost += s.price_usd_per_hour / 3600 * HeldSeconds(s, run);
    energy += s.power_watts * HeldSeconds(s, run);
    power_known &= s.power_watts > 0;
    devices[{s.kind, s.device_model, s.emulated}].push_back(s.seconds);
  }
  report.latency_seconds = QuantilesOf(std::move(latency));
  report.ttft_seconds = QuantilesOf(std::move(ttft));
  if (report.ok > 0) report.cost_usd_per_1000 = cost / report.ok * 1000;
  if (report.ok > 0 && power_known) report.energy_joules_per_1000 = energy / report.ok * 1000;
  for (auto& [key, seconds] : devices) {
    const auto& [kind, model, emulated] = key;
    const auto count = static_cast<int>(seconds.size());
    report.shares.push_back({kind, model, emulated, count, static_cast<double>(count) / report.ok,
                             QuantilesOf(std::move(seconds))});
  }
  std::stable_sort(report.shares.begin(), report.shares.end(),
                   [](const Share& a, const Share& b) { return a.requests > b.requests; });
  report.failures.assign(failures.begin(), failures.end());
  return report;
}

std::string ToJson(const Report& report) {
  json::array shares, failures;
  for (const Share& s : report.shares)
    shares.push_back(json::object{{"kind", s.kind},
                                  {"device_model", s.device_model},
                                  {"emulated", s.emulated},
                                  {"requests", s.requests},
                                  {"ratio", s.ratio},
                                  {"latency_seconds", QuantilesJson(s.latency_seconds)}});
  for (const auto& [why, count] : report.failures)
    failures.push_back(json::object{{"why", why}, {"requests", count}});
  json::object out{{"version", 1},
                   {"policy", report.policy},
                   {"requests", report.requests},
                   {"ok", report.ok},
                   {"streamed", report.streamed},
                   {"seconds", report.seconds},
                   {"latency_seconds", QuantilesJson(report.latency_seconds)},
                   {"ttft_seconds", QuantilesJson(report.ttft_seconds)},
                   {"shares", std::move(shares)},
                   {"failures", std::move(failures)}};
  if (report.cost_usd_per_1000) out["cost_usd_per_1000"] = *report.cost_usd_per_1000;
  if (report.energy_joules_per_1000) out["energy_joules_per_1000"] = *report.energy_joules_per_1000;
  return json::serialize(out);
}

StatusOr<Report> FromJson(const std::string& text, const std::string& place) {
  // at(), as_…() and to_number() throw on what is not there or of another type.
  try {
    const json::value document = json::parse(text);
    const json::object& o = document.as_object();
    Report report;
    report.policy = Text(o.at("policy"));
    report.requests = o.at("requests").to_number<int>();
    report.ok = o.at("ok").to_number<int>();
    report.streamed = o.at("streamed").to_number<int>();
    report.seconds = o.at("seconds").to_number<double>();
    report.latency_seconds = QuantilesFrom(o, "latency_seconds");
    report.ttft_seconds = QuantilesFrom(o, "ttft_seconds");
    if (const json::value* cost = o.if_contains("cost_usd_per_1000"))
      report.cost_usd_per_1000 = cost->to_number<double>();
    if (const json::value* energy = o.if_contains("energy_joules_per_1000"))
      report.energy_joules_per_1000 = energy->to_number<double>();
    for (const json::value& item : o.at("shares").as_array()) {
      const json::object& s = item.as_object();
      report.shares.push_back({Text(s.at("kind")), Text(s.at("device_model")),
                               s.at("emulated").as_bool(), s.at("requests").to_number<int>(),
                               s.at("ratio").to_number<double>(),
                               QuantilesFrom(s, "latency_seconds")});
    }
    for (const json::value& item : o.at("failures").as_array())
      report.failures.emplace_back(Text(item.at("why")), item.at("requests").to_number<int>());
    return report;
  } catch (const std::exception& error) {
    return InvalidArgument("{} is no report of `allot load --json`: {}", place, error.what());
  }
}

namespace {

bool Emulated(const Report& report) {
  return std::any_of(report.shares.begin(), report.shares.end(),
                     [](const Share& share) { return share.emulated; });
}

Table::Column Right(std::string title) { return {std::move(title), Table::Align::kRight}; }

}  // namespace

// An emulated device computes on its host's processors, whatever it stands for. So all of them take
// the same time, and a policy that pays for the fastest pays for nothing: side by side, times, and
// what is made of times and prices, would say which policy is better on machines that nobody has.
std::string ToTable(const std::vector<Report>& reports) {
  const bool emulated = std::any_of(reports.begin(), reports.end(), Emulated);
  const bool comparable = reports.size() == 1 || !emulated;
  std::vector<Table::Column> run_columns = {
      {"POLICY"}, Right("REQUESTS"), Right("OK"), Right("STREAMED")};
  std::vector<Table::Column> device_columns = {{"POLICY"}, {"KIND"},          {"DEVICE"},
                                               {""},       Right("REQUESTS"), Right("SHARE")};
  if (comparable) {
    for (const char* title :
         {"P50", "P95", "P99", "TTFT P50", "TTFT P95", "REQ/S", "COST/1000", "ENERGY/1000"})
      run_columns.push_back(Right(title));
    for (const char* title : {"P50", "P95"}) device_columns.push_back(Right(title));
  }
  Table runs(std::move(run_columns)), devices(std::move(device_columns));
  std::string failures;
  for (const Report& r : reports) {
    std::vector<std::string> cells = {r.policy, std::to_string(r.requests), std::to_string(r.ok),
                                      std::to_string(r.streamed)};
    if (comparable) {
      for (std::string& cell : std::vector<std::string>{
               P(r.latency_seconds, &Quantiles::p50), P(r.latency_seconds, &Quantiles::p95),
               P(r.latency_seconds, &Quantiles::p99), P(r.ttft_seconds, &Quantiles::p50),
               P(r.ttft_seconds, &Quantiles::p95),
               r.seconds > 0 ? fmt::format("{:.0f}", r.requests / r.seconds) : "",
               Money(r.cost_usd_per_1000), Energy(r.energy_joules_per_1000)})
        cells.push_back(std::move(cell));
    }
    runs.Add(std::move(cells));
    for (const Share& s : r.shares) {
      std::vector<std::string> row = {r.policy,
                                      s.kind,
                                      s.device_model,
                                      s.emulated ? "emulated" : " ",
                                      std::to_string(s.requests),
                                      Ratio(s.ratio)};
      if (comparable) {
        row.push_back(P(s.latency_seconds, &Quantiles::p50));
        row.push_back(P(s.latency_seconds, &Quantiles::p95));
      }
      devices.Add(std::move(row));
    }
    for (const auto& [why, count] : r.failures)
      failures += fmt::format("{}: {} × {}\n", r.policy, count, why);
  }
  std::string out = runs.ToString();
  if (!devices.empty()) out += "\n" + devices.ToString();
  if (!failures.empty()) out += "\nNot ok:\n" + failures;
  if (!comparable) {
    out +=
        "\nTimes, cost and energy are left out: emulated devices compute on this machine's "
        "processors, "
        "so all of them\ntake the same time, and differences between policies would say nothing of "
        "real "
        "ones. Each report alone has them.\n";
  } else if (emulated) {
    out +=
        "\nEmulated devices compute on this machine's processors: times are those of the "
        "processors, "
        "prices those of\nthe devices they stand for.\n";
  }
  return out;
}

}  // namespace allot::client::load
