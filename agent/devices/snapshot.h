// What all vendors look at in one discovery: the host, its PCI functions and device nodes, each
// listed once. Immutable, so the vendors' threads share one.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>

#include "agent/devices/host/host.h"
#include "agent/devices/pci/bus.h"

namespace allot::agent {

struct Snapshot {
  static std::shared_ptr<const Snapshot> Take(std::shared_ptr<const Host> host);

  std::shared_ptr<const Host> host;
  pci::Bus bus;
  DevNodes nodes;
};

// The vendors of one round of discovery ask for it at their own time; the first takes it.
class SnapshotSource {
 public:
  explicit SnapshotSource(std::shared_ptr<const Host> host) : host_(std::move(host)) {}
  // Not older than two seconds. Any thread.
  std::shared_ptr<const Snapshot> Get();
  void Forget();  // the next one is taken anew

 private:
  const std::shared_ptr<const Host> host_;
  std::mutex mutex_;
  std::shared_ptr<const Snapshot> taken_;
  std::chrono::steady_clock::time_point taken_at_;
};

}  // namespace allot::agent
