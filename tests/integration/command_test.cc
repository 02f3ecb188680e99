// The `allot` command as people meet it: what they mistype, and schedulers that restart under it.
#include <filesystem>
#include <thread>

#include "common/enroll/invitation.h"
#include "tests/integration/cluster_fixture.h"
#include "tests/unit/client/temporary_folder.h"

namespace allot::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

CommandResult Bare(const std::vector<std::string>& args) {
  return RunProgram(Program("allot"), args, {"ALLOT_SERVER=", "ALLOT_TOKEN="}, "/");
}

TEST(Command, EveryCommandHasAHelpThatTeaches) {
  const CommandResult all = Bare({"--help"});
  EXPECT_EQ(all.code, 0);
  for (const char* command :
       {"submit",    "jobs",     "job",         "wait",      "cancel",  "logs",  "explain",
        "deploy",    "undeploy", "deployments", "nodes",     "devices", "drain", "undrain",
        "doctor",    "power",    "top",         "policy",    "keys",    "local", "load",
        "catalogue", "simulate", "version",     "completion"}) {
    EXPECT_THAT(all.out, HasSubstr(fmt::format("\n  {} ", command)));
    const CommandResult one = Bare({command, "--help"});
    EXPECT_EQ(one.code, 0) << command;
    EXPECT_THAT(one.out, HasSubstr("Example:")) << command;
    EXPECT_EQ(Bare({"help", command}).out, one.out) << command;
    const CommandResult wrong = Bare({command, "--no-such-flag", "x"});
    if (std::string_view(command) != "simulate") {
      EXPECT_EQ(wrong.code, 2) << command;
      EXPECT_THAT(wrong.err, HasSubstr("--no-such-flag")) << command;
    }
  }
  EXPECT_EQ(Bare({"help"}).out, all.out);
}

TEST(Command, AnUnknownWordIsAnsweredWithTheOneThatWasMeant) {
  const std::pair<const char*, const char*> rows[] = {{"sumbit", "did you mean `allot submit`?"},
                                                      {"squeue", "`allot jobs`"},
                                                      {"get", "`allot nodes`"},
                                                      {"exec", "tasks are not entered"}};
  for (const auto& [word, words] : rows) {
    const CommandResult result = Bare({"--server", "http://127.0.0.1:1", word, "pods"});
    EXPECT_EQ(result.code, 2) << word;
    EXPECT_THAT(result.err, HasSubstr(words));
  }
}

TEST(Command, AGroupNamesWhatItHas) {
  for (const char* group : {"cluster", "node", "gateway", "user", "keys", "local", "policy"}) {
    const CommandResult none = Bare({group});
    EXPECT_EQ(none.code, 2) << group;
    EXPECT_THAT(none.err, HasSubstr(fmt::format("`allot {}` takes a command\n  It has ", group)));
    const CommandResult wrong = Bare({group, "nope"});
    EXPECT_EQ(wrong.code, 2) << group;
    EXPECT_THAT(wrong.err, HasSubstr(fmt::format("`allot {}` has no command \"nope\"", group)));
  }
  EXPECT_THAT(Bare({"node", "ad"}).err, HasSubstr("did you mean `allot node add`?"));
}

TEST(Command, AWrongValueIsToldWithItsFlagAndWhatItMayBe) {
  const CommandResult result = Bare({"jobs", "--phase", "nope"});
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, HasSubstr("--phase: nope not in {pending,running,stopping,finished}"));
  const CommandResult slip = Bare({"jobs", "--tennant=a"});
  EXPECT_EQ(slip.code, 2);
  EXPECT_THAT(slip.err, HasSubstr("`allot jobs` has no flag --tennant; did you mean --tenant?"));
  const CommandResult word = Bare({"version", "of"});
  EXPECT_EQ(word.code, 2);
  EXPECT_THAT(Bare({"version", "--json"}).out, HasSubstr("{\"version\":1,\"allot\":\""));
  EXPECT_THAT(word.err, HasSubstr("`allot version` has no place for \"of\""));
  EXPECT_THAT(Bare({"simulate", "--sed", "7"}).err,
              HasSubstr("allot-sim: there is no flag --sed; did you mean --seed?"));
}

TEST(Command, TheSimulatorGetsItsWordsAsTheyAre) {
  const CommandResult result = Bare({"simulate", "--seed", "7", "--events", "50"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out + result.err, HasSubstr("7"));
}

TEST(Command, ArgumentsThatJsonCannotCarryAreRefusedByNumber) {
  const CommandResult word = Bare({"submit", "--", "rm", "-r", "dir\xff"});
  EXPECT_EQ(word.code, 2);
  EXPECT_THAT(word.err, HasSubstr("word 3 of the command after --"));
  const CommandResult flag = Bare({"submit", "--env=A=caf\xe9", "--", "true"});
  EXPECT_EQ(flag.code, 2);
  EXPECT_THAT(flag.err, HasSubstr("argument 2 (--env)"));
  const CommandResult file = Bare({"deploy", "caf\xe9.yaml"});
  EXPECT_EQ(file.code, 2);
  EXPECT_THAT(file.err, HasSubstr("argument 2"));
  EXPECT_THAT(file.err, Not(HasSubstr("\xe9"))) << "nor does it reach a terminal";
}

TEST(Command, WrongFlagsAreNotWaitedWith) {
  const CommandResult wrong = Bare({"--server", "http://127.0.0.1:1", "--patience", "1h", "submit",
                                    "--tasks", "5000", "--", "true"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("tasks is 5000; it must be between 1 and 4096"));
  EXPECT_THAT(wrong.err, Not(HasSubstr("trying again")));
}

TEST(Command, NobodyIsWaitedForWhereNobodySaidThatThereIsSomebody) {
  const CommandResult asked = Bare({"--server", "http://127.0.0.1:1", "--patience", "0", "jobs"});
  EXPECT_EQ(asked.code, 5);
  EXPECT_THAT(asked.err, Not(HasSubstr("trying again")));
  EXPECT_THAT(asked.err, HasSubstr("cannot connect to http://127.0.0.1:1"));
}

TEST(Command, JoiningSaysWhatToInstallWhereTheProgramLacks) {
  const client::TemporaryFolder folder;
  const std::string alone = folder.path() + "/allot";
  std::filesystem::copy_file(Program("allot"), alone);
  const std::string word = enroll::Spell({"node-7",
                                          transport::Role::kAgent,
                                          {"tcp://127.0.0.1:1"},
                                          transport::NewKeyPair().public_key,
                                          transport::NewKeyPair().secret_key});
  const CommandResult joined =
      RunProgram(alone, {"node", "join", word, "--dir", folder.path() + "/node"},
                 {"PATH=" + folder.path()}, "/");
  EXPECT_EQ(joined.code, 4) << joined.err;
  EXPECT_THAT(joined.err, HasSubstr("the package allotrope-agent brings it"));
  EXPECT_FALSE(std::filesystem::exists(folder.path() + "/node"));
}

class CommandOnACluster : public ClusterTest {};

TEST_F(CommandOnACluster, JoinsThroughTheProgramThatJoins) {
  Up({{"host", true, {}}});
  const std::string config = folder() + "/cluster/scheduler.yaml";
  for (const std::string verb : {"node", "gateway"}) {
    const std::string line = Ok({verb, "add", "far-" + verb, "--config", config});
    const std::string word = line.substr(line.rfind(' ') + 1);
    const auto join = [&](const std::string& dir) {
      return Allot({verb, "join", word, "--no-unit", "--dir", folder() + "/" + dir});
    };
    const CommandResult joined = join("far");
    EXPECT_EQ(joined.code, 0) << joined.err;
    EXPECT_THAT(joined.out, HasSubstr("far-" + verb + " has joined"));
    EXPECT_THAT(join("far").out, HasSubstr("far-" + verb + " had joined already"));
    const CommandResult thief = join("thief");
    EXPECT_EQ(thief.code, 3) << thief.err;
    EXPECT_THAT(thief.err, HasSubstr("`allot " + verb + " add far-" + verb + "`"));
    EXPECT_FALSE(std::filesystem::exists(folder() + "/thief"));
  }
}

TEST_F(CommandOnACluster, WaitSurvivesARestartFromItsFirstLookOn) {
  Up({{"host", true, {}}});
  const std::string job = Ok({"submit", "--cpus", "0.1", "--", "/usr/bin/tail", "-f", "/dev/null"});
  const std::vector<std::string> here = {"ALLOT_SERVER=http://" + addresses().http,
                                         "ALLOT_TOKEN=" + token()};
  KillScheduler();
  // Started while nobody listens: they may look at once, or only when it is back.
  CommandResult waited, explained;
  std::thread wait([&] { waited = RunProgram(Program("allot"), {"wait", job}, here, "/"); });
  std::thread explain([&] {
    explained = RunProgram(Program("allot"), {"explain", job}, here, "/");
  });
  StartScheduler();
  explain.join();
  EXPECT_EQ(explained.code, 0) << explained.err;
  EXPECT_EQ(Allot({"cancel", job.substr(job.find('-') + 1)}).code, 0) << "a number is a job";
  wait.join();
  EXPECT_EQ(waited.code, 130) << waited.err;
  EXPECT_THAT(waited.out, HasSubstr(job + " cancelled"));
}

TEST_F(CommandOnACluster, TextOfOthersCannotSteerATerminal) {
  Up({{"host", true, {}}});
  const std::string job =
      Ok({"submit", "--cpus", "0.1", "--", "sh", "-c", ": \x1b[31m\x07; exit 3"});
  EXPECT_EQ(Allot({"wait", job}).code, 3);
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"job", job}, {"jobs"}, {"explain", job}, {"job", job, "--json"}}) {
    const CommandResult shown = Allot(command);
    EXPECT_EQ(shown.code, 0) << shown.err;
    EXPECT_THAT(shown.out, Not(HasSubstr("\x1b")));
    EXPECT_THAT(shown.out, Not(HasSubstr("\x07")));
  }
  EXPECT_THAT(Ok({"job", job}), HasSubstr("\\u001b[31m"));
}

TEST_F(CommandOnACluster, NeverSaysWhichPartIsAtFault) {
  Up({{"host", true, {}}, {"gpu", false, {{"nvidia/h100-sxm-80g", 1}}}});
  const auto refused = [&](std::vector<std::string> flags) {
    flags.insert(flags.begin(), "submit");
    flags.insert(flags.end(), {"--", "true"});
    const CommandResult result = Allot(flags);
    EXPECT_EQ(result.code, 1) << result.out;
    EXPECT_THAT(result.err, HasSubstr("never:"));
    return result.err;
  };
  EXPECT_THAT(refused({"--device", "nvidia/h100-smx-80g"}),
              HasSubstr("did you mean \"nvidia/h100-sxm-80g\"?"));
  EXPECT_THAT(refused({"--device", "groq/lpu-v1"}),
              HasSubstr("no device here was ever a \"groq/lpu-v1\""));
  EXPECT_THAT(refused({"--cpus", "900"}), HasSubstr("ask for fewer than 900 processors"));
  EXPECT_THAT(refused({"--memory", "4096TiB"}), HasSubstr("ask for less than 4PiB of memory"));
  EXPECT_THAT(refused({"--device", "gpu:99"}), HasSubstr("ask for fewer devices per task"));
}

TEST_F(CommandOnACluster, WrongFlagsAreRefusedByTheSchedulerInTheSameWords) {
  Up({{"host", true, {}}});
  const CommandResult wrong = Allot({"submit", "--tasks", "5000", "--", "true"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("tasks is 5000; it must be between 1 and 4096"));
}

TEST_F(CommandOnACluster, ExplainKnowsWhatANameIs) {
  Up({{"host", true, {}}});
  EXPECT_THAT(Ok({"explain", "host"}), HasSubstr("host"));
  const CommandResult nothing = Allot({"explain", "nothing"});
  EXPECT_EQ(nothing.code, 4);
  EXPECT_THAT(nothing.err, HasSubstr("no deployment and no node \"nothing\""));
  EXPECT_EQ(Allot({"load", "--model", "nothing", "--requests", "1"}).code, 4);
}

}  // namespace
}  // namespace allot::testing
