// Who a process runs as: the user that its tenant, or the token that submitted it, maps to.
//
// A user of the system by name where the site gave one; else numbers of the tenant's own from a
// range, the same on every node (they follow from the tenant's name) and written down before they
// are first used, so that they never change here and are never two tenants'. A process never says
// itself who it is.
//
// Only an agent that may change users keeps people apart; `losses` and `refusal` say what follows
// where it may not. Loop thread only: names are looked up as the system does it, once each.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace allot::agent {

struct Person {
  uint32_t uid = 0, gid = 0;
  std::vector<uint32_t> groups;  // supplementary
  std::string name;
  std::string home;  // empty: numbers without a home, which the agent makes
  std::string shell = "/bin/sh";
  bool operator==(const Person&) const = default;
};

// What of this process's rights is needed here.
struct Powers {
  bool change_user = false, mount = false;
  std::string why;  // what is missing, for people; empty where nothing is
};
// `effective`: CapEff of /proc/self/status. Pure.
Powers PowersOf(uint32_t uid, uint64_t effective);
Powers PowersOfThisProcess();

class People {
 public:
  enum class Separation {
    kOff,       // all run as the agent's user, and nothing is promised
    kAuto,      // apart where the agent may do it
    kRequired,  // or not at all
  };
  struct Options {
    Separation separation = Separation::kOff;
    std::map<std::string, std::string> tenants, tokens;  // → user of the system; tokens win
    std::string default_user;                            // of the others; empty: the range
    uint32_t range_from = 2'000'000'000, range_count = 100'000'000;
    std::vector<std::string> groups;  // supplementary, of everybody
  };
  // `file`: where the numbers of tenants are kept. `uid_map`: as /proc/self/uid_map has it.
  People(Options options, std::string file, Powers powers,
         const std::string& uid_map = "/proc/self/uid_map");

  bool apart() const { return apart_; }
  std::vector<std::string> losses() const;  // empty where people are apart
  // Why nothing may be started here: people must be apart and cannot be. Empty: it may.
  std::string refusal() const;

  // Only where apart(). Every error is the node's: an unknown user, a file that cannot be written.
  StatusOr<Person> Of(const std::string& tenant, const std::string& token);

 private:
  StatusOr<Person> Named(const std::string& user);
  StatusOr<Person> Numbered(const std::string& tenant);
  Status Load();

  const Options options_;
  const std::string file_;
  std::string why_not_;
  bool apart_ = false, loaded_ = false;
  std::map<std::string, Person> named_;
  std::map<std::string, uint32_t> numbers_;  // tenant → uid, as the file has it
  std::map<uint32_t, std::string> taken_;
};

// The number of a capability, by the name that capabilities(7) has: "CAP_SYS_PTRACE", "sys_ptrace".
std::optional<int> CapabilityOf(std::string_view name);

// Gives what is in `folder`, and the folder, to somebody else, without following links: a folder
// that an earlier build, or an earlier mapping, left. Files with several names are left out, as
// are those beyond a count that no job's checkpoints reach.
Status GiveFolder(const std::string& folder, uint32_t uid, uint32_t gid);

}  // namespace allot::agent
