#include <csignal>

#include <sys/resource.h>
#include <sys/stat.h>
#include <set>

#include <fcntl.h>
#include <unistd.h>

#include "agent/runtime/process_runtime.h"
#include "agent/runtime/strays.h"
#include "common/base/file_limit.h"
#include "machine.h"

namespace allot::agent {
namespace {

class Processes : public testing::Test {
 protected:
  ~Processes() override { EndAll(state_.path()); }
  TemporaryFolder state_;
};

TEST_F(Processes, ExitCodesAreTheirOwn) {
  Life life(state_.path());
  const ProcessId good = life.Run(Key(1), {"true"});
  const ProcessId bad = life.Shell(Key(2), "exit 42");
  EXPECT_EQ(life.ExitOf(good).code, 0);
  EXPECT_TRUE(life.ExitOf(good).succeeded());
  EXPECT_EQ(life.ExitOf(bad).code, 42);
  EXPECT_EQ(life.ExitOf(bad).signal, 0);
  EXPECT_LE(life.exits[bad].started, life.exits[bad].finished);
  EXPECT_GT(ToMicros(life.exits[bad].started), 0);
  EXPECT_EQ(life.runtime().alive(), 0u);
}

TEST_F(Processes, StartIsToldBeforeTheExit) {
  Life life(state_.path());
  const ProcessId id = life.Run(Key(1), {"true"});
  life.ExitOf(id);
  EXPECT_GT(life.pids[id], 1);
}

TEST_F(Processes, ASignalThatKillsIsTheExit) {
  Life life(state_.path());
  const ProcessId id = life.Shell(Key(1), "kill -SEGV $$");
  EXPECT_EQ(life.ExitOf(id).signal, SIGSEGV);
  EXPECT_EQ(life.ExitOf(id).code, 0);
}

TEST_F(Processes, OutputOfBothKindsGoesToTheLogInOrder) {
  Life life(state_.path());
  const ProcessId id = life.Shell(Key(1), "echo one; echo two >&2; echo three");
  life.ExitOf(id);
  EXPECT_EQ(life.LogText(id), "one\ntwo\nthree\n");
}

TEST_F(Processes, StandardInputIsEmpty) {
  Life life(state_.path());
  EXPECT_EQ(life.ExitOf(life.Run(Key(1), {"cat"})).code, 0);
}

// As shells have it: 127 for what is not there, 126 for what is there and cannot be run.
TEST_F(Processes, ACommandThatCannotBeRunSaysWhatIsWrongWithIt) {
  Life life(state_.path());
  const auto file = [this](const std::string& name, const std::string& text, bool executable) {
    const std::string path = state_.path() + "/" + name;
    WriteText(path, text);
    if (executable) std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  };
  const struct {
    std::vector<std::string> command;
    int code;
    const char* why;
  } rows[] = {
      {{"no-such-program-here"}, 127, "no such program in PATH (No such file or directory)"},
      {{"./no/such/path"}, 127, "\"./no/such/path\": No such file or directory"},
      {{"/etc/hostname/x"}, 127, "Not a directory"},
      {{file("data", "not a program", false)}, 126, "may not be run (Permission denied)"},
      {{state_.path()}, 126, "may not be run (Permission denied)"},
      {{file("text", "no first line of a script\n", true)}, 126, "neither a program"},
      {{file("odd", "#!/no/such/interpreter -x\n", true)},
       126,
       "its interpreter /no/such/interpreter is not"},
      {{file("windows", "#!/bin/sh\r\nexit 0\r\n", true)}, 126, "CR LF"},
      {{file("windows-env", "#! /usr/bin/env python3\r\n", true)}, 127, ""},
  };
  uint64_t job = 0;
  for (const auto& row : rows) {
    const ProcessId id = life.Run(Key(++job), row.command);
    const TaskExit exit = life.ExitOf(id);
    EXPECT_EQ(exit.code, row.code) << row.command[0];
    EXPECT_NE(exit.message.find(row.why), std::string::npos) << exit.message;
    EXPECT_EQ(exit.cause, ExitCause::kTask) << row.command[0];
    EXPECT_EQ(life.pids.contains(id), std::string(row.why).empty());
  }
}

// In PATH, too; and one that is broken there hides none behind it, as with a shell.
TEST_F(Processes, AScriptWithCarriageReturnsIsFoundInPath) {
  Life life(state_.path());
  WriteText(state_.path() + "/tool", "#!/bin/sh\r\n");
  std::filesystem::permissions(state_.path() + "/tool", std::filesystem::perms::owner_all);
  ProcessSpec spec = life.Spec(Key(1), {"tool"});
  spec.environment = {"PATH=/nowhere:" + state_.path() + ":/bin"};
  ASSERT_TRUE(life.runtime().Spawn(spec).ok());
  EXPECT_EQ(life.ExitOf(spec.id).code, 126);
  EXPECT_NE(life.exits[spec.id].message.find("/bin/sh\\r"), std::string::npos)
      << life.exits[spec.id].message;
}

// Lines that supervisors write, of this build and the one before.
TEST(ProcessRecords, WhoseFaultItIsThatAProcessCouldNotBeStarted) {
  const struct {
    const char* line;
    int code;
    ExitCause cause;
  } rows[] = {
      {"failed command 2 5", 127, ExitCause::kTask},   // ENOENT
      {"failed command 13 5", 126, ExitCause::kTask},  // EACCES
      {"failed command 8 5", 126, ExitCause::kTask},   // ENOEXEC
      {"failed command 7 5", 126, ExitCause::kTask},   // E2BIG
      {"failed interpreter 2 5 /x", 126, ExitCause::kTask},
      {"failed crlf 2 5 /x", 126, ExitCause::kTask},
      {"failed command 11 5", 127, ExitCause::kNotStarted},  // EAGAIN: no more processes
      {"failed command 12 5", 127, ExitCause::kNotStarted},  // ENOMEM
      {"failed command 23 5", 127, ExitCause::kNotStarted},  // ENFILE
      {"failed command 5 5", 127, ExitCause::kNotStarted},   // EIO
      {"failed log 28 5", 127, ExitCause::kNotStarted},      // ENOSPC
      {"failed log 13 5", 127, ExitCause::kNotStarted},
      {"failed cgroup 2 5", 127, ExitCause::kNotStarted},
      {"failed work_dir 2 5", 127, ExitCause::kTask},
      {"failed work_dir 13 5", 127, ExitCause::kTask},
      {"failed work_dir 116 5", 127, ExitCause::kNotStarted},  // ESTALE
      {"failed work_dir 107 5", 127, ExitCause::kNotStarted},  // ENOTCONN
      {"failed start 110 5", 127, ExitCause::kNotStarted},
      {"failed tomorrow 2 5", 127, ExitCause::kTask},
  };
  for (const auto& row : rows) {
    ProcessRecord record;
    StartTask task;
    task.launch.command = {"train"};
    task.launch.work_dir = "/work";
    record.launch.what = task;
    ParseSupervisorLines(std::string("starting\n") + row.line + "\n", &record);
    ASSERT_TRUE(record.exit) << row.line;
    EXPECT_EQ(record.exit->code, row.code) << row.line;
    EXPECT_EQ(record.exit->cause, row.cause) << row.line;
  }
}

// Without a work_dir of its own a process is in its scratch folder, which the agent has made.
TEST(ProcessRecords, AScratchFolderThatIsGoneIsTheNodesFault) {
  for (const int error : {ENOENT, EACCES, ENOTDIR, ELOOP}) {
    ProcessRecord record;
    record.launch.what = StartTask{};
    ParseSupervisorLines(fmt::format("starting\nfailed work_dir {} 5\n", error), &record);
    EXPECT_EQ(record.exit->cause, ExitCause::kNotStarted) << error;
    EXPECT_TRUE(record.exit->message.starts_with("cannot enter its scratch folder"));
  }
}

// Somebody cleans up under a running agent: what runs ends as it ends, and what comes is started.
TEST_F(Processes, AnEmptiedStateFolderIsSurvived) {
  Life life(state_.path());
  const std::string go = state_.path() + ".go";
  const ProcessId running =
      life.Shell(Key(1), "while [ ! -e " + go + " ]; do sleep 0.02; done; exit 7");
  life.PidOf(running);
  for (const char* folder : {"/processes", "/scratch", "/logs"})
    std::filesystem::remove_all(state_.path() + folder);
  const ProcessId fresh = life.Shell(Key(2), "echo here");
  EXPECT_TRUE(life.ExitOf(fresh).succeeded()) << life.exits[fresh].message;
  EXPECT_EQ(life.LogText(fresh), "here\n");
  WriteText(go, "");
  EXPECT_EQ(life.ExitOf(running).code, 7);
  EXPECT_EQ(life.exits[running].cause, ExitCause::kTask);
  std::filesystem::remove(go);
}

// An agent that starts on an emptied folder cannot adopt what runs, and must not leave it running.
TEST_F(Processes, SupervisorsWithoutARecordAreEnded) {
  Life life(state_.path());
  const ProcessId forgotten = life.Run(Key(1), {"sleep", "1000"});
  const ProcessId known = life.Run(Key(2), {"sleep", "1000"});
  const int64_t pid = life.PidOf(forgotten);
  life.PidOf(known);
  const auto killed = KillSupervisorsBut({known}, state_.path() + "/logs");
  EXPECT_EQ(killed, (std::set<std::string>{forgotten}));
  EXPECT_TRUE(life.Until([&] { return !Runs(pid); }));
  EXPECT_TRUE(KillSupervisorsBut({}, state_.path() + "/elsewhere").empty());
  EXPECT_TRUE(Runs(life.pids[known]));
  life.runtime().Signal(known, SIGKILL);
  life.ExitOf(known);
}

TEST_F(Processes, ASupervisorThatIsGoneIsTheNodesFault) {
  Life life(state_.path());
  ProcessSpec spec = life.Spec(Key(1), {"true"});
  auto runtime = ProcessRuntime::Create(life.loop, life.folder(), ALLOT_SUPERVISOR, {});
  const std::string moved = state_.path() + "/allot-supervisor";
  std::filesystem::copy_file(ALLOT_SUPERVISOR, moved);
  runtime = ProcessRuntime::Create(life.loop, life.folder(), moved, {});
  ASSERT_TRUE(runtime.ok());
  std::filesystem::remove(moved);
  const Status failed = (*runtime)->Spawn(spec);
  EXPECT_TRUE(absl::IsNotFound(failed)) << failed;
  EXPECT_FALSE(std::filesystem::exists(life.folder().RecordOf(spec.id)));
  EXPECT_TRUE(life.runtime().Spawn(spec).ok());  // Nothing is left of the attempt.
  life.ExitOf(spec.id);
}

TEST_F(Processes, AMissingWorkDirIsExit127WithTheReason) {
  Life life(state_.path());
  ProcessSpec spec = life.Spec(Key(1), {"true"});
  spec.work_dir = "/no/such/folder";
  std::get<StartTask>(spec.launch.what).launch.work_dir = spec.work_dir;
  ASSERT_TRUE(life.runtime().Spawn(spec).ok());
  EXPECT_EQ(life.ExitOf(spec.id).message,
            "cannot enter the work_dir /no/such/folder: No such file or directory");
}

TEST_F(Processes, AnEmptyPathInPathIsTheWorkDir) {
  Life life(state_.path());
  WriteText(state_.path() + "/here", "#!/bin/sh\nexit 5\n");
  std::filesystem::permissions(state_.path() + "/here", std::filesystem::perms::owner_all);
  ProcessSpec spec = life.Spec(Key(1), {"here"});
  spec.environment = {"PATH=:/bin"};
  spec.work_dir = state_.path();
  ASSERT_TRUE(life.runtime().Spawn(spec).ok());
  EXPECT_EQ(life.ExitOf(spec.id).code, 5);
}

TEST_F(Processes, OnlyTheGivenEnvironmentIsSeen) {
  setenv("ALLOT_TEST_SECRET", "of the agent", 1);
  Life life(state_.path());
  ProcessSpec spec = life.Spec(Key(1), {"env"});
  spec.environment = {"PATH=/usr/bin:/bin", "RANK=3", "WITH_SPACES=a b  c"};
  ASSERT_TRUE(life.runtime().Spawn(spec).ok());
  life.ExitOf(spec.id);
  EXPECT_EQ(life.LogText(spec.id), "PATH=/usr/bin:/bin\nRANK=3\nWITH_SPACES=a b  c\n");
}

TEST_F(Processes, NoDescriptorOfTheAgentIsInherited) {
  Life life(state_.path());
  const int leaked = open("/dev/null", O_RDONLY);  // Without O_CLOEXEC, as a careless library does.
  const ProcessId id = life.Shell(Key(1), "echo /proc/self/fd/*");
  life.ExitOf(id);
  close(leaked);
  std::istringstream words(life.LogText(id));
  std::set<std::string> seen;
  for (std::string word; words >> word;) seen.insert(word);
  for (const char* fd : {"0", "1", "2"}) seen.erase(std::string("/proc/self/fd/") + fd);
  EXPECT_LE(seen.size(), 1u) << life.LogText(id);  // The shell's own, for the folder it lists.
}

TEST_F(Processes, WorkFolderIsTheScratchFolderUnlessGiven) {
  Life life(state_.path());
  const ProcessId own = life.Run(Key(1), {"pwd"});
  life.ExitOf(own);
  EXPECT_EQ(life.LogText(own), life.folder().ScratchOf(own) + "\n");
}

TEST_F(Processes, OneThatRunsAsSomebodyElseHasWhatIsItsOwn) {
  ASSERT_EQ(geteuid(), 0u) << "only root may start what runs as somebody else";
  ASSERT_EQ(chmod(state_.path().c_str(), 0711), 0);
  Life life(state_.path());
  ProcessSpec spec =
      life.Spec(Key(1), {"/bin/sh", "-c",
                         "id -u; cat token; stat -c ' %u:%g:%a' token .; umask; ulimit -n; "
                         "echo again >/dev/stdout; cat </dev/stdout || echo no"});
  spec.as = RunAs{.uid = 4'242, .gid = 4'343};
  spec.files = {{"token", "secret"}};
  spec.umask = 077;
  spec.limits = {{RLIMIT_NOFILE, 99, 99}};
  ASSERT_TRUE(life.runtime().Spawn(spec).ok());
  EXPECT_EQ(life.ExitOf(spec.id).code, 0);
  EXPECT_EQ(life.LogText(spec.id),
            "4242\nsecret 4242:4343:400\n 4242:4343:700\n0077\n99\nagain\n"
            "/bin/sh: 1: cannot open /dev/stdout: Permission denied\nno\n");
  // Its log is not: that holds what it cannot take back.
  struct stat log {};
  ASSERT_EQ(stat(life.folder().LogOf(spec.id).c_str(), &log), 0);
  EXPECT_EQ(log.st_uid, 0u);
  EXPECT_EQ(log.st_mode & 0777, 0600u);
  // Nobody is root that way.
  ProcessSpec root = life.Spec(Key(2), {"id", "-u"});
  root.as = RunAs{.uid = 0, .gid = 4'343};
  ASSERT_TRUE(life.runtime().Spawn(root).ok());
  EXPECT_NE(life.ExitOf(root.id).message.find("cannot become the user"), std::string::npos);
  EXPECT_EQ(life.exits[root.id].cause, ExitCause::kNotStarted);
  EXPECT_EQ(life.LogText(root.id), "");
}

TEST_F(Processes, WhatCannotBeSetUpStartsNothingAndIsTheNodesFault) {
  Life life(state_.path());
  ProcessSpec spec = life.Spec(Key(1), {"echo", "ran"});
  spec.limits = {{4'711, 1, 1}};
  ASSERT_TRUE(life.runtime().Spawn(spec).ok());
  EXPECT_EQ(life.ExitOf(spec.id).cause, ExitCause::kNotStarted);
  EXPECT_EQ(life.exits[spec.id].message, "cannot set its limits: Invalid argument");
  spec = life.Spec(Key(2), {"echo", "ran"});
  spec.join = {state_.path() + "/no-such-cgroup/cgroup.procs"};
  ASSERT_TRUE(life.runtime().Spawn(spec).ok());
  EXPECT_EQ(life.ExitOf(spec.id).cause, ExitCause::kNotStarted);
  EXPECT_NE(life.exits[spec.id].message.find("cgroup"), std::string::npos);
  EXPECT_EQ(life.LogText(spec.id), "");
}

TEST_F(Processes, SignalsReachTheWholeGroup) {
  Life life(state_.path());
  const ProcessId id =
      life.Shell(Key(1),
                 "trap 'echo parent; wait; exit 3' TERM; (trap 'echo child; exit 0' TERM; echo up; "
                 "while :; do sleep 0.02; done) & echo up; while :; do sleep 0.02; done");
  ASSERT_TRUE(life.Until([&] { return life.LogText(id) == "up\nup\n"; }));
  life.runtime().Signal(id, SIGTERM);
  EXPECT_EQ(life.ExitOf(id).code, 3);
  EXPECT_NE(life.LogText(id).find("parent"), std::string::npos);
  EXPECT_NE(life.LogText(id).find("child"), std::string::npos);
}

TEST_F(Processes, OneThatIgnoresTermEndsByKill) {
  Life life(state_.path());
  const ProcessId id = life.Shell(Key(1), "trap '' TERM; echo up; while :; do sleep 0.02; done");
  ASSERT_TRUE(life.Until([&] { return life.LogText(id) == "up\n"; }));
  life.runtime().Signal(id, SIGTERM);
  life.runtime().Signal(id, SIGKILL);
  EXPECT_EQ(life.ExitOf(id).signal, SIGKILL);
}

TEST_F(Processes, NothingIsLeftWhenTheMainProcessEnds) {
  Life life(state_.path());
  // One child in the group, one that left it for a session of its own.
  const ProcessId id = life.Shell(
      Key(1), "sleep 1000 & echo $!; setsid sh -c 'echo $$; exec sleep 1000' & sleep 0.2; exit 0");
  EXPECT_EQ(life.ExitOf(id).code, 0);
  std::istringstream pids(life.LogText(id));
  int count = 0;
  for (int64_t pid; pids >> pid; ++count) EXPECT_FALSE(Runs(pid)) << pid;
  EXPECT_EQ(count, 2);
}

TEST_F(Processes, AnIdIsStartedOnce) {
  Life life(state_.path());
  const ProcessId id = life.Shell(Key(1), "echo ran");
  const Status again = life.runtime().Spawn(life.Spec(Key(1), {"true"}));
  EXPECT_TRUE(absl::IsAlreadyExists(again)) << again;
  life.ExitOf(id);
  EXPECT_TRUE(absl::IsAlreadyExists(life.runtime().Spawn(life.Spec(Key(1), {"true"}))));
  EXPECT_EQ(life.LogText(id), "ran\n");
}

TEST_F(Processes, TooLargeACommandIsRefusedAndLeavesNothing) {
  Life life(state_.path());
  const Status status =
      life.runtime().Spawn(life.Spec(Key(1), {"echo", std::string(8 << 20, 'x')}));
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_FALSE(std::filesystem::exists(life.folder().RecordOf("job-1.0.1")));
  EXPECT_EQ(life.runtime().counters().spawn_failures, 1u);
}

TEST_F(Processes, AKilledSupervisorTakesItsProcessAlong) {
  Life life(state_.path());
  const ProcessId id = life.Shell(Key(1), "sleep 1000 & echo $!; wait");
  const int64_t pid = life.PidOf(id);
  ASSERT_TRUE(life.Until([&] { return life.LogText(id).ends_with('\n'); }));
  const auto record = ParseRecord(ReadText(life.folder().RecordOf(id)));
  ASSERT_TRUE(record.ok() && record->running);
  kill(static_cast<pid_t>(record->running->supervisor_pid), SIGKILL);
  const TaskExit exit = life.ExitOf(id);
  EXPECT_EQ(exit.signal, 9);
  EXPECT_EQ(exit.message, "supervisor killed");
  EXPECT_EQ(exit.cause, ExitCause::kSupervisorLost);
  EXPECT_TRUE(life.Until([&] { return !Runs(pid) && !Runs(std::stoll(life.LogText(id))); }));
}

// As `timeout` starts things, and as daemons leave.
TEST_F(Processes, NoChildOutlivesAKilledSupervisorWhateverItsGroupOrSession) {
  Life life(state_.path());
  const auto start = [&](uint64_t job, const std::string& script) {
    ProcessSpec spec = life.Spec(Key(job), {"/bin/sh", "-c", script});
    spec.environment.push_back("ALLOT_SCRATCH_DIR=" + life.folder().ScratchOf(spec.id));
    EXPECT_TRUE(life.runtime().Spawn(spec).ok());
    return spec.id;
  };
  const std::string session = "setsid sh -c 'echo $$; exec sleep 999' & ";
  const ProcessId id =
      start(1, "env -i PATH=$PATH timeout 999 sleep 998 & echo $!; " + session + "wait");
  const ProcessId other = start(11, session + "wait");
  const auto pids = [&](const ProcessId& process) {
    std::vector<int64_t> found = {life.PidOf(process)};
    std::istringstream text(life.LogText(process));
    for (int64_t pid; text >> pid;) found.push_back(pid);
    return found;
  };
  ASSERT_TRUE(life.Until([&] { return pids(id).size() == 3 && pids(other).size() == 2; }));
  const auto record = ParseRecord(ReadText(life.folder().RecordOf(id)));
  ASSERT_TRUE(record.ok() && record->running);
  kill(static_cast<pid_t>(record->running->supervisor_pid), SIGKILL);
  EXPECT_EQ(life.ExitOf(id).cause, ExitCause::kSupervisorLost);
  for (const int64_t pid : pids(id)) EXPECT_TRUE(life.Until([&] { return !Runs(pid); })) << pid;
  for (const int64_t pid : pids(other)) EXPECT_TRUE(Runs(pid)) << pid;
  life.runtime().Signal(other, SIGKILL);
  life.ExitOf(other);
}

TEST_F(Processes, GetTheLimitOfFilesTheAgentWasStartedWith) {
  rlimit old{};
  getrlimit(RLIMIT_NOFILE, &old);
  const rlimit low{177, old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  RaiseFileLimit();
  Life life(state_.path());
  const ProcessId id = life.Shell(Key(1), "ulimit -Sn; ulimit -Hn");
  EXPECT_TRUE(life.ExitOf(id).succeeded());
  const std::string hard =
      old.rlim_max == RLIM_INFINITY ? "unlimited" : std::to_string(old.rlim_max);
  EXPECT_EQ(life.LogText(id), "177\n" + hard + "\n");
  setrlimit(RLIMIT_NOFILE, &old);
}

TEST_F(Processes, HundredsAtOnceEachEndOnce) {
  Life life(state_.path());
  for (uint64_t job = 1; job <= 300; ++job) life.Run(Key(job), {"true"});
  ASSERT_TRUE(life.Until([&] { return life.exits.size() == 300; }));
  for (const auto& [id, exit] : life.exits) EXPECT_TRUE(exit.succeeded()) << id;
  EXPECT_EQ(life.pids.size(), 300u);
  for (const auto& [id, exit] : life.exits) life.runtime().Forget(id);
  for (const char* folder : {"/processes", "/scratch", "/logs"})
    EXPECT_TRUE(std::filesystem::is_empty(state_.path() + folder)) << folder;
}

}  // namespace
}  // namespace allot::agent
