#include "client/submit_spec.h"

#include "common/config/bind.h"
#include "common/config/json_text.h"
#include "common/proto/config.pb.h"
#include "gmock/gmock.h"
#include "google/protobuf/descriptor.h"
#include "tests/unit/client/temporary_folder.h"

namespace allot::client {
namespace {

using testing::HasSubstr;

config::Job Read(const StatusOr<std::string>& body) {
  config::Job job;
  EXPECT_TRUE(body.ok()) << body.status();
  if (!body.ok()) return job;
  EXPECT_TRUE(config::BindJson(*body, &job).ok()) << *body;
  return job;
}

std::string WhyNot(const SubmitFlags& flags) {
  const auto body = MakeJob(flags, "/here");
  EXPECT_EQ(body.status().code(), StatusCode::kInvalidArgument) << (body.ok() ? *body : "");
  return MessageOf(body.status());
}

TEST(SubmitSpec, ACommandRunsInTheCurrentFolder) {
  const config::Job job = Read(MakeJob({.command = {"python3", "train.py"}}, "/here"));
  EXPECT_EQ(job.work_dir(), "/here");
  ASSERT_EQ(job.command_size(), 2);
  EXPECT_EQ(job.command(1), "train.py");
}

TEST(SubmitSpec, FlagsBecomeTheJob) {
  SubmitFlags flags;
  flags.command = {"train"};
  flags.tasks = 2;
  flags.devices = {"kind=GPU,count=2,joined=true,isolation=memory", "model=groq/*"};
  flags.environment = {"A=1", "B=x=y"};
  flags.memory = "2GiB";
  flags.work_dir = "sub/../run";
  flags.checkpoint_dir = "/data/ck";
  flags.at_most_one = true;
  flags.scratch_max = "10GiB";
  const config::Job job = Read(MakeJob(flags, "/here"));
  EXPECT_EQ(job.tasks(), 2u);
  ASSERT_EQ(job.devices().any_of_size(), 2);
  EXPECT_EQ(job.devices().any_of(0).kind(), "GPU");
  EXPECT_EQ(job.devices().any_of(0).count(), 2u);
  EXPECT_TRUE(job.devices().any_of(0).joined());
  EXPECT_EQ(job.devices().any_of(0).isolation(), "memory");
  EXPECT_EQ(job.devices().any_of(1).model(), "groq/*");
  EXPECT_FALSE(job.devices().any_of(1).joined());
  EXPECT_EQ(job.devices().any_of(1).isolation(), "");
  EXPECT_EQ(job.environment().at("B"), "x=y");
  EXPECT_EQ(job.resources().memory(), "2GiB");
  EXPECT_EQ(job.work_dir(), "/here/run");
  EXPECT_EQ(job.checkpoint_dir(), "/data/ck");
  EXPECT_TRUE(job.at_most_one());
  EXPECT_EQ(job.scratch_max(), "10GiB");
}

TEST(SubmitSpec, FlagsOverrideTheFile) {
  const TemporaryFolder folder;
  const std::string file = folder.Write("job.yaml", "name: a\ntasks: 4\ncommand: [train]\n");
  SubmitFlags flags;
  flags.file = file;
  flags.tasks = 2;
  const config::Job job = Read(MakeJob(flags, "/here"));
  EXPECT_EQ(job.name(), "a");
  EXPECT_EQ(job.tasks(), 2u);
  EXPECT_EQ(job.work_dir(), "/here");
  flags.work_dir = "";
  EXPECT_EQ(Read(MakeJob(flags, "/here")).work_dir(), "") << "asks for a scratch folder";
}

TEST(SubmitSpec, AWrongFileIsRefusedWithLineAndColumn) {
  const TemporaryFolder folder;
  SubmitFlags flags;
  flags.file = folder.Write("job.yaml", "command: [train]\npriorty: 3\n");
  const std::string why = WhyNot(flags);
  EXPECT_THAT(why, HasSubstr("job.yaml:2:1"));
  EXPECT_THAT(why, HasSubstr("priority"));
}

TEST(SubmitSpec, WrongFlagsAreRefusedByTheirNames) {
  EXPECT_THAT(WhyNot({}), HasSubstr("nothing to run"));
  SubmitFlags flags;
  flags.command = {"x"};
  flags.environment = {"=1"};
  EXPECT_THAT(WhyNot(flags), HasSubstr("--env"));
  flags.environment = {};
  flags.devices = {"kind=TOASTER"};
  EXPECT_THAT(WhyNot(flags), HasSubstr("--device"));
  flags.devices = {};
  flags.devices = {"toaster:2"};
  EXPECT_THAT(WhyNot(flags), HasSubstr("--device 'toaster:2'"));
  flags.devices = {};
  flags.time_limit = "soon";
  EXPECT_THAT(WhyNot(flags), HasSubstr("--time-limit is \"soon\""));
  flags.memory = "16";
  EXPECT_THAT(WhyNot(flags), HasSubstr("--memory is \"16\", which is so many bytes; write 16GiB"));
  flags.memory.reset();
  flags.time_limit.reset();
  flags.scratch_max = "much";
  EXPECT_THAT(WhyNot(flags), HasSubstr("--scratch-max is \"much\""));
  flags.scratch_max.reset();
  flags.tasks = 0;
  EXPECT_THAT(WhyNot(flags), HasSubstr("--tasks"));
  flags.tasks = 1'000'000;
  EXPECT_THAT(WhyNot(flags), HasSubstr("tasks"));
}

// MessageToJsonString would have left the byte out and named another folder.
TEST(SubmitSpec, BytesThatJsonCannotCarryAreRefusedAndNeverDropped) {
  SubmitFlags flags;
  flags.command = {"rm", "-r", "dir\xff"};
  EXPECT_THAT(WhyNot(flags), HasSubstr("command[2] is not valid UTF-8"));
  flags.command = {"true"};
  flags.environment = {"A=\xff"};
  EXPECT_THAT(WhyNot(flags), HasSubstr("environment.A is not valid UTF-8"));
  flags.environment = {"\xff=1"};
  EXPECT_THAT(WhyNot(flags), HasSubstr("a name that is not valid UTF-8"));
  flags.environment = {};
  EXPECT_THAT(MessageOf(MakeJob(flags, "/d\xe9").status()), HasSubstr("the current folder"));
  flags.work_dir = "/data";
  EXPECT_EQ(Read(MakeJob(flags, "/d\xe9")).work_dir(), "/data");
  flags.checkpoint_dir = "ck";
  EXPECT_THAT(MessageOf(MakeJob(flags, "/d\xe9").status()), HasSubstr("--checkpoint-dir"));
}

TEST(SubmitSpec, SizesDurationsAndDevicesAsOtherToolsWriteThem) {
  SubmitFlags flags;
  flags.command = {"train"};
  flags.devices = {"kind=gpu", "gpu:h100:2", "asic"};
  flags.memory = "16G";
  flags.time_limit = "1-00:00:00";
  const config::Job job = Read(MakeJob(flags, "/here"));
  ASSERT_EQ(job.devices().any_of_size(), 3);
  EXPECT_EQ(job.devices().any_of(0).kind(), "GPU");
  EXPECT_EQ(job.devices().any_of(1).kind(), "GPU");
  EXPECT_EQ(job.devices().any_of(1).model(), "*/h100*");
  EXPECT_EQ(job.devices().any_of(1).count(), 2u);
  EXPECT_EQ(job.devices().any_of(2).kind(), "ASIC");
}

TEST(SubmitSpec, AJsonFileIsReadAsJson) {
  const TemporaryFolder folder;
  SubmitFlags flags;
  // A tab between tokens, an escaped pair of surrogates: JSON's, not YAML's.
  flags.file = folder.Write("job.json", "{\n\t\"command\": [\"echo\", \"\\ud83d\\ude00\"]}");
  EXPECT_EQ(Read(MakeJob(flags, "/here")).command(1), "\xF0\x9F\x98\x80");
  flags.file = folder.Write("job.yaml", "{\"command\":\t[\"a\"], \"tasks\": 2}\n");
  EXPECT_EQ(Read(MakeJob(flags, "/here")).tasks(), 2u);
  flags.file = folder.Write("twice.json", R"({"command":["a"],"tasks":2,"tasks":3})");
  EXPECT_THAT(WhyNot(flags), HasSubstr("twice.json: tasks: key \"tasks\" is here twice"));
  flags.file = folder.Write("flow.yaml", "{command: [a], tasks: 3}\n");
  EXPECT_EQ(Read(MakeJob(flags, "/here")).tasks(), 3u) << "flow YAML begins with { as well";
}

// Every field, whatever is added to job.proto later.
void Fill(google::protobuf::Message* message) {
  const auto* to = message->GetReflection();
  for (int i = 0; i < message->GetDescriptor()->field_count(); ++i) {
    const auto* field = message->GetDescriptor()->field(i);
    using Field = google::protobuf::FieldDescriptor;
    const std::string text = field->name() + "\"\\\n\u00e9\u2028";
    for (int n = 0; n < (field->is_repeated() ? 2 : 1); ++n) {
      const bool list = field->is_repeated();
      switch (field->cpp_type()) {
        case Field::CPPTYPE_STRING:
          list ? to->AddString(message, field, text) : to->SetString(message, field, text);
          break;
        case Field::CPPTYPE_BOOL:
          to->SetBool(message, field, true);
          break;
        case Field::CPPTYPE_DOUBLE:
          to->SetDouble(message, field, 0.1);
          break;
        case Field::CPPTYPE_INT32:
          to->SetInt32(message, field, -7);
          break;
        case Field::CPPTYPE_UINT32:
          to->SetUInt32(message, field, 4'000'000'000);
          break;
        default:
          ASSERT_EQ(field->cpp_type(), Field::CPPTYPE_MESSAGE) << field->name();
          Fill(list ? to->AddMessage(message, field) : to->MutableMessage(message, field));
      }
    }
  }
}

TEST(SubmitSpec, IsWrittenAsReflectionWouldWriteIt) {
  config::Job job;
  EXPECT_EQ(JobText(job), *config::ToJsonText(job));
  job.mutable_resources();
  job.mutable_devices();
  EXPECT_EQ(JobText(job), *config::ToJsonText(job));
  Fill(&job);
  ASSERT_GT(job.environment_size(), 0);
  EXPECT_EQ(JobText(job), *config::ToJsonText(job));
}

TEST(SubmitSpec, ANoopJobNeedsNoCommand) {
  SubmitFlags flags;
  flags.runtime = "noop";
  EXPECT_EQ(Read(MakeJob(flags, "/here")).runtime(), "noop");
}

TEST(SubmitSpec, ADeploymentsRelativeFolderCountsFromHere) {
  const TemporaryFolder folder;
  const std::string file =
      folder.Write("d.yaml",
                   "name: chat\ncommand: [server, '{port}']\nwork_dir: models\nreplicas:\n"
                   "  - device: {kind: GPU}\n");
  const auto body = MakeDeployment(file, "/here");
  ASSERT_TRUE(body.ok()) << body.status();
  EXPECT_EQ(body->name, "chat");
  EXPECT_THAT(body->json, HasSubstr("\"/here/models\""));
}

}  // namespace
}  // namespace allot::client
