// Whatever a person can have accepted comes back from the journal and from a snapshot. One record
// that does not would keep the scheduler from starting, with everybody's jobs.
#include <cmath>

#include "common/config/bind.h"
#include "common/config/convert.h"
#include "common/config/schema.h"
#include "common/json/json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rapidcheck.h"
#include "scheduler/shell/record_codec.h"
#include "scheduler/shell/snapshot.h"
#include "tests/unit/scheduler_shell/support.h"

namespace allot::scheduler {
namespace {

using google::protobuf::FieldDescriptor;

// ---- documents at random, by the schema ---------------------------------------------------------

template <class T>
T Pick(const std::vector<T>& from) {
  return *rc::gen::elementOf(from);
}
bool OneIn(int n) { return *rc::gen::inRange(0, n) == 0; }

// Where units break: nothing, a little, the very ends and what lies behind them.
std::string UnitText(const config::Rule& rule) {
  static const std::vector<std::string> durations = {
      "0",      "1us",    "10ms",   "1s",      "3m20s",   "1h",           "24h",
      "16534w", "16535w", "20000w", "115740d", "999999d", "99999999999w", "115740d17h46m40s"};
  static const std::vector<std::string> sizes = {
      "1",       "4KiB",     "1GiB",    "1023.999PiB", "1024PiB",
      "2000PiB", "1152.9PB", "2047PiB", "99999PiB",    "1152921504606847kB"};
  static const std::vector<std::string> shares = {"1m", "0.5", "1000", "1000000", "99999999"};
  std::vector<std::string> fit;  // Documents that break a field's own rule teach nothing.
  const auto keep = [&](const std::vector<std::string>& texts, auto parse) {
    for (const std::string& text : texts) {
      const StatusOr<int64_t> value = parse(text);
      if (!value.ok()) continue;
      const auto number = static_cast<double>(*value);
      if (rule.has_min() && number < rule.min()) continue;
      if (rule.has_max() && number > rule.max()) continue;
      fit.push_back(text);
    }
  };
  if (rule.unit() == config::UNIT_DURATION) keep(durations, config::ParseDurationMicros);
  if (rule.unit() == config::UNIT_BYTES) keep(sizes, config::ParseBytes);
  if (rule.unit() == config::UNIT_CPUS) keep(shares, config::ParseMilliCpus);
  return Pick(fit);
}

std::string Text(const config::Field& field) {
  const config::Rule& rule = *field.rule;
  if (rule.unit() != config::UNIT_NONE) return UnitText(rule);
  if (rule.one_of_size() > 0)
    return Pick<std::string>({rule.one_of().begin(), rule.one_of().end()});
  if (rule.name()) return Pick<std::string>({"a", "a.b-c", "0", std::string(63, 'z')});
  if (rule.label_value()) return Pick<std::string>({"a", "A_b.c-D", "0", std::string(63, 'Z')});
  if (field.name == "as_of") return "2026-03-31";
  if (field.name == "path" || field.name.ends_with("_dir")) return Pick<std::string>({"/", "/a/π"});
  return Pick<std::string>({"x", "π \U0001F680", "\"\n\t\x01", std::string(5'000, 'y')});
}

double Number(const config::Field& field, bool whole) {
  const config::Rule& rule = *field.rule;
  const double low = rule.has_min() ? rule.min() : 0, high = rule.has_max() ? rule.max() : 1e6;
  const double middle = whole ? std::floor((low + high) / 2) : (low + high) / 3;
  return Pick<double>({low, high, middle, whole ? std::max(low, 1.0) : low + (high - low) / 1e6});
}

json::object Document(const config::Schema& schema);

json::value Value(const config::Field& field) {
  if (field.message != nullptr) return Document(*field.message);
  switch (field.field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return OneIn(2);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return Number(field, false);
    case FieldDescriptor::CPPTYPE_STRING:
      return json::value(Text(field));
    default:
      return static_cast<int64_t>(Number(field, true));
  }
}

json::object Document(const config::Schema& schema) {
  json::object document;
  for (const config::Field& field : schema.fields) {
    // A job needs a command unless it does nothing, and so on: most documents should be right.
    const bool wanted = field.rule->required() || field.name == "command" || OneIn(2);
    if (!wanted) continue;
    if (field.field->is_map()) {
      json::object map;
      const bool numbers =
          field.field->message_type()->map_value()->cpp_type() != FieldDescriptor::CPPTYPE_STRING;
      for (const char* key : {"a", "b.c"}) {
        if (numbers) map[key] = Pick<double>({1e-9, 0.5, 1e6});
        if (!numbers) map[key] = Pick<std::string>({"", "π", std::string(1'000, 'v')});
      }
      document[field.name] = std::move(map);
    } else if (field.field->is_repeated()) {
      json::array items;
      for (int i = *rc::gen::inRange(1, 4); i > 0; --i) items.push_back(Value(field));
      document[field.name] = std::move(items);
    } else {
      document[field.name] = Value(field);
    }
  }
  return document;
}

// What a document says, or an error; `made` counts those that were right.
template <class Message>
StatusOr<Message> Bound() {
  Message message;
  const std::string text = json::serialize(Document(config::SchemaOf(Message::descriptor())));
  RETURN_IF_ERROR(config::BindJson(text, &message));
  return message;
}

StatusOr<ClusterState> ThroughASnapshot(const ClusterState& state) {
  StateCodec::Reader reader;
  RETURN_IF_ERROR(StateCodec::Write(state, [&](const records::SnapshotPart& part) -> Status {
    records::SnapshotPart copy;
    if (!copy.ParseFromString(part.SerializeAsString())) return InvalidArgument("does not parse");
    return reader.Add(copy);
  }));
  return reader.Finish();
}

void ExpectKept(const Event& event, const Record& record) {
  const Status storable = CheckStorable(event);
  RC_ASSERT(MessageOf(storable) == "");
  ClusterState state;
  state.Apply(record);
  const StatusOr<ClusterState> read = ThroughASnapshot(state);
  RC_ASSERT(MessageOf(read.status()) == "");
  RC_ASSERT(read->Fingerprint() == state.Fingerprint());
}

// At least one document in five should be a right one, or the generator has gone blind.
void ExpectMost(int right, int all) { EXPECT_GE(right * 5, all) << right << " of " << all; }

TEST(Storable, EveryJobThatBindsComesBack) {
  int right = 0, all = 0;
  EXPECT_TRUE(rc::check([&] {
    ++all;
    const StatusOr<config::Job> body = Bound<config::Job>();
    if (!body.ok()) return;
    StatusOr<JobSpec> made = config::ToJobSpec(*body);
    if (!made.ok()) return;
    ++right;
    const auto spec = std::make_shared<const JobSpec>(*std::move(made));
    ExpectKept(JobSubmitted{.spec = spec, .user = "u", .idempotency_key = "u/k"},
               JobAccepted{.job = JobId(1), .spec = spec, .user = "u", .idempotency_key = "u/k"});
  }));
  ExpectMost(right, all);
}

TEST(Storable, EveryDeploymentThatBindsComesBack) {
  int right = 0, all = 0;
  EXPECT_TRUE(rc::check([&] {
    ++all;
    const StatusOr<config::Deployment> body = Bound<config::Deployment>();
    if (!body.ok()) return;
    StatusOr<DeploymentSpec> made = config::ToDeploymentSpec(*body);
    if (!made.ok()) return;
    ++right;
    const auto spec = std::make_shared<const DeploymentSpec>(*std::move(made));
    ExpectKept(DeploymentApplied{.spec = spec}, DeploymentSet{.spec = spec, .generation = 1});
  }));
  ExpectMost(right, all);
}

TEST(Storable, EveryPolicyThatBindsComesBack) {
  int right = 0, all = 0;
  EXPECT_TRUE(rc::check([&] {
    ++all;
    const StatusOr<config::Policy> body = Bound<config::Policy>();
    if (!body.ok()) return;
    StatusOr<Policy> made = config::ToPolicy(*body);
    if (!made.ok()) return;
    ++right;
    const auto policy = std::make_shared<const Policy>(*std::move(made));
    ExpectKept(PolicyApplied{.policy = policy}, PolicySet{.policy = policy});
  }));
  ExpectMost(right, all);
}

// ---- the net below ------------------------------------------------------------------------------

TEST(Storable, WhatTheJournalWouldNotGiveBackIsRefused) {
  const auto job = [](auto change) {
    JobSpec spec = testing::MakeJob(1, 0);
    JobSubmitted event;
    change(spec, event);
    event.spec = std::make_shared<const JobSpec>(std::move(spec));
    return event;
  };
  EXPECT_TRUE(CheckStorable(job([](JobSpec&, JobSubmitted&) {})).ok());
  EXPECT_THAT(MessageOf(CheckStorable(job(
                  [](JobSpec& s, JobSubmitted&) { s.time_limit = kDurationMax + Duration(1); }))),
              ::testing::HasSubstr("job.time_limit"));
  EXPECT_FALSE(CheckStorable(job([](JobSpec& s, JobSubmitted&) {
                 s.resources.memory = kBytesMax + 1;
               })).ok());
  // Mended on its way into the record, so it would be another job.
  EXPECT_FALSE(CheckStorable(job([](JobSpec& s, JobSubmitted&) { s.command[0] = "\xff"; })).ok());
  EXPECT_THAT(MessageOf(CheckStorable(
                  job([](JobSpec&, JobSubmitted& e) { e.idempotency_key = "u/a\xff"; }))),
              ::testing::HasSubstr("UTF-8"));
  DeploymentSpec unnamed;
  EXPECT_FALSE(
      CheckStorable(DeploymentApplied{.spec = std::make_shared<const DeploymentSpec>(unnamed)})
          .ok());
  Policy policy;
  policy.queue.head_hold_after = kDurationMax * 2;
  EXPECT_FALSE(CheckStorable(PolicyApplied{.policy = std::make_shared<const Policy>(policy)}).ok());
}

}  // namespace
}  // namespace allot::scheduler
