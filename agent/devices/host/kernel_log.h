// New messages of the kernel log, as they come: /dev/kmsg, or the file of that name in a recorded
// machine.
//
// Never blocks. Begins at the end: what was said before belongs to an earlier life of the agent.
// Messages that programs wrote into the log are left out. One thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/devices/host/host.h"

namespace allot::agent {

class KernelLog {
 public:
  // Nothing where there is no log or no right to read it (it wants CAP_SYSLOG on most machines).
  static std::unique_ptr<KernelLog> Open(const Host& host);
  ~KernelLog();
  KernelLog(const KernelLog&) = delete;

  // At most 4,096 at a time; more are there the next time.
  std::vector<std::string> Read();

 private:
  KernelLog(int file, bool records) : file_(file), records_(records) {}
  std::vector<std::string> ReadRecords();
  std::vector<std::string> ReadFile();

  const int file_;
  const bool records_;   // each read gives one record; else a regular file
  std::string partial_;  // of a regular file: a line without its end
};

// The text of one record ("4,1234,98765,-;NVRM: Xid …"): nothing if a program wrote it.
std::optional<std::string> KernelMessage(std::string_view record);

}  // namespace allot::agent
