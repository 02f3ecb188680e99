// Starting a program for good, under systemd where that runs.
#pragma once

#include <string>
#include <vector>

#include "common/base/status.h"

namespace allot::client {

struct Unit {
  std::string program;  // "allot-agent"
  std::string config;   // absolute path of its file
  bool as_root = false;
  std::string Name() const { return program + ".service"; }
};

// What starts it by hand: "/usr/bin/allot-agent --config /etc/allotrope/agent.yaml".
StatusOr<std::string> StartLine(const Unit& unit);

// Is this machine run by systemd, are we root, and is the config where the units look for it?
bool UnitsWork(const Unit& unit);

// Enables and (re)starts it; where no package has brought the unit, it is written to
// /etc/systemd/system. The error has what systemctl said.
Status StartUnit(const Unit& unit);

// The unit we write, for a package that has none.
StatusOr<std::string> UnitText(const Unit& unit);

}  // namespace allot::client
