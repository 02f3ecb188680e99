#include "agent/runtime/state_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/runtime/disk.h"
#include "agent/runtime/janitor.h"
#include "agent/runtime/log_file.h"
#include "agent/runtime/strays.h"
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

// Two agents on one state are one node to the scheduler; a copy says so before it dials.
TEST(StateFolder, ACopyIsRefusedAndSaysWhatToDo) {
  TemporaryFolder place;
  const std::string original = place.path() + "/original", copy = place.path() + "/copy";
  ASSERT_TRUE(StateFolder::Open(original).ok());
  if (!std::filesystem::exists(original + "/home")) return;  // No time of birth here.
  std::filesystem::copy(original, copy, std::filesystem::copy_options::recursive);
  const Status refused = StateFolder::Open(copy).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_NE(MessageOf(refused).find("is a copy of another agent's"), std::string::npos);
  EXPECT_NE(MessageOf(refused).find("remove " + copy + "/home alone"), std::string::npos);
  // As it says, where the original is gone.
  std::filesystem::remove(copy + "/home");
  EXPECT_TRUE(StateFolder::Open(copy).ok());
  EXPECT_TRUE(StateFolder::Open(copy).ok());
  // One that was moved is the same one.
  std::filesystem::rename(original, place.path() + "/moved");
  EXPECT_TRUE(StateFolder::Open(place.path() + "/moved").ok());
}

TEST(StateFolder, ThatIsRemovedUnderItsAgentIsTakenAgain) {
  TemporaryFolder place;
  const std::string path = place.path() + "/state";
  std::string instance;
  {
    const auto state = StateFolder::Open(path);
    ASSERT_TRUE(state.ok());
    instance = (*state)->instance();
    std::filesystem::remove_all(path);
    ASSERT_TRUE((*state)->MakeFolders().ok());
    ASSERT_TRUE((*state)->MakeFolders().ok());
    EXPECT_TRUE(absl::IsFailedPrecondition(StateFolder::Open(path).status()));
  }
  const auto next = StateFolder::Open(path);
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_EQ((*next)->instance(), instance);
  EXPECT_EQ((*next)->boot(), 2u);
  // Another was quicker: no second agent works there.
  std::filesystem::rename(path, path + ".old");
  const auto other = StateFolder::Open(path);
  ASSERT_TRUE(other.ok());
  const Status lost = (*next)->MakeFolders();
  EXPECT_TRUE(absl::IsFailedPrecondition(lost)) << lost;
  EXPECT_NE(MessageOf(lost).find("another has taken its place"), std::string::npos);
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
  TaskKey key = Key(17, 3, 2);
  key.attempt = Attempt(2, Incarnation(0xC0FFEE));
  EXPECT_EQ(ProcessOf(key), "job-17.3.2.0000000000c0ffee");
  EXPECT_EQ(TaskOfProcess(ProcessOf(key)), key);
  const ReplicaId replica(4, Incarnation(0xC0FFEE));
  EXPECT_EQ(ProcessOf(replica, 9), "replica-4.9.0000000000c0ffee");
  EXPECT_EQ(ReplicaOfProcess(ProcessOf(replica, 9))->id, replica);
  EXPECT_EQ(ReplicaOfProcess(ProcessOf(replica, 9))->start, 9u);
  for (const char* wrong :
       {"", "job-17", "job-17.3", "job-17.3.", "job-17.3.0", "job-17.3.2x", "replica-4.1.2",
        "job-17.3.2.", "job-17.3.2.c0ffee", "job-17.3.2.0000000000000000",
        "job-17.3.2.0000000000c0ffeeX"})
    EXPECT_FALSE(TaskOfProcess(wrong)) << wrong;
  for (const char* wrong : {"", "replica-4", "replica-4.", "replica-4.x", "job-1.2", "replica-4.1.2",
                            "replica-4.1.00000000000000zz"})
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
    const LogPiece first = *ReadLogPiece(path, 0, 200);
    EXPECT_GT(first.offset, 0);
    EXPECT_TRUE(first.data.starts_with("\n[allotrope] the ")) << first.data;
    EXPECT_NE(first.data.find("were given back"), std::string::npos);
    EXPECT_TRUE(first.data.ends_with("aaa"));
    // However the reader comes to it, it sees no zeros.
    EXPECT_EQ(ReadLogPiece(path, first.offset - 100, 1)->data, "\n");
    EXPECT_EQ(ReadLogPiece(path, first.offset - 3, 200)->offset, first.offset);
  }
}

TEST(Janitor, AFullDiskTakesLogsOfEndedProcessesFirst) {
  TemporaryFolder place;
  const std::string logs = place.path() + "/logs", processes = place.path() + "/processes";
  std::filesystem::create_directories(logs);
  std::filesystem::create_directories(processes);
  WriteText(processes + "/held", "");
  WriteText(logs + "/held.log", std::string(20 << 20, 'a') + "end");
  WriteText(logs + "/ended.log", "x");
  LogLimits limits{.kept = std::chrono::hours(1)};
  limits.free_wanted = 1;  // As there is.
  SweepLogFolder(logs, processes, limits);
  EXPECT_TRUE(std::filesystem::exists(logs + "/ended.log"));
  limits.free_wanted = Bytes{1} << 60;
  SweepLogFolder(logs, processes, limits);
  EXPECT_FALSE(std::filesystem::exists(logs + "/ended.log"));
  struct stat info {};
  ASSERT_EQ(stat((logs + "/held.log").c_str(), &info), 0);
  EXPECT_EQ(ReadLogPiece(logs + "/held.log", info.st_size - 3, 100)->data, "end");
  if (info.st_blocks * 512 < info.st_size) {  // A file system that can.
    EXPECT_LE(info.st_blocks * 512, 9 << 20);
  }
}

// A process that puts a pipe in the place of its log does not hold the janitor.
TEST(Janitor, LeavesAloneWhatIsNoFile) {
  TemporaryFolder place;
  const std::string logs = place.path() + "/logs", processes = place.path() + "/processes";
  std::filesystem::create_directories(logs);
  std::filesystem::create_directories(processes);
  ASSERT_EQ(mkfifo((logs + "/a.log").c_str(), 0600), 0);
  std::filesystem::create_symlink("/etc/hostname", logs + "/b.log");
  LogLimits limits{.kept = std::chrono::hours(1), .bytes_max = 1};
  limits.free_wanted = Bytes{1} << 60;
  SweepLogFolder(logs, processes, limits);
  EXPECT_TRUE(std::filesystem::exists("/etc/hostname"));
}

TEST(DiskWatch, IsShortBeforeItIsFullAndNotAtEveryByte) {
  DiskWatch watch("/state", 256 * kMiB);
  DiskFacts facts{.size = 100 * kGiB, .free = kGiB, .files_free = 1'000'000, .files_counted = true};
  EXPECT_EQ(watch.Judge(facts), "");
  facts.free = 255 * kMiB;
  EXPECT_EQ(watch.Judge(facts), "disk: 255MiB free in /state, at least 256MiB are wanted");
  facts.free = 100 * kMiB;  // The text stays: it is no news.
  EXPECT_EQ(watch.Judge(facts), "disk: 255MiB free in /state, at least 256MiB are wanted");
  facts.free = 300 * kMiB;
  EXPECT_NE(watch.Judge(facts), "");
  facts.free = 320 * kMiB;
  EXPECT_EQ(watch.Judge(facts), "");
  facts.free = 300 * kMiB;
  EXPECT_EQ(watch.Judge(facts), "");
  facts.files_free = 12;
  EXPECT_NE(watch.Judge(facts).find("12 more files"), std::string::npos);
  facts.files_counted = false;
  EXPECT_EQ(watch.Judge(facts), "");
  facts.read_only = true;
  EXPECT_EQ(watch.Judge(facts), "disk: /state is read-only");
  facts.problem = "No such file or directory";
  EXPECT_NE(watch.Judge(facts).find("cannot be used: No such file"), std::string::npos);
  // Of a small disk a twentieth.
  DiskWatch small("/state", 256 * kMiB);
  EXPECT_EQ(small.Judge({.size = 100 * kMiB, .free = 6 * kMiB}), "");
  EXPECT_NE(small.Judge({.size = 100 * kMiB, .free = 4 * kMiB}), "");
  EXPECT_EQ(LookAtDisk("/tmp").problem, "");
  EXPECT_NE(LookAtDisk("/no/such").problem, "");
}

// The machine was started anew: nothing of what its records tell can run, whoever has the pids now.
TEST(StateFolder, KnowsWhatIsOfAnEarlierBoot) {
  TemporaryFolder place;
  const std::string state = place.path() + "/state", boot_id = place.path() + "/boot_id";
  const auto scan = [&](const std::string& id) {
    WriteText(boot_id, id);
    const auto folder = StateFolder::Open(state, boot_id);
    EXPECT_TRUE(folder.ok()) << folder.status();
    std::map<ProcessId, bool> earlier;
    for (const FoundProcess& found : (*folder)->ScanProcesses().processes)
      earlier[found.id] = found.earlier_boot;
    return earlier;
  };
  scan("boot-1\n");
  const auto record = [&](uint64_t job, std::string_view boot, const std::string& running) {
    StartTask task;
    task.key = Key(job);
    task.launch.command = {"true"};
    WriteText(fmt::format("{}/processes/{}", state, ProcessOf(task.key)),
              FormatLaunch({task, 0}, boot) + "starting\n" + running);
  };
  const int64_t before = ToMicros(MachineStarted()) - 60'000'000, after = before + 61'000'000;
  record(1, "boot-1", "");
  record(2, "boot-2", fmt::format("running 2 3 {}\n", after));
  // Of an agent that wrote no boot id: by the clock.
  record(3, "", fmt::format("running 2 3 {}\n", before));
  record(4, "", fmt::format("running 2 3 {}\n", after));
  record(5, "", "");
  using Told = std::map<ProcessId, bool>;
  EXPECT_EQ(scan("boot-1\n"), (Told{{"job-1.0.1", false},
                                    {"job-2.0.1", true},
                                    {"job-3.0.1", true},
                                    {"job-4.0.1", false},
                                    {"job-5.0.1", false}}));
  EXPECT_TRUE(scan("boot-3\n").at("job-1.0.1"));
  // No boot id to be had, or not one at all: nothing is judged by it.
  EXPECT_FALSE(scan("\x1b[31m\n").at("job-1.0.1"));
  EXPECT_EQ((*StateFolder::Open(state, place.path() + "/none"))->boot_id(), "");
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
