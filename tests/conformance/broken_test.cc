// Files that are removed, emptied, cut or nonsense: never a crash, a wrong size, a device that is
// not there, a node or a number of another.
//
// A fixed choice of each vendor's files here; all files of all machines in all ways by
// ALLOT_BREAK_ALL=1 build/dev/bin/test_conformance --gtest_filter='*EveryFile*'.
#include <cstdlib>
#include <iostream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vendors.h"

namespace allot::agent::kit {
namespace {

using testing::IsEmpty;

// What a tool of the vendor's says counts only if tools are asked.
std::shared_ptr<const Host> HostFor(const Copy& copy, const std::string& file) {
  return *Host::Recorded(copy.folder(), {.tools = file.starts_with("cli/")});
}

// Files in which a vendor's devices show, as opposed to those of the machine.
bool IsOfDevices(const std::string& file) {
  return file.starts_with("sys/bus/pci/") || file.starts_with("sys/class/kfd") ||
         file.starts_with("sys/devices/virtual/") || file.starts_with("proc/driver/") ||
         file.starts_with("cli/") || file == "dev.txt" || file == "links.txt" ||
         (file.starts_with("sys/class/") && !file.starts_with("sys/class/dmi") &&
          !file.starts_with("sys/class/powercap"));
}

class BrokenFiles : public testing::TestWithParam<std::string> {
 protected:
  // Breaks a fixed choice of files, one at a time. `how` gets the text; nothing: remove it.
  void Break(const std::function<std::optional<std::string>(const std::string&, Rng&)>& how) {
    const std::vector<Machine> machines = MachinesOf(GetParam());
    ASSERT_FALSE(machines.empty()) << GetParam() << " has no recorded machine";
    size_t broken = 0;
    for (const Machine& machine : machines) {
      const Copy copy(machine);
      const json::object expected = Expected(machine);
      Rng rng(0x5eed);
      std::vector<std::string> files;
      for (const std::string& file : copy.Files())
        if (GetParam() == "cpu" ? !IsOfDevices(file) : IsOfDevices(file)) files.push_back(file);
      constexpr size_t kChosen = 12;  // of each machine
      for (const std::string& file : files) {
        if (file != "dev.txt" && file != "links.txt" && rng.Below(files.size()) >= kChosen)
          continue;
        const std::string text = copy.Read(file);
        if (const std::optional<std::string> bad = how(text, rng)) {
          copy.Write(file, *bad);
        } else {
          copy.Remove(file);
        }
        ++broken;
        EXPECT_THAT(Violations(expected, Discover(HostFor(copy, file))), IsEmpty())
            << machine.name << " " << file;
        copy.Write(file, text);
      }
      EXPECT_THAT(Differences(expected, Discover(copy.host())), IsEmpty()) << machine.name;
      if (GetParam() == "cpu" && broken > 100) break;
    }
    EXPECT_GT(broken, 0u);
  }
};

TEST_P(BrokenFiles, Removed) {
  Break([](const std::string&, Rng&) { return std::nullopt; });
}
TEST_P(BrokenFiles, Emptied) {
  Break([](const std::string&, Rng&) { return std::string(); });
}
TEST_P(BrokenFiles, Truncated) {
  Break([](const std::string& text, Rng& rng) {
    return text.substr(0, text.empty() ? 0 : rng.Below(text.size()));
  });
}
TEST_P(BrokenFiles, Garbage) {
  Break([](const std::string& text, Rng& rng) {
    const std::vector<std::string> ways = BrokenTexts(text, rng);
    return ways[3 + rng.Below(ways.size() - 3)];
  });
}

INSTANTIATE_TEST_SUITE_P(Vendor, BrokenFiles, testing::ValuesIn(VendorKeys()),
                         [](const auto& info) { return TestName(info.param); });

class EveryFile : public testing::TestWithParam<Machine> {};

// Every file of the machine in every way, and with its tools hanging. Only the fuzz run does it
// all; else two ways of each tenth file show that the run itself works.
TEST_P(EveryFile, InEveryWay) {
  const bool all = std::getenv("ALLOT_BREAK_ALL") != nullptr;
  const Copy copy(GetParam());
  const json::object expected = Expected(GetParam());
  Rng rng(std::hash<std::string>{}(GetParam().name));
  size_t files = 0, runs = 0, at = 0;
  for (const std::string& file : copy.Files()) {
    if (!all && at++ % 50 != 0) continue;
    ++files;
    const std::string text = copy.Read(file);
    std::vector<std::string> ways = BrokenTexts(text, rng);
    if (!all) ways.resize(2);
    for (size_t way = 0; way <= ways.size(); ++way) {
      if (way == ways.size()) {
        copy.Remove(file);
      } else {
        copy.Write(file, ways[way]);
      }
      ++runs;
      EXPECT_THAT(Violations(expected, Discover(HostFor(copy, file))), IsEmpty())
          << file << ", way " << way;
    }
    copy.Write(file, text);
  }
  EXPECT_THAT(Differences(expected, Discover(copy.host())), IsEmpty());
  if (all) std::cout << GetParam().name << ": " << files << " files, " << runs << " discoveries\n";
}

INSTANTIATE_TEST_SUITE_P(Machine, EveryFile, testing::ValuesIn(RecordedMachines()),
                         [](const auto& info) { return TestName(info.param.name); });

}  // namespace
}  // namespace allot::agent::kit
