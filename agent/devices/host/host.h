// The only way a vendor sees its machine: files, links, device nodes and environment, of this
// machine or of a recorded one.
//
// Nothing here waits on a peer: files are opened without blocking, must be regular, and are read up
// to a limit. A driver's file may still block inside the kernel, so callers sit on threads the
// inventory can leave behind. Paths are absolute ("/sys/bus/pci/devices"), whatever the root.
//
// A recorded tree may bring what a copy of files cannot hold: links.txt ("path -> target"), dev.txt
// ("path type major:minor mode") and env.txt ("NAME=value"). Without dev.txt, TREE/dev counts.
//
// Immutable once made, so any thread may use it.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/devices/host/parse.h"
#include "common/base/status.h"

namespace allot::agent {

struct DevNode {
  std::string path;  // "/dev/dri/renderD128"
  DeviceNumber number;
};

// Character devices below /dev, as listed at one moment.
class DevNodes {
 public:
  void Add(DevNode node);
  bool Has(std::string_view path) const;
  std::optional<std::string> Find(DeviceNumber number) const;  // the first by path
  // Those whose path starts with `prefix`, by path.
  std::vector<std::string> StartingWith(std::string_view prefix) const;
  // Of `paths` those that exist, in the given order.
  std::vector<std::string> Existing(const std::vector<std::string>& paths) const;

 private:
  std::map<std::string, DeviceNumber, std::less<>> by_path_;
  std::map<DeviceNumber, std::string> by_number_;
};

struct RecordedOptions {
  bool tools = false;  // vendors' tools say what TREE/cli holds; else there are none
  // With this, a tool that is a program in TREE/cli is run, for so long at most. For trees of our
  // own making only: a recording may come from a stranger.
  std::optional<std::chrono::milliseconds> programs;
};

class Host {
 public:
  static constexpr size_t kFileMax = 4 << 20;  // /proc/cpuinfo of 2,000 threads

  static std::shared_ptr<const Host> Live();
  // NotFound or InvalidArgument says what a recorded tree must look like.
  static StatusOr<std::shared_ptr<const Host>> Recorded(const std::string& root,
                                                        RecordedOptions options);
  static StatusOr<std::shared_ptr<const Host>> Recorded(const std::string& root) {
    return Recorded(root, {});
  }
  bool live() const { return root_.empty(); }
  const std::string& root() const { return root_; }
  bool tools() const { return live() || tools_; }
  std::optional<std::chrono::milliseconds> programs() const { return programs_; }

  // The whole text; nothing if the file is not there, not regular, unreadable or over kFileMax.
  std::optional<std::string> Read(std::string_view path) const;
  // Names in a directory, sorted; links count. Empty if there is none. At most 65,536.
  std::vector<std::string> List(std::string_view path) const;
  // The last part of a link's target, which need not exist: the driver's name, an IOMMU group.
  std::optional<std::string> LinkName(std::string_view path) const;
  std::optional<std::string> Environment(const std::string& name) const;
  DevNodes ListDevices() const;

  // The first line of a file that ends with a line end; without it the value may have been cut.
  Reading<std::string> Line(std::string_view path) const;
  Reading<int64_t> Int(std::string_view path) const;
  Reading<uint32_t> HexId(std::string_view path, size_t digits) const;

 private:
  Host() = default;
  // The file to open for `path`, with the links of links.txt followed.
  std::string Resolve(std::string_view path, bool follow_last = true) const;
  void ReadLinks();
  void AddLiveNodes(const std::string& folder, int depth, DevNodes* nodes) const;

  std::string root_;  // "" for the machine itself
  bool tools_ = false;
  std::optional<std::chrono::milliseconds> programs_;
  std::map<std::string, std::string> links_;  // "/sys/…/driver" → normalized target
  std::map<std::string, std::map<std::string, bool>> linked_names_;  // folder → names of links
};

}  // namespace allot::agent
