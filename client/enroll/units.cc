#include "client/enroll/units.h"

#include <pwd.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "client/local/files.h"

extern char** environ;

namespace allot::client {
namespace {

constexpr char kUnits[] = "/etc/systemd/system";

// Runs systemctl with what it says on standard error passed on.
Status Systemctl(const std::vector<std::string>& args) {
  std::vector<char*> argv = {const_cast<char*>("systemctl")};
  std::string line = "systemctl";
  for (const std::string& arg : args) {
    argv.push_back(const_cast<char*>(arg.c_str()));
    line += " " + arg;
  }
  argv.push_back(nullptr);
  pid_t pid = 0;
  if (const int error = posix_spawnp(&pid, "systemctl", nullptr, nullptr, argv.data(), environ))
    return FailedPrecondition("cannot run {}: {}", line, std::generic_category().message(error));
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  return FailedPrecondition("`{}` failed; see `journalctl -u {}`", line, args.back());
}

bool Installed(const Unit& unit) {
  for (const char* folder : {kUnits, "/usr/lib/systemd/system", "/lib/systemd/system"})
    if (local::Exists(std::string(folder) + "/" + unit.Name())) return true;
  return false;
}

}  // namespace

StatusOr<std::string> StartLine(const Unit& unit) {
  ASSIGN_OR_RETURN(const std::string program, local::FindProgram(unit.program));
  return program + " --config " + unit.config;
}

bool UnitsWork(const Unit& unit) {
  return geteuid() == 0 && local::Exists("/run/systemd/system") &&
         unit.config.starts_with("/etc/allotrope/");
}

StatusOr<std::string> UnitText(const Unit& unit) {
  ASSIGN_OR_RETURN(const std::string start, StartLine(unit));
  // Tasks and model servers run on under their supervisors when the agent is restarted.
  std::string more;
  if (unit.as_root) more = "KillMode=process\nDelegate=yes\n";
  if (!unit.as_root && getpwnam("allotrope") != nullptr) more = "User=allotrope\n";
  return fmt::format(
      "# Written by `allot`; a package brings a fuller one.\n"
      "[Unit]\nDescription=Allotrope: "
      "{0}\nAfter=network-online.target\nWants=network-online.target\n"
      "\n[Service]\nExecStart={1}\nRestart=always\nRestartSec=1\n{2}"
      "\n[Install]\nWantedBy=multi-user.target\n",
      unit.program, start, more);
}

Status StartUnit(const Unit& unit) {
  if (!Installed(unit)) {
    ASSIGN_OR_RETURN(const std::string text, UnitText(unit));
    RETURN_IF_ERROR(local::WriteFile(std::string(kUnits) + "/" + unit.Name(), text, 0644));
    RETURN_IF_ERROR(Systemctl({"daemon-reload"}));
  }
  RETURN_IF_ERROR(Systemctl({"enable", unit.Name()}));
  return Systemctl({"restart", unit.Name()});
}

}  // namespace allot::client
