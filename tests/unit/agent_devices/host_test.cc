#include "agent/devices/host/host.h"

#include <sys/stat.h>

#include <gtest/gtest.h>

#include "folder.h"

namespace allot::agent {
namespace {

TEST(Host, ARootThatIsNoMachineSaysWhatOneIs) {
  const auto missing = Host::Recorded("/no/such/folder");
  EXPECT_TRUE(absl::IsNotFound(missing.status()));
  EXPECT_NE(MessageOf(missing.status()).find("sys and proc"), std::string::npos);
  EXPECT_TRUE(absl::IsInvalidArgument(Host::Recorded("/dev/null").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Host::Recorded("/dev").status()));
}

TEST(Host, AbsentIsNotGarbageAndGarbageIsNotZero) {
  Folder machine;
  machine.Write("sys/zero", "0\n");
  machine.Write("sys/cut", "12");
  machine.Write("sys/words", "many\n");
  machine.Write("sys/empty", "");
  const auto host = machine.host();
  EXPECT_EQ(host->Int("/sys/none").state, Reading<int64_t>::kAbsent);
  EXPECT_TRUE(host->Int("/sys/zero"));
  EXPECT_EQ(*host->Int("/sys/zero"), 0);
  for (const char* bad : {"/sys/cut", "/sys/words", "/sys/empty"})
    EXPECT_TRUE(host->Int(bad).garbage()) << bad;
}

TEST(Host, OnlyRegularFilesOfABoundedSizeAreRead) {
  Folder machine;
  ASSERT_EQ(mkfifo((machine.path() + "/sys/pipe").c_str(), 0600), 0);
  machine.Write("sys/folder/file", "x");
  machine.Write("sys/big", std::string(Host::kFileMax + 1, 'x'));
  const auto host = machine.host();
  EXPECT_FALSE(host->Read("/sys/pipe"));
  EXPECT_FALSE(host->Read("/sys/folder"));
  EXPECT_FALSE(host->Read("/sys/big"));
  EXPECT_EQ(host->Read("/sys/folder/file"), "x");
}

TEST(Host, ListedLinksAreFollowedListedAndMayDangle) {
  Folder machine;
  machine.Write("links.txt",
                "# comment\n"
                "sys/class/accel/accel0 -> ../../bus/dev/accel/accel0\n"
                "sys/bus/dev/driver -> ../../drivers/habanalabs\n"
                "sys/bus/dev/accel/accel0/device -> ../../../dev\n"
                "sys/loop -> loop\n"
                "no arrow\n");
  machine.Write("sys/bus/dev/accel/accel0/dev", "261:0\n");
  machine.Write("sys/bus/dev/status", "fine\n");
  const auto host = machine.host();
  EXPECT_EQ(host->Read("/sys/class/accel/accel0/dev"), "261:0\n");
  EXPECT_EQ(host->Read("/sys/class/accel/accel0/device/status"), "fine\n");
  EXPECT_EQ(host->List("/sys/class/accel"), std::vector<std::string>{"accel0"});
  EXPECT_EQ(host->List("/sys/bus/dev"), (std::vector<std::string>{"accel", "driver", "status"}));
  EXPECT_EQ(host->LinkName("/sys/bus/dev/driver"), "habanalabs");
  EXPECT_EQ(host->LinkName("/sys/class/accel/accel0/device"), "dev");
  EXPECT_FALSE(host->LinkName("/sys/bus/dev/status"));
  EXPECT_FALSE(host->Read("/sys/loop"));
}

TEST(Host, NodesComeFromTheListWhereThereIsOne) {
  Folder machine;
  machine.Write("dev.txt",
                "# path type major:minor mode\n"
                "/dev/nvidia10 c 195:10 0666\n"
                "/dev/nvidia1 c 195:1 0666\n"
                "/dev/dri d - 0755\n"
                "/dev/by-id l ../0 0777\n"
                "/dev/sda b 8:0 0660\n"
                "/dev/broken c 195 0666\n"
                "/dev/cut c 195:3");
  const DevNodes nodes = machine.host()->ListDevices();
  EXPECT_EQ(nodes.StartingWith("/dev/"),
            (std::vector<std::string>{"/dev/nvidia1", "/dev/nvidia10"}));
  EXPECT_EQ(nodes.Find({195, 1}), "/dev/nvidia1");
  EXPECT_FALSE(nodes.Find({8, 0}));
  EXPECT_EQ(nodes.Existing({"/dev/nvidia2", "/dev/nvidia10"}),
            std::vector<std::string>{"/dev/nvidia10"});
}

TEST(Host, TheMachineItselfHasNodesFilesAndEnvironment) {
  const auto host = Host::Live();
  EXPECT_TRUE(host->ListDevices().Has("/dev/null"));
  EXPECT_TRUE(host->Read("/proc/cpuinfo"));
  setenv("ALLOT_TEST_HOST", "here", 1);
  EXPECT_EQ(host->Environment("ALLOT_TEST_HOST"), "here");
  unsetenv("ALLOT_TEST_HOST");
  EXPECT_FALSE(host->Environment("ALLOT_TEST_HOST"));
}

TEST(Host, ARecordedEnvironmentIsInAFile) {
  Folder machine;
  machine.Write("env.txt", "TPU_HOST_BOUNDS=1,1,1\nTPU_WORKER_ID=0\n");
  EXPECT_EQ(machine.host()->Environment("TPU_HOST_BOUNDS"), "1,1,1");
  EXPECT_FALSE(machine.host()->Environment("PATH"));
}

}  // namespace
}  // namespace allot::agent
