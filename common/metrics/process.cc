#include "common/metrics/process.h"

#include <dirent.h>
#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <utility>

#include "common/base/version.h"

namespace allot::metrics {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

std::string ReadFile(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

MetricFamily Family(const char* name, const char* help, double value, bool counter = false) {
  ClientMetric metric;
  if (counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  return {name, help, counter ? MetricType::Counter : MetricType::Gauge, {metric}};
}

// When the machine started, in seconds since the epoch; 0 if /proc does not say. Constant but for
// steps of the clock, so it is read once.
double BootTime() {
  static const double boot = [] {
    std::istringstream stat(ReadFile("/proc/stat"));
    for (std::string key; stat >> key; stat.ignore(1 << 20, '\n')) {
      double seconds = 0;
      if (key == "btime" && stat >> seconds) return seconds;
    }
    return 0.0;
  }();
  return boot;
}

int CountOpenFiles() {
  DIR* folder = opendir("/proc/self/fd");
  if (folder == nullptr) return -1;
  int count = -1;  // The one that reads the folder.
  while (const dirent* entry = readdir(folder)) count += entry->d_name[0] != '.';
  closedir(folder);
  return count;
}

}  // namespace

std::vector<MetricFamily> CollectProcess() {
  std::vector<MetricFamily> out;

  MetricFamily build = Family("allotrope_build_info", "1, with what was built.", 1);
  build.metric[0].label = {{"program", program_invocation_short_name}, {"version", kVersion}};
  out.push_back(std::move(build));

  // Fields of /proc/self/stat, counted from behind the name, which may hold spaces: state is 3.
  const std::string stat = ReadFile("/proc/self/stat");
  if (const size_t end = stat.rfind(')'); end != std::string::npos) {
    std::istringstream rest(stat.substr(end + 1));
    const std::vector<std::string> fields{std::istream_iterator<std::string>(rest), {}};
    const auto field = [&](size_t i) { return std::strtod(fields[i - 3].c_str(), nullptr); };
    if (fields.size() > 24 - 3) {
      const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
      const auto page = static_cast<double>(sysconf(_SC_PAGESIZE));
      out.push_back(Family("process_cpu_seconds_total", "User and system processor time.",
                           (field(14) + field(15)) / ticks, /*counter=*/true));
      out.push_back(Family("process_threads", "Threads of the process.", field(20)));
      out.push_back(
          Family("process_virtual_memory_bytes", "Size of the address space.", field(23)));
      out.push_back(Family("process_resident_memory_bytes", "Memory held.", field(24) * page));
      if (BootTime() > 0) {
        out.push_back(Family("process_start_time_seconds", "Start, since the Unix epoch.",
                             BootTime() + field(22) / ticks));
      }
    }
  }
  if (const int open = CountOpenFiles(); open >= 0) {
    out.push_back(Family("process_open_fds", "Open file descriptors.", open));
  }
  if (rlimit limit; getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    out.push_back(Family("process_max_fds", "File descriptors the process may open.",
                         static_cast<double>(limit.rlim_cur)));
  }
  return out;
}

}  // namespace allot::metrics
