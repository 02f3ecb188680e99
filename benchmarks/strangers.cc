// What do 200 strangers and a hostile peer with half a core cost a scheduler that works?
//
// Real programs on loopback: a scheduler with its durable store, four agents, jobs that do nothing.
// The same jobs in peace, in war and in peace again, for a scheduler with more of a past works more
// for each: war is set against the mean of the two. In war a child process, which keeps to half a core, has 200
// raw connections that greet and then announce long frames, speak HTTP, are silent or come and go,
// and one enrolled peer that sends empty messages by the megabyte, garbage, and heartbeats.
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <charconv>
#include <filesystem>
#include <functional>
#include <memory>
#include <sstream>
#include <thread>

#include "benchmarks/harness.h"
#include "benchmarks/report.h"
#include "common/base/thread.h"
#include "common/http/client.h"
#include "common/transport/context.h"
#include "common/transport/link.h"
#include "common/wire/codec.h"

namespace allot::benchmarks {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kAgents = 4, kStrangers = 200;
constexpr char kHostile[] = "hostile";

[[noreturn]] void Die(const std::string& message) {
  std::fprintf(stderr, "strangers: %s\n", message.c_str());
  std::exit(1);
}

std::string Fetch(http::BlockingClient& client, const std::string& target) {
  auto answer = client.Fetch({.target = target});
  if (!answer.ok()) Die(MessageOf(answer.status()));
  return answer->body;
}

std::unique_ptr<http::BlockingClient> Connected(const std::string& address) {
  auto client = http::BlockingClient::Create("http://" + address, "");
  if (!client.ok()) Die(MessageOf(client.status()));
  return *std::move(client);
}

double Metric(http::BlockingClient& client, const std::string& name) {
  double sum = 0;
  std::istringstream lines(Fetch(client, "/metrics"));
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(name + "{") || line.starts_with(name + " "))
      sum += std::strtod(line.c_str() + line.rfind(' '), nullptr);
  return sum;
}

// ---- the attackers, in a process of their own
// -----------------------------------------------------

class HalfACore {
 public:
  // Sleeps for as long as more than half of the time since the beginning was used.
  void Keep() const {
    for (;;) {
      rusage used{};
      ::getrusage(RUSAGE_SELF, &used);
      const auto seconds = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
      };
      if (seconds(used.ru_utime) + seconds(used.ru_stime) <= Seconds(Clock::now() - begun_) / 2)
        return;
      ::poll(nullptr, 0, 2);
    }
  }

 private:
  const Clock::time_point begun_ = Clock::now();
};

std::string Greeting() {
  std::string text("\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01", 12);
  text += "CURVE";
  text.resize(64, '\0');
  return text;
}

struct StrangerAt {
  int fd = -1;
  int kind = 0;
  bool greeted = false;
};

void Dial(StrangerAt* one, uint16_t port) {
  if (one->fd >= 0) ::close(one->fd);
  one->greeted = false;
  one->fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port = htons(port);
  (void)::connect(one->fd, reinterpret_cast<const sockaddr*>(&to), sizeof to);
}

// One act of one stranger.
void Act(StrangerAt* one, uint16_t port, const std::string& noise) {
  if (one->fd < 0) return Dial(one, port);
  std::string_view bytes = noise;
  static const std::string greeting = Greeting() + std::string("\x06\0\0\0\0\x03\xff\xff\xff", 9);
  switch (one->kind) {
    case 0:  // a frame of 64 MiB
      if (!one->greeted) bytes = greeting;
      break;
    case 1:
      break;  // no greeting at all
    case 2:   // silence, until it is closed
      char byte;
      if (::recv(one->fd, &byte, 1, 0) != 0 && errno == EAGAIN) return;
      return Dial(one, port);
    default:  // comes and goes
      return Dial(one, port);
  }
  const ssize_t sent = ::send(one->fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent > 0) one->greeted = true;
  if (sent < 0 && errno != EAGAIN) Dial(one, port);
}

[[noreturn]] void Attack(const std::string& endpoint, const std::string& server_key,
                         const transport::KeyPair& keys) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::signal(SIGPIPE, SIG_IGN);
  const auto port = static_cast<uint16_t>(std::stoi(endpoint.substr(endpoint.rfind(':') + 1)));
  boost::asio::io_context loop(1);
  auto context = transport::Context::Create({});
  if (!context.ok()) std::_Exit(1);
  std::unique_ptr<transport::ClientLink> link;
  bool lost = true;
  wire::Envelope empties, heartbeats;
  for (int i = 0; i < 50'000; ++i) empties.add_messages();
  for (int i = 0; i < 1'000; ++i) heartbeats.add_messages()->mutable_heartbeat()->set_epoch(1);
  const std::string noise(1 << 20, 'x');
  std::vector<StrangerAt> strangers(kStrangers);
  for (int i = 0; i < kStrangers; ++i) strangers[static_cast<size_t>(i)].kind = i % 4;
  const HalfACore half;
  for (uint64_t turn = 0;; ++turn) {
    for (StrangerAt& one : strangers) {
      half.Keep();
      Act(&one, port, noise);
    }
    if (lost) {
      lost = false;
      auto dialled = transport::ClientLink::Dial(
          **context, loop,
          {.endpoint = endpoint, .server_public_key = server_key, .keys = keys, .queue_max = 100},
          {.disconnected = [&](const std::string&) { lost = true; }});
      if (dialled.ok()) link = *std::move(dialled);
      wire::Envelope first;
      first.add_messages()->mutable_path_probe()->set_nonce(1);
      if (link) link->Send(first);
    }
    if (link) {
      link->Send(empties);
      link->Send(heartbeats);
      for (int i = 0; i < 50; ++i) {
        wire::Envelope small;
        small.set_sequence(turn);
        link->Send(small, {"a body that belongs to nothing"});
      }
    }
    loop.restart();
    loop.poll();
  }
}

// ---- the cluster ------------------------------------------------------------------------------

// Jobs that do nothing, one after the other acknowledged, from a few connections.
class Jobs {
 public:
  explicit Jobs(const std::string& address) : client_(loop_, address, 64) {}
  void Submit(int count) {
    const std::string body =
        R"({"tasks":1,"runtime":"noop","resources":{"cpus":"0.1","memory":"1MiB"}})";
    int sent = 0, answered = 0;
    std::vector<std::unique_ptr<http::Client::Call>> calls(16);
    std::function<void(size_t)> next = [&](size_t slot) {
      ++sent;
      calls[slot] = client_.Start({.method = "POST",
                                   .target = "/v1/jobs",
                                   .headers = {{"content-type", "application/json"}},
                                   .body = body},
                                  {.head =
                                       [](int status, const http::Headers&) {
                                         if (status != 201)
                                           Die(fmt::format("POST /v1/jobs answered {}", status));
                                       },
                                   .body = [](const std::string&) {},
                                   .done =
                                       [&, slot](const Status& status) {
                                         if (!status.ok()) Die(MessageOf(status));
                                         ++answered;
                                         if (sent < count)
                                           boost::asio::post(loop_, [&, slot] { next(slot); });
                                       }});
    };
    for (size_t slot = 0; slot < calls.size(); ++slot) next(slot);
    loop_.restart();
    while (answered < count) loop_.run_one();
  }

 private:
  boost::asio::io_context loop_{1};
  http::Client client_;
};

struct Figures {
  double placements_per_cpu_second = 0, healthz_p99_ms = 0, resident_mib = 0, log_mib_a_minute = 0;
};

Figures Measure(const std::string& http, pid_t scheduler, const std::string& log, int jobs) {
  std::vector<double> answers;
  std::atomic<bool> enough{false};
  double resident = 0;
  std::thread prober = StartThread([&] {
    auto client = Connected(http);
    while (!enough) {
      const auto from = Clock::now();
      Fetch(*client, "/healthz");
      answers.push_back(1e3 * Seconds(Clock::now() - from));
      resident = std::max(resident, ResidentMiB(scheduler));
      ::poll(nullptr, 0, 5);
    }
  });
  auto client = Connected(http);
  const double finished = Metric(*client, "allotrope_jobs_finished_total");
  const double placed = Metric(*client, "allotrope_placements_total");
  const double cpu = CpuSeconds(scheduler);
  const auto bytes = static_cast<double>(std::filesystem::file_size(log));
  const auto from = Clock::now();
  Jobs(http).Submit(jobs);
  while (Metric(*client, "allotrope_jobs_finished_total") < finished + jobs) ::poll(nullptr, 0, 20);
  const double seconds = Seconds(Clock::now() - from);
  Figures out;
  out.placements_per_cpu_second =
      (Metric(*client, "allotrope_placements_total") - placed) / (CpuSeconds(scheduler) - cpu);
  enough = true;
  prober.join();
  out.healthz_p99_ms = Percentile(answers, 0.99);
  out.resident_mib = resident;
  out.log_mib_a_minute = (static_cast<double>(std::filesystem::file_size(log)) - bytes) /
                         (1 << 20) * 60 / std::max(seconds, 60.0);
  return out;
}

int Main(int argc, char** argv) {
  Report report("strangers", argc, argv);
  const int jobs = static_cast<int>(report.Option("jobs", 40'000));
  ScratchFolder folder;
  std::vector<std::string> names = {kHostile};
  for (int i = 0; i < kAgents; ++i) names.push_back(fmt::format("agent-{}", i));
  const ClusterFiles files = WriteClusterFiles(folder.path(), names);
  const std::string log = folder.path() + "/scheduler.log";
  Process scheduler({ProgramPath("allot-scheduler"), "--config", files.scheduler_config}, log);
  auto addresses = WaitForAddresses(files.scheduler_state, scheduler, log);
  std::vector<std::unique_ptr<Process>> agents;
  for (const std::string& name : names) {
    if (name == kHostile) continue;
    const std::string config =
        WriteAgentConfig(folder.path(), files, name, addresses["endpoint"],
                         "devices: {nvidia: false}\noffer: {cpus: 512, memory: 512GiB}\n");
    const std::string agent_log = folder.path() + "/" + name + ".log";
    agents.push_back(std::make_unique<Process>(
        std::vector<std::string>{ProgramPath("allot-agent"), "--config", config}, agent_log));
    WaitForAddresses(folder.path() + "/" + name, *agents.back(), agent_log);
  }
  const std::string http = addresses["http"];
  auto client = Connected(http);
  while (Metric(*client, "allotrope_nodes") < kAgents) ::poll(nullptr, 0, 20);
  Measure(http, scheduler.pid(), log, jobs);  // Warm, and with the memory of finished jobs.
  Figures before = Measure(http, scheduler.pid(), log, jobs);
  for (int run = 0; run < report.runs(); ++run) {
    const pid_t attackers = ::fork();
    if (attackers == 0)
      Attack(addresses["endpoint"], files.scheduler_keys.public_key, files.agents.at(kHostile));
    ::poll(nullptr, 0, 1000);  // All are there.
    const Figures war = Measure(http, scheduler.pid(), log, jobs);
    ::kill(attackers, SIGKILL);
    ::waitpid(attackers, nullptr, 0);
    ::poll(nullptr, 0, 1000);  // All are gone.
    const Figures after = Measure(http, scheduler.pid(), log, jobs);
    const double peace = (before.placements_per_cpu_second + after.placements_per_cpu_second) / 2;
    report.Add("placements a CPU second in peace", "1/s", peace);
    report.Add("peace, later ÷ earlier", "%",
               100 * after.placements_per_cpu_second / before.placements_per_cpu_second);
    report.Add("placements a CPU second, war ÷ peace", "%",
               100 * war.placements_per_cpu_second / peace);
    report.Add("/healthz p99 in peace", "ms", after.healthz_p99_ms);
    report.Add("/healthz p99 in war", "ms", war.healthz_p99_ms);
    report.Add("resident in war beyond peace", "MiB", war.resident_mib - before.resident_mib);
    report.Add("log in war", "MiB/min", war.log_mib_a_minute);
    before = after;
  }
  report.Goal("placements a CPU second, war ÷ peace", 95, Report::kAtLeast);
  report.Goal("/healthz p99 in war", 50, Report::kAtMost);
  report.Goal("resident in war beyond peace", 200, Report::kAtMost);
  report.Goal("log in war", 1, Report::kAtMost);
  report.Note(
      fmt::format("{:.0f} connections accepted, {:.0f} refused in the handshake, "
                  "{:.0f} times a peer was not read for a while",
                  Metric(*client, "allotrope_link_connections_total"),
                  Metric(*client, "allotrope_link_strangers_total"),
                  Metric(*client, "allotrope_link_throttled_total")));
  report.Method(
      fmt::format("1 scheduler, {} agents, loopback; {} no-op jobs a run, 16 submissions "
                  "in flight; {} strangers and one enrolled hostile peer in one process "
                  "that keeps to half a core",
                  kAgents, jobs, kStrangers));
  return report.Print();
}

}  // namespace
}  // namespace allot::benchmarks

int main(int argc, char** argv) { return allot::benchmarks::Main(argc, argv); }
