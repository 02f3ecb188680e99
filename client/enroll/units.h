// Starting a program for good, under systemd where that runs.
#pragma once

#include <string>
#include <vector>

#include "common/base/status.h"

namespace allot::client {

struct Unit {
  std::string program;  // "allot-agent"
  std::string config;   // absolute path of its file
  std::string Name() const { return program + ".service"; }
};

// How it was started, or is to be.
struct Started {
  std::string unit;   // systemd runs it under this name; else empty
  std::string line;   // what starts it by hand; empty where its program is not found
  std::string shown;  // a line for people
};
// If it is `wanted`, this machine is run by systemd, we are root, and the config is where the units
// look for it: enabled and (re)started; where no package has brought the unit, it is written to
// /etc/systemd/system. The error has what systemctl said.
StatusOr<Started> StartForGood(const Unit& unit, bool wanted);

// That unit: the one of the packages (packaging/systemd), for `program` at its path. Without a user
// allotrope it runs as root, and what would hide the program from itself is left out.
std::string UnitText(const Unit& unit, const std::string& program, bool has_user);

// packaging/systemd, compiled in (client/CMakeLists.txt).
struct PackagedUnit {
  std::string program, text;
};
const std::vector<PackagedUnit>& PackagedUnits();
const char* Hardening();

}  // namespace allot::client
