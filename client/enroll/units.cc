#include "client/enroll/units.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <sstream>

#include "client/enroll/places.h"
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

// What a directive of the units hides, by the folders that lie in it.
constexpr std::pair<std::string_view, std::string_view> kHidden[] = {{"/home/", "ProtectHome="},
                                                                     {"/root/", "ProtectHome="},
                                                                     {"/tmp/", "PrivateTmp="},
                                                                     {"/var/tmp/", "PrivateTmp="}};

void ReplaceAll(std::string* text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text->find(from, at)) != std::string::npos; at += to.size())
    text->replace(at, from.size(), to);
}

std::string WithoutLines(const std::string& text, const std::vector<std::string_view>& starts) {
  std::istringstream in(text);
  std::string out;
  for (std::string line; std::getline(in, line);)
    if (std::none_of(starts.begin(), starts.end(),
                     [&](std::string_view start) { return line.starts_with(start); }))
      out += line + "\n";
  return out;
}

bool Installed(const Unit& unit) {
  for (const char* folder :
       {kUnits, "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"})
    if (local::Exists(std::string(folder) + "/" + unit.Name())) return true;
  return false;
}

// What starts it by hand.
StatusOr<std::string> StartLine(const Unit& unit) {
  ASSIGN_OR_RETURN(const std::string program, local::FindProgram(unit.program));
  return program + " --config " + unit.config;
}

// Is this machine run by systemd, are we root, and is the config where the units look for it?
bool UnitsWork(const Unit& unit) {
  return geteuid() == 0 && local::Exists("/run/systemd/system") &&
         unit.config.starts_with("/etc/allotrope/");
}

// Enables and (re)starts it; where no package has brought the unit, it is written.
Status StartUnit(const Unit& unit) {
  if (!Installed(unit)) {
    ASSIGN_OR_RETURN(const std::string program, local::FindProgram(unit.program));
    const std::string text = UnitText(unit, program, FindUser().has_value());
    RETURN_IF_ERROR(local::WriteFile(std::string(kUnits) + "/" + unit.Name(), text, 0644));
    RETURN_IF_ERROR(Systemctl({"daemon-reload"}));
  }
  RETURN_IF_ERROR(Systemctl({"enable", unit.Name()}));
  return Systemctl({"restart", unit.Name()});
}

}  // namespace

std::string UnitText(const Unit& unit, const std::string& program, bool has_user) {
  const std::filesystem::path path(program);
  std::string text;
  for (const PackagedUnit& packaged : PackagedUnits())
    if (packaged.program == unit.program) text = packaged.text;
  ReplaceAll(&text, "@HARDENING@", Hardening());
  ReplaceAll(&text, "@CMAKE_INSTALL_FULL_BINDIR@", path.parent_path().string());
  ReplaceAll(&text, fmt::format("/etc/allotrope/{}.yaml", unit.program.substr(6)), unit.config);
  if (!has_user) text = WithoutLines(text, {"User=", "Group="});
  for (const auto& [folder, directive] : kHidden)
    if (program.starts_with(folder)) text = WithoutLines(text, {directive});
  return "# Written by `allot`, as the packages have it.\n" + text;
}

StatusOr<Started> StartForGood(const Unit& unit, bool wanted) {
  Started started;
  if (wanted && UnitsWork(unit)) {
    RETURN_IF_ERROR(StartUnit(unit));
    started.unit = unit.Name();
  }
  const StatusOr<std::string> line = StartLine(unit);
  if (line.ok()) started.line = *line;
  started.shown =
      started.unit.empty()
          ? fmt::format("start it     {}\n", line.ok() ? *line : MessageOf(line.status()))
          : fmt::format("running      systemctl status {}\n", started.unit);
  return started;
}

}  // namespace allot::client
