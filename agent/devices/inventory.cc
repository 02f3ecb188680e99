#include "agent/devices/inventory.h"

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "agent/devices/health/kernel_events.h"
#include "common/base/status.h"
#include "common/base/thread.h"
#include "fmt/ranges.h"

namespace allot::agent {
namespace {

enum class Job { kNone, kDiscover, kSample, kEnd };

// What the thread and the loop share; it outlives whichever of them goes first.
struct Shared {
  Shared(std::unique_ptr<Vendor> v, std::shared_ptr<SnapshotSource> m, bool with_signals)
      : vendor(std::move(v)), machine(std::move(m)), wants_signals(with_signals) {}
  const std::unique_ptr<Vendor> vendor;  // used by the thread only
  const std::shared_ptr<SnapshotSource> machine;
  const bool wants_signals;
  std::mutex mutex;
  std::condition_variable changed;
  Job job = Job::kNone;     // asked for; kNone once done
  bool in_vendor = false;   // the thread is in a call of the vendor
  bool found = false;       // what a discovery has so far is in `discovery`
  bool discovered = false;  // a discovery is done and not taken
  bool sampled = false;
  Discovery discovery;
  std::vector<DeviceTelemetry> telemetry;
  std::chrono::steady_clock::time_point sampled_at;
  std::vector<HealthSignal> signals;  // read with either job
};

void Work(const std::shared_ptr<Shared>& shared) {
  std::unique_lock lock(shared->mutex);
  for (;;) {
    shared->changed.wait(lock, [&] { return shared->job != Job::kNone; });
    const Job job = shared->job;
    if (job == Job::kEnd) return;
    shared->in_vendor = true;
    lock.unlock();
    Discovery discovery;
    std::vector<DeviceTelemetry> telemetry;
    const auto begun = std::chrono::steady_clock::now();
    if (job == Job::kSample) telemetry = shared->vendor->Sample();
    const auto sampled = std::chrono::steady_clock::now();
    const bool discover =
        job == Job::kDiscover || (job == Job::kSample && shared->vendor->changed());
    if (discover) {
      // What is found so far stands if the next step never comes back.
      const auto keep = [&] {
        const std::lock_guard keeping(shared->mutex);
        shared->discovery = discovery;
        shared->found = true;
      };
      discovery = shared->vendor->Discover(*shared->machine->Get());
      if (shared->vendor->enriches()) {
        keep();
        shared->vendor->Enrich(&discovery);
      }
      if (shared->wants_signals) keep();
    }
    std::vector<HealthSignal> signals;
    if (shared->wants_signals) signals = shared->vendor->Signals();
    lock.lock();
    shared->in_vendor = false;
    shared->signals = std::move(signals);
    if (discover) {
      shared->discovery = std::move(discovery);
      shared->discovered = true;
    }
    if (job == Job::kSample) {
      shared->telemetry = std::move(telemetry);
      shared->sampled_at = begun + (sampled - begun) / 2;
      shared->sampled = true;
    }
    if (shared->job != Job::kEnd) shared->job = Job::kNone;
    shared->changed.notify_all();
  }
}

}  // namespace

// One vendor, on its own thread if it may hang, else on the caller's.
class Inventory::Worker {
 public:
  Worker(std::unique_ptr<Vendor> vendor, std::shared_ptr<SnapshotSource> machine,
         bool wants_signals)
      : name_(vendor->name()),
        threaded_(vendor->may_hang()),
        shared_(std::make_shared<Shared>(std::move(vendor), std::move(machine), wants_signals)) {
    if (threaded_) thread_ = StartThread([shared = shared_] { Work(shared); });
  }
  ~Worker() { Leave(std::chrono::steady_clock::now()); }

  // Asks the thread to end.
  void End() {
    const std::lock_guard lock(shared_->mutex);
    shared_->job = Job::kEnd;
    shared_->changed.notify_all();
  }
  // In the vendor's library: a call that is merely slow gets until the deadline.
  void Leave(std::chrono::steady_clock::time_point deadline) {
    if (!thread_.joinable()) return;
    End();
    std::unique_lock lock(shared_->mutex);
    const bool idle =
        shared_->changed.wait_until(lock, deadline, [&] { return !shared_->in_vendor; });
    lock.unlock();
    if (idle) {
      thread_.join();
    } else {
      thread_.detach();
    }
  }

  void Ask(Job job, Duration now) {
    asked_at_ = now;
    asked_ = job;
    if (!threaded_) {
      if (job == Job::kSample) telemetry_ = shared_->vendor->Sample();
      if (job == Job::kDiscover || shared_->vendor->changed()) {
        discovery_ = shared_->vendor->Discover(*shared_->machine->Get());
        shared_->vendor->Enrich(&discovery_);
      }
      if (job == Job::kSample) {
        telemetry_ = shared_->vendor->Sample();
        sampled_at_ = std::chrono::steady_clock::now();
        fresh_ = true;
      }
      if (shared_->wants_signals) signals_ = shared_->vendor->Signals();
      return;
    }
    {
      const std::lock_guard lock(shared_->mutex);
      shared_->job = job;
      shared_->found = shared_->discovered = shared_->sampled = false;
    }
    shared_->changed.notify_all();
  }

  // False while it is still at it.
  bool Take() {
    if (!threaded_) return true;
    const std::lock_guard lock(shared_->mutex);
    return TakeLocked();
  }

  bool TakeUntil(std::chrono::steady_clock::time_point deadline,
                 const std::function<bool()>& stop_waiting) {
    if (!threaded_) return true;
    std::unique_lock lock(shared_->mutex);
    const auto done = [&] { return shared_->job == Job::kNone; };
    const auto given_up = [&] {
      return std::chrono::steady_clock::now() >= deadline || (stop_waiting && stop_waiting());
    };
    while (!done() && !given_up())
      shared_->changed.wait_for(lock, std::chrono::milliseconds(5), done);
    return TakeLocked();
  }

  // Late in the second step of a discovery: what the first found stands until it answers.
  bool TakeFirstStep() {
    const std::lock_guard lock(shared_->mutex);
    if (!std::exchange(shared_->found, false)) return false;
    discovery_ = shared_->discovery;
    return true;
  }

  const std::string& name() const { return name_; }
  const Discovery& discovery() const { return discovery_; }
  const std::vector<DeviceTelemetry>& telemetry() const { return telemetry_; }
  std::vector<std::string> TakeWarnings() { return std::exchange(discovery_.warnings, {}); }
  void DropTelemetry() { telemetry_.clear(); }
  // Those of the job that was taken last, once.
  std::optional<std::vector<HealthSignal>> TakeSignals() {
    return std::exchange(signals_, std::nullopt);
  }
  // When the telemetry was read; nothing if it is no other than before.
  std::optional<std::chrono::steady_clock::time_point> TakeSampledAt() {
    if (!std::exchange(fresh_, false)) return std::nullopt;
    return sampled_at_;
  }

  Job asked() const { return asked_; }
  Duration asked_at() const { return asked_at_; }
  bool said_late = false;
  Duration discovered_at{};

 private:
  bool TakeLocked() {
    if (shared_->job != Job::kNone) return false;
    if (std::exchange(shared_->discovered, false)) {
      discovery_ = std::move(shared_->discovery);
      signals_ = std::move(shared_->signals);
    }
    if (std::exchange(shared_->sampled, false)) {
      telemetry_ = std::move(shared_->telemetry);
      sampled_at_ = shared_->sampled_at;
      fresh_ = true;
      signals_ = std::move(shared_->signals);
    }
    return true;
  }

  const std::string name_;
  const bool threaded_;
  const std::shared_ptr<Shared> shared_;
  std::thread thread_;
  Job asked_ = Job::kNone;
  Duration asked_at_{};
  Discovery discovery_;
  std::vector<DeviceTelemetry> telemetry_;
  std::chrono::steady_clock::time_point sampled_at_;
  bool fresh_ = false;
  std::optional<std::vector<HealthSignal>> signals_;
};

Inventory::Inventory(std::vector<std::unique_ptr<Vendor>> vendors, std::shared_ptr<const Host> host,
                     InventoryOptions options)
    : options_(std::move(options)),
      host_(std::move(host)),
      machine_(std::make_shared<SnapshotSource>(host_)) {
  if (options_.health != nullptr) {
    health_ = std::make_unique<HealthMonitor>(options_.health);
    kernel_log_ = KernelLog::Open(*host_);
  }
  for (auto& vendor : vendors)
    workers_.push_back(
        std::make_unique<Worker>(std::move(vendor), machine_, options_.health != nullptr));
}
Inventory::~Inventory() {
  for (const auto& worker : workers_) worker->End();
  // One moment for all of them together.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  for (const auto& worker : workers_) worker->Leave(deadline);
}

Discovery Inventory::Gather() const {
  Discovery all;
  for (const auto& worker : workers_) TakeDevices(worker->name(), worker->discovery(), &all);
  Compose(options_.composition, *host_, &all);
  return all;
}

// What the kernel shows is kept where only the vendor's own software is late.
std::string Inventory::LateDiscovery(Worker& worker) const {
  if (worker.TakeFirstStep())
    return fmt::format(
        "the library or tool of {} has not answered for {}; going on with what the kernel shows, "
        "the rest is added when it does",
        worker.name(), FormatDuration(options_.discover_deadline));
  return fmt::format(
      "discovery of {} devices has not answered for {}; going on without them, they are added "
      "when it does",
      worker.name(), FormatDuration(options_.discover_deadline));
}

void Inventory::ListIgnored(Discovery* all) {
  std::set<std::string> used(all->claimed.begin(), all->claimed.end());
  for (const FoundDevice& found : all->devices) used.insert(found.device.id);
  for (const pci::Function& function : machine_->Get()->bus.functions())
    if (!used.contains(function.address))
      if (auto why = pci::WhyIgnored(function)) {
        const std::string driver = host_->LinkName(function.path() + "/driver").value_or("");
        all->ignored.push_back({function.address, *std::move(why), driver});
      }
}

// ---- health -------------------------------------------------------------------------------------

void Inventory::TakeSignals(Duration now) {
  for (const auto& worker : workers_)
    if (const auto signals = worker->TakeSignals(); signals && health_ != nullptr)
      health_->Observed(now, worker->name(), *signals);
}

void Inventory::ReadKernelLog(Duration now) {
  if (kernel_log_ == nullptr) return;
  for (const std::string& message : kernel_log_->Read()) {
    const auto event = ReadKernelMessage(message);
    // Of devices that are not ours nothing is kept.
    if (event && std::any_of(told_.begin(), told_.end(), [&](const Device& device) {
          return device.id.starts_with(event->signal.device) ||
                 device.parent.starts_with(event->signal.device);
        }))
      health_->Happened(now, event->vendor, event->signal);
  }
}

void Inventory::ApplyHealth(Duration now, Discovery* all) const {
  if (health_ == nullptr) return;
  for (FoundDevice& found : all->devices) health_->Apply(now, &found.device);
}

void Inventory::TellHealth(const std::vector<Device>& before, const std::vector<Device>& now,
                           std::vector<std::string>* warnings) const {
  for (const Device& device : now) {
    const auto was = std::find_if(before.begin(), before.end(),
                                  [&](const Device& d) { return d.id == device.id; });
    if (was == before.end() ? device.health.empty() : was->health == device.health) continue;
    warnings->push_back(
        device.health.empty()
            ? fmt::format("device {} is well again: {}", device.id, ToString(device.state))
            : fmt::format("device {} is {} with {}", device.id, ToString(device.state),
                          fmt::join(device.health, ", ")));
  }
}

void Inventory::ClearHealth() {
  if (health_ != nullptr) health_->Clear();
}

// ---- discovery and samples ----------------------------------------------------------------------

Discovery Inventory::DiscoverAll() {
  std::vector<std::string> warnings;
  machine_->Forget();
  for (const auto& worker : workers_) worker->Ask(Job::kDiscover, Duration{});
  const auto deadline = std::chrono::steady_clock::now() + options_.discover_deadline;
  for (const auto& worker : workers_) {
    if (!worker->TakeUntil(deadline, options_.stop_waiting)) {
      worker->said_late = true;
      warnings.push_back(LateDiscovery(*worker));
    }
    for (std::string& warning : worker->TakeWarnings()) warnings.push_back(std::move(warning));
  }
  Discovery all = Gather();
  TakeSignals(Duration{});
  ApplyHealth(Duration{}, &all);
  std::vector<Device> devices;
  for (const FoundDevice& found : all.devices) devices.push_back(found.device);
  TellHealth({}, devices, &warnings);
  all.warnings.insert(all.warnings.begin(), warnings.begin(), warnings.end());
  ListIgnored(&all);
  told_ = std::move(devices);
  told_groups_ = all.groups;
  return all;
}

Inventory::Update Inventory::Poll(Duration steady) {
  Update update;
  const auto now = std::chrono::steady_clock::now();
  for (const auto& worker : workers_) {
    if (worker->Take()) {
      if (std::exchange(worker->said_late, false))
        update.warnings.push_back(fmt::format("{} devices answer again", worker->name()));
      if (worker->asked() == Job::kDiscover) worker->discovered_at = steady;
      for (std::string& warning : worker->TakeWarnings())
        update.warnings.push_back(std::move(warning));
      const bool discover = steady - worker->discovered_at >= options_.rediscover_every;
      worker->Ask(discover ? Job::kDiscover : Job::kSample, steady);
      (void)worker->Take();  // One that needs no thread is done already.
    } else if (const Duration limit = worker->asked() == Job::kDiscover ? options_.discover_deadline
                                                                        : options_.sample_deadline;
               steady - worker->asked_at() > limit && !worker->said_late) {
      worker->said_late = true;
      worker->DropTelemetry();  // What is old must not look like now.
      if (worker->asked() == Job::kDiscover) (void)worker->TakeFirstStep();
      update.warnings.push_back(fmt::format(
          "{} devices have not answered for {}: degraded, no telemetry of them until they do",
          worker->name(), FormatDuration(limit)));
    }
    update.telemetry.insert(update.telemetry.end(), worker->telemetry().begin(),
                            worker->telemetry().end());
    if (const auto at = worker->TakeSampledAt()) {
      const Duration age = std::chrono::duration_cast<Duration>(now - *at);
      for (const DeviceTelemetry& values : worker->telemetry())
        update.fresh.push_back({steady - std::max(age, Duration{}), values});
    }
  }
  TakeSignals(steady);
  ReadKernelLog(steady);
  Discovery all = Gather();
  ApplyHealth(steady, &all);
  std::vector<Device> devices;
  for (const FoundDevice& found : all.devices) devices.push_back(found.device);
  if (devices != told_ || all.groups != told_groups_) {
    TellHealth(told_, devices, &update.warnings);
    told_ = std::move(devices);
    told_groups_ = all.groups;
    update.changed = std::move(all);
  }
  return update;
}

}  // namespace allot::agent
