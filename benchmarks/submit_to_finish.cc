// How many jobs a second go all the way, and how soon does the first instruction run?
//
// Real programs on loopback: one scheduler with its durable store, four agents. Three sections:
// no-op jobs (API → journal → placement → agent → finished), /bin/true beside a bare fork+exec
// loop in the same run, and submit → first instruction on an idle cluster.
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <charconv>
#include <filesystem>
#include <functional>
#include <memory>
#include <sstream>

#include "benchmarks/harness.h"
#include "benchmarks/report.h"
#include "common/http/client.h"
#include "common/json/json.h"

namespace allot::benchmarks {
namespace {

using Clock = std::chrono::steady_clock;
namespace asio = boost::asio;
constexpr int kAgents = 4;

[[noreturn]] void Die(const std::string& message) {
  std::fprintf(stderr, "submit_to_finish: %s\n", message.c_str());
  std::exit(1);
}

// The API over a few kept-alive connections, `in_flight` submissions at once.
class Submitter {
 public:
  explicit Submitter(const std::string& address) : client_(loop_, address, 64) {
    auto blocking = http::BlockingClient::Create("http://" + address, "");
    if (!blocking.ok()) Die(MessageOf(blocking.status()));
    blocking_ = *std::move(blocking);
  }

  // Returns when all are acknowledged; `reply_seconds` gets the time of each.
  void Submit(const std::string& body, int count, int in_flight,
              std::vector<double>* reply_seconds) {
    int sent = 0, answered = 0;
    std::vector<std::unique_ptr<http::Client::Call>> calls(static_cast<size_t>(in_flight));
    std::function<void(size_t)> next = [&](size_t slot) {
      if (sent == count) return;
      ++sent;
      const auto from = Clock::now();
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
                                       [&, slot, from](const Status& status) {
                                         if (!status.ok()) Die(MessageOf(status));
                                         if (reply_seconds != nullptr)
                                           reply_seconds->push_back(Seconds(Clock::now() - from));
                                         ++answered;
                                         if (sent < count)
                                           asio::post(loop_, [&, slot] {
                                             next(slot);
                                           });  // the call may not be replaced in its own callback
                                       }});
    };
    for (int slot = 0; slot < in_flight; ++slot) next(static_cast<size_t>(slot));
    loop_.restart();
    while (answered < count) loop_.run_one();
  }

  json::value Get(const std::string& target) {
    auto answer = blocking_->Fetch({.target = target});
    if (!answer.ok()) Die(MessageOf(answer.status()));
    if (answer->status != 200)
      Die(fmt::format("GET {} answered {}: {}", target, answer->status, answer->body));
    return json::parse(answer->body);
  }

  // Of this scheduler's life; the API's list forgets the oldest.
  int64_t Finished() {
    auto answer = blocking_->Fetch({.target = "/metrics"});
    if (!answer.ok()) Die(MessageOf(answer.status()));
    int64_t sum = 0;
    std::istringstream lines(answer->body);
    for (std::string line; std::getline(lines, line);) {
      if (!line.starts_with("allotrope_jobs_finished_total{")) continue;
      sum += static_cast<int64_t>(std::strtod(line.c_str() + line.rfind(' '), nullptr));
    }
    return sum;
  }

  void WaitForFinished(int64_t count) {
    const auto from = Clock::now();
    while (Finished() < count) {
      if (Clock::now() - from > std::chrono::minutes(5))
        Die("jobs did not finish within five minutes");
      loop_.restart();
      loop_.run_for(std::chrono::milliseconds(10));
    }
  }

  // The newest `count` jobs' seconds in the queue, from the API.
  std::vector<double> WaitSeconds(size_t count) {
    std::vector<double> seconds;
    std::string before;
    while (seconds.size() < count) {
      const json::value page =
          Get("/v1/jobs?limit=1000" + (before.empty() ? "" : "&before=" + before));
      for (const json::value& job : page.at("jobs").as_array()) {
        if (seconds.size() == count) break;
        seconds.push_back(job.at("waited_seconds").to_number<double>());
      }
      const json::value* next = page.as_object().if_contains("next");
      if (next == nullptr) break;
      before = json::value_to<std::string>(*next);
    }
    return seconds;
  }

 private:
  asio::io_context loop_{1};
  http::Client client_;
  std::unique_ptr<http::BlockingClient> blocking_;
};

// fork + exec + wait of /bin/true, one after another.
double BareRate(int count) {
  const auto from = Clock::now();
  for (int i = 0; i < count; ++i) {
    const pid_t pid = fork();
    if (pid == 0) {
      execl("/bin/true", "/bin/true", nullptr);
      _exit(127);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
      Die("the bare fork+exec loop failed");
  }
  return count / Seconds(Clock::now() - from);
}

int Main(int argc, char** argv) {
  // The first instruction of a task: the time, into the file named by its argument.
  if (argc == 3 && std::string_view(argv[1]) == "--first-instruction") {
    WriteFile(argv[2], std::to_string(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                          Clock::now().time_since_epoch())
                                          .count()));
    return 0;
  }
  Report report("submit_to_finish", argc, argv);
  const int noops = static_cast<int>(report.Option("noops", 20'000)),
            truths = static_cast<int>(report.Option("truths", 2'000));
  const int firsts = static_cast<int>(report.Option("firsts", 30)),
            in_flight = static_cast<int>(report.Option("in_flight", 64));
  ScratchFolder folder;
  std::vector<std::string> names;
  for (int i = 0; i < kAgents; ++i) names.push_back(fmt::format("agent-{}", i));
  const ClusterFiles files = WriteClusterFiles(folder.path(), names);
  const std::string log = folder.path() + "/scheduler.log";
  Process scheduler({ProgramPath("allot-scheduler"), "--config", files.scheduler_config}, log);
  auto addresses = WaitForAddresses(files.scheduler_state, scheduler, log);
  std::vector<std::unique_ptr<Process>> agents;
  for (const std::string& name : names) {
    const std::string config =
        WriteAgentConfig(folder.path(), files, name, addresses["endpoint"],
                         "devices: {nvidia: false}\noffer: {cpus: 512, memory: 512GiB}\n");
    const std::string agent_log = folder.path() + "/" + name + ".log";
    agents.push_back(std::make_unique<Process>(
        std::vector<std::string>{ProgramPath("allot-agent"), "--config", config}, agent_log));
    WaitForAddresses(folder.path() + "/" + name, *agents.back(), agent_log);
  }
  Submitter api(addresses["http"]);
  while (api.Get("/v1/cluster").at("nodes").at("alive").to_number<int>() < kAgents)
    poll(nullptr, 0, 20);
  for (auto& agent : agents) report.Add("agent resident, idle", "MiB", ResidentMiB(agent->pid()));
  report.Goal("agent resident, idle", 30, Report::kAtMost);

  int64_t finished = 0;
  const std::string noop =
      R"({"tasks":1,"runtime":"noop","resources":{"cpus":"0.1","memory":"1MiB"}})";
  for (int run = 0; run < report.runs(); ++run) {
    std::fprintf(stderr, "no-op jobs, run %d of %d\n", run + 1, report.runs());
    std::vector<double> replies;
    const auto from = Clock::now();
    api.Submit(noop, noops, in_flight, &replies);
    api.WaitForFinished(finished += noops);
    report.Add("no-op jobs", "1/s", noops / Seconds(Clock::now() - from));
    std::vector<double> waits = api.WaitSeconds(static_cast<size_t>(std::min(noops, 15'000)));
    for (const auto& [name, q] : {std::pair("p50", 0.5), std::pair("p99", 0.99)})
      report.Add(fmt::format("submit → placed, {}", name), "ms",
                 1e3 * (Percentile(replies, q) + Percentile(waits, q)));
  }
  report.Goal("no-op jobs", 5000, Report::kAtLeast);

  const std::string truth =
      R"({"tasks":1,"command":["/bin/true"],"resources":{"cpus":"0.1","memory":"1MiB"}})";
  for (int run = 0; run < report.runs(); ++run) {
    std::fprintf(stderr, "/bin/true, run %d of %d\n", run + 1, report.runs());
    const double bare = BareRate(truths);
    const auto from = Clock::now();
    api.Submit(truth, truths, in_flight, nullptr);
    api.WaitForFinished(finished += truths);
    const double rate = truths / Seconds(Clock::now() - from);
    report.Add("bare fork+exec+wait of /bin/true", "1/s", bare);
    report.Add("/bin/true jobs", "1/s", rate);
    report.Add("/bin/true jobs ÷ bare fork+exec", "%", 100 * rate / bare);
  }
  report.Goal("/bin/true jobs ÷ bare fork+exec", 50, Report::kAtLeast);

  std::vector<double> first;
  for (int i = 0; i < firsts; ++i) {
    const std::string file = fmt::format("{}/first-{}", folder.path(), i);
    const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
    const std::string body =
        fmt::format(R"({{"command":["{}","--first-instruction","{}"]}})", self, file);
    poll(nullptr, 0, 100);  // idle again
    const int64_t from =
        std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch())
            .count();
    api.Submit(body, 1, 1, nullptr);
    api.WaitForFinished(++finished);
    int64_t at = 0;
    std::ifstream(file) >> at;
    if (at == 0) Die("a task left no time of its first instruction");
    first.push_back(static_cast<double>(at - from) / 1e6);
    report.Add("submit → first instruction, idle cluster", "ms", first.back());
  }
  report.Add("submit → first instruction, p99", "ms", Percentile(first, 0.99));
  report.Goal("submit → first instruction, idle cluster", 20, Report::kAtMost);

  report.Method(fmt::format(
      "1 scheduler, {} agents, loopback, HTTP with {} submissions in flight from this process; "
      "no-op: {} jobs a run, until the API counts all as finished; placed: its acknowledgement, "
      "which tells that what was placed in the same step is durable, and what it waited beyond; "
      "/bin/true: {} a run; "
      "first instruction: {} jobs one at a time (the time is read inside the task's process after "
      "its own exec)",
      kAgents, in_flight, noops, truths, firsts));
  for (auto& agent : agents) agent->Signal(SIGTERM);
  for (auto& agent : agents) agent->Wait();
  return report.Print();
}

}  // namespace
}  // namespace allot::benchmarks

int main(int argc, char** argv) { return allot::benchmarks::Main(argc, argv); }
