// Three tenants on one node whose agent is root: what each can do to the others, to the agent and
// to the scheduler. A row of attacker_main.cc is an attempt; each must be refused, to a task and to
// whoever else runs as that tenant's user. Whoever is the victim's own user can do much of it,
// which shows that the attempts are real. docs/security.md names these tests.
#include <linux/keyctl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "client/local/files.h"
#include "client/local/processes.h"
#include "tests/integration/cluster_fixture.h"

namespace allot::testing {
namespace {

namespace fs = std::filesystem;
namespace local = client::local;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// Work of other users must get to the node's folders, and /tmp is to be theirs alone.
const bool kNotInTmp = setenv("TMPDIR", "/var/lib", 1) == 0;
// Of the agent's own environment; no task may have it.
const bool kAgentSecret = setenv("SECRET_OF_THE_AGENT", "x", 1) == 0;
// Of the agent's session, where the kernel keeps keys.
const bool kAgentKey = [] {
  return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) >= 0 &&
         syscall(SYS_add_key, "user", "allot-test-secret", "x", 1, KEY_SPEC_SESSION_KEYRING) >= 0;
}();

using Answers = std::map<std::string, std::string>;  // attempt → what became of it

class People : public ClusterTest {
 protected:
  void SetUp() override {
    ASSERT_EQ(geteuid(), 0u) << "people can only be kept apart by root: run this test as root";
    ASSERT_EQ(chmod(folder().c_str(), 0711), 0);
    fs::copy_file(Program("people_attacker"), Attacker());
    ASSERT_EQ(chmod(Attacker().c_str(), 0755), 0);
    fs::copy_file(Attacker(), folder() + "/setuid");
    ASSERT_EQ(chmod((folder() + "/setuid").c_str(), 04755), 0);
  }
  void TearDown() override {
    // What the victim keeps outside of its folders.
    if (!facts_.empty()) kill(std::stoi(facts_["VICTIM_PID"]), SIGTERM);
  }
  std::string Attacker() const { return folder() + "/attacker"; }

  // A scheduler that asks for tokens of a, b and c, and one node. `users` of the agent's config;
  // `without`: a capability that the agent has not.
  void UpFor(const std::string& users, const std::string& without = "") {
    ASSERT_TRUE(cluster().Configure({.agents = {{"node", true, {}}}}).ok());
    const local::Layout& layout = cluster().layout();
    for (const char* who : {"a", "b", "c", "admin"}) {
      std::vector<std::string> args = {
          "keys",  "token", layout.File("tokens.yaml"), "--name", std::string("token-") + who,
          "--role"};
      if (std::string(who) == "admin")
        args.push_back("admin");
      else
        args.insert(args.end(), {"user", "--tenant", who});
      const CommandResult made = RunProgram(Program("allot"), args, {}, folder());
      ASSERT_EQ(made.code, 0) << made.err;
      tokens_[who] = made.out.substr(0, made.out.find('\n'));
    }
    ASSERT_EQ(chmod(layout.File("tokens.yaml").c_str(), 0600), 0);
    std::ofstream(layout.SchedulerConfig())
        << "state_dir: scheduler\nlisten: tcp://127.0.0.1:0\nhttp_listen: 127.0.0.1:0\n"
           "key_file: keys/scheduler.key\nallow_file: allow.yaml\ntokens_file: tokens.yaml\n"
           "checkpoint_root: checkpoints\n";
    const auto up = cluster().StartScheduler(kDeadline);
    ASSERT_TRUE(up.ok()) << up.status();
    http_ = up->http;
    endpoint_ = up->endpoint;
    scheduler_pid_ = up->pid;
    ASSERT_TRUE(layout.WriteAgentConfig({"node", true, {}}, endpoint_).ok());
    std::string config = *local::ReadFile(layout.AgentConfig("node"));
    const std::string off = "users: {separation: off}\n";
    ASSERT_THAT(config, HasSubstr(off));
    config.replace(config.find(off), off.size(), users);
    std::ofstream(layout.AgentConfig("node"), std::ios::trunc) << config;
    const auto pid =
        without.empty()
            ? cluster().StartAgent("node")
            : local::Start({.program = "/usr/bin/setpriv",
                            .args = {"--bounding-set=-" + without, "--", Program("allot-agent"),
                                     "--config", layout.AgentConfig("node")},
                            .log_file = layout.LogOf("node"),
                            .marker = layout.folder()});
    ASSERT_TRUE(pid.ok()) << pid.status();
    agent_pid_ = *pid;
    const auto ready = local::WaitForAddresses(layout.NodeState("node"), *pid, kDeadline);
    ASSERT_TRUE(ready.ok()) << ready.status();
    ASSERT_TRUE(
        Until([&] { return As("admin", {"nodes"}).out.find("node") != std::string::npos; }));
  }
  CommandResult As(const std::string& who, std::vector<std::string> args) const {
    args.insert(args.begin() + 1, {"--server", "http://" + http_});
    return RunProgram(Program("allot"), args, {"ALLOT_TOKEN=" + tokens_.at(who)}, folder());
  }
  std::string Submit(const std::string& who, std::vector<std::string> words,
                     std::vector<std::string> options = {}) {
    std::vector<std::string> args = {"submit"};
    if (std::find(options.begin(), options.end(), "--work-dir") == options.end())
      args.insert(args.end(), {"--work-dir", ""});
    args.insert(args.end(), options.begin(), options.end());
    args.push_back("--");
    args.insert(args.end(), words.begin(), words.end());
    const CommandResult result = As(who, args);
    EXPECT_EQ(result.code, 0) << result.err;
    return result.out.substr(0, result.out.find('\n'));
  }
  // To its end; its log.
  std::string Run(const std::string& who, std::vector<std::string> words,
                  std::vector<std::string> options = {}, int code = 0) {
    const std::string job = Submit(who, std::move(words), std::move(options));
    const CommandResult end = As(who, {"wait", job, "--timeout", "100s"});
    EXPECT_EQ(end.code, code) << end.out << end.err;
    last_ = end.out + end.err;
    return As(who, {"logs", job}).out;
  }
  uint32_t UidOf(const std::string& tenant) const {
    const auto users = local::ReadFile(cluster_state() + "/users");
    EXPECT_TRUE(users.ok());
    std::smatch found;
    const bool there = std::regex_search(*users, found, std::regex("(\\d+) " + tenant + "\n"));
    EXPECT_TRUE(there) << *users;
    return there ? static_cast<uint32_t>(std::stoul(found[1])) : 0;
  }
  std::string cluster_state() const { return folder() + "/cluster/nodes/node"; }
  // Of a task that a victim runs as: what the attacker needs to know to find it.
  void StartVictim() {
    victim_ = Submit("a", {Attacker(), "victim"});
    std::string log;
    ASSERT_TRUE(Until([&] {
      log = As("a", {"logs", victim_}).out;
      return log.find("READY=1") != std::string::npos || log.find("cannot") != std::string::npos;
    }));
    ASSERT_THAT(log, HasSubstr("READY=1"));
    std::istringstream in(log);
    for (std::string line; std::getline(in, line);)
      if (const size_t at = line.find('='); at != std::string::npos)
        facts_[line.substr(0, at)] = line.substr(at + 1);
    const local::Layout& layout = cluster().layout();
    const std::string state = layout.NodeState("node");
    facts_["VICTIM_JOB"] = victim_;
    facts_["VICTIM_ID"] = fs::path(facts_["VICTIM_SCRATCH"]).filename();
    facts_["VICTIM_LOG"] = state + "/logs/" + facts_["VICTIM_ID"] + ".log";
    facts_["AGENT_PID"] = std::to_string(agent_pid_);
    facts_["AGENT_STATE"] = state;
    facts_["AGENT_KEY"] = layout.File("keys/node.key");
    facts_["SCHEDULER_PID"] = std::to_string(scheduler_pid_);
    facts_["SCHEDULER_STATE"] = layout.SchedulerState();
    facts_["SCHEDULER_KEY"] = layout.File("keys/scheduler.key");
    facts_["SCHEDULER_TOKENS"] = layout.File("tokens.yaml");
    facts_["SCHEDULER_HTTP"] = http_;
    facts_["SCHEDULER_ENDPOINT"] = endpoint_.substr(endpoint_.rfind('/') + 1);
    facts_["SETUID_PROGRAM"] = folder() + "/setuid";
    facts_["PIDS"] = "64";
    facts_["LOW_PORTS_CLOSED"] =
        *local::ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start") == "0\n" ? "0" : "1";
    // The facts are true: they are what they are called, and there to be taken.
    for (const char* key : {"VICTIM_SCRATCH", "VICTIM_CHECKPOINT", "VICTIM_HOME"})
      EXPECT_EQ(*local::ReadFile(facts_[key] + "/secret"), "the-secret-of-tenant-a") << key;
    for (const char* key : {"VICTIM_LOG", "AGENT_KEY", "SCHEDULER_KEY", "SCHEDULER_TOKENS"})
      EXPECT_TRUE(local::ReadFile(facts_[key]).ok()) << facts_[key];
    EXPECT_TRUE(local::IsRunning(std::stoi(facts_["SUPERVISOR_PID"])));
  }
  std::vector<std::string> Environment(const std::string& who) const {
    std::vector<std::string> out = {"OWN_TOKEN=" + tokens_.at(who)};
    for (const auto& [name, value] : facts_) out.push_back(name + "=" + value);
    return out;
  }
  static Answers AnswersOf(const std::string& text) {
    Answers answers;
    std::istringstream in(text);
    std::string name, rest;
    while (in >> name && std::getline(in, rest)) answers[name] = rest.substr(1);
    return answers;
  }
  // Every attempt, by a task of this tenant.
  Answers AttackAs(const std::string& who) {
    std::vector<std::string> options;
    for (const std::string& word : Environment(who)) options.insert(options.end(), {"--env", word});
    const std::string job = Submit(who, {Attacker(), "attack"}, options);
    const CommandResult end = As(who, {"wait", job, "--timeout", "100s"});
    const std::string log = As(who, {"logs", job}).out;
    EXPECT_EQ(end.code, 0) << end.out << end.err << log;
    if (getenv("ALLOT_TELL") != nullptr) std::cerr << log;
    return AnswersOf(log);
  }
  // Every attempt that makes sense there, by a process of that user that no agent has started.
  Answers AttackOutside(uid_t uid, const std::string& scratch,
                        const std::vector<std::string>& names = {}) const {
    std::vector<std::string> args = {"--reuid",           std::to_string(uid), "--regid",
                                     std::to_string(uid), "--clear-groups",    "--",
                                     Attacker(),          "attack_outside"};
    args.insert(args.end(), names.begin(), names.end());
    std::vector<std::string> environment = Environment("b");
    environment.push_back("ALLOT_SCRATCH_DIR=" + scratch);
    const CommandResult end = RunProgram("/usr/bin/setpriv", args, environment, "/");
    EXPECT_EQ(end.code, 0) << end.err;
    if (getenv("ALLOT_TELL") != nullptr) std::cerr << end.out;
    return AnswersOf(end.out);
  }
  static std::set<std::string> Done(const Answers& answers) {
    std::set<std::string> done;
    for (const auto& [name, what] : answers)
      if (name != "attempts" && !what.starts_with("refused")) done.insert(name + " " + what);
    return done;
  }
  void ExpectUnharmed() {
    EXPECT_TRUE(local::IsRunning(std::stoi(facts_["VICTIM_PID"])));
    EXPECT_TRUE(local::IsRunning(agent_pid_));
    EXPECT_TRUE(local::IsRunning(scheduler_pid_));
    for (const char* key : {"VICTIM_SCRATCH", "VICTIM_CHECKPOINT", "VICTIM_HOME"})
      EXPECT_EQ(*local::ReadFile(facts_[key] + "/secret"), "the-secret-of-tenant-a") << key;
    EXPECT_EQ(As("a", {"cancel", victim_}).code, 0);
    // It ends of SIGTERM, with its memory as it was: 0.
    ASSERT_TRUE(Until([&] { return !local::IsRunning(std::stoi(facts_["VICTIM_PID"])); }));
    facts_.clear();
  }

  std::map<std::string, std::string> tokens_, facts_;
  std::string http_, endpoint_, victim_, last_;
  pid_t agent_pid_ = 0, scheduler_pid_ = 0;
};

// c is a user of the system; a and b have ids of their own.
const char kUsers[] = "users: {tenants: {c: games}}\nisolation: {pids: 64}\n";

TEST_F(People, NobodyGetsAtAnothersTaskTheAgentOrTheScheduler) {
  UpFor(kUsers);
  StartVictim();
  ASSERT_FALSE(HasFailure());
  for (const char* who : {"b", "c"}) {
    const Answers answers = AttackAs(who);
    EXPECT_GE(answers.size(), 90u) << who;
    EXPECT_EQ(answers.at("attempts"), std::to_string(answers.size() - 1)) << who;
    EXPECT_THAT(Done(answers), IsEmpty()) << "as tenant " << who;
  }
  ExpectUnharmed();
}

TEST_F(People, UsersAloneKeepThemApartWhateverHidesTheRest) {
  UpFor(kUsers);
  StartVictim();
  ASSERT_FALSE(HasFailure());
  // As b's user, but not as a task: no mounts of its own hide anything.
  const std::string told = Run("b", {"/usr/bin/id", "-u"});
  const uint32_t b = UidOf("b");
  ASSERT_NE(b, 0u);
  EXPECT_EQ(told, std::to_string(b) + "\n");
  const std::string scratch = folder() + "/outside";
  fs::create_directory(scratch);
  ASSERT_EQ(chmod(scratch.c_str(), 0777), 0);
  const Answers answers = AttackOutside(b, scratch);
  EXPECT_GE(answers.size(), 80u);
  EXPECT_THAT(Done(answers), IsEmpty());

  // And as a's own: what is refused to others is there to be had.
  const auto victim = static_cast<uid_t>(std::stoul(facts_["VICTIM_UID"]));
  const std::vector<std::string> open = {"environ",
                                         "mem",
                                         "maps",
                                         "fd",
                                         "root",
                                         "cwd",
                                         "auxv",
                                         "oom_score",
                                         "clear_refs",
                                         "peek",
                                         "getfd",
                                         "ptrace_seize",
                                         "prlimit",
                                         "renice",
                                         "affinity",
                                         "scratch_read",
                                         "scratch_list",
                                         "scratch_write",
                                         "scratch_fill",
                                         "progress",
                                         "checkpoint_read",
                                         "checkpoint_write",
                                         "home_read",
                                         "home_write",
                                         "shm_read",
                                         "sysv_shm",
                                         "sysv_sem"};
  const Answers own = AttackOutside(victim, scratch, open);
  for (const std::string& name : open) EXPECT_EQ(own.at(name), "done") << name;
  EXPECT_EQ(AttackOutside(victim, scratch, {"kill"}).at("kill"), "done");
  ASSERT_TRUE(Until([&] { return !local::IsRunning(std::stoi(facts_["VICTIM_PID"])); }));
  facts_.clear();
}

TEST_F(People, ATaskFindsItselfToBeItsUserAndNothingMore) {
  UpFor(
      "users: {tenants: {c: games}, tokens: {token-b: daemon}, groups: [audio], capabilities: "
      "[CAP_NET_RAW], umask: \"077\", limits: {files: 2048}}\n");
  const std::vector<std::string> tell = {
      "/bin/sh", "-c",
      "id -un; id -gn; id -Gn; umask; ulimit -c; ulimit -n; echo $HOME $USER $LOGNAME $SHELL; "
      "stat -c %U:%a $ALLOT_SCRATCH_DIR $ALLOT_CHECKPOINT_DIR; touch /tmp/mine /var/tmp/too; "
      "ls $ALLOT_SCRATCH_DIR; sed -n '/^Cap/s/:.*0000/ /p; /^NoNew/p' /proc/self/status; "
      "echo told >>/dev/stderr"};
  const auto expected = [](const std::string& user, const std::string& group,
                           const std::string& home) {
    return user + "\n" + group + "\n" + group + " audio\n0077\n0\n2048\n" + home + " " + user +
           " " + user + " /usr/sbin/nologin\n" + user + ":700\n" + user +
           ":700\nmine\ntoo\nCapInh 2000\nCapPrm 2000\nCapEff 2000\nCapBnd 2000\nCapAmb 2000\n"
           "NoNewPrivs:\t1\ntold\n";
  };
  EXPECT_EQ(Run("c", tell), expected("games", "games", "/usr/games"));
  EXPECT_EQ(Run("b", tell), expected("daemon", "daemon", "/usr/sbin")) << "by its token";
  // Not by its tenant: that has numbers, and a home that stays.
  Run("a", {"/bin/sh", "-c", "echo kept >$HOME/file"});
  EXPECT_EQ(Run("a", {"/bin/sh", "-c", "cat $HOME/file; id -G; echo $USER"}),
            "kept\n" + std::to_string(UidOf("a")) + " 29\na\n");
}

TEST_F(People, TheAgentsRightsDoNotReachIntoFoldersThatAJobNames) {
  UpFor("users: {}\n");
  const std::string closed = folder() + "/closed", shared = folder() + "/shared";
  fs::create_directory(closed);
  ASSERT_EQ(chmod(closed.c_str(), 0700), 0);
  fs::create_directory(shared);
  ASSERT_EQ(chmod(shared.c_str(), 0777), 0);
  // Nobody finds himself in a folder that he may not enter.
  EXPECT_EQ(Run("a", {"/bin/ls"}, {"--work-dir", closed}, 127), "");
  EXPECT_THAT(last_, HasSubstr("Permission denied for the user it runs as (uid 2"));
  // Nor is one made for him where he may make none.
  Run("a", {"/bin/true"}, {"--checkpoint-dir", closed + "/mine"}, 127);
  EXPECT_THAT(last_, HasSubstr("cannot make the checkpoint_dir"));
  EXPECT_FALSE(fs::exists(closed + "/mine"));
  EXPECT_EQ(Run("a", {"/bin/sh", "-c", "stat -c %u $ALLOT_CHECKPOINT_DIR"},
                {"--checkpoint-dir", shared + "/deep/mine"}),
            std::to_string(UidOf("a")) + "\n");
}

TEST_F(People, ACheckpointFolderOfAnEarlierBuildIsGivenToItsUser) {
  UpFor("users: {}\n");
  // The name of the first job's folder has what the second's will end in.
  const std::string first = Run("a", {"/bin/sh", "-c", "echo $ALLOT_CHECKPOINT_DIR"});
  const size_t dot = first.rfind('.');
  ASSERT_NE(dot, first.npos) << first;
  const std::string incarnation = first.substr(dot, first.size() - dot - 1);
  const std::string folder = cluster().layout().File("checkpoints/job-2" + incarnation);
  fs::create_directories(folder + "/step-7");
  std::ofstream(folder + "/step-7/weights") << "old";
  EXPECT_EQ(
      Run("a", {"/bin/sh", "-c",
                "cd $ALLOT_CHECKPOINT_DIR && echo new >>step-7/weights && cat step-7/weights"}),
      "oldnew\n");
}

TEST_F(People, AModelServerIsItsTenantsToo) {
  UpFor("users: {}\n");
  fs::copy_file(Program("tiny_server"), folder() + "/server");
  ASSERT_EQ(chmod((folder() + "/server").c_str(), 0755), 0);
  Write("model.yaml", "name: chat\ntenant: b\ncommand: [" + folder() +
                          "/server, '{port}']\nwork_dir: /\nreplicas: [{device: {kind: CPU}}]\n");
  const CommandResult up =
      As("b", {"deploy", folder() + "/model.yaml", "--wait", "--timeout", "100s"});
  ASSERT_EQ(up.code, 0) << up.out << up.err;
  const std::string json = As("b", {"deployments", "--json"}).out;
  std::smatch pid;
  ASSERT_TRUE(std::regex_search(json, pid, std::regex("\"pid\": *(\\d+)"))) << json;
  struct stat info {};
  ASSERT_EQ(stat(("/proc/" + pid[1].str()).c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, UidOf("b"));
}

TEST_F(People, ANodeThatCannotKeepThemApartSaysSo) {
  UpFor("users: {}\n", "setuid");
  EXPECT_EQ(Run("a", {"/usr/bin/id", "-u"}), "0\n");
  const std::string nodes = As("admin", {"nodes", "--json"}).out;
  EXPECT_THAT(nodes, HasSubstr("the agent is root, but has not the capabilities setuid"));
  EXPECT_THAT(As("admin", {"doctor"}).out, HasSubstr("run as the agent's user"));
}

TEST_F(People, ANodeThatMustKeepThemApartAndCannotTakesNoWork) {
  UpFor("users: {separation: required}\n", "setuid");
  const std::string job = Submit("a", {"/usr/bin/id", "-u"});
  std::string why;
  EXPECT_TRUE(Until([&] {
    why = As("a", {"explain", job}).out;
    return why.find("must be kept apart") != std::string::npos;
  })) << why;
  EXPECT_THAT(As("a", {"job", job}).out, HasSubstr("pending")) << "it is no fault of the job's";
  EXPECT_THAT(As("admin", {"doctor"}).out, HasSubstr("must be kept apart"));
}

TEST_F(People, WhatATaskLeasedIsWhatItGets) {
  UpFor("users: {}\n");
  const std::string nodes = As("admin", {"nodes", "--json"}).out;
  if (nodes.find("memory limits: ") != std::string::npos)
    FAIL() << "this host limits no memory, neither by cgroup v2 nor by v1: " << nodes;
  const std::string log =
      Run("b", {Attacker(), "memory", std::to_string(256 << 20)}, {"--memory", "64MiB"}, 137);
  EXPECT_THAT(log, Not(HasSubstr("got it all")));
  EXPECT_THAT(last_, HasSubstr("it needed more than its 64MiB of memory"));
  EXPECT_THAT(Run("b", {Attacker(), "memory", std::to_string(32 << 20)}, {"--memory", "64MiB"}),
              HasSubstr("got it all"));
}

TEST_F(People, WhatATaskMayKeepOnTheDiskIsWhatItKeeps) {
  UpFor("users: {}\nisolation: {scratch_max: 32MiB, scratch_files_max: 2000}\n");
  for (const char* way : {"scratch", "tmp", "removed"}) {
    Run("b", {Attacker(), "fill", way}, {}, 137);
    EXPECT_THAT(last_, HasSubstr("of the 32MiB it may have")) << way;
  }
  Run("b", {Attacker(), "fill", "files"}, {}, 137);
  EXPECT_THAT(last_, HasSubstr("scratch has more than the 2000 files it may have"));
  // It is the job's own fault, and another's work is not touched.
  EXPECT_EQ(Run("a", {"/bin/sh", "-c", "echo fine >/tmp/x; cat /tmp/x"}), "fine\n");
}

TEST_F(People, AScratchFolderInMemoryEndsWhereItsSizeDoes) {
  UpFor("users: {}\nisolation: {scratch_max: 8MiB, scratch_files_max: 1000, scratch_tmpfs: true}\n");
  // Not a byte beyond, and the task goes on and can tell; its /tmp is the same.
  const std::string fill =
      "head -c 16777216 /dev/zero 2>&1 >/tmp/x | grep -o 'No space left on device';"
      "i=0; while true >$ALLOT_SCRATCH_DIR/f$i; do i=$((i+1)); done 2>/dev/null;"
      "[ $(stat -c %s $ALLOT_SCRATCH_DIR/x) -le 8388608 ] && [ $i -lt 1000 ] && echo few files;"
      "stat -f -c %T .";
  const std::string log = Run("b", {"/bin/bash", "-c", fill}, {"--memory", "64MiB"});
  EXPECT_THAT(log, HasSubstr("No space left on device\n"));
  EXPECT_THAT(log, HasSubstr("few files\ntmpfs\n"));
  const std::string less = Run("b", {"/bin/sh", "-c", "stat -f -c '%b of %S' ."},
                               {"--memory", "64MiB", "--scratch-max", "1MiB"});
  EXPECT_EQ(less, "256 of 4096\n");
  // What is told of a running task is found there: its progress, and that it is to end.
  const std::string told = Submit(
      "b",
      {"/bin/bash", "-c",
       "trap 'cat $ALLOT_PREEMPTION_NOTICE_FILE; exit' TERM; mkfifo never;"
       "echo '{\"step\": 7}' >$ALLOT_PROGRESS_FILE; while :; do read -rt 1 x <>never; done"},
      {"--memory", "64MiB"});
  EXPECT_TRUE(Until([&] {
    return As("b", {"job", told, "--json"}).out.find("\"step\":7") != std::string::npos;
  }));
  EXPECT_EQ(As("b", {"cancel", told}).code, 0);
  As("b", {"wait", told, "--timeout", "100s"});
  EXPECT_THAT(As("b", {"logs", told}).out, HasSubstr("\"signal\": 15"));
  // Nothing stays mounted.
  EXPECT_TRUE(Until([&] {
    return local::ReadFile("/proc/self/mountinfo")->find(cluster_state() + "/scratch/") ==
           std::string::npos;
  }));
}

// The page names every attempt, and no other.
TEST(SecurityPage, NamesWhatIsTried) {
  const CommandResult list = RunProgram(Program("people_attacker"), {"list"}, {}, "/");
  std::istringstream in(list.out);
  std::set<std::string> attempts;
  for (std::string name; in >> name;) attempts.insert(name);
  ASSERT_GE(attempts.size(), 90u);
  std::ifstream page(std::string(ALLOT_SOURCE_DIR) + "/docs/security.md");
  std::set<std::string> named;
  bool of_nodes = false;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("## ")) of_nodes = line == "## On a node";
    if (!of_nodes || !line.starts_with("| ") || line.find(" | test") != line.npos) continue;
    const std::string last = line.substr(line.rfind('|', line.size() - 2));
    const std::regex word("`([a-z_]+)(\\*?)`");
    for (std::sregex_iterator it(last.begin(), last.end(), word), end; it != end; ++it) {
      size_t found = 0;
      for (const std::string& attempt : attempts)
        if ((*it)[2].length() > 0 ? attempt.starts_with((*it)[1].str()) : attempt == (*it)[1])
          named.insert(attempt), ++found;
      EXPECT_GT(found, 0u) << (*it)[0] << " is not tried";
    }
  }
  for (const std::string& attempt : attempts)
    EXPECT_TRUE(named.contains(attempt)) << attempt << " is not on the page";
}

}  // namespace
}  // namespace allot::testing
