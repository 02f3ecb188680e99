#include "simulator/runner.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <new>
#include <thread>
#include <vector>

namespace allot::simulator {
namespace {

constexpr uint32_t kWorkersMax = 256;
constexpr uint64_t kFailuresMax = 10;  // then the rest is not worth waiting for

// Lives in memory that all workers share.
struct Board {
  std::atomic<uint64_t> next{0}, failed{0};
  std::atomic<uint64_t> seeds{0}, steps{0}, jobs{0}, spawned{0}, requests{0}, lives{0};
  std::atomic<uint64_t> black_holes{0};
  std::atomic<int64_t> slowest{0};  // µs
  std::array<std::atomic<uint64_t>, kFaultKinds> faults{};
  std::array<std::atomic<uint64_t>, kWorkersMax> running{};  // seed a worker is at; 0: none
};

void Report(uint64_t seed, const RunOptions& options, const std::string& finding) {
  // One write, so that lines of several workers stay whole.
  const std::string text = fmt::format("seed {} failed: {}\n  repeat: {}\n", seed, finding,
                                       RepeatCommand(seed, options.events, options.faults));
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

void Work(Board& board, uint32_t worker, const RunOptions& options, const FaultSet& faults) {
  while (board.failed < kFailuresMax) {
    const uint64_t i = board.next++;
    if (i >= options.count) return;
    WorldOptions world;
    world.seed = options.first + i;
    world.events = options.events;
    world.faults = faults;
    board.running[worker] = world.seed;
    const WorldResult result = World(world).Run();
    board.running[worker] = 0;
    ++board.seeds;
    board.steps += result.steps;
    board.jobs += result.jobs;
    board.spawned += result.spawned;
    board.requests += result.requests;
    board.lives += result.scheduler_lives;
    board.black_holes += result.black_holes;
    const int64_t finish = result.finished_after.count();
    for (int64_t seen = board.slowest; finish > seen;)
      if (board.slowest.compare_exchange_weak(seen, finish)) break;
    for (size_t kind = 0; kind < kFaultKinds; ++kind) board.faults[kind] += result.faults[kind];
    if (result.finding.empty()) continue;
    ++board.failed;
    Report(world.seed, options, result.finding);
  }
}

pid_t Spawn(Board& board, uint32_t worker, const RunOptions& options, const FaultSet& faults) {
  std::fflush(nullptr);
  const pid_t pid = fork();
  if (pid != 0) return pid;
  Work(board, worker, options, faults);
  std::fflush(nullptr);
  _exit(0);
}

double Since(std::chrono::steady_clock::time_point began) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

}  // namespace

std::string RepeatCommand(uint64_t seed, uint64_t events, const std::string& faults) {
  std::string command = fmt::format("allot-sim --seed {} --events {}", seed, events);
  if (faults != "all") command += " --faults " + faults;
  return command + " --verbose";
}

StatusOr<RunTotals> RunSeeds(const RunOptions& options) {
  ASSIGN_OR_RETURN(const FaultSet faults, FaultSet::Parse(options.faults));
  const uint32_t workers = std::min(std::max(options.jobs, 1u), kWorkersMax);
  void* memory =
      mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return Internal("no memory to share between workers: {}", std::strerror(errno));
  Board& board = *new (memory) Board;
  const auto began = std::chrono::steady_clock::now();
  std::vector<pid_t> pids(workers);
  for (uint32_t i = 0; i < workers; ++i) pids[i] = Spawn(board, i, options, faults);

  uint32_t living = workers;
  double next_line = 2;
  while (living > 0) {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, WNOHANG);
    for (uint32_t i = 0; pid > 0 && i < workers; ++i) {
      if (pids[i] != pid) continue;
      --living;
      const uint64_t seed = board.running[i].exchange(0);
      if (seed == 0) break;
      // The worker died in the middle of a seed. Its CHECK has already said why on standard error.
      ++board.failed;
      ++board.seeds;
      Report(seed, options,
             WIFSIGNALED(status) ? fmt::format("the process died of signal {}", WTERMSIG(status))
                                 : fmt::format("the process exited with {}", WEXITSTATUS(status)));
      pids[i] = Spawn(board, i, options, faults);
      ++living;
    }
    if (pid > 0) continue;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    const double seconds = Since(began);
    if (options.progress && seconds >= next_line) {
      next_line += 2;
      fmt::print(stderr, "{}/{} seeds, {} failed, {:.0f} events/s\n", board.seeds.load(),
                 options.count, board.failed.load(),
                 static_cast<double>(board.steps.load()) / seconds);
    }
  }

  RunTotals totals;
  totals.seeds = board.seeds;
  totals.steps = board.steps;
  totals.jobs = board.jobs;
  totals.spawned = board.spawned;
  totals.requests = board.requests;
  totals.scheduler_lives = board.lives;
  totals.black_holes = board.black_holes;
  for (size_t i = 0; i < kFaultKinds; ++i) totals.faults[i] = board.faults[i];
  totals.failed = board.failed;
  totals.slowest_finish = Duration(board.slowest.load());
  totals.seconds = Since(began);
  munmap(memory, sizeof(Board));
  return totals;
}

std::string Summary(const RunTotals& totals) {
  std::string text = fmt::format(
      "{} seeds, {} events ({:.0f} a seed), {:.1f} s, {:.0f} events/s, {} failed\n"
      "{} jobs acknowledged, {} tasks spawned, {} requests ended, {} lives of the scheduler, "
      "{} black holes found out\n"
      "after the heal all finished within {} of virtual time\n"
      "faults injected:",
      totals.seeds, totals.steps,
      totals.seeds == 0 ? 0.0
                        : static_cast<double>(totals.steps) / static_cast<double>(totals.seeds),
      totals.seconds, totals.seconds > 0 ? static_cast<double>(totals.steps) / totals.seconds : 0.0,
      totals.failed, totals.jobs, totals.spawned, totals.requests, totals.scheduler_lives,
      totals.black_holes, FormatDuration(totals.slowest_finish));
  for (size_t i = 0; i < kFaultKinds; ++i)
    text += fmt::format("{}{}={}", i % 6 == 0 ? "\n  " : " ", ToString(static_cast<Fault>(i)),
                        totals.faults[i]);
  return text + "\n";
}

}  // namespace allot::simulator
