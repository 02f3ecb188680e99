#include "agent/runtime/strays.h"

#include <cctype>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>

#include <dirent.h>

#include "agent/runtime/files.h"

namespace allot::agent {
namespace {

Time MachineStarted() {
  timespec wall{}, up{};
  clock_gettime(CLOCK_REALTIME, &wall);
  clock_gettime(CLOCK_BOOTTIME, &up);
  return FromMicros((wall.tv_sec - up.tv_sec) * 1'000'000 + (wall.tv_nsec - up.tv_nsec) / 1'000);
}

}  // namespace

void KillStrays(int64_t supervisor_pid, int64_t pid, Time started) {
  if (supervisor_pid <= 1 || pid <= 1 || started < MachineStarted()) return;
  DIR* proc = opendir("/proc");
  if (proc == nullptr) return;
  while (const dirent* entry = readdir(proc)) {
    if (isdigit(static_cast<unsigned char>(entry->d_name[0])) == 0) continue;
    const StatusOr<std::string> stat = ReadWholeFile(fmt::format("/proc/{}/stat", entry->d_name));
    if (!stat.ok()) continue;
    // The name in parentheses may hold anything, also ")".
    const size_t end = stat->rfind(')');
    int parent = 0, group = 0, session = 0;
    char state = 0;
    if (end == std::string::npos ||
        sscanf(stat->c_str() + end + 1, " %c %d %d %d", &state, &parent, &group, &session) != 4)
      continue;
    if (group == pid && session == supervisor_pid) kill(atoi(entry->d_name), SIGKILL);
  }
  closedir(proc);
}

}  // namespace allot::agent
