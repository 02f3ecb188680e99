// How long does discovery take, and what does sampling telemetry cost?
//
// On recorded machines, so this is our own work and a file system's: files of a live driver may
// take longer. Discovery is all that `allot-agent --discover` does before it prints, without tools.
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include <time.h>

#include "agent/devices/amd/amd_vendor.h"
#include "agent/devices/health/monitor.h"
#include "agent/devices/inventory.h"
#include "agent/devices/registry.h"
#include "benchmarks/report.h"

namespace {

using namespace allot;
using namespace allot::agent;

std::shared_ptr<const Host> Machine(const std::string& name) {
  auto host = Host::Recorded(std::string(ALLOT_SOURCE_DIR) + "/tests/machines/" + name);
  if (!host.ok()) {
    std::fprintf(stderr, "discover: %s\n", MessageOf(host.status()).c_str());
    std::exit(1);
  }
  return *std::move(host);
}

double CpuSeconds() {
  timespec used{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

// From nothing: vendors made, threads started, everything read.
void MeasureDiscovery(benchmarks::Report& report, const char* figure, const char* machine) {
  const auto host = Machine(machine);
  const auto wall = std::chrono::steady_clock::now();
  const double before = CpuSeconds();
  {
    auto vendors = MakeVendors({}, Catalogue::BuiltIn(), host);
    Inventory inventory(std::move(vendors).value(), host);
    (void)inventory.DiscoverAll();
    report.Add(
        figure, "ms",
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - wall).count());
  }
  report.Add(std::string(figure) + ", processor time", "ms", (CpuSeconds() - before) * 1e3);
}

// Eight GPUs with five files each, sampled `kRounds` times with the signals of their health; told
// as the share of a core that one sample a second takes.
void MeasureSampling(benchmarks::Report& report) {
  constexpr int kRounds = 200;
  AmdVendor vendor;
  (void)vendor.Discover(*Snapshot::Take(Machine("amd-8xmi300x-spx")));
  const double before = CpuSeconds();
  size_t samples = 0, signals = 0;
  HealthMonitor monitor(HealthRules::BuiltIn());
  for (int i = 0; i < kRounds; ++i) {
    samples += vendor.Sample().size();
    const std::vector<HealthSignal> told = vendor.Signals();
    signals += told.size();
    monitor.Observed(std::chrono::seconds(i), vendor.name(), told);
  }
  if (samples != 8u * kRounds || signals < 16u * kRounds) std::exit(1);
  report.Add("sampling 8 GPUs each second, share of a core", "%",
             (CpuSeconds() - before) / kRounds * 100);
}

}  // namespace

int main(int argc, char** argv) {
  benchmarks::Report report("discover", argc, argv);
  report.Method("recorded machines in tests/machines, files cached; all vendors, no tools");
  constexpr const char* kSixteen = "discovery of 16 devices and 2 sockets";
  for (int run = 0; run < report.runs(); ++run) {
    MeasureDiscovery(report, kSixteen, "sambanova-sn40l-16");
    MeasureDiscovery(report, "discovery of 8 GPUs with KFD topology", "amd-8xmi300x-spx");
    MeasureSampling(report);
  }
  report.Goal(kSixteen, 50, benchmarks::Report::kAtMost);
  report.Goal("sampling 8 GPUs each second, share of a core", 0.5, benchmarks::Report::kAtMost);
  return report.Print();
}
