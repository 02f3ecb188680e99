// allot-sim: the simulator's program. docs/simulator.md says how to use it.
#include <csignal>
#include <cstdio>
#include <fstream>
#include <string>
#include <thread>

#include <unistd.h>

#include "CLI/CLI.hpp"
#include "common/program/arguments.h"
#include "simulator/runner.h"
#include "simulator/world.h"

namespace allot::simulator {
namespace {

std::string repeat_command;

// A failed CHECK aborts; whoever reads the output must still learn how to see it again.
void SayRepeat(int) {
  const char text[] = "repeat: ";
  [[maybe_unused]] ssize_t written = write(STDERR_FILENO, text, sizeof(text) - 1);
  written = write(STDERR_FILENO, repeat_command.data(), repeat_command.size());
}

int RunOne(uint64_t seed, uint64_t events, const std::string& faults, bool verbose,
           const std::string& trace_file) {
  const auto parsed = FaultSet::Parse(faults);
  if (!parsed.ok()) {
    fmt::print(stderr, "--faults: {}\n", MessageOf(parsed.status()));
    return 2;
  }
  WorldOptions options;
  options.seed = seed;
  options.events = events;
  options.faults = *parsed;
  options.hash = true;
  std::ofstream trace;
  if (!trace_file.empty()) {
    trace.open(trace_file);
    if (!trace) {
      fmt::print(stderr, "--trace: cannot write {}\n", trace_file);
      return 2;
    }
    options.trace = [&trace](const std::string& line) { trace << line << '\n' << std::flush; };
  } else if (verbose) {
    options.trace = [](const std::string& line) { fmt::print("{}\n", line); };
  }
  repeat_command = RepeatCommand(seed, events, faults) + "\n";
  std::signal(SIGABRT, SayRepeat);
  const WorldResult result = World(options).Run();
  fmt::print(
      "seed {}: {} events, {} jobs, {} tasks spawned, {} requests, {} lives of the scheduler, "
      "healed after {}, all finished {} later, hash {:016x}\n",
      seed, result.steps, result.jobs, result.spawned, result.requests, result.scheduler_lives,
      FormatDuration(result.healed_after), FormatDuration(result.finished_after), result.hash);
  if (result.finding.empty()) return 0;
  fmt::print("failed: {}\n  repeat: {}", result.finding, repeat_command);
  return 1;
}

int RunMany(const RunOptions& options) {
  const auto totals = RunSeeds(options);
  if (!totals.ok()) {
    fmt::print(stderr, "{}\n", MessageOf(totals.status()));
    return 2;
  }
  fmt::print("{}", Summary(*totals));
  return totals->failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace allot::simulator

int main(int argc, char** argv) {
  CLI::App app("Runs whole clusters in virtual time, from seeds, with faults.", "allot-sim");
  uint64_t seed = 0;
  allot::simulator::RunOptions run;
  run.count = 0;
  run.jobs = std::max(1u, std::thread::hardware_concurrency());
  bool verbose = false;
  std::string trace;
  auto* one = app.add_option("--seed", seed, "run this seed alone");
  auto* many = app.add_option("--seeds", run.count, "run this many seeds")->excludes(one);
  app.add_option("--first", run.first, "the first of them")->needs(many);
  app.add_option("--jobs", run.jobs, "worker processes; default: all cores")
      ->needs(many)
      ->check(CLI::Range(1, 256));
  app.add_option("--events", run.events, "steps of the cores before the faults heal")
      ->check(CLI::Range(uint64_t{1}, uint64_t{100'000'000}));
  app.add_option("--faults", run.faults, "all, none, or kinds with commas between");
  app.add_flag("--verbose", verbose, "print every step of the seed");
  app.add_option("--trace", trace, "write every step of the seed to this file");
  if (const auto ends = allot::program::ParseArguments(app, argc, argv)) return *ends;
  if (one->count() > 0)
    return allot::simulator::RunOne(seed, run.events, run.faults, verbose, trace);
  if (many->count() == 0) {
    fmt::print(stderr, "allot-sim: give --seed N or --seeds COUNT; `allot-sim --help` says more\n");
    return 2;
  }
  return allot::simulator::RunMany(run);
}
