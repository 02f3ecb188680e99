// The router core as a dialogue: lines in, what it does out. See tests/scenario/router/README.md
// for the language. After every step the invariants hold or the line "BROKEN …" comes out.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "scheduler/router/core.h"

namespace allot::router {

// "request r1 model=m stream" → words {"request", "r1"}, options {model: m, stream: ""}.
struct Line {
  std::vector<std::string> words;
  std::map<std::string, std::string> options;
  std::string Option(const std::string& name, const std::string& otherwise = "") const;
  bool Has(const std::string& name) const { return options.contains(name); }
};
Line ParseLine(const std::string& text);

class World {
 public:
  World();
  // Runs a block of lines; what came out, a line each.
  std::string Run(const std::string& lines);

 private:
  void Do(const Line& line);
  void Step(const Event& event);
  void Show(const Effects& effects);
  void CheckInvariants();
  void Say(std::string text);

  void Route();
  void Deployment(const Line& line);
  void Replica(const Line& line);
  void Request(const Line& line);
  void Advance(Duration time);
  void Traffic(const Line& line);
  void Explain(const Line& line);
  void Predict(const Line& line);
  RouteDeployment& DeploymentNamed(const std::string& name);

  Core core_;
  RouteTable table_;
  Time now_ = FromMicros(1'000'000'000'000);
  std::string said_;
  bool quiet_ = false;
  Effects last_;
  std::set<RequestId> open_;
  uint64_t last_traffic_ = 1'000'000;
};

}  // namespace allot::router
