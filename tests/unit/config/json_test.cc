// JSON bodies: the same rules, and paths for places.
#include "common/config/bind.h"
#include "common/proto/config.pb.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"
#include "rapidcheck.h"

namespace allot::config {
namespace {

template <class Message = Job>
std::string JsonError(std::string_view text) {
  Message message;
  return MessageOf(BindJson(text, &message));
}

TEST(BindJson, BindsTheSameAsYaml) {
  const std::string text = R"({
    "name": "train-1", "priority": -5, "tasks": 2,
    "command": ["python3", "train.py", "a\nb\u00e9"],
    "environment": {"A": "1", "B\"": ""},
    "resources": {"cpus": "2", "memory": "16GiB"},
    "devices": {"any_of": [{"model": "nvidia/h100*", "count": 4, "worth": 2.5}, {"kind": "ASIC"}]}
  })";
  Job from_json, from_yaml;
  const Status json = BindJson(text, &from_json);
  ASSERT_TRUE(json.ok()) << MessageOf(json);
  ASSERT_TRUE(BindYaml(text, "f.yaml", &from_yaml).ok());  // JSON is YAML too.
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(from_json, from_yaml));
  EXPECT_EQ(from_json.command(2), "a\nb\xC3\xA9");
  EXPECT_EQ(from_json.environment().at("B\""), "");
}

TEST(BindJson, AByteOrderMarkIsPassedOver) {
  const std::string mark = "\xef\xbb\xbf";
  for (const char* name : {"job.json", "job.yaml"}) {
    Job job;
    EXPECT_TRUE(BindYaml(mark + R"({"command": ["a"]})", name, &job).ok()) << name;
    EXPECT_EQ(job.command_size(), 1) << name;
  }
  Job job;
  EXPECT_TRUE(BindYaml(mark + "command: [a]\n", "job.yaml", &job).ok());
  EXPECT_TRUE(BindJson(mark + R"({"command": ["a"]})", &job).ok());
}

TEST(BindJson, TakesNumbersForUnitsAndNullForAbsent) {
  Job job;
  const Status status = BindJson(
      R"({"tasks": 2.0, "name": null, "devices": null, "resources": {"cpus": 0.5, "memory": 1048576}})",
      &job);
  ASSERT_TRUE(status.ok()) << MessageOf(status);
  EXPECT_EQ(job.tasks(), 2u);
  EXPECT_FALSE(job.has_devices());
  EXPECT_EQ(job.resources().cpus(), "0.5");
  EXPECT_EQ(job.resources().memory(), "1048576");
}

TEST(BindJson, SaysWhereAndWhatIsWrong) {
  const std::pair<const char*, const char*> rows[] = {
      {R"({"priorty": 1})", "priorty: unknown key \"priorty\" in Job; did you mean \"priority\"?"},
      {R"({"devices": {"any_of": [{"count": 2}, {"count": 0}]}})",
       "devices.any_of[1].count: count is 0; it must be between 1 and 128"},
      {R"({"resources": {"memory": "16GBB"}})",
       "resources.memory: memory is \"16GBB\"; give a size like 512MiB or 16GiB"},
      {R"({"command": ["a", 5]})",
       "command[1]: command[1] is 5; a string is wanted, write it in quotes"},
      {R"({"command": "a b"})",
       "command: command is one string; write an argument vector, like [\"python3\", \"train.py\"] "
       "(no shell reads it)"},
      {R"({"environment": {"A": true}})",
       "environment.A: A is true; a string is wanted, write it in quotes"},
      {R"({"environment": {"a.b": null}})",
       "environment.a.b: a.b has no value; an empty string is written \"\""},
      {R"({"name": 5})", "name: name is 5; a string is wanted, write it in quotes"},
      {R"({"tasks": "2"})", "tasks: tasks is \"2\"; a whole number is wanted"},
      {R"({"tasks": 18446744073709551615})",
       "tasks: tasks is 18446744073709551615; it must be between 1 and 4096"},
      {R"({"tasks": 1e300})", "tasks: tasks is 1e+300; it must be between 1 and 4096"},
      {R"({"grace": 10})", "grace: grace is \"10\", which has no unit; write 10s for seconds"},
      {R"({"name": "a", "name": "b"})", "name: key \"name\" is here twice"},
      {R"({"environment": {"A": "1", "A": "2"}})", "environment.A: key \"A\" is here twice"},
      {R"({"environment": {"A": "a\u0000b"}})", "environment.A: A holds a NUL character"},
      {R"([1, 2])", "body: the document is a list; a map with the keys of Job is wanted"},
      {R"("x")", "body: the document is \"x\"; a map with the keys of Job is wanted"},
      {R"({"": 1})",
       ": unknown key \"\" in Job; its keys are name, tenant, priority, tasks, command, "
       "environment, "
       "work_dir, resources, devices, checkpoint_dir, time_limit, grace, restarts_max, "
       "restart_pause, restart_pause_max, runtime, scratch_max, at_most_one"},
      {"", "body:1:1: not valid JSON: the body is empty"},
      {"  \n", "body:2:1: not valid JSON: the body is empty"},
      {"{\"name\":", "body:1:9: not valid JSON: incomplete JSON"},
      {"{\"name\": }", "body:1:10: not valid JSON: syntax error"},
      {"{\n\"name\": nul}", "body:2:9: not valid JSON: syntax error"},
      {"{} {}", "body:1:4: not valid JSON: extra data"},
      {"{\"name\": \"\\ud800\"}", "body:1:17: not valid JSON: syntax error"},
      {"{\"name\": \"\xFF\"}", "body: not valid UTF-8"},
  };
  for (const auto& [text, message] : rows) EXPECT_EQ(JsonError(text), message) << text;
}

TEST(BindJson, SaysWhatIsMissing) {
  EXPECT_EQ(JsonError<Deployment>(R"({"replicas": [{"count": 1}], "name": null})"),
            "replicas[0].device: ReplicaGroup needs \"device\"\n"
            "name: name has no value; give one or remove the key\n"
            "command: Deployment needs \"command\"");
}

TEST(BindJson, RefusesWhatIsTooMuch) {
  EXPECT_EQ(JsonError(std::string((4 << 20) + 1, ' ')),
            "body: 4194305 bytes; a document may have 4194304 at most");
  EXPECT_EQ(JsonError("{\"name\": " + std::string(100, '[')), "body: nested deeper than 64 levels");
  std::string many = "{\"command\": [0";
  for (int i = 0; i < 200'001; ++i) many += ",0";
  EXPECT_EQ(JsonError(many + "]}"), "body: more than 200000 values");
}

TEST(BindJson, TakesKeysAndStringsInPieces) {
  // Escapes make the parser hand them over in parts.
  Job job;
  const std::string text =
      R"({"na\u006de": "a\u0062c", "environment": {"K\u0041\n": "x\ty\\", "": "empty key"}})";
  const Status status = BindJson(text, &job);
  ASSERT_TRUE(status.ok()) << MessageOf(status);
  EXPECT_EQ(job.name(), "abc");
  EXPECT_EQ(job.environment().at("KA\n"), "x\ty\\");
  EXPECT_EQ(job.environment().at(""), "empty key");
}

TEST(BindJson, SurvivesAnyText) {
  EXPECT_TRUE(rc::check([] {
    const auto pieces =
        *rc::gen::container<std::vector<std::string>>(rc::gen::elementOf(std::vector<std::string>{
            "\"name\"", "\"command\"", "\"environment\"", ":", ",", "{", "}", "[", "]", "1", "-",
            "1e9", "\"", "\\u00", "null", "true", " ", "\xC3\xA9"}));
    std::string text;
    for (const std::string& piece : pieces) text += piece;
    Job job;
    (void)BindJson(text, &job);
  }));
}

}  // namespace
}  // namespace allot::config
