#include "agent/runtime/state_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/runtime/janitor.h"
#include "agent/runtime/log_file.h"
#include "machine.h"

namespace allot::agent {
namespace {

TEST(StateFolder, TwoAgentsCannotShareOne) {
  TemporaryFolder place;
  const auto first = StateFolder::Open(place.path() + "/state");
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = StateFolder::Open(place.path() + "/state");
  ASSERT_TRUE(absl::IsFailedPrecondition(second.status()));
  EXPECT_NE(
      MessageOf(second.status()).find("in use by another agent (pid " + std::to_string(getpid())),
      std::string::npos)
      << second.status();
}

TEST(StateFolder, BootsAreCountedAndTheInstanceStays) {
  TemporaryFolder place;
  std::string instance;
  for (uint64_t boot = 1; boot <= 3; ++boot) {
    const auto state = StateFolder::Open(place.path());
    ASSERT_TRUE(state.ok()) << state.status();
    EXPECT_EQ((*state)->boot(), boot);
    if (boot == 1) instance = (*state)->instance();
    EXPECT_EQ((*state)->instance(), instance);
  }
  EXPECT_EQ(instance.size(), 32u);
}

TEST(StateFolder, ABootCounterThatIsNoNumberIsAnErrorThatSaysWhatToDo) {
  TemporaryFolder place;
  WriteText(place.path() + "/boot", "many\n");
  const auto state = StateFolder::Open(place.path());
  EXPECT_NE(MessageOf(state.status()).find("remove it as a whole"), std::string::npos);
}

TEST(StateFolder, GarbageIsSetAsideWithAWarning) {
  TemporaryFolder place;
  {
    const auto state = StateFolder::Open(place.path());
    ASSERT_TRUE(state.ok());
    StartTask task;
    task.key = Key(3);
    task.launch.command = {"true"};
    const std::string good = FormatLaunch({task, 0}) + "starting\n";
    WriteText((*state)->RecordOf("job-3.0.1"), good);
    WriteText((*state)->RecordOf("job-4.0.1"), good);                // another's content
    WriteText((*state)->RecordOf("job-5.0.1"), "");                  // torn at once
    WriteText((*state)->RecordOf("job-6.0.1"), good.substr(0, 30));  // torn later
    WriteText((*state)->RecordOf("job-7.0.1"), "allot-process 1 99999999999999999999 0\n");
    WriteText((*state)->RecordOf("job-8.0.1"), "allot-process 1 4 0\n\xff\xff\xff\xff\n");
    WriteText((*state)->RecordOf("notes.txt"), "hello");
    std::filesystem::create_directory((*state)->RecordOf("job-9.0.1"));
  }
  const auto state = StateFolder::Open(place.path());
  ASSERT_TRUE(state.ok());
  const StateFolder::Scan scan = (*state)->ScanProcesses();
  ASSERT_EQ(scan.processes.size(), 1u);
  EXPECT_EQ(scan.processes[0].id, "job-3.0.1");
  EXPECT_FALSE(scan.processes[0].alive);
  EXPECT_EQ(scan.warnings.size(), 7u);
  EXPECT_TRUE(std::filesystem::exists(place.path() + "/garbage/notes.txt.2"));
  EXPECT_TRUE((*state)->ScanProcesses().warnings.empty());
}

TEST(StateFolder, ARecordWithoutAStartNeverRanAndIsRemoved) {
  TemporaryFolder place;
  const auto state = StateFolder::Open(place.path());
  StartTask task;
  task.key = Key(3);
  task.launch.command = {"true"};
  WriteText((*state)->RecordOf("job-3.0.1"), FormatLaunch({task, 0}));
  EXPECT_TRUE((*state)->ScanProcesses().processes.empty());
  EXPECT_FALSE(std::filesystem::exists((*state)->RecordOf("job-3.0.1")));
}

TEST(StateFolder, RemovingTakesScratchAndKeepsALogWithContent) {
  TemporaryFolder place;
  const auto state = StateFolder::Open(place.path());
  const std::string scratch = (*state)->ScratchOf("job-1.0.1");
  std::filesystem::create_directories(scratch + "/deep/er");
  WriteText(scratch + "/deep/er/file", "x");
  WriteText((*state)->LogOf("job-1.0.1"), "words");
  WriteText((*state)->LogOf("job-2.0.1"), "");
  (*state)->Remove("job-1.0.1");
  (*state)->Remove("job-2.0.1");
  EXPECT_FALSE(std::filesystem::exists(scratch));
  EXPECT_TRUE(std::filesystem::exists((*state)->LogOf("job-1.0.1")));
  EXPECT_FALSE(std::filesystem::exists((*state)->LogOf("job-2.0.1")));
}

TEST(Record, RoundTripsAndLeavesRoomForTheEndInItsLastBlock) {
  for (size_t size = 1; size < 9000; size += 101) {
    StartReplica replica;
    replica.id = ReplicaId(5);
    replica.launch.command = {"serve", std::string(size, 'x')};
    const std::string text = FormatLaunch({replica, 8123});
    EXPECT_LE(text.size() % 4096 + 512, 4096u) << size;
    const auto record = ParseRecord(text + "starting\nrunning 5 6 7\nexit 1 0 7 9 0\n");
    ASSERT_TRUE(record.ok()) << record.status();
    EXPECT_EQ(std::get<StartReplica>(record->launch.what).launch, replica.launch);
    EXPECT_EQ(record->launch.port, 8123);
    EXPECT_EQ(record->running->pid, 6);
    EXPECT_EQ(record->exit->code, 1);
    EXPECT_EQ(ToMicros(record->exit->finished), 9);
    EXPECT_FALSE(record->exit->message.empty());
  }
}

TEST(Record, ALineCountsOnlyWithItsEnd) {
  ProcessRecord record;
  ParseSupervisorLines("starting\nrunning 5 6 7\nexit 0 0 7 9 1", &record);
  EXPECT_TRUE(record.running);
  EXPECT_FALSE(record.exit);
}

TEST(ProcessNames, AreTakenBack) {
  EXPECT_EQ(TaskOfProcess("job-17.3.2"), Key(17, 3, 2));
  EXPECT_EQ(ReplicaOfProcess("replica-4.9")->start, 9u);
  for (const char* wrong :
       {"", "job-17", "job-17.3", "job-17.3.", "job-17.3.0", "job-17.3.2x", "replica-4.1.2"})
    EXPECT_FALSE(TaskOfProcess(wrong)) << wrong;
  for (const char* wrong : {"", "replica-4", "replica-4.", "replica-4.x", "job-1.2"})
    EXPECT_FALSE(ReplicaOfProcess(wrong)) << wrong;
}

void SetAge(const std::string& path, int64_t seconds) {
  const timespec times[2] = {{time(nullptr) - seconds, 0}, {time(nullptr) - seconds, 0}};
  utimensat(AT_FDCWD, path.c_str(), times, 0);
}

TEST(Janitor, OldLogsGoUnlessTheirProcessIsHeld) {
  TemporaryFolder place;
  const std::string logs = place.path() + "/logs", processes = place.path() + "/processes";
  std::filesystem::create_directories(logs);
  std::filesystem::create_directories(processes);
  for (const char* name : {"old", "held", "new", "third"})
    WriteText(logs + "/" + name + ".log", "x");
  WriteText(processes + "/held", "");
  SetAge(logs + "/old.log", 7200);
  SetAge(logs + "/held.log", 7200);
  SetAge(logs + "/new.log", 60);
  SetAge(logs + "/third.log", 30);
  SweepLogFolder(logs, processes, {.kept = std::chrono::hours(1)});
  EXPECT_FALSE(std::filesystem::exists(logs + "/old.log"));
  EXPECT_TRUE(std::filesystem::exists(logs + "/held.log"));
  EXPECT_TRUE(std::filesystem::exists(logs + "/new.log"));
  SweepLogFolder(logs, processes, {.kept = std::chrono::hours(1), .files_max = 1});
  EXPECT_FALSE(std::filesystem::exists(logs + "/new.log"));
  EXPECT_TRUE(std::filesystem::exists(logs + "/third.log"));
}

TEST(Janitor, AGrowingLogGivesBackItsBeginningAndKeepsItsOffsets) {
  TemporaryFolder place;
  const std::string logs = place.path() + "/logs", processes = place.path() + "/processes";
  std::filesystem::create_directories(logs);
  std::filesystem::create_directories(processes);
  const std::string path = logs + "/held.log";
  WriteText(processes + "/held", "");
  WriteText(path, std::string(1 << 20, 'a') + "end");
  SweepLogFolder(logs, processes, {.kept = std::chrono::hours(1), .bytes_max = 1 << 19});
  struct stat info {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_size, (1 << 20) + 3);
  const auto tail = ReadLogPiece(path, 1 << 20, 100);
  EXPECT_EQ(tail->data, "end");
  if (info.st_blocks * 512 < info.st_size) {  // A file system that can.
    EXPECT_GT(ReadLogPiece(path, 0, 100)->offset, 0);
    EXPECT_EQ(ReadLogPiece(path, 0, 5)->data, "aaaaa");
  }
}

TEST(Janitor, ALogStaysBoundedHoweverOftenItGrowsAndAfterItsProcessEnded) {
  TemporaryFolder place;
  const std::string logs = place.path() + "/logs", processes = place.path() + "/processes";
  std::filesystem::create_directories(logs);
  std::filesystem::create_directories(processes);
  const std::string path = logs + "/held.log";
  WriteText(processes + "/held", "");
  struct stat info {};
  const auto sweep = [&] {
    SweepLogFolder(logs, processes, {.kept = std::chrono::hours(1), .bytes_max = 1 << 20});
    ASSERT_EQ(stat(path.c_str(), &info), 0);
  };
  const auto grow = [&](size_t bytes) {
    std::ofstream(path, std::ios::app) << std::string(bytes, 'a') << "end";
  };
  grow(2 << 20);
  sweep();
  if (info.st_blocks * 512 >= info.st_size) return;  // A file system that cannot.
  // Each time it is over the bound once more, most of its length is the hole of the times before.
  for (int round = 0; round < 20; ++round) {
    grow(700 << 10);
    sweep();
    EXPECT_LE(info.st_blocks * 512, 1 << 20) << round;
    EXPECT_GE(info.st_blocks * 512, 1 << 19) << round;
  }
  EXPECT_EQ(ReadLogPiece(path, info.st_size - 3, 100)->data, "end");

  grow(8 << 20);
  std::filesystem::remove(processes + "/held");
  SetAge(path, 60);
  stat(path.c_str(), &info);
  const time_t written = info.st_mtim.tv_sec;
  sweep();
  EXPECT_LE(info.st_blocks * 512, 1 << 20);
  EXPECT_EQ(info.st_mtim.tv_sec, written);  // Cutting it does not make it younger.
}

TEST(LogFile, IsReadInPieces) {
  TemporaryFolder place;
  const std::string path = place.path() + "/log";
  EXPECT_EQ(ReadLogPiece(path, 0, 10)->data, "");
  WriteText(path, "0123456789");
  EXPECT_EQ(ReadLogPiece(path, 0, 4)->data, "0123");
  EXPECT_EQ(ReadLogPiece(path, 4, 100)->data, "456789");
  EXPECT_EQ(ReadLogPiece(path, 10, 100)->data, "");
  EXPECT_EQ(ReadLogPiece(path, 99, 100)->data, "");
  EXPECT_EQ(ReadLogPiece(path, -5, 2)->data, "01");
}

}  // namespace
}  // namespace allot::agent
