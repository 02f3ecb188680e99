// What do 5,000 connected agents cost the scheduler, and how soon are all back after it restarts?
//
// The scheduler is the real program with its real store. The agents are the shipped agent core on
// real CURVE sockets, in a few child processes (their own cost is not counted). The
// scheduler's share of a core is user + system time of its process over the measured time.
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <new>

#include "agent/core/core.h"
#include "benchmarks/harness.h"
#include "benchmarks/report.h"
#include "common/transport/context.h"
#include "common/transport/link.h"
#include "common/wire/codec.h"

namespace allot::benchmarks {
namespace {

using Clock = std::chrono::steady_clock;
namespace asio = boost::asio;

Time Now() {
  return FromMicros(
      std::chrono::duration_cast<Duration>(std::chrono::system_clock::now().time_since_epoch())
          .count());
}

// One node: shipped core, real socket, no tasks.
class FleetAgent {
 public:
  FleetAgent(asio::io_context& loop, transport::Context& context,
             transport::ClientLink::Options options, NodeInfo info, bool telemetry)
      : loop_(loop),
        context_(context),
        options_(std::move(options)),
        core_({}, std::hash<std::string>()(info.name)),
        timer_(loop),
        telemetry_timer_(loop),
        info_(std::move(info)),
        telemetry_(telemetry) {}

  void Start() {
    Step(agent::AgentStarted{.info = info_, .boot = 1});
    Dial();
    if (telemetry_) Sample();
  }
  bool registered() const { return core_.registered(); }
  Epoch epoch() const { return core_.epoch(); }

 private:
  void Dial() {
    link_.reset();
    auto dialled = transport::ClientLink::Dial(
        context_, loop_, options_,
        {.message = [this](transport::ClientLink::Incoming in) { Receive(in); },
         .connected = [this] { Step(agent::LinkUp{}); },
         .disconnected = [this](const std::string&) { Step(agent::LinkDown{}); }});
    if (dialled.ok()) link_ = *std::move(dialled);
  }

  void Receive(const transport::ClientLink::Incoming& in) {
    term_ = std::max(term_, in.envelope.term());
    for (const wire::Message& message : in.envelope.messages())
      if (auto decoded = wire::DecodeSchedulerMessage(message); decoded.ok())
        Step(agent::SchedulerSaid{*std::move(decoded)});
    if (in.envelope.messages().empty()) Step(agent::SchedulerHeard{});
  }

  void Step(const agent::Event& event) {
    effects_.Clear();
    core_.Step(Now(), event, effects_);
    wire::Envelope envelope;
    for (const agent::Command& command : effects_.commands) {
      if (const auto* send = std::get_if<agent::SendToScheduler>(&command))
        wire::Encode(send->message, envelope.add_messages());
      // The link cannot be replaced while its own callback runs.
      if (std::holds_alternative<agent::Reconnect>(command)) asio::post(loop_, [this] { Dial(); });
    }
    if (envelope.messages_size() > 0 && link_ != nullptr) {
      envelope.set_version(wire::kProtocolVersion);
      envelope.set_term(term_);
      envelope.set_sequence(++sequence_);
      link_->Send(envelope);
    }
    if (const auto wake = core_.NextWakeup()) {
      timer_.expires_after(std::max(Duration(0), *wake - Now()));
      timer_.async_wait([this](boost::system::error_code error) {
        if (!error) Step(agent::ClockTicked{});
      });
    }
  }

  void Sample() {
    telemetry_timer_.expires_after(std::chrono::seconds(1));
    telemetry_timer_.async_wait([this](boost::system::error_code error) {
      if (error) return;
      agent::TelemetrySampled sampled;
      sampled.devices.push_back({.id = info_.devices.front().id,
                                 .power_watts = 412.5,
                                 .temperature_celsius = 61,
                                 .utilization_ratio = 0.83,
                                 .memory_used = 40 * kGiB});
      Step(sampled);
      Sample();
    });
  }

  asio::io_context& loop_;
  transport::Context& context_;
  transport::ClientLink::Options options_;
  agent::Core core_;
  agent::Effects effects_;
  std::unique_ptr<transport::ClientLink> link_;
  asio::steady_timer timer_, telemetry_timer_;
  NodeInfo info_;
  bool telemetry_;
  uint64_t sequence_ = 0, term_ = 0;
};

NodeInfo InfoOf(const std::string& name) {
  NodeInfo info{.name = name,
                .instance = name,
                .address = "127.0.0.1",
                .version = "bench",
                .cpus = 64'000,
                .memory = 512 * kGiB};
  for (int i = 0; i < 8; ++i)
    info.devices.push_back({.id = fmt::format("emu{}", i),
                            .kind = DeviceKind::kGpu,
                            .vendor = "nvidia",
                            .model = "nvidia/h100-sxm-80g",
                            .memory = 80 * kGiB,
                            .emulated = true});
  return info;
}

// The agents, in a few child processes: a link takes several file descriptors, and a process may
// not have enough for all; and dialling takes a thread a while, which a node alone never notices.
// They tell how many have registered since the parent last asked for it.
class FleetWorkers {
 public:
  static constexpr size_t kAgentsEach = 500;

  FleetWorkers(const ClusterFiles& files, const std::vector<std::string>& names,
               const std::string& endpoint, int64_t telemetry) {
    void* memory =
        mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    shared_ = new (memory) Shared;
    for (size_t first = 0; first < names.size(); first += kAgentsEach) {
      const size_t worker = children_.size();
      const pid_t pid = fork();
      if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        Work(worker, files, names, first, std::min(first + kAgentsEach, names.size()), endpoint,
             telemetry);
      }
      children_.push_back(pid);
    }
  }
  ~FleetWorkers() {
    for (const pid_t pid : children_) kill(pid, SIGKILL);
    for (const pid_t pid : children_) waitpid(pid, nullptr, 0);
  }

  // From now on only registrations with a new epoch count.
  void NextGeneration() {
    const int generation = ++shared_->generation;
    for (size_t i = 0; i < children_.size(); ++i)
      while (shared_->seen[i] != generation) poll(nullptr, 0, 1);
  }
  size_t Registered() const {
    size_t sum = 0;
    for (size_t i = 0; i < children_.size(); ++i) sum += shared_->registered[i];
    return sum;
  }

 private:
  static constexpr size_t kWorkersMax = 64;
  struct Shared {
    std::atomic<int> generation = 0;
    std::array<std::atomic<int>, kWorkersMax> seen{};
    std::array<std::atomic<size_t>, kWorkersMax> registered{};
  };

  [[noreturn]] void Work(size_t worker, const ClusterFiles& files,
                         const std::vector<std::string>& names, size_t first, size_t end,
                         const std::string& endpoint, int64_t telemetry) {
    // Three sockets a link, and as many again that are still closing when all dial anew.
    auto context =
        transport::Context::Create({.sockets_max = static_cast<int>(end - first) * 6 + 100});
    if (!context.ok()) {
      std::fprintf(stderr, "fleet: %s\n", MessageOf(context.status()).c_str());
      _exit(1);
    }
    asio::io_context loop(1);
    const auto keep_running = asio::make_work_guard(loop);  // also before the first agent starts
    std::vector<std::unique_ptr<FleetAgent>> agents;
    for (size_t i = first; i < end; ++i)
      agents.push_back(std::make_unique<FleetAgent>(
          loop, **context,
          transport::ClientLink::Options{.endpoint = endpoint,
                                         .server_public_key = files.scheduler_keys.public_key,
                                         .keys = files.agents.at(names[i])},
          InfoOf(names[i]), static_cast<int64_t>(i) < telemetry));
    std::vector<Epoch> before(agents.size());
    for (;;) {
      if (const int generation = shared_->generation; generation != shared_->seen[worker]) {
        for (size_t i = 0; i < agents.size(); ++i) before[i] = agents[i]->epoch();
        if (generation == 1)
          for (auto& agent : agents) agent->Start();
        shared_->registered[worker] = 0;
        shared_->seen[worker] = generation;
      }
      const auto turn_ends = Clock::now() + std::chrono::milliseconds(20);
      while (Clock::now() < turn_ends) loop.run_one_until(turn_ends);
      size_t registered = 0;
      for (size_t i = 0; i < agents.size(); ++i)
        registered += agents[i]->registered() && agents[i]->epoch() > before[i] ? 1 : 0;
      shared_->registered[worker] = registered;
    }
  }

  Shared* shared_ = nullptr;
  std::vector<pid_t> children_;
};

int Main(int argc, char** argv) {
  Report report("fleet", argc, argv);
  const int64_t agents = report.Option("agents", 5000), seconds = report.Option("seconds", 20),
                telemetry_devices = report.Option("telemetry", 50);
  ScratchFolder folder;
  std::vector<std::string> names;
  for (int64_t i = 0; i < agents; ++i) names.push_back(fmt::format("node-{:05}", i));
  std::fprintf(stderr, "making %lld keys\n", static_cast<long long>(agents));
  const ClusterFiles files =
      WriteClusterFiles(folder.path(), names, "lease: 60s\nheartbeat_every: 1s\n");
  const std::string log = folder.path() + "/scheduler.log";
  auto scheduler = std::make_unique<Process>(
      std::vector<std::string>{ProgramPath("allot-scheduler"), "--config", files.scheduler_config},
      log);
  auto addresses = WaitForAddresses(files.scheduler_state, *scheduler, log);
  const std::string endpoint = addresses["endpoint"];
  report.Add("scheduler resident, idle", "MiB", ResidentMiB(scheduler->pid()));
  report.Goal("scheduler resident, idle", 60, Report::kAtMost);

  FleetWorkers fleet(files, names, endpoint, telemetry_devices);
  auto wait_for_all = [&](Clock::time_point from) {
    auto said = from;
    for (size_t there = 0; (there = fleet.Registered()) < names.size(); poll(nullptr, 0, 20)) {
      if (Clock::now() - said > std::chrono::seconds(2)) {
        said = Clock::now();
        std::fprintf(stderr, "%zu of %zu registered after %.1f s\n", there, names.size(),
                     Seconds(said - from));
      }
      if (Clock::now() - from > std::chrono::minutes(3)) return false;
    }
    return true;
  };
  auto wait = [](double seconds) { poll(nullptr, 0, static_cast<int>(1e3 * seconds)); };

  const auto start = Clock::now();
  fleet.NextGeneration();
  if (!wait_for_all(start)) {
    std::fprintf(stderr, "fleet: not all agents registered within three minutes\n");
    return 1;
  }
  report.Add("first registration of all", "s", Seconds(Clock::now() - start));
  wait(5);  // what followed from it settles
  for (int run = 0; run < report.runs(); ++run) {
    const double cpu = CpuSeconds(scheduler->pid());
    const auto from = Clock::now();
    wait(static_cast<double>(seconds));
    report.Add("share of a core, heartbeats", "%",
               100 * (CpuSeconds(scheduler->pid()) - cpu) / Seconds(Clock::now() - from));
    report.Add("scheduler resident, connected", "MiB", ResidentMiB(scheduler->pid()));
  }

  const int64_t restarts = report.Option("restarts", 3);
  WriteFile(
      files.scheduler_config,
      fmt::format("state_dir: {}\nlisten: {}\nhttp_listen: 127.0.0.1:0\nkey_file: "
                  "{}/scheduler.key\nallow_file: {}\nlocal: true\nauth: none\n"
                  "checkpoint_root: {}/checkpoints\nlogging: {{level: warn}}\nlease: "
                  "60s\nheartbeat_every: 1s\n",
                  files.scheduler_state, endpoint, folder.path(), files.allow_file, folder.path()));
  for (int64_t run = 0; run < restarts; ++run) {
    fleet.NextGeneration();
    scheduler->Signal(SIGKILL);
    scheduler->Wait();
    const auto from = Clock::now();
    scheduler =
        std::make_unique<Process>(std::vector<std::string>{ProgramPath("allot-scheduler"),
                                                           "--config", files.scheduler_config},
                                  log);
    if (!wait_for_all(from)) {
      std::fprintf(stderr, "fleet: not all agents came back within three minutes\n");
      return 1;
    }
    report.Add("all registered after kill -9 and restart", "s", Seconds(Clock::now() - from));
    wait(3);
  }
  report.Method(
      fmt::format("{} agent cores on CURVE sockets in a few processes, a heartbeat a second each, "
                  "telemetry of {} "
                  "devices a second; real scheduler, {} s a run; restart = kill -9, start, "
                  "until the last agent has its new epoch",
                  agents, telemetry_devices, seconds));
  report.Goal("share of a core, heartbeats", 35, Report::kAtMost);
  report.Goal("scheduler resident, connected", 1024, Report::kAtMost);
  report.Goal("all registered after kill -9 and restart", 10, Report::kAtMost);
  return report.Print();
}

}  // namespace
}  // namespace allot::benchmarks

int main(int argc, char** argv) { return allot::benchmarks::Main(argc, argv); }
