// Whatever is durable is part of the fingerprint: it is what tells two states apart in every other
// test of the store, and in the simulator. Fields are found by reflection, so that a new one
// counts.
#include <functional>
#include <map>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "scheduler/shell/snapshot.h"
#include "tests/unit/scheduler_shell/support.h"

namespace allot::scheduler {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

using Parts = std::vector<records::SnapshotPart>;

Parts PartsOf(const ClusterState& state) {
  Parts parts;
  EXPECT_TRUE(StateCodec::Write(state, [&](const records::SnapshotPart& part) {
                parts.push_back(part);
                return absl::OkStatus();
              }).ok());
  return parts;
}

StatusOr<uint64_t> FingerprintOf(const Parts& parts) {
  StateCodec::Reader reader;
  for (const records::SnapshotPart& part : parts) RETURN_IF_ERROR(reader.Add(part));
  ASSIGN_OR_RETURN(const ClusterState state, reader.Finish());
  return state.Fingerprint();
}

// Calls `seen` with the field's name after every change of one field of `m` or below it, and takes
// the change back. What is absent is tried present.
class Changes {
 public:
  using Seen = std::function<void(const std::string& field)>;
  explicit Changes(Seen seen) : seen_(std::move(seen)) {}

  void Of(Message* m) {
    const Reflection* r = m->GetReflection();
    for (int i = 0; i < m->GetDescriptor()->field_count(); ++i) {
      const FieldDescriptor* f = m->GetDescriptor()->field(i);
      if (f->real_containing_oneof() != nullptr) {
        if (r->HasField(*m, f)) Of(r->MutableMessage(m, f));
      } else if (f->is_repeated()) {
        OfRepeated(m, f);
      } else if (f->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        OfMessage(m, f);
      } else {
        for (const int by : {1, 7, -1}) Change(m, f, [&] { Set(m, f, by); });
        if (f->has_presence()) Change(m, f, [&] { Flip(m, f); });
      }
    }
  }

 private:
  void Change(Message* m, const FieldDescriptor* f, const std::function<void()>& change) {
    const std::unique_ptr<Message> before(m->New());
    before->CopyFrom(*m);
    change();
    seen_(f->full_name());
    m->CopyFrom(*before);
  }
  void OfRepeated(Message* m, const FieldDescriptor* f) {
    const Reflection* r = m->GetReflection();
    const bool messages = f->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    if (r->FieldSize(*m, f) > 0) Change(m, f, [&] { r->RemoveLast(m, f); });
    if (messages && r->FieldSize(*m, f) > 0) Of(r->MutableRepeatedMessage(m, f, 0));
    Change(m, f, [&] {
      if (messages) r->AddMessage(m, f);
      if (f->cpp_type() == FieldDescriptor::CPPTYPE_STRING) r->AddString(m, f, "x");
      if (f->cpp_type() == FieldDescriptor::CPPTYPE_UINT32) r->AddUInt32(m, f, 1);
      if (f->cpp_type() == FieldDescriptor::CPPTYPE_UINT64) r->AddUInt64(m, f, 1);
    });
    if (!messages || r->FieldSize(*m, f) > 0) return;
    const std::unique_ptr<Message> before(m->New());
    before->CopyFrom(*m);
    Of(r->AddMessage(m, f));
    m->CopyFrom(*before);
  }
  void OfMessage(Message* m, const FieldDescriptor* f) {
    const Reflection* r = m->GetReflection();
    Change(m, f, [&] { Flip(m, f); });
    const std::unique_ptr<Message> before(m->New());
    before->CopyFrom(*m);
    Of(r->MutableMessage(m, f));
    m->CopyFrom(*before);
  }
  static void Flip(Message* m, const FieldDescriptor* f) {
    const Reflection* r = m->GetReflection();
    if (r->HasField(*m, f)) {
      r->ClearField(m, f);
    } else if (f->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      r->MutableMessage(m, f);
    } else {
      Set(m, f, 0);
    }
  }
  static void Set(Message* m, const FieldDescriptor* f, int by) {
    const Reflection* r = m->GetReflection();
    switch (f->cpp_type()) {
      case FieldDescriptor::CPPTYPE_BOOL:
        return r->SetBool(m, f, by == 0 ? r->GetBool(*m, f) : !r->GetBool(*m, f));
      case FieldDescriptor::CPPTYPE_STRING:
        return r->SetString(m, f, r->GetString(*m, f) + std::string(std::abs(by), 'x'));
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return r->SetDouble(m, f, r->GetDouble(*m, f) + by * 0.01);
      case FieldDescriptor::CPPTYPE_INT32:
        return r->SetInt32(m, f, r->GetInt32(*m, f) + by);
      case FieldDescriptor::CPPTYPE_INT64:
        return r->SetInt64(m, f, r->GetInt64(*m, f) + by);
      case FieldDescriptor::CPPTYPE_UINT32:
        return r->SetUInt32(m, f, r->GetUInt32(*m, f) + static_cast<uint32_t>(by));
      case FieldDescriptor::CPPTYPE_UINT64:
        return r->SetUInt64(m, f, r->GetUInt64(*m, f) + static_cast<uint64_t>(by));
      default:
        FAIL() << f->full_name() << " is of a type that this test cannot change";
    }
  }
  Seen seen_;
};

// No reader takes a change of these alone: others must agree with them, or they are one name for
// several fields that are tried each for itself.
const std::set<std::string> kBound = {
    "allot.records.DeploymentState.spec", "allot.records.JobState.spec",
    "allot.records.NodeState.id",         "allot.records.ReplicaGroup.device",
    "allot.records.ReplicaState.id",      "allot.records.ReplicaState.placement",
    "allot.records.SnapshotHead.version", "allot.records.TaskState.placement",
    "allot.records.ReplicaState.incarnation", "allot.records.DeploymentState.replicas",
    "allot.records.NodeState.replicas",
};

// A change of these may say what was said before.
const std::set<std::string> kSometimesNothing = {
    "allot.records.JobState.stopping_at",    // of a job that is not stopping
    "allot.records.JobStopping.job",         // … as above, where it appears with nothing in it
    "allot.records.NodeState.replica_incarnations",        // of none: as where there are none
    "allot.records.DeploymentState.replica_incarnations",  // the same
    "allot.records.SnapshotHead.lineage_jobs",      // of the last life: none is known, as said
    "allot.records.SnapshotHead.lineage_replicas",  // the same
    "allot.records.Policy.power",            // with nothing in it: no caps, as when it is absent
    "allot.records.Policy.quarantine",       // the same: the defaults
    "allot.wire.HealthCheck.restart_after",  // present with its default
    "allot.wire.Resources.memory_share",     // of a replica: what it leases is counted out
    "allot.wire.TaskExit.cause",             // numbers of later versions are unknown causes
};

// Told by the fingerprint, how often; and not told though a reader takes the change.
struct Tally {
  int told = 0, same = 0;
};

void Count(const ClusterState& state, std::map<std::string, Tally>* tallies) {
  Parts parts = PartsOf(state);
  const StatusOr<uint64_t> before = FingerprintOf(parts);
  ASSERT_TRUE(before.ok()) << before.status();
  for (records::SnapshotPart& part : parts)
    Changes([&](const std::string& field) {
      Tally& tally = (*tallies)[field];
      const StatusOr<uint64_t> now = FingerprintOf(parts);
      if (now.ok()) ++(*now == *before ? tally.same : tally.told);
    }).Of(&part);
}

TEST(Fingerprint, HasEveryDurableField) {
  std::map<std::string, Tally> tallies;
  ClusterState state;
  for (const Record& record : testing::OneOfEachKind()) {
    state.Apply(record);
    Count(state, &tallies);
  }
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    testing::RandomHistory history(seed);
    history.Turns(150);
    Count(history.state(), &tallies);
  }
  for (const auto& [field, tally] : tallies) {
    EXPECT_EQ(tally.told + tally.same == 0, kBound.contains(field)) << field << " was not tried";
    EXPECT_EQ(tally.same > 0, kSometimesNothing.contains(field)) << field << " is not told";
  }
  EXPECT_GT(tallies.size(), 200u);
}

}  // namespace
}  // namespace allot::scheduler
