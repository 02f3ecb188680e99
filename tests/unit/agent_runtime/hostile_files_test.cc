// What a task can put in the place of the files that the agent opens: nothing of it holds the agent
// up, and nothing is read or written but what was meant.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/runtime/beneath.h"
#include "agent/runtime/janitor.h"
#include "agent/runtime/log_file.h"
#include "agent/runtime/progress.h"
#include "agent/runtime/trash.h"
#include "gmock/gmock.h"
#include "machine.h"

namespace allot::agent {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

constexpr const char kSecret[] = "{\"step\":7,\"total\":9}\n";

// Each puts something at `path`; `victim` is a file that is none of its business. False: this
// machine does not let us.
struct Trick {
  const char* name;
  bool (*plant)(const std::string& path, const std::string& victim);
  bool replaced = true;  // ReplaceFileBeneath takes it away
};

const Trick kTricks[] = {
    {"link", [](const std::string& path,
                const std::string& victim) { return symlink(victim.c_str(), path.c_str()) == 0; }},
    {"dangling link",
     [](const std::string& path, const std::string& victim) {
       return symlink((victim + ".made").c_str(), path.c_str()) == 0;
     }},
    {"second name",
     [](const std::string& path, const std::string& victim) {
       return link(victim.c_str(), path.c_str()) == 0;
     }},
    {"pipe",
     [](const std::string& path, const std::string&) { return mkfifo(path.c_str(), 0666) == 0; }},
    {"folder",
     [](const std::string& path, const std::string&) { return mkdir(path.c_str(), 0777) == 0; },
     false},
    {"socket",
     [](const std::string& path, const std::string&) {
       const Fd fd(socket(AF_UNIX, SOCK_STREAM, 0));
       sockaddr_un address{.sun_family = AF_UNIX, .sun_path = ""};
       path.copy(address.sun_path, sizeof address.sun_path - 1);
       return bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
     }},
    {"device",
     [](const std::string& path, const std::string&) {
       return mknod(path.c_str(), S_IFCHR | 0666, makedev(1, 5)) == 0;
     }},
    {"mount",
     [](const std::string& path, const std::string& victim) {
       WriteText(path, "");
       return mount(victim.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) == 0;
     },
     false},
};

class HostileFiles : public testing::TestWithParam<bool> {
 protected:
  HostileFiles() {
    if (!GetParam()) old_kernel_ = std::make_unique<WithoutOpenat2>();
    fs::create_directories(folder_ + "/job");
    WriteText(victim_, kSecret);
  }
  ~HostileFiles() override {
    for (const std::string& path : mounted_) umount2(path.c_str(), MNT_DETACH);
  }
  bool Plant(const Trick& trick, const std::string& path) {
    fs::remove_all(path);
    const bool planted = trick.plant(path, victim_);
    if (planted && std::string(trick.name) == "mount") mounted_.push_back(path);
    return planted;
  }
  void ExpectUntouched(const char* what) {
    EXPECT_EQ(ReadText(victim_), kSecret) << what;
    EXPECT_FALSE(fs::exists(victim_ + ".made")) << what;
  }

  TemporaryFolder place_;
  const std::string folder_ = place_.path() + "/scratch", victim_ = place_.path() + "/victim";
  std::unique_ptr<WithoutOpenat2> old_kernel_;
  std::vector<std::string> mounted_;
};

TEST_P(HostileFiles, AreRefusedInThePlaceOfAFile) {
  for (const Trick& trick : kTricks) {
    const std::string name = fmt::format("job/{}", trick.name);
    if (!Plant(trick, folder_ + "/" + name)) continue;
    for (const int flags : {O_RDONLY, O_WRONLY | O_APPEND, O_RDWR | O_CREAT, O_WRONLY | O_CREAT}) {
      const Status status = OpenFileBeneath(folder_, name, flags).status();
      EXPECT_TRUE(absl::IsFailedPrecondition(status)) << trick.name << flags << status;
    }
    EXPECT_FALSE(OpenFileBeneath(folder_, name, O_WRONLY | O_CREAT | O_EXCL).ok()) << trick.name;
    EXPECT_FALSE(ReadFileBeneath(folder_, name).ok()) << trick.name;
    EXPECT_FALSE(ProgressFile(folder_, name).Poll()) << trick.name;
    EXPECT_FALSE(ReadLogPiece(folder_ + "/job", trick.name, 0, 100).ok()) << trick.name;
    ExpectUntouched(trick.name);
  }
}

TEST_P(HostileFiles, AreReplacedAndNeverWrittenTo) {
  for (const Trick& trick : kTricks) {
    const std::string name = fmt::format("job/{}", trick.name), path = folder_ + "/" + name;
    if (!Plant(trick, path)) continue;
    // Where it is written first, too.
    if (std::string(trick.name) != "mount") Plant(trick, path + ".new");
    const Status status = ReplaceFileBeneath(folder_, name, "told\n");
    EXPECT_EQ(status.ok(), trick.replaced) << trick.name << status;
    if (status.ok()) {
      EXPECT_EQ(ReadText(path), "told\n") << trick.name;
    }
    ExpectUntouched(trick.name);
  }
}

TEST_P(HostileFiles, AFolderOnTheWayThatLeadsElsewhereIsNotTaken) {
  fs::create_directories(place_.path() + "/elsewhere");
  WriteText(place_.path() + "/elsewhere/progress", kSecret);
  fs::create_directory_symlink(place_.path() + "/elsewhere", folder_ + "/away");
  EXPECT_FALSE(OpenFileBeneath(folder_, "away/progress", O_RDONLY).ok());
  EXPECT_FALSE(OpenFolderBeneath(folder_, "away").ok());
  EXPECT_FALSE(ReplaceFileBeneath(folder_, "away/progress", "told\n").ok());
  for (const char* name : {"../victim", "job/../../victim", "/etc/hostname", "./job", ""})
    EXPECT_FALSE(OpenFileBeneath(folder_, name, O_RDONLY).ok() && std::string(name) != "./job")
        << name;
  EXPECT_EQ(ReadText(place_.path() + "/elsewhere/progress"), kSecret);
  ExpectUntouched("..");
}

TEST_P(HostileFiles, WhatIsAFileIsOpenedAndMade) {
  ASSERT_TRUE(ReplaceFileBeneath(folder_, "job/notice", "one\n").ok());
  ASSERT_TRUE(ReplaceFileBeneath(folder_, "job/notice", "two\n", 0600).ok());
  EXPECT_EQ(*ReadFileBeneath(folder_, "job/notice"), "two\n");
  struct stat info {};
  ASSERT_EQ(stat((folder_ + "/job/notice").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  {
    const auto fd = OpenFileBeneath(folder_, "job/log", O_WRONLY | O_CREAT | O_APPEND);
    ASSERT_TRUE(fd.ok()) << fd.status();
    ASSERT_TRUE(WriteAll(fd->get(), "a", "log").ok());
  }
  const auto again = OpenFileBeneath(folder_, "job/log", O_WRONLY | O_CREAT | O_APPEND);
  ASSERT_TRUE(again.ok() && WriteAll(again->get(), "b", "log").ok());
  EXPECT_EQ(*ReadFileBeneath(folder_, "job/log"), "ab");
  EXPECT_TRUE(absl::IsNotFound(ReadFileBeneath(folder_, "job/none").status()));
  EXPECT_TRUE(absl::IsNotFound(ReadFileBeneath(folder_, "none/none").status()));
  EXPECT_TRUE(absl::IsOutOfRange(ReadFileBeneath(folder_, "job/log", 1).status()));
  EXPECT_EQ(fcntl(again->get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

TEST_P(HostileFiles, FoldersAreMadeWhereNothingIsInTheWay) {
  auto made = MakeFoldersBeneath(folder_, "job/a/b");
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_TRUE(IsEmptyFolder(*std::move(made)));
  WriteText(folder_ + "/job/a/b/step", "1");
  made = MakeFoldersBeneath(folder_, "job/a/b");
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_FALSE(IsEmptyFolder(*std::move(made)));
  fs::create_directory_symlink(place_.path(), folder_ + "/job/away");
  for (const char* name : {"job/away/x", "job/a/../x", "job//x", "job/a/b/step/x", "/x", "", ".."})
    EXPECT_TRUE(absl::IsFailedPrecondition(MakeFoldersBeneath(folder_, name).status())) << name;
  EXPECT_FALSE(fs::exists(place_.path() + "/x"));
}

TEST_P(HostileFiles, AHugeSparseProgressFileCostsItsLastKilobytes) {
  const std::string path = folder_ + "/job/progress";
  WriteText(path, "");
  ASSERT_EQ(truncate(path.c_str(), off_t{1} << 40), 0);
  EXPECT_FALSE(ProgressFile(folder_, "job/progress").Poll());
  std::ofstream(path, std::ios::app) << "\n{\"step\":3,\"total\":4}\n";
  EXPECT_EQ(ProgressFile(folder_, "job/progress").Poll(), (TaskProgress{3, 4, std::nullopt}));
}

// Somebody holds a lease, which delays an open that may wait.
TEST_P(HostileFiles, ALeaseIsNotWaitedFor) {
  WriteText(folder_ + "/job/progress", kSecret);
  const Fd held(open((folder_ + "/job/progress").c_str(), O_RDONLY));
  ASSERT_EQ(fcntl(held.get(), F_SETLEASE, F_RDLCK), 0);
  signal(SIGIO, SIG_IGN);
  EXPECT_FALSE(OpenFileBeneath(folder_, "job/progress", O_WRONLY).ok());
  EXPECT_TRUE(ReadFileBeneath(folder_, "job/progress").ok());
}

INSTANTIATE_TEST_SUITE_P(, HostileFiles, testing::Bool(),
                         [](const auto& info) { return info.param ? "Openat2" : "StepByStep"; });

TEST(OwnFiles, APipeInThePlaceOfOneIsNotWaitedFor) {
  TemporaryFolder place;
  const std::string path = place.path() + "/file";
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(ReadWholeFile(path).status()));
  ASSERT_EQ(mkfifo((path + ".new").c_str(), 0600), 0);
  EXPECT_TRUE(ReplaceFile(path, "text").ok());
  EXPECT_EQ(ReadText(path), "text");
  WriteText(place.path() + "/victim", kSecret);
  fs::create_symlink(place.path() + "/victim", path + ".new");
  EXPECT_TRUE(ReplaceFile(path, "more").ok());
  EXPECT_EQ(ReadText(place.path() + "/victim"), kSecret);
}

// ---- folders on their way out
// ---------------------------------------------------------------------

// In memory where there is such a place: tens of thousands of folders are slow on a disk.
fs::path Quick() {
  return fs::is_directory("/dev/shm") && access("/dev/shm", W_OK) == 0 ? fs::path("/dev/shm")
                                                                       : fs::temp_directory_path();
}

TEST(Trash, OfAnyDepthIsEmptied) {
  TemporaryFolder place(Quick());
  fs::create_directories(place.path() + "/trash/deep");
  Fd at(open((place.path() + "/trash/deep").c_str(), O_RDONLY | O_DIRECTORY));
  for (int i = 0; i < 10'000; ++i) {
    ASSERT_EQ(mkdirat(at.get(), "d", 0700), 0);
    const Fd file(openat(at.get(), "f", O_WRONLY | O_CREAT, 0600));
    at = Fd(openat(at.get(), "d", O_RDONLY | O_DIRECTORY));
    ASSERT_TRUE(at.valid());
  }
  EmptyTrash(place.path() + "/trash");
  EXPECT_TRUE(fs::is_empty(place.path() + "/trash"));
}

TEST(Trash, OfManyEntriesAndWithoutPermissionsIsEmptied) {
  TemporaryFolder place(Quick());
  const std::string trash = place.path() + "/trash";
  fs::create_directories(trash + "/wide/closed/inner");
  for (int i = 0; i < 20'000; ++i) WriteText(fmt::format("{}/wide/{}", trash, i), "");
  WriteText(trash + "/wide/closed/file", "x");
  ASSERT_EQ(mkfifo((trash + "/pipe").c_str(), 0600), 0);
  chmod((trash + "/wide/closed/inner").c_str(), 0);
  chmod((trash + "/wide/closed").c_str(), 0);
  chmod((trash + "/wide").c_str(), 0500);
  EmptyTrash(trash);
  EXPECT_TRUE(fs::is_empty(trash));
}

TEST(Trash, LeavesWhatLinksAndMountsLeadTo) {
  TemporaryFolder place;
  const std::string trash = place.path() + "/trash", victim = place.path() + "/victim";
  fs::create_directories(trash + "/a/b/mounted");
  fs::create_directories(victim + "/inner");
  WriteText(victim + "/file", kSecret);
  fs::create_directory_symlink(victim, trash + "/link");
  fs::create_directory_symlink(victim, trash + "/a/b/link");
  const bool mounted =
      mount(victim.c_str(), (trash + "/a/b/mounted").c_str(), nullptr, MS_BIND, nullptr) == 0;
  EmptyTrash(trash);
  EXPECT_EQ(ReadText(victim + "/file"), kSecret);
  EXPECT_TRUE(fs::exists(victim + "/inner"));
  EXPECT_TRUE(fs::is_empty(trash)) << mounted;
  if (mounted) umount2((trash + "/a/b/mounted").c_str(), MNT_DETACH);
}

// ---- the state folder
// -----------------------------------------------------------------------------

class HostileState : public testing::Test {
 protected:
  HostileState() {
    state_ = *StateFolder::Open(place_.path() + "/state");
    fs::create_directories(victim_);
    WriteText(victim_ + "/.allot-progress", kSecret);
  }
  TemporaryFolder place_;
  std::unique_ptr<StateFolder> state_;
  const std::string victim_ = place_.path() + "/victim";
};

TEST_F(HostileState, AScratchFolderThatIsALinkTakesNothingElseAlong) {
  const std::string scratch = state_->ScratchOf("job-1.0.1");
  fs::create_directory_symlink(victim_, scratch);
  state_->Remove("job-1.0.1");
  EXPECT_FALSE(fs::exists(fs::symlink_status(scratch)));
  EXPECT_EQ(ReadText(victim_ + "/.allot-progress"), kSecret);
  // One that waits for the next process of that name is not taken for its folder.
  fs::create_directory_symlink(victim_, scratch);
  ASSERT_TRUE(state_->MakeScratch("job-1.0.1").ok());
  EXPECT_TRUE(fs::is_directory(fs::symlink_status(scratch)));
  EXPECT_TRUE(fs::is_empty(scratch));
  EXPECT_EQ(ReadText(victim_ + "/.allot-progress"), kSecret);
}

TEST_F(HostileState, ACheckpointFolderThatIsALinkIsNotTaken) {
  bool empty = false;
  const auto made = state_->MakeCheckpointFolder("job-1", &empty);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_TRUE(empty);
  WriteText(*made + "/step", "1");
  ASSERT_TRUE(state_->MakeCheckpointFolder("job-1", &empty).ok());
  EXPECT_FALSE(empty);
  fs::create_directory_symlink(victim_, place_.path() + "/state/checkpoints/job-2");
  EXPECT_TRUE(absl::IsFailedPrecondition(state_->MakeCheckpointFolder("job-2", &empty).status()));
}

TEST_F(HostileState, ALogThatIsAFolderGoes) {
  fs::create_directories(state_->LogOf("job-1.0.1") + "/inner");
  state_->Remove("job-1.0.1");
  EXPECT_FALSE(fs::exists(state_->LogOf("job-1.0.1")));
  // One of no process goes when a log would.
  fs::create_directories(state_->LogOf("other") + "/inner");
  ASSERT_EQ(mkfifo(state_->LogOf("pipe").c_str(), 0600), 0);
  SweepLogFolder(state_->LogFolder(), state_->RecordFolder(), {.kept = std::chrono::hours(1)},
                 place_.path() + "/state/trash");
  EXPECT_TRUE(fs::exists(state_->LogOf("other")));
  SweepLogFolder(state_->LogFolder(), state_->RecordFolder(), {.kept = Duration(0)},
                 place_.path() + "/state/trash");
  EXPECT_TRUE(fs::is_empty(state_->LogFolder()));
}

TEST_F(HostileState, ARecordThatIsAPipeOrALinkIsSetAside) {
  ASSERT_EQ(mkfifo(state_->RecordOf("job-1.0.1").c_str(), 0600), 0);
  fs::create_symlink("/dev/zero", state_->RecordOf("job-2.0.1"));
  fs::create_symlink(victim_ + "/.allot-progress", state_->RecordOf("job-3.0.1"));
  const StateFolder::Scan scan = state_->ScanProcesses();
  EXPECT_TRUE(scan.processes.empty());
  EXPECT_EQ(scan.warnings.size(), 3u);
  EXPECT_TRUE(fs::is_empty(state_->RecordFolder()));
  EXPECT_EQ(ReadText(victim_ + "/.allot-progress"), kSecret);
}

// A process that writes zeros after a hole: each was a step of a recursion once.
TEST_F(HostileState, ALogOfZerosIsReadInBoundedSteps) {
  const std::string log = state_->LogOf("job-1.0.1");
  WriteText(log, "");
  ASSERT_EQ(truncate(log.c_str(), 1 << 20), 0);
  std::ofstream(log, std::ios::app) << std::string(8 << 20, '\0') << "end";
  const auto piece = ReadLogPiece(log, 0, 1);
  ASSERT_TRUE(piece.ok());
  EXPECT_EQ(piece->data.size(), 1u);
  EXPECT_EQ(ReadLogPiece(log, 9 << 20, 10)->data, "end");
}

TEST_F(HostileState, WhatIsTheAgentsIsOutOfReachOfOthersAndWhatIsTheirsIsNot) {
  bool empty = false;
  ASSERT_TRUE(state_->MakeScratch("job-1.0.1").ok());
  ASSERT_TRUE(state_->MakeCheckpointFolder("job-1", &empty).ok());
  const auto mode = [&](const std::string& name) {
    struct stat info {};
    EXPECT_EQ(stat((place_.path() + "/state/" + name).c_str(), &info), 0) << name;
    return info.st_mode & 0777;
  };
  for (const char* name : {"processes", "logs", "garbage", "trash", "lock", "instance", "boot"})
    EXPECT_EQ(mode(name) & 0007, 0u) << name;
  for (const char* name : {"", "scratch", "checkpoints"}) {
    EXPECT_EQ(mode(name) & 0001, 0001u) << name;
    EXPECT_EQ(mode(name) & 0002, 0u) << name;
  }
  EXPECT_EQ(mode("scratch/job-1.0.1"), 0700u);
}

// A folder of an earlier build, which tasks shared with the agent.
TEST_F(HostileState, StateOfEarlierBuildsIsOpenedForOthers) {
  state_.reset();
  for (const char* name : {"", "/scratch", "/checkpoints"})
    ASSERT_EQ(chmod((place_.path() + "/state" + name).c_str(), 0750), 0);
  state_ = *StateFolder::Open(place_.path() + "/state");
  for (const char* name : {"", "/scratch", "/checkpoints"}) {
    struct stat info {};
    stat((place_.path() + "/state" + name).c_str(), &info);
    EXPECT_EQ(info.st_mode & 0777, 0711u) << name;
  }
}

// ---- processes
// ------------------------------------------------------------------------------------

class HostileLogs : public testing::Test {
 protected:
  ~HostileLogs() override { EndAll(state_.path()); }
  TemporaryFolder state_;
};

TEST_F(HostileLogs, WhatWaitsInThePlaceOfALogIsTheNodesTroubleAndHoldsNobody) {
  Life life(state_.path());
  WriteText(state_.path() + "/victim", kSecret);
  ASSERT_EQ(mkfifo(life.folder().LogOf("job-1.0.1").c_str(), 0600), 0);
  fs::create_symlink(state_.path() + "/victim", life.folder().LogOf("job-2.0.1"));
  fs::create_directory(life.folder().LogOf("job-3.0.1"));
  fs::create_hard_link(state_.path() + "/victim", life.folder().LogOf("job-4.0.1"));
  for (uint64_t job = 1; job <= 4; ++job) {
    const TaskExit exit = life.ExitOf(life.Shell(Key(job), "echo over you"));
    EXPECT_EQ(exit.cause, ExitCause::kNotStarted) << job;
    EXPECT_THAT(exit.message, HasSubstr("cannot write the log")) << job;
  }
  EXPECT_EQ(ReadText(state_.path() + "/victim"), kSecret);
}

// The process never holds its log: it cannot cut it or put words into another's mouth.
TEST_F(HostileLogs, AProcessCannotTakeBackWhatItHasWritten) {
  Life life(state_.path());
  const ProcessId id = life.Shell(
      Key(1), "echo one; echo two > /dev/stdout; : > /dev/stdout; readlink /proc/self/fd/1");
  EXPECT_TRUE(life.ExitOf(id).succeeded());
  EXPECT_TRUE(life.LogText(id).starts_with("one\ntwo\npipe:")) << life.LogText(id);
}

TEST_F(HostileLogs, OutputThatNobodyReadsYetIsAllThere) {
  Life life(state_.path());
  const ProcessId id =
      life.Shell(Key(1), "head -c 3000000 /dev/zero | tr '\\0' a; exec 1>&- 2>&-; exit 3");
  EXPECT_EQ(life.ExitOf(id).code, 3);
  EXPECT_EQ(life.LogText(id), std::string(3'000'000, 'a'));
}

// At any moment, however fast it is written.
TEST_F(HostileLogs, ALogIsNeverLargerThanItMayBe) {
  Life life(state_.path());
  ProcessSpec spec = life.Spec(Key(1), {"/bin/sh", "-c",
                                        "head -c 400000000 /dev/zero | tr '\\0' a; "
                                        "echo; echo end"});
  spec.log_max = 2 << 20;
  ASSERT_TRUE(life.runtime().Spawn(spec).ok());
  struct stat info {};
  int64_t most = 0;
  ASSERT_TRUE(life.Until([&] {
    if (stat(life.folder().LogOf(spec.id).c_str(), &info) == 0)
      most = std::max<int64_t>(most, info.st_blocks * 512);
    return life.exits.contains(spec.id);
  }));
  EXPECT_TRUE(life.exits[spec.id].succeeded());
  ASSERT_EQ(stat(life.folder().LogOf(spec.id).c_str(), &info), 0);
  EXPECT_GE(info.st_size, 400'000'000);
  EXPECT_LE(std::max<int64_t>(most, info.st_blocks * 512), 2 << 20);
  const LogPiece first = *ReadLogPiece(life.folder().LogOf(spec.id), 0, 200);
  EXPECT_TRUE(first.data.starts_with("\n[allotrope] the ")) << first.data.substr(0, 100);
  EXPECT_THAT(first.data, HasSubstr("a log keeps 2MiB at most"));
  EXPECT_EQ(ReadLogPiece(life.folder().LogOf(spec.id), info.st_size - 4, 100)->data, "end\n");
}

// What a full disk does to the log it does not do to the process.
TEST_F(HostileLogs, AFullDiskLosesOutputAndNotTheProcess) {
  { const Life first(state_.path()); }
  const std::string logs = state_.path() + "/logs";
  if (mount("tmpfs", logs.c_str(), "tmpfs", 0, "size=1m") != 0)
    return;  // Only root can make a small disk.
  {
    Life life(state_.path());
    WriteText(logs + "/other", std::string(900'000, 'x'));
    const ProcessId id = life.Shell(
        Key(1), "head -c 5000000 /dev/zero | tr '\\0' a || exit 1; echo end || exit 2; exit 0");
    EXPECT_TRUE(life.ExitOf(id).succeeded()) << life.exits[id].code;
    fs::remove(logs + "/other");
    const ProcessId full = life.Shell(
        Key(2), "head -c 5000000 /dev/zero | tr '\\0' a || exit 1; echo end || exit 2; exit 0");
    EXPECT_TRUE(life.ExitOf(full).succeeded()) << life.exits[full].code;
    const std::string text = life.LogText(full);  // It gave way to its own end.
    EXPECT_TRUE(text.ends_with("aend\n"));
    EXPECT_THAT(text, HasSubstr("were given back"));
  }
  umount2(logs.c_str(), MNT_DETACH);
}

// Below what is to stay free a log grows no more, whatever it might be.
TEST_F(HostileLogs, LogsGiveWayBeforeTheDiskIsFull) {
  Life life(state_.path());
  ProcessSpec spec =
      life.Spec(Key(1), {"/bin/sh", "-c", "head -c 60000000 /dev/zero | tr '\\0' a"});
  spec.log_free_min = Bytes{1} << 60;  // More than there is.
  ASSERT_TRUE(life.runtime().Spawn(spec).ok());
  EXPECT_TRUE(life.ExitOf(spec.id).succeeded());
  struct stat info {};
  ASSERT_EQ(stat(life.folder().LogOf(spec.id).c_str(), &info), 0);
  EXPECT_LE(info.st_blocks * 512, 4 << 20);
}

}  // namespace
}  // namespace allot::agent
