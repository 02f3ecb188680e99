// Text scenarios of the agent core: input lines, "----", what the core said, an empty line.
//
// Input lines (first word, then arguments; key=value in any order):
//   agent boot=1 devices=2 | restart boot=2       a new core; restart keeps nothing but what is
//   found found-task KEY running|exited|assigned [pid=N] [code=N] [devices=a,b]      before
//   agent/restart found-replica ID starts=N running|ended [pid=N] [port=N] [devices=a,b] unfit
//   [text…]                                  why the node can start nothing; nothing: it can link
//   up|down      heard      devices N [groups=gpu0+gpu1,…]      telemetry N      show heartbeats
//   welcome epoch=N [registration=N] [gateways=a,b] [heartbeat=1s]   registration: the last sent
//   refuse REASON [epoch=N] [registration=N]
//   start KEY [epoch=N] [noop] [devices=a,b]       stop KEY [epoch=N] grace=10s      ack KEY…
//   start-replica ID [epoch=N] [devices=a,b] [start_timeout=…] [interval=…] [failures_max=N]
//     [restart_after=…]
//   stop-replica ID [epoch=N] grace=… [drain=…]
//   spawned KEY pid=N | exited KEY code=N|signal=N | progressed KEY step=N total=N
//   spawn-failed KEY text… (the node's fault) | command-refused KEY text… (the task's)
//   replica-spawned ID.START pid=N port=N | replica-spawn-failed ID.START text…
//   replica-exited ID.START code=N | probed ID.START healthy|text… | traffic ID in_flight=N
//   [flowed] advance 5s [heard]    stops at each wakeup; heard: the scheduler answers once a second
#pragma once

#include <string>
#include <vector>

#include "agent/core/core.h"

namespace allot::agent {

class Scenario {
 public:
  Scenario();
  // Runs one block of input; the answer is one line per command and note.
  std::string Run(const std::vector<std::string>& lines);

 private:
  void RunLine(const std::string& line);
  void Step(const Event& event);
  void Advance(Duration span, bool heard);
  void Print(const std::string& line);

  std::unique_ptr<Core> core_;
  Time now_ = FromMicros(1'000'000'000);
  Time block_began_;
  AgentStarted start_;
  uint64_t registration_ = 0;
  Epoch epoch_;
  bool show_heartbeats_ = false;
  std::string output_;
};

// The whole file run again, with fresh answers.
std::string RunScenarioFile(const std::string& text);

}  // namespace allot::agent
