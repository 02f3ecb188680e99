#include "agent/devices/snapshot.h"

namespace allot::agent {

std::shared_ptr<const Snapshot> Snapshot::Take(std::shared_ptr<const Host> host) {
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->bus = pci::Bus::Scan(*host);
  snapshot->nodes = host->ListDevices();
  snapshot->host = std::move(host);
  return snapshot;
}

std::shared_ptr<const Snapshot> SnapshotSource::Get() {
  const std::lock_guard lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  if (taken_ == nullptr || now - taken_at_ > std::chrono::seconds(2)) {
    taken_ = Snapshot::Take(host_);
    taken_at_ = now;
  }
  return taken_;
}

void SnapshotSource::Forget() {
  const std::lock_guard lock(mutex_);
  taken_.reset();
}

}  // namespace allot::agent
