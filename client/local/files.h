// Small files of the client: whole reads, atomic writes, absolute paths.
#pragma once

#include <string>

#include "common/base/status.h"

namespace allot::client::local {

StatusOr<std::string> ReadFile(const std::string& path);
// Through a temporary file in the same folder, synced and renamed; `mode` as for open(2).
Status WriteFile(const std::string& path, const std::string& text, unsigned mode);
Status MakeFolder(const std::string& path);  // with parents; fine if it is there
bool Exists(const std::string& path);
// Against the current folder; "." and ".." are removed.
std::string Absolute(const std::string& path);
// The folder this program was started from: its sisters stand there.
std::string ProgramFolder();
// A sister program beside this one, else the first in PATH; NotFound tells where it looked
// and what brings it.
StatusOr<std::string> FindProgram(const std::string& name);

}  // namespace allot::client::local
