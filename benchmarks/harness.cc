#include "benchmarks/harness.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "fmt/format.h"

extern char** environ;

namespace allot::benchmarks {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void Die(const std::string& message) {
  std::fprintf(stderr, "benchmark: %s\n", message.c_str());
  std::exit(1);
}

std::string ReadAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

// The folder is removed by a small child that waits for our end, so that Ctrl-C and kill -9 leave
// nothing behind either. It goes when the last write end of the pipe is closed.
ScratchFolder::ScratchFolder() {
  std::string name = (fs::temp_directory_path() / "allot-bench-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr)
    Die("cannot make a folder in " + fs::temp_directory_path().string());
  path_ = name;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) Die("cannot make a pipe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[0], 0);
  std::string script = "trap '' INT TERM HUP; cat >/dev/null; rm -rf \"$0\"";
  char* const argv[] = {const_cast<char*>("/bin/sh"), const_cast<char*>("-c"), script.data(),
                        path_.data(), nullptr};
  if (posix_spawn(&sweeper_, argv[0], &actions, nullptr, argv, environ) != 0)
    Die("cannot start /bin/sh");
  posix_spawn_file_actions_destroy(&actions);
  close(ends[0]);
  alive_ = ends[1];
}

ScratchFolder::~ScratchFolder() {
  close(alive_);
  waitpid(sweeper_, nullptr, 0);
}

Process::Process(const std::vector<std::string>& command, const std::string& log_file) {
  // setpriv: the kernel ends the child when we end, however that comes about.
  std::vector<char*> argv;
  for (const char* word : {"setpriv", "--pdeathsig", "KILL", "--"})
    argv.push_back(const_cast<char*>(word));
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND,
                                   0644);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  const int error = posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) Die("cannot start " + command[0] + "; build it first: scripts/build.sh release");
}

Process::~Process() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  Wait();
}

void Process::Signal(int signal) const { kill(pid_, signal); }

int Process::Wait() {
  int status = 0;
  if (pid_ <= 0 || waitpid(pid_, &status, 0) != pid_) return -1;
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string ProgramPath(const std::string& name) {
  return (fs::read_symlink("/proc/self/exe").parent_path() / name).string();
}

void WriteFile(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << text;
  out.close();
  if (out.fail()) Die("cannot write " + path);
}

ClusterFiles WriteClusterFiles(const std::string& folder, const std::vector<std::string>& agents,
                               const std::string& extra) {
  ClusterFiles files;
  files.scheduler_config = folder + "/scheduler.yaml";
  files.scheduler_state = folder + "/scheduler";
  files.allow_file = folder + "/allow.yaml";
  files.scheduler_keys = transport::NewKeyPair();
  fs::create_directories(files.scheduler_state);
  const std::string key_file = folder + "/scheduler.key";
  if (auto saved = transport::SaveKeyFile(key_file, files.scheduler_keys); !saved.ok())
    Die(std::string(saved.message().data(), saved.message().size()));
  std::string allow = "peers:\n";
  for (const std::string& name : agents) {
    const auto keys = files.agents[name] = transport::NewKeyPair();
    allow += fmt::format("- {{name: {}, public_key: '{}', role: agent}}\n", name, keys.public_key);
  }
  WriteFile(files.allow_file, allow);
  WriteFile(files.scheduler_config,
            fmt::format("state_dir: {}\nlisten: tcp://127.0.0.1:0\nhttp_listen: "
                        "127.0.0.1:0\nkey_file: {}\nallow_file: {}\nlocal: true\n"
                        "checkpoint_root: {}/checkpoints\nlogging: {{level: warn}}\n{}",
                        files.scheduler_state, key_file, files.allow_file, folder, extra));
  return files;
}

std::string WriteAgentConfig(const std::string& folder, const ClusterFiles& files,
                             const std::string& name, const std::string& scheduler_endpoint,
                             const std::string& extra) {
  const std::string key_file = folder + "/" + name + ".key", config = folder + "/" + name + ".yaml";
  if (auto saved = transport::SaveKeyFile(key_file, files.agents.at(name)); !saved.ok())
    Die(std::string(saved.message().data(), saved.message().size()));
  fs::create_directories(folder + "/" + name);
  WriteFile(config, fmt::format("name: {}\nstate_dir: {}/{}\nscheduler: {}\nscheduler_public_key: "
                                "'{}'\nkey_file: {}\naddress: 127.0.0.1\nlogging: {{level: warn}}\n"
                                "users: {{separation: off}}\n{}",
                                name, folder, name, scheduler_endpoint,
                                files.scheduler_keys.public_key, key_file, extra));
  return config;
}

std::map<std::string, std::string> WaitForAddresses(const std::string& state_dir,
                                                    const Process& process,
                                                    const std::string& log_file) {
  const std::string path = state_dir + "/addresses.yaml";
  for (int tries = 0; tries < 6000; ++tries) {
    if (fs::exists(path)) {
      std::map<std::string, std::string> addresses;
      std::istringstream lines(ReadAll(path));
      for (std::string line; std::getline(lines, line);) {
        const size_t colon = line.find(": ");
        if (colon == std::string::npos) continue;
        std::string value = line.substr(colon + 2);
        if (value.size() >= 2 && (value.front() == '"' || value.front() == '\''))
          value = value.substr(1, value.size() - 2);
        addresses[line.substr(0, colon)] = value;
      }
      if (addresses["pid"] == std::to_string(process.pid()))
        return addresses;  // not a file of an earlier life
    }
    siginfo_t ended{};
    if (waitid(P_PID, static_cast<id_t>(process.pid()), &ended, WEXITED | WNOHANG | WNOWAIT) != 0 ||
        ended.si_pid != 0)
      break;
    poll(nullptr, 0, 10);
  }
  Die("a program did not get ready; the end of its log:\n" + ReadAll(log_file));
}

double CpuSeconds(pid_t pid) {
  const std::string stat = ReadAll(fmt::format("/proc/{}/stat", pid));
  std::istringstream fields(stat.substr(stat.rfind(')') + 2));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  double user = 0, system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

double ResidentMiB(pid_t pid) {
  std::istringstream fields(ReadAll(fmt::format("/proc/{}/statm", pid)));
  double size = 0, resident = 0;
  fields >> size >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE)) / (1 << 20);
}

double Seconds(std::chrono::steady_clock::duration d) {
  return std::chrono::duration<double>(d).count();
}

}  // namespace allot::benchmarks
