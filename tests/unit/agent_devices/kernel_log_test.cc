#include "agent/devices/host/kernel_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/devices/health/kernel_events.h"
#include "folder.h"

namespace allot::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(KernelEvents, XidsNameTheirGpuAndCode) {
  const struct {
    const char* message;
    const char* device;
    double code;
  } rows[] = {
      {"NVRM: Xid (PCI:0000:17:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the "
       "bus.",
       "0000:17:00.0", 79},
      {"NVRM: Xid (PCI:0000:3B:00): 48, pid=1234, name=python3, DBE", "0000:3b:00.0", 48},
      {"NVRM: Xid (PCI:0000:17:00 GPU-I:03): 31, pid=7, Ch 00000008", "0000:17:00.0", 31},
      {"NVRM: Xid (PCI:10000:e1:00): 63, Row Remapper: New row marked", "10000:e1:00.0", 63},
      {"NVRM: Xid (PCI:0009:01:00.0): 154, GPU recovery action changed", "0009:01:00.0", 154},
  };
  for (const auto& row : rows) {
    const auto event = ReadKernelMessage(row.message);
    ASSERT_TRUE(event) << row.message;
    EXPECT_EQ(event->vendor, "nvidia");
    EXPECT_EQ(event->signal, (HealthSignal{row.device, "xid", row.code, true})) << row.message;
  }
}

TEST(KernelEvents, WhatIsCutOrForeignIsNothing) {
  for (const char* message :
       {"", "NVRM: Xid (PCI:0000:17:00): ", "NVRM: Xid (PCI:0000:17:00): 7",
        "NVRM: Xid (PCI:", "NVRM: Xid (PCI:0000:17:00)", "NVRM: Xid (PCI:0000:17): 79, x",
        "NVRM: Xid (PCI:../../etc): 79, x", "NVRM: Xid (PCI:0000:17:00): -79, x",
        "NVRM: Xid (PCI:0000:17:00): 99999999999999999999, x", "NVRM: Xid (PCI:0000:17:00): x79, x",
        "python: NVRM: Xid (PCI:0000:17:00): 79, x", "usb 1-1: new high-speed USB device"})
    EXPECT_FALSE(ReadKernelMessage(message)) << message;
}

TEST(KernelRecords, ThoseOfProgramsAreLeftOut) {
  EXPECT_EQ(KernelMessage("3,812,98765,-;NVRM: Xid …\n SUBSYSTEM=pci"), "NVRM: Xid …");
  EXPECT_EQ(KernelMessage("6,1,0,c,caller=T1;text; more"), "text; more");
  for (const char* record :
       {"14,812,98765,-;NVRM: Xid (PCI:0000:17:00): 79, forged",
        "NVRM: Xid (PCI:0000:17:00): 79, no prefix", "", ";", ",;", "x,1;y", "-1,2,3,-;y", "3;1,2"})
    EXPECT_FALSE(KernelMessage(record)) << record;
}

TEST(KernelLog, BeginsAtItsEndAndFollows) {
  Folder machine;
  machine.Write("dev/kmsg", "3,1,10,-;old\n");
  const auto log = KernelLog::Open(*machine.host());
  ASSERT_NE(log, nullptr);
  EXPECT_THAT(log->Read(), IsEmpty());
  machine.Append("dev/kmsg", "3,2,20,-;one\n14,3,21,-;of a program\n3,4,22,-;tw");
  EXPECT_THAT(log->Read(), ElementsAre("one"));
  EXPECT_THAT(log->Read(), IsEmpty());
  machine.Append("dev/kmsg", "o\n" + std::string(100, '\xff') + "\n3,5,23,-;three\n");
  EXPECT_THAT(log->Read(), ElementsAre("two", "three"));
}

TEST(KernelLog, AnEndlessLineIsGivenUp) {
  Folder machine;
  machine.Write("dev/kmsg", "");
  const auto log = KernelLog::Open(*machine.host());
  ASSERT_NE(log, nullptr);
  machine.Append("dev/kmsg", std::string(100'000, 'x'));
  EXPECT_THAT(log->Read(), IsEmpty());
  machine.Append("dev/kmsg", "\n3,5,23,-;after\n");
  EXPECT_THAT(log->Read(), ElementsAre("after"));
}

TEST(KernelLog, AMachineWithoutOneHasNone) {
  Folder machine;
  EXPECT_EQ(KernelLog::Open(*machine.host()), nullptr);
  std::filesystem::create_directories(machine.path() + "/dev/kmsg");
  EXPECT_EQ(KernelLog::Open(*machine.host()), nullptr);
}

// Without the right to read it there is none; with it, a log with nothing new in it must not be
// waited for, or this test does not end.
TEST(KernelLog, TheMachinesOwnIsReadWithoutWaiting) {
  const auto log = KernelLog::Open(*Host::Live());
  const int file = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  EXPECT_EQ(log != nullptr, file >= 0);
  if (file >= 0) close(file);
  for (int i = 0; i < 3 && log != nullptr; ++i) (void)log->Read();
}

}  // namespace
}  // namespace allot::agent
