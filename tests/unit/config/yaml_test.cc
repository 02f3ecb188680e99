// Bad YAML: where, what, and what to do.
#include <string>

#include "common/config/bind.h"
#include "common/proto/config.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rapidcheck.h"

namespace allot::config {
namespace {

template <class Message = Job>
std::string Error(std::string_view text) {
  Message message;
  return MessageOf(BindYaml(text, "f.yaml", &message));
}

struct BadInput {
  const char* text;
  const char* message;
};

TEST(BindYaml, BindsEveryKindOfField) {
  Job job;
  const Status status = BindYaml(R"(
# A comment
name: train-1
priority: -5
tasks: 2
command: [python3, train.py, --lr, 0.1, "no"]
environment: {OMP_NUM_THREADS: 4, EMPTY: "", FLAG: yes}
resources: {cpus: 2, memory: 16GiB}
devices:
  any_of:
    - {model: nvidia/h100*, count: 4, worth: 2.5}
    - kind: ASIC
      min_memory: 32GiB
time_limit: 1h30m
)",
                                 "job.yaml", &job);
  ASSERT_TRUE(status.ok()) << MessageOf(status);
  EXPECT_EQ(job.name(), "train-1");
  EXPECT_EQ(job.priority(), -5);
  EXPECT_THAT(job.command(), testing::ElementsAre("python3", "train.py", "--lr", "0.1", "no"));
  EXPECT_EQ(job.environment().at("OMP_NUM_THREADS"), "4");
  EXPECT_EQ(job.environment().at("FLAG"), "yes");
  EXPECT_EQ(job.environment().at("EMPTY"), "");
  EXPECT_EQ(job.resources().cpus(), "2");
  EXPECT_EQ(job.devices().any_of(0).worth(), 2.5);
  EXPECT_EQ(job.devices().any_of(1).min_memory(), "32GiB");
}

TEST(BindYaml, BindsBooleansOptionalsAndNumbersByTenant) {
  Agent agent;
  const std::string text =
      "name: n1\nstate_dir: s\nscheduler: x\nscheduler_public_key: k\nkey_file: f\n";
  ASSERT_TRUE(BindYaml(text + "devices: {cpu: off, nvidia: True}", "a.yaml", &agent).ok());
  EXPECT_TRUE(agent.devices().has_cpu());
  EXPECT_FALSE(agent.devices().cpu());
  EXPECT_TRUE(agent.devices().nvidia());
  EXPECT_EQ(agent.key_file(), "f");  // Only a file read from disk has a folder.

  Policy policy;
  ASSERT_TRUE(BindYaml("name: p\nprices: {as_of: 2026-01-01}\nqueue: {shares: {a: 2, b: 0.5}}",
                       "p.yaml", &policy)
                  .ok());
  EXPECT_EQ(policy.queue().shares().at("b"), 0.5);
}

TEST(BindYaml, SaysWhereAndWhatIsWrong) {
  const BadInput rows[] = {
      {"priorty: 1", "f.yaml:1:1: unknown key \"priorty\" in Job; did you mean \"priority\"?"},
      {"resources:\n  disk: 1",
       "f.yaml:2:3: unknown key \"disk\" in Resources; its keys are cpus, memory"},
      {"resources:\n  memory:  16GBB",
       "f.yaml:2:12: memory is \"16GBB\"; give a size like 512MiB or 16GiB"},
      {"resources: {cpus: two}",
       "f.yaml:1:19: cpus is \"two\"; give processors like 2, 0.5 or 500m"},
      {"resources: {cpus: 1001}", "f.yaml:1:19: cpus is 1001; it must be at most 1000"},
      {"grace: 10", "f.yaml:1:8: grace is \"10\", which has no unit; write 10s for seconds"},
      {"grace: 2h", "f.yaml:1:8: grace is 2h; it must be at most 1h"},
      {"time_limit: 5ms", "f.yaml:1:13: time_limit is 5ms; it must be at least 1s"},
      {"tasks: 0", "f.yaml:1:8: tasks is 0; it must be between 1 and 4096"},
      {"tasks: -1", "f.yaml:1:8: tasks is -1; it must be between 1 and 4096"},
      {"tasks: 99999999999999999999",
       "f.yaml:1:8: tasks is 99999999999999999999; it must be between 1 and 4096"},
      {"tasks: two", "f.yaml:1:8: tasks is \"two\"; a whole number is wanted"},
      {"tasks: \"2\"", "f.yaml:1:8: tasks is \"2\"; a whole number is wanted"},
      {"tasks: 1.5", "f.yaml:1:8: tasks is 1.5; a whole number is wanted"},
      {"tasks: 010", "f.yaml:1:8: tasks is 010; write it without the leading 0"},
      {"tasks: 0x10", "f.yaml:1:8: tasks is \"0x10\"; a whole number is wanted"},
      {"tasks: yes", "f.yaml:1:8: tasks is \"yes\"; a whole number is wanted"},
      {"tasks: [1]", "f.yaml:1:8: tasks is a list; a whole number is wanted"},
      {"tasks:", "f.yaml:1:1: tasks has no value; give one or remove the key"},
      {"tasks: ~", "f.yaml:1:1: tasks has no value; give one or remove the key"},
      {"restarts_max: 5000", "f.yaml:1:15: restarts_max is 5000; it must be between 0 and 1000"},
      {"name: My Job",
       "f.yaml:1:7: name is \"My Job\"; use letters, digits, '-', '_' and '.', start and end with "
       "a "
       "letter or digit, at most 63 characters"},
      {"name: {a: b}", "f.yaml:1:7: name is a map; a string is wanted"},
      {"runtime: proces",
       "f.yaml:1:10: runtime is \"proces\"; did you mean \"process\"? it is one of process, noop"},
      {"devices: {any_of: [{kind: gpus}]}",
       "f.yaml:1:27: kind is \"gpus\"; did you mean \"GPU\"? it is one of GPU, CPU, ASIC"},
      {"devices: {any_of: [{worth: .inf}]}", "f.yaml:1:28: worth is \".inf\"; a number is wanted"},
      {"devices: {any_of: [{worth: 0}]}",
       "f.yaml:1:28: worth is 0; it must be between 0.001 and 1000"},
      {"devices: {any_of: {kind: GPU}}", "f.yaml:1:19: any_of is a map; a list is wanted"},
      {"devices: {any_of: [[GPU]]}",
       "f.yaml:1:20: any_of[0] is a list; a map with the keys of DeviceRequest is wanted"},
      {"devices: 7",
       "f.yaml:1:10: devices is \"7\": write it like gpu:2, gpu:h100:2 or kind=GPU,count=2"},
      {"devices:",
       "f.yaml:1:1: devices has no value; give one or remove the key (an empty map is {})"},
      {"command: python3 train.py",
       "f.yaml:1:10: command is one string; write an argument vector, like "
       "[\"python3\", \"train.py\"] (no shell reads it)"},
      {"command: [a, [b]]", "f.yaml:1:14: command[1] is a list; a string is wanted"},
      {"command: [a, ]\nenvironment: [A=b]", "f.yaml:2:14: environment is a list; a map is wanted"},
      {"command: [a, ~]", "f.yaml:1:14: command[1] has no value; an empty string is written \"\""},
      {"environment: {A:}", "f.yaml:1:15: A has no value; an empty string is written \"\""},
      {"environment: {A: [1]}", "f.yaml:1:18: A is a list; a string is wanted"},
      {"environment: {A: 1, A: 2}", "f.yaml:1:21: key \"A\" is here twice"},
      {"name: a\ntasks: 1\nname: b", "f.yaml:3:1: key \"name\" is here twice"},
      {"command: [\"a\\0b\"]", "f.yaml:1:11: command[0] holds a NUL character"},
      {"- a\n- b", "f.yaml:1:1: the document is a list; a map with the keys of Job is wanted"},
      {"just words",
       "f.yaml:1:1: the document is \"just words\"; a map with the keys of Job is wanted"},
      {"name: &x a\ntenant: *x", "f.yaml:1:7: anchors (&name) are not taken; write the value out"},
      {"name: *x", "f.yaml:1:7: not valid YAML: the referenced anchor is not defined"},
      {"name: !!str a", "f.yaml:1:7: tags (!name) are not taken; write the plain value"},
      {"? [a]\n: b", "f.yaml:1:3: a key must be a word, not a list or map"},
      {": b", "f.yaml:1:1: a key is missing before the ':'"},
      {"name: a\n---\nname: b", "f.yaml:3:1: a second document starts here; one a file is taken"},
      {"name: 'a", "f.yaml:1:9: not valid YAML: illegal EOF in scalar"},
      {"name: [a", "f.yaml:1:1: not valid YAML: end of sequence flow not found"},
      {"name: a\n tasks: 2", "f.yaml:2:7: not valid YAML: illegal map value"},
      {"a\x04: b", "f.yaml:1:2: control character 0x04 is not allowed"},
      {"name: a\ntenant: b\xFF", "f.yaml:2: not valid UTF-8; save the file as UTF-8"},
  };
  for (const BadInput& row : rows) EXPECT_EQ(Error(row.text), row.message) << row.text;
}

TEST(BindYaml, SaysWhatIsMissing) {
  EXPECT_EQ(Error<Deployment>(""),
            "f.yaml:1:1: Deployment needs \"name\"\n"
            "f.yaml:1:1: Deployment needs \"command\"\n"
            "f.yaml:1:1: Deployment needs \"replicas\"");
  EXPECT_EQ(Error<Deployment>("name: a\ncommand: []\nreplicas:\n  - count: 2"),
            "f.yaml:2:10: command is empty; give at least one item\n"
            "f.yaml:4:5: ReplicaGroup needs \"device\"");
  EXPECT_EQ(Error<Scheduler>("state_dir: ''\nkey_file: a\nallow_file: b"),
            "f.yaml:1:12: state_dir is empty; it needs a value");
}

TEST(BindYaml, ReportsTenErrorsAtOnce) {
  std::string text;
  for (int i = 0; i < 13; ++i) text += fmt::format("key-{}-unknown: 1\n", i);
  const std::string error = Error(text);
  EXPECT_EQ(std::count(error.begin(), error.end(), '\n'), 10);
  EXPECT_THAT(error, testing::HasSubstr("f.yaml:10:1: "));
  EXPECT_THAT(error, testing::EndsWith("\nand more"));
}

TEST(BindYaml, RefusesWhatIsTooMuch) {
  EXPECT_EQ(Error(std::string((4 << 20) + 1, ' ')),
            "f.yaml: 4194305 bytes; a document may have 4194304 at most");
  EXPECT_THAT(Error("name: " + std::string(100, '[') + std::string(100, ']')),
              testing::HasSubstr("nested deeper than 64 levels"));
  std::string many = "command: [";
  for (int i = 0; i < 200'001; ++i) many += "a,";
  EXPECT_THAT(Error(many + "]"), testing::HasSubstr("more than 200000 values"));
  std::string long_list = "command: [";
  for (int i = 0; i < 5000; ++i) long_list += "a,";
  EXPECT_EQ(Error(long_list + "]"), "f.yaml:1:10: command has 5000 items; at most 4096 are taken");
}

TEST(BindYaml, LeavesNothingBehindOnAnError) {
  Job job;
  EXPECT_FALSE(BindYaml("name: a\ntasks: 0", "f.yaml", &job).ok());
  EXPECT_EQ(job.name(), "");
}

TEST(BindYaml, KeepsErrorsOnOneLineEach) {
  EXPECT_EQ(Error("\"a\\nb\": 1"),
            "f.yaml:1:1: unknown key \"a\\u000ab\" in Job; its keys are name, "
            "tenant, priority, tasks, command, environment, work_dir, "
            "resources, devices, checkpoint_dir, time_limit, grace, "
            "restarts_max, restart_pause, restart_pause_max, runtime, scratch_max, at_most_one");
  EXPECT_EQ(Error("tasks: " + std::string(100, 'x')),
            "f.yaml:1:8: tasks is \"" + std::string(60, 'x') + "...\"; a whole number is wanted");
}

TEST(BindYaml, SurvivesAnyText) {
  EXPECT_TRUE(rc::check([] {
    const auto pieces =
        *rc::gen::container<std::vector<std::string>>(rc::gen::elementOf(std::vector<std::string>{
            "name", "command", "resources", "devices", ": ", ":",  "\n",  "\n  ", "- ",
            "[",    "]",       "{",         "}",       ",",  "\"", "'",   "|",    ">",
            "&a",   "*a",      "!t",        "?",       "#",  "%",  "---", "...",  "\t",
            "~",    "1",       "\xC3\xA9",  "\\",      "@",  "`"}));
    std::string text;
    for (const std::string& piece : pieces) text += piece;
    Job job;
    (void)BindYaml(text, "f.yaml", &job);
  }));
}

}  // namespace
}  // namespace allot::config
