// Processes that do not want to end: they stop, trace, freeze or kill their supervisor, or leave
// something behind. They end all the same, and what is told of their end is true.
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/runtime/process_tree.h"
#include "agent/runtime/strays.h"
#include "gmock/gmock.h"
#include "machine.h"

namespace allot::agent {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

constexpr auto kSoon = std::chrono::milliseconds(50);

class Enforcement : public testing::Test {
 protected:
  ~Enforcement() override {
    EndAll(state_.path());
    fs::remove(go_);
  }
  // Numbers that the process has written, one a line.
  static std::vector<int64_t> Pids(Life& life, const ProcessId& id) {
    std::vector<int64_t> pids;
    std::istringstream in(life.LogText(id));
    for (int64_t pid; in >> pid;) pids.push_back(pid);
    return pids;
  }
  void AwaitPids(Life& life, const ProcessId& id, size_t count) {
    ASSERT_TRUE(life.Until([&] { return Pids(life, id).size() == count; })) << life.LogText(id);
  }
  static char StateOf(int64_t pid) {
    const auto facts = FactsOf(pid);
    return facts ? facts->state : '-';
  }

  // Until the test lets it: a process that hinders its supervisor at once is told as running later.
  std::string Wait() const { return "while [ ! -e " + go_ + " ]; do sleep 0.01; done; "; }
  void Go() { WriteText(go_, ""); }

  TemporaryFolder state_;
  const std::string go_ = state_.path() + ".go";
  const ProcessRuntime::Options soon_{.kill_patience = kSoon};
};

TEST_F(Enforcement, AProcessThatStopsItsSupervisorTakesSignals) {
  Life life(state_.path());
  const ProcessId id = life.Shell(
      Key(1), Wait() + "trap 'exit 3' TERM; kill -STOP $PPID; while :; do sleep 0.02; done");
  const pid_t supervisor = life.SupervisorOf(id);
  Go();
  ASSERT_TRUE(life.Until([&] { return StateOf(supervisor) == 'T'; }));
  life.runtime().Signal(id, SIGTERM);
  EXPECT_EQ(life.ExitOf(id).code, 3);
}

// Before that one can say that it runs: it is no slow start for that, and no fault of the node.
TEST_F(Enforcement, AProcessThatStopsItsSupervisorAtOnceRunsAllTheSame) {
  Life life(state_.path(), {.kill_patience = kSoon, .wake_every = kSoon});
  const ProcessId id = life.Shell(Key(1), "kill -STOP $PPID; exit 4");
  EXPECT_EQ(life.ExitOf(id).code, 4);
  EXPECT_TRUE(life.pids.contains(id));
  const ProcessId stubborn = life.Shell(Key(2), "while :; do kill -STOP $PPID; done");
  life.PidOf(stubborn);
  life.runtime().Signal(stubborn, SIGKILL);
  EXPECT_EQ(life.ExitOf(stubborn).signal, SIGKILL);
  EXPECT_FALSE(OfTheNode(life.exits[stubborn].cause));
}

// From a session of its own and without the environment by which it might be found.
TEST_F(Enforcement, OneThatStopsItsSupervisorAgainAndAgainEnds) {
  Life life(state_.path(), soon_);
  const ProcessId id = life.Shell(Key(1), Wait() +
                                              "trap '' TERM; s=$PPID; env -i /usr/bin/setsid "
                                              "/bin/sh -c \"echo \\$\\$; while :; do kill -STOP "
                                              "$s; done\" & while :; do kill -STOP $s; done");
  const pid_t supervisor = life.SupervisorOf(id);
  Go();
  ASSERT_TRUE(life.Until([&] { return StateOf(supervisor) == 'T'; }));
  life.runtime().Signal(id, SIGTERM);
  life.runtime().Signal(id, SIGKILL);
  EXPECT_EQ(life.ExitOf(id).signal, SIGKILL);
  EXPECT_EQ(life.exits[id].cause, ExitCause::kTask);
  EXPECT_FALSE(Runs(life.pids[id]));
  const ProcessTable table = ProcessTable::Look();
  for (const auto& [pid, facts] : table.all())
    EXPECT_FALSE(facts.Runs() && facts.session == supervisor) << pid;
}

TEST_F(Enforcement, OneThatTracesItsSupervisorEnds) {
  if (access("/usr/bin/python3", X_OK) != 0) return;  // No python3 to trace with.
  Life life(state_.path(), soon_);
  const ProcessId id = life.Run(Key(1), {"/usr/bin/python3", "-c",
                                         "import ctypes,os,sys,time\n"
                                         "while not os.path.exists(sys.argv[1]): time.sleep(.01)\n"
                                         "c=ctypes.CDLL(None)\n"
                                         "r=c.ptrace(16,os.getppid(),None,None)\n"  // PTRACE_ATTACH
                                         "print('traced' if r==0 else 'refused',flush=True)\n"
                                         "time.sleep(1000)\n",
                                         go_});
  const pid_t supervisor = life.SupervisorOf(id);
  Go();
  // A traced supervisor writes nothing down any more.
  ASSERT_TRUE(life.Until(
      [&] { return StateOf(supervisor) == 't' || life.LogText(id).starts_with("refused"); }));
  life.runtime().Signal(id, SIGKILL);
  EXPECT_EQ(life.ExitOf(id).signal, SIGKILL);
  EXPECT_FALSE(Runs(life.pids[id]));
}

// A tracer keeps what it has killed from whose child it is: nobody waits for that one.
TEST_F(Enforcement, OneThatTracesAndKillsItsSupervisorHoldsNobodyUp) {
  if (access("/usr/bin/python3", X_OK) != 0) return;  // No python3 to trace with.
  Life life(state_.path(), soon_);
  const ProcessId id =
      life.Run(Key(1), {"/usr/bin/python3", "-c",
                        "import ctypes,os,sys,time\n"
                        "s=os.getppid()\n"
                        "if os.fork()==0:\n"
                        "  os.setsid()\n"
                        "  print(os.getpid(),flush=True)\n"
                        "  while not os.path.exists(sys.argv[1]): time.sleep(.01)\n"
                        "  ctypes.CDLL(None).ptrace(0x4206,s,None,None)\n"  // PTRACE_SEIZE
                        "  os.kill(s,9)\n"
                        "time.sleep(1000)\n",
                        go_});
  life.SupervisorOf(id);
  AwaitPids(life, id, 1);
  Go();
  EXPECT_EQ(life.ExitOf(id).cause, ExitCause::kSupervisorLost);
  EXPECT_FALSE(Runs(Pids(life, id)[0]));
}

// As root could: the supervisor and the process in a group that is frozen.
TEST_F(Enforcement, OneThatIsFrozenEnds) {
  struct Freezer {
    std::string mount, file, frozen;
  };
  int tried = 0;
  for (const Freezer& freezer : {Freezer{"/sys/fs/cgroup/freezer", "freezer.state", "FROZEN"},
                                 Freezer{"/sys/fs/cgroup/unified", "cgroup.freeze", "1"},
                                 Freezer{"/sys/fs/cgroup", "cgroup.freeze", "1"}}) {
    const std::string group = fmt::format("{}/allot-test-{}", freezer.mount, getpid());
    if (mkdir(group.c_str(), 0755) != 0) continue;
    if (!fs::exists(group + "/" + freezer.file)) {
      rmdir(group.c_str());
      continue;
    }
    ++tried;
    TemporaryFolder state;
    Life life(state.path(), soon_);
    const ProcessId id = life.Run(Key(1), {"sleep", "1000"});
    const pid_t supervisor = life.SupervisorOf(id);
    for (const int64_t pid : {int64_t{supervisor}, life.pids[id]})
      WriteText(group + "/cgroup.procs", std::to_string(pid));
    WriteText(group + "/" + freezer.file, freezer.frozen);
    life.runtime().Signal(id, SIGKILL);
    EXPECT_EQ(life.ExitOf(id).signal, SIGKILL) << freezer.mount;
    EXPECT_TRUE(life.Until([&] { return rmdir(group.c_str()) == 0; })) << freezer.mount;
  }
  if (tried == 0) return;  // No cgroup that can be frozen.
}

// What is not a task's doing: told as it is, and the agent after this one says the same.
TEST_F(Enforcement, ASupervisorThatDoesNotAnswerIsEndedAndTheEndIsKept) {
  const std::string deaf = state_.path() + "/deaf";
  // Says that it runs, and hears nothing.
  WriteText(deaf,
            "#!/bin/sh\ntrap '' TERM INT; printf 'starting\\nrunning %d %d 1\\n' $$ $$ >&4\n"
            "while :; do sleep 0.02; done\n");
  fs::permissions(deaf, fs::perms::owner_all);
  const std::string state = state_.path() + "/state";
  ProcessId id;
  {
    Life life(state, {.start_max = kSoon, .kill_patience = kSoon}, deaf);
    id = life.Run(Key(1), {"true"});
    const TaskExit exit = life.ExitOf(id);
    EXPECT_EQ(exit.cause, ExitCause::kNotStarted);
    EXPECT_THAT(exit.message, HasSubstr("did not run within a minute"));
    EXPECT_THAT(exit.message, HasSubstr("\"true\""));
  }
  Life next(state);
  ASSERT_EQ(next.scan().processes.size(), 1u);
  EXPECT_FALSE(next.scan().processes[0].alive);
  EXPECT_EQ(next.scan().processes[0].record.exit->cause, ExitCause::kNotStarted);
}

TEST_F(Enforcement, AProcessThatIsForgottenEndsThoughItsSupervisorIsStopped) {
  Life life(state_.path(), soon_);
  const ProcessId id = life.Shell(Key(1), Wait() + "while :; do kill -STOP $PPID; done");
  const pid_t supervisor = life.SupervisorOf(id);
  Go();
  ASSERT_TRUE(life.Until([&] { return StateOf(supervisor) == 'T'; }));
  const int64_t pid = life.pids[id];
  life.runtime().Forget(id);
  EXPECT_FALSE(fs::exists(life.folder().RecordOf(id)));
  EXPECT_TRUE(life.Until([&] { return !Runs(pid) && life.runtime().alive() == 0; }));
  EXPECT_TRUE(life.exits.empty());
}

// A file system whose server is away: what touches it waits, and no signal helps but SIGKILL.
class DeadMount {
 public:
  explicit DeadMount(const std::string& path) : path_(path), fd_(open("/dev/fuse", O_RDWR)) {
    fs::create_directories(path);
    mounted_ =
        fd_.valid() &&
        mount("dead", path.c_str(), "fuse", 0,
              fmt::format("fd={},rootmode=40000,user_id=0,group_id=0", fd_.get()).c_str()) == 0;
  }
  ~DeadMount() {
    fd_.Reset();  // Who waits is let go.
    if (mounted_) umount2(path_.c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }

 private:
  const std::string path_;
  Fd fd_;
  bool mounted_ = false;
};

TEST_F(Enforcement, AWorkDirThatDoesNotAnswerEndsAStart) {
  DeadMount dead(state_.path() + ".dead");
  if (!dead.mounted()) return;  // Only root can make a dead mount.
  {
    Life life(
        state_.path(),
        {.start_max = kSoon, .kill_patience = kSoon, .give_up = std::chrono::milliseconds(500)});
    ProcessSpec spec = life.Spec(Key(1), {"true"});
    spec.work_dir = state_.path() + ".dead/work";
    std::get<StartTask>(spec.launch.what).launch.work_dir = spec.work_dir;
    ASSERT_TRUE(life.runtime().Spawn(spec).ok());
    const TaskExit exit = life.ExitOf(spec.id);
    EXPECT_EQ(exit.cause, ExitCause::kNotStarted);
    EXPECT_THAT(exit.message, HasSubstr("work_dir " + spec.work_dir));
    EXPECT_TRUE(life.pids.empty());
  }
}

// ---- what a killed supervisor leaves
// --------------------------------------------------------------

const char kHidden[] =
    "env -i /usr/bin/setsid /bin/sh -c 'exec >/dev/null 2>&1 </dev/null; exec sleep 999' & echo "
    "$!; ";

TEST_F(Enforcement, NothingOutlivesAKilledSupervisorWithoutASessionOrAnEnvironment) {
  Life life(state_.path(), soon_);
  const ProcessId id = life.Shell(
      Key(1), std::string(kHidden) +
                  "env -i /usr/bin/setsid /bin/sh -c '/usr/bin/setsid sleep 998 & echo $!; wait' & "
                  "sleep 0.2; kill -KILL $PPID; wait");
  const TaskExit exit = life.ExitOf(id);
  EXPECT_EQ(exit.cause, ExitCause::kSupervisorLost);
  ASSERT_EQ(Pids(life, id).size(), 2u);
  // When the end is told, nothing of it runs.
  for (const int64_t pid : Pids(life, id)) EXPECT_FALSE(Runs(pid)) << pid;
}

// Always another process, in another session, by the time one has looked.
TEST_F(Enforcement, OneThatIsAlwaysAnotherIsCaught) {
  Life life(state_.path(), soon_);
  const std::string hop = state_.path() + "/hop";
  WriteText(hop, "#!/bin/sh\nsetsid \"$0\" &\n");
  fs::permissions(hop, fs::perms::owner_all);
  const ProcessId stopped = life.Shell(Key(1), hop + "; while :; do kill -STOP $PPID; done");
  const ProcessId killed = life.Shell(Key(2), hop + "; sleep 0.2; kill -KILL $PPID; sleep 999");
  EXPECT_EQ(life.ExitOf(killed).cause, ExitCause::kSupervisorLost);
  life.PidOf(stopped);
  life.runtime().Signal(stopped, SIGKILL);
  EXPECT_EQ(life.ExitOf(stopped).signal, SIGKILL);
  const auto hops = [&] {
    size_t count = 0;
    const ProcessTable table = ProcessTable::Look();
    for (const auto& [pid, facts] : table.all())
      count += facts.Runs() && facts.name == "hop" ? 1 : 0;
    return count;
  };
  EXPECT_EQ(hops(), 0u);
}

TEST_F(Enforcement, OtherProcessesAreLeftAloneMeanwhile) {
  Life life(state_.path(), soon_);
  const ProcessId lost = life.Shell(Key(1), std::string(kHidden) + "wait");
  const ProcessId other = life.Shell(Key(2), std::string(kHidden) + "wait");
  AwaitPids(life, lost, 1);
  AwaitPids(life, other, 1);
  kill(life.SupervisorOf(lost), SIGKILL);
  EXPECT_EQ(life.ExitOf(lost).cause, ExitCause::kSupervisorLost);
  EXPECT_FALSE(Runs(Pids(life, lost)[0]));
  EXPECT_TRUE(Runs(Pids(life, other)[0]));
  EXPECT_TRUE(Runs(life.pids[other]));
  life.runtime().Signal(other, SIGKILL);
  EXPECT_EQ(life.ExitOf(other).signal, SIGKILL);
  EXPECT_FALSE(Runs(Pids(life, other)[0]));
}

// Orphans of a supervisor that an earlier agent has started do not fall to this one.
TEST_F(Enforcement, AnAdoptedSupervisorsChildrenAreKnownBeforeItIsKilled) {
  ProcessId id;
  {
    Life life(state_.path());
    id = life.Shell(Key(1), std::string(kHidden) + "wait");
    AwaitPids(life, id, 1);
  }
  Life next(state_.path(), soon_);
  prctl(PR_SET_CHILD_SUBREAPER, 0);  // As it is when the parent was another program.
  next.runtime().Adopt(next.scan().processes.at(0));
  const int64_t hidden = Pids(next, id)[0];
  // The first look may have come before the supervisor was known.
  ASSERT_TRUE(next.Until([&] { return next.runtime().counters().looks_below >= 2; }));
  kill(static_cast<pid_t>(next.RecordOf(id).running->supervisor_pid), SIGKILL);
  EXPECT_EQ(next.ExitOf(id).cause, ExitCause::kSupervisorLost);
  EXPECT_FALSE(Runs(hidden));
  FallToUs();
}

// The first thread has ended; the others run on, and /proc shows a zombie.
TEST_F(Enforcement, AProcessWhoseFirstThreadHasEndedIsNotTakenForDead) {
  if (access("/usr/bin/python3", X_OK) != 0) return;  // No python3 for threads.
  const std::string mark = "ALLOT_SCRATCH_DIR=" + state_.path() + "/none";
  const pid_t pid = fork();
  if (pid == 0) {
    setsid();
    const char* const argv[] = {
        "/usr/bin/python3", "-c",
        "import ctypes,threading,time\n"
        "threading.Thread(target=time.sleep,args=(1000,),daemon=True).start()\n"
        "ctypes.CDLL(None).syscall(60,0)\n",  // exit of this thread alone
        nullptr};
    const char* const environment[] = {mark.c_str(), nullptr};
    execve(argv[0], const_cast<char**>(argv), const_cast<char**>(environment));
    _exit(1);
  }
  Life life(state_.path());
  ASSERT_TRUE(life.Until([&] { return StateOf(pid) == 'Z'; }));
  ASSERT_TRUE(FactsOf(pid)->Runs());
  KillByEnvironment(state_.path() + "/none", FromMicros(ToMicros(MachineStarted()) + 1));
  EXPECT_TRUE(life.Until([&] {
    const auto facts = FactsOf(pid);  // None once it was waited for, as an orphan would be.
    return !facts || !facts->Runs();
  }));
  waitpid(pid, nullptr, WNOHANG);
}

// What a tool leaves behind falls to the agent too, and nobody else waits for it.
TEST_F(Enforcement, OrphansThatHaveEndedAreWaitedFor) {
  Life life(state_.path(), {.wake_every = kSoon});
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t tool = fork();
  if (tool == 0) {
    setpgid(0, 0);
    const pid_t left = fork();
    if (left == 0) _exit(0);
    (void)!write(ends[1], &left, sizeof left);
    _exit(0);
  }
  pid_t left = 0;
  ASSERT_EQ(read(ends[0], &left, sizeof left), static_cast<ssize_t>(sizeof left));
  EXPECT_TRUE(life.Until([&] { return !FactsOf(left); }));
  EXPECT_EQ(waitpid(tool, nullptr, 0), tool);  // Its own is left to whoever started it.
  close(ends[0]);
  close(ends[1]);
}

TEST(ProcessTable, ReadsWhatAProcessCallsItself) {
  const auto facts =
      ParseProcessStat("17 (a) R 1 (b)) Z 3 17 5 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 4 0 1234 0 0\n");
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->name, "a) R 1 (b)");
  EXPECT_EQ(facts->state, 'Z');
  EXPECT_EQ(facts->parent, 3);
  EXPECT_EQ(facts->group, 17);
  EXPECT_EQ(facts->session, 5);
  EXPECT_EQ(facts->threads, 4);
  EXPECT_TRUE(facts->Runs());
  for (const char* text : {"", "17", "17 (a", "17 (a) Z", "17 )a( Z 3 4 5"})
    EXPECT_FALSE(ParseProcessStat(text)) << text;
}

// ---- a disk that takes nothing more
// ---------------------------------------------------------------

// The record has no room for the exit: the agent that started the process hears it all the same.
TEST_F(Enforcement, AnExitThatCannotBeWrittenDownIsToldAsItWas) {
  Life life(state_.path());
  const ProcessSpec spec = life.Spec(Key(1), {"/bin/sh", "-c", "exit 7"});
  const std::string launch = FormatLaunch(spec.launch, life.folder().boot_id());
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  // Room for the lines of its start (52 bytes at most), and not for that of its end.
  const rlimit small{launch.size() + 56, old.rlim_max};
  signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const Status spawned = life.runtime().Spawn(spec);
  setrlimit(RLIMIT_FSIZE, &old);
  ASSERT_TRUE(spawned.ok()) << spawned;
  const TaskExit exit = life.ExitOf(spec.id);
  EXPECT_FALSE(life.RecordOf(spec.id).exit);
  EXPECT_EQ(exit.code, 7);
  EXPECT_EQ(exit.cause, ExitCause::kTask);
  EXPECT_LE(exit.started, exit.finished);
}

// Nothing of it may run: the next agent would take it for one that never did, and start it again.
TEST_F(Enforcement, AStartThatCannotBeWrittenDownIsNone) {
  Life life(state_.path());
  const ProcessSpec spec = life.Spec(Key(1), {"/bin/sh", "-c", "echo ran"});
  const std::string launch = FormatLaunch(spec.launch, life.folder().boot_id());
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  const rlimit small{launch.size(), old.rlim_max};
  signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const Status spawned = life.runtime().Spawn(spec);
  setrlimit(RLIMIT_FSIZE, &old);
  ASSERT_TRUE(spawned.ok()) << spawned;
  EXPECT_TRUE(OfTheNode(life.ExitOf(spec.id).cause));
  EXPECT_EQ(life.LogText(spec.id), "");
}

}  // namespace
}  // namespace allot::agent
