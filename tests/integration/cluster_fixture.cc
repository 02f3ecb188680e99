#include "tests/integration/cluster_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "client/local/files.h"
#include "client/local/processes.h"
#include "client/session.h"
#include "common/http/client.h"
#include "common/json/json.h"

namespace allot::testing {

namespace local = client::local;

namespace {

std::vector<std::string> Environment(const std::vector<std::string>& added) {
  std::map<std::string, std::string> all;
  const auto put = [&](const std::string& line) {
    const size_t equals = line.find('=');
    const std::string name = line.substr(0, equals);
    if (equals == std::string::npos || equals + 1 == line.size())
      all.erase(name);
    else
      all[name] = line;
  };
  for (char** e = environ; *e != nullptr; ++e) put(*e);
  for (const std::string& line : added) put(line);
  std::vector<std::string> out;
  for (const auto& [name, line] : all) out.push_back(line);
  return out;
}

std::vector<char*> Pointers(const std::vector<std::string>& words) {
  std::vector<char*> out;
  for (const std::string& word : words) out.push_back(const_cast<char*>(word.c_str()));
  out.push_back(nullptr);
  return out;
}

}  // namespace

std::string Program(const std::string& name) {
  return std::string(ALLOT_BINARY_DIR) + "/bin/" + name;
}

CommandResult RunProgram(const std::string& program, const std::vector<std::string>& args,
                         const std::vector<std::string>& environment, const std::string& folder) {
  std::vector<std::string> words = {program};
  words.insert(words.end(), args.begin(), args.end());
  const std::vector<std::string> variables = Environment(environment);
  std::vector<char*> argv = Pointers(words), envp = Pointers(variables);
  int out[2], err[2];
  EXPECT_EQ(pipe2(out, O_CLOEXEC), 0);
  EXPECT_EQ(pipe2(err, O_CLOEXEC), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    dup2(out[1], STDOUT_FILENO);
    dup2(err[1], STDERR_FILENO);
    if (chdir(folder.c_str()) == 0) execve(program.c_str(), argv.data(), envp.data());
    _exit(127);
  }
  close(out[1]);
  close(err[1]);
  CommandResult result;
  pollfd fds[2] = {{out[0], POLLIN, 0}, {err[0], POLLIN, 0}};
  std::string* texts[2] = {&result.out, &result.err};
  for (int open = 2; open > 0;) {
    if (poll(fds, 2, -1) < 0) continue;
    for (int i = 0; i < 2; ++i) {
      if (fds[i].fd < 0 || fds[i].revents == 0) continue;
      char buffer[4096];
      const ssize_t n = read(fds[i].fd, buffer, sizeof(buffer));
      if (n > 0) {
        texts[i]->append(buffer, static_cast<size_t>(n));
      } else {
        close(fds[i].fd);
        fds[i].fd = -1;
        --open;
      }
    }
  }
  int status = 0;
  waitpid(pid, &status, 0);
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

bool Until(const std::function<bool()>& holds) {
  const auto deadline = std::chrono::steady_clock::now() + kDeadline;
  while (!holds()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    client::Pause(std::chrono::milliseconds(5));
  }
  return true;
}

ClusterTest::ClusterTest() {
  std::string pattern = (std::filesystem::temp_directory_path() / "allot-it-XXXXXX").string();
  EXPECT_NE(mkdtemp(pattern.data()), nullptr);
  folder_ = pattern;
  cluster_ = std::make_unique<local::Cluster>(folder_ + "/cluster", [](const std::string&) {});
}

ClusterTest::~ClusterTest() {
  cluster_->Down();
  EXPECT_TRUE(local::FindProcesses(cluster_->layout().folder()).empty());
  if (HasFailure()) {
    std::error_code error;
    for (const auto& log :
         std::filesystem::directory_iterator(cluster_->layout().File("logs"), error))
      std::cerr << "---- " << log.path() << "\n" << *local::ReadFile(log.path().string()) << "\n";
  }
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void ClusterTest::Up(std::vector<local::AgentSpec> agents, const std::string& policy) {
  local::UpOptions options;
  options.agents = std::move(agents);
  options.policy = policy;
  options.timeout = kDeadline;
  const auto up = cluster_->Up(options);
  ASSERT_TRUE(up.ok()) << up.status();
  addresses_ = *up;
  token_ = *cluster_->Token();
  auto api = client::Api::Connect({"http://" + addresses_.http, token_});
  ASSERT_TRUE(api.ok()) << api.status();
  api_ = *std::move(api);
}

void ClusterTest::Deploy(const std::string& deployment, const std::string& model) {
  const std::string file = Write("deployment.yaml", deployment);
  const CommandResult result = Allot({"deploy", file, "--wait", "--timeout", "100s"});
  ASSERT_EQ(result.code, 0) << result.out << result.err;
  const auto client = *http::BlockingClient::Create(gateway_url(), token_);
  http::ClientRequest request;
  request.method = "POST";
  request.target = "/v1/completions";
  request.body =
      json::serialize(json::object{{"model", model}, {"prompt", "x"}, {"max_tokens", 1}});
  std::string last;
  ASSERT_TRUE(Until([&] {
    const auto answer = client->Fetch(request);
    last = answer.ok() ? answer->body : answer.status().ToString();
    return answer.ok() && answer->status == 200;
  })) << last;
}

client::Api& ClusterTest::api() { return *api_; }

CommandResult ClusterTest::Allot(const std::vector<std::string>& args) const {
  return RunProgram(Program("allot"), args,
                    {"ALLOT_SERVER=http://" + addresses_.http, "ALLOT_TOKEN=" + token_}, folder_);
}

std::string ClusterTest::Ok(const std::vector<std::string>& args) const {
  CommandResult result = Allot(args);
  EXPECT_EQ(result.code, 0) << "allot " << args[0] << "\n" << result.out << result.err;
  while (!result.out.empty() && result.out.back() == '\n') result.out.pop_back();
  return result.out;
}

client::JobView ClusterTest::Job(const std::string& id) {
  const auto job = api().Job(id);
  EXPECT_TRUE(job.ok()) << job.status();
  return job.ok() ? job->view : client::JobView{};
}

client::JobView ClusterTest::AwaitRunning(const std::string& id) {
  client::JobView job;
  EXPECT_TRUE(Until([&] {
    const auto answer = api().Job(id);
    if (!answer.ok()) return false;
    job = answer->view;
    for (const client::TaskView& task : job.tasks)
      if (task.phase != "running" || task.pid == 0) return false;
    return job.phase == "running" && !job.tasks.empty();
  })) << id
      << " is " << job.phase;
  return job;
}

void ClusterTest::Kill(const std::string& state_dir) {
  const auto who = local::ReadAddresses(state_dir);
  ASSERT_TRUE(who.ok()) << who.status();
  const int process = local::OpenProcess(who->pid);
  ASSERT_GE(process, 0);
  ASSERT_EQ(kill(who->pid, SIGKILL), 0);
  pollfd end{process, POLLIN, 0};
  ASSERT_EQ(poll(&end, 1, -1), 1);
  close(process);
  waitpid(who->pid, nullptr, 0);
}

void ClusterTest::KillScheduler() { Kill(cluster_->layout().SchedulerState()); }

void ClusterTest::StartScheduler() {
  const auto started = cluster_->StartScheduler(kDeadline);
  ASSERT_TRUE(started.ok()) << started.status();
  addresses_ = *started;
}

void ClusterTest::KillAgent(const std::string& name) { Kill(cluster_->layout().NodeState(name)); }

void ClusterTest::StartAgent(const std::string& name) {
  // Until its lease is over, the node of the agent before is there all the same.
  const auto epoch = [&]() -> int64_t {
    const auto nodes = api().Nodes();
    if (!nodes.ok()) return -1;
    for (const client::NodeView& node : nodes->view)
      if (node.name == name) return node.epoch;
    return 0;
  };
  const int64_t before = epoch();
  const auto pid = cluster_->StartAgent(name);
  ASSERT_TRUE(pid.ok()) << pid.status();
  const auto ready = local::WaitForAddresses(cluster_->layout().NodeState(name), *pid, kDeadline);
  ASSERT_TRUE(ready.ok()) << ready.status();
  const Status here = cluster_->AwaitNodes({{name, *pid}}, kDeadline);
  ASSERT_TRUE(here.ok()) << here;
  ASSERT_TRUE(Until([&] { return epoch() > before; }));
}

std::string ClusterTest::Write(const std::string& name, const std::string& text) const {
  const std::string path = folder_ + "/" + name;
  std::ofstream(path) << text;
  return path;
}

std::string ClusterTest::Read(const std::string& name) const {
  const auto text = local::ReadFile(folder_ + "/" + name);
  return text.ok() ? *text : "";
}

}  // namespace allot::testing
