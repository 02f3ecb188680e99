// Where Allotrope's files are on this machine, and what is put there.
//
//   /etc/allotrope/{scheduler,agent,gateway,client}.yaml, admin.token
//   /var/lib/allotrope/{scheduler,agent,gateway}/   state and keys, a folder for each program
// or, with a folder of one's own (--dir, ALLOT_DIR): its files in it, state in its folder `state`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace allot::client {

struct Places {
  // `dir`: from --dir; empty: $ALLOT_DIR, else the system's folders.
  static Places Find(const std::string& dir);
  std::string config, state;  // absolute

  std::string Config(const std::string& file) const { return config + "/" + file; }
  std::string State(const std::string& program) const { return state + "/" + program; }
};

// The user as whom the programs run that need no root, if this machine has one: from /etc/passwd,
// where the packages put it (other places are asked by modules that `allot` cannot load, ADR 14).
struct User {
  unsigned id = 0, group = 0;
};
std::optional<User> FindUser();

// What is written on the way to something; unless Keep is called, what was not there before goes
// again with the Draft: half a cluster is of no use.
class Draft {
 public:
  Draft() = default;
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;
  ~Draft();

  // With parents; `mode` holds for the folder itself if it is new.
  Status Folder(const std::string& path, unsigned mode);
  Status File(const std::string& path, const std::string& text, unsigned mode);
  // Somebody else makes this file after it was noted here.
  void Note(const std::string& path);
  // Belongs to user allotrope from now on, if we are root and there is such a user: the programs
  // that need no root run as it (docs/operations.md).
  Status GiveAway(const std::string& path);
  void Keep() { made_.clear(); }

 private:
  std::vector<std::string> made_;  // in order
};

}  // namespace allot::client
