#include "agent/devices/inventory.h"

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "common/base/status.h"

namespace allot::agent {
namespace {

enum class Job { kNone, kDiscover, kSample, kEnd };

// What the thread and the loop share; it outlives whichever of them goes first.
struct Shared {
  Shared(std::unique_ptr<Vendor> v, std::shared_ptr<SnapshotSource> m)
      : vendor(std::move(v)), machine(std::move(m)) {}
  const std::unique_ptr<Vendor> vendor;  // used by the thread only
  const std::shared_ptr<SnapshotSource> machine;
  std::mutex mutex;
  std::condition_variable changed;
  Job job = Job::kNone;     // asked for; kNone once done
  bool in_vendor = false;   // the thread is in a call of the vendor
  bool found = false;       // the first step of a discovery is done; `discovery` has it
  bool discovered = false;  // a discovery is done and not taken
  bool sampled = false;
  Discovery discovery;
  std::vector<DeviceTelemetry> telemetry;
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
    if (job == Job::kDiscover) {
      discovery = shared->vendor->Discover(*shared->machine->Get());
      if (shared->vendor->enriches()) {
        lock.lock();
        shared->discovery = discovery;
        shared->found = true;
        lock.unlock();
        shared->vendor->Enrich(&discovery);
      }
    }
    if (job == Job::kSample) telemetry = shared->vendor->Sample();
    lock.lock();
    shared->in_vendor = false;
    if (job == Job::kDiscover) {
      shared->discovery = std::move(discovery);
      shared->discovered = true;
    } else {
      shared->telemetry = std::move(telemetry);
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
  Worker(std::unique_ptr<Vendor> vendor, std::shared_ptr<SnapshotSource> machine)
      : name_(vendor->name()),
        threaded_(vendor->may_hang()),
        shared_(std::make_shared<Shared>(std::move(vendor), std::move(machine))) {
    if (threaded_) thread_ = std::thread([shared = shared_] { Work(shared); });
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
      if (job == Job::kDiscover) {
        discovery_ = shared_->vendor->Discover(*shared_->machine->Get());
        shared_->vendor->Enrich(&discovery_);
      }
      if (job == Job::kSample) telemetry_ = shared_->vendor->Sample();
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

  bool TakeUntil(std::chrono::steady_clock::time_point deadline) {
    if (!threaded_) return true;
    std::unique_lock lock(shared_->mutex);
    shared_->changed.wait_until(lock, deadline, [&] { return shared_->job == Job::kNone; });
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

  Job asked() const { return asked_; }
  Duration asked_at() const { return asked_at_; }
  bool said_late = false;
  Duration discovered_at{};

 private:
  bool TakeLocked() {
    if (shared_->job != Job::kNone) return false;
    if (std::exchange(shared_->discovered, false)) discovery_ = std::move(shared_->discovery);
    if (std::exchange(shared_->sampled, false)) telemetry_ = std::move(shared_->telemetry);
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
};

Inventory::Inventory(std::vector<std::unique_ptr<Vendor>> vendors, std::shared_ptr<const Host> host,
                     InventoryOptions options)
    : options_(std::move(options)),
      host_(std::move(host)),
      machine_(std::make_shared<SnapshotSource>(host_)) {
  for (auto& vendor : vendors)
    workers_.push_back(std::make_unique<Worker>(std::move(vendor), machine_));
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
      if (auto why = pci::WhyIgnored(function))
        all->ignored.push_back({function.address, *std::move(why)});
}

Discovery Inventory::DiscoverAll() {
  std::vector<std::string> warnings;
  machine_->Forget();
  for (const auto& worker : workers_) worker->Ask(Job::kDiscover, Duration{});
  const auto deadline = std::chrono::steady_clock::now() + options_.discover_deadline;
  for (const auto& worker : workers_) {
    if (!worker->TakeUntil(deadline)) {
      worker->said_late = true;
      warnings.push_back(LateDiscovery(*worker));
    }
    for (std::string& warning : worker->TakeWarnings()) warnings.push_back(std::move(warning));
  }
  Discovery all = Gather();
  all.warnings.insert(all.warnings.begin(), warnings.begin(), warnings.end());
  ListIgnored(&all);
  told_.clear();
  for (const FoundDevice& found : all.devices) told_.push_back(found.device);
  told_groups_ = all.groups;
  return all;
}

Inventory::Update Inventory::Poll(Duration steady) {
  Update update;
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
  }
  Discovery all = Gather();
  std::vector<Device> devices;
  for (const FoundDevice& found : all.devices) devices.push_back(found.device);
  if (devices != told_ || all.groups != told_groups_) {
    told_ = std::move(devices);
    told_groups_ = all.groups;
    update.changed = std::move(all);
  }
  return update;
}

}  // namespace allot::agent
