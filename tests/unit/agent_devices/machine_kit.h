// The conformance kit: recorded machines (tests/machines), copies of them to break, and what must
// hold of any discovery on any of them.
#pragma once

#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "agent/devices/inventory.h"
#include "common/base/rng.h"
#include "common/json/json.h"

namespace allot::agent::kit {

struct Machine {
  std::string name;    // of its folder
  std::string folder;  // with expected.json in it
  friend std::ostream& operator<<(std::ostream& out, const Machine& machine) {
    return out << machine.name;
  }
};
std::vector<Machine> RecordedMachines();

json::object Expected(const Machine& machine);
// What `allot-agent --discover --json --root` prints.
json::object Discover(std::shared_ptr<const Host> host);

// Where `got` is not what the recording expects: "0000:1b:00.0 state: ready expected, …". Lists
// are compared as sets, nominal memory within 8 %. Extra fields are no difference.
std::vector<std::string> Differences(const json::object& expected, const json::object& got);

// What must hold on a broken machine: no device that the whole one does not have, no memory of
// another size, no node and no number of another device.
std::vector<std::string> Violations(const json::object& expected, const json::object& got);

// A copy of a machine that may be broken and mended.
class Copy {
 public:
  explicit Copy(const Machine& machine);
  ~Copy();
  Copy(const Copy&) = delete;
  std::shared_ptr<const Host> host() const;
  const std::string& folder() const { return folder_; }
  std::vector<std::string> Files() const;  // relative, sorted, without expected.json
  std::string Read(const std::string& file) const;
  void Write(const std::string& file, const std::string& text) const;
  // One that may be run.
  void WriteProgram(const std::string& file, const std::string& text) const;
  bool Has(const std::string& path) const;
  void Remove(const std::string& path) const;
  // Makes the links of links.txt real and removes it.
  void MakeLinksReal() const;

 private:
  std::string folder_;
};

// Takes away everything whose path names the device (`part`: a PCI address, "neuron3"), and the
// links of it, as a driver would.
class Unplugged {
 public:
  Unplugged(const Copy& copy, const std::string& part);
  void PlugIn() const;

 private:
  const Copy& copy_;
  std::map<std::string, std::string> taken_;
};

// The ways a file may be broken; the last one, after these, is that it is not there.
std::vector<std::string> BrokenTexts(const std::string& text, Rng& rng);

}  // namespace allot::agent::kit
