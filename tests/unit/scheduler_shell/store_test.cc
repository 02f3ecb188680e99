// The journal, its snapshot and the compactor: what was appended is there, whatever happens.
#include <filesystem>
#include <fstream>
#include <future>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rapidcheck.h"
#include "scheduler/core/describe.h"
#include "scheduler/shell/compactor.h"
#include "scheduler/shell/journal.h"
#include "scheduler/shell/record_codec.h"
#include "scheduler/shell/snapshot.h"
#include "tests/unit/scheduler_shell/support.h"

namespace allot::scheduler {
namespace {

using ::testing::HasSubstr;
using testing::RandomHistory;
using testing::TempFolder;

ClusterState Fold(const std::vector<Record>& records) {
  ClusterState state;
  for (const Record& record : records) state.Apply(record);
  return state;
}

std::unique_ptr<Journal> OpenStore(const std::string& folder) {
  auto journal = Journal::Open(folder);
  EXPECT_TRUE(journal.ok()) << journal.status();
  return journal.ok() ? *std::move(journal) : nullptr;
}

Status Append(Journal& journal, std::vector<Record> records) {
  JournalBatch batch{.records = std::move(records)};
  return journal.Append({&batch});
}

StatusOr<ClusterState> Load(Journal& journal) {
  ClusterState state;
  RETURN_IF_ERROR(journal.Load([&](ClusterState s) { state = std::move(s); },
                               [&](const Record& record) { state.Apply(record); }));
  return state;
}

std::vector<Record> SomeRecords(int turns, uint64_t seed = 1) {
  RandomHistory history(seed);
  history.Turns(turns);
  return history.records();
}

TEST(RecordCodec, EveryRecordComesBackAsItWas) {
  EXPECT_TRUE(rc::check([](uint64_t seed) {
    RandomHistory history(seed);
    history.Turns(100);
    ClusterState folded;
    for (const Record& record : history.records()) {
      records::Record encoded, again;
      EncodeRecord(record, &encoded);
      const StatusOr<Record> decoded = DecodeRecord(encoded);
      RC_ASSERT(decoded.ok());
      EncodeRecord(*decoded, &again);
      RC_ASSERT(decoded->index() == record.index());
      RC_ASSERT(again.SerializeAsString() == encoded.SerializeAsString());
      folded.Apply(*decoded);
    }
    // A field that neither way knows of would be missed above, but not here.
    RC_ASSERT(folded.Fingerprint() == history.state().Fingerprint());
  }));
}

TEST(RecordCodec, OneOfEachKindComesBackAsItWas) {
  std::set<size_t> kinds;
  ClusterState as_made, as_read;
  for (const Record& record : testing::OneOfEachKind()) {
    SCOPED_TRACE(Describe(record));
    kinds.insert(record.index());
    records::Record encoded;
    EncodeRecord(record, &encoded);
    const StatusOr<Record> decoded = DecodeRecord(encoded);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    ASSERT_EQ(decoded->index(), record.index());
    EXPECT_EQ(Describe(*decoded), Describe(record));
    as_made.Apply(record);
    as_read.Apply(*decoded);
    EXPECT_EQ(as_read.Fingerprint(), as_made.Fingerprint());
  }
  for (size_t kind = 0; kind < std::variant_size_v<Record>; ++kind)
    EXPECT_TRUE(kinds.contains(kind)) << "OneOfEachKind has none of alternative " << kind;
}

TEST(RecordCodec, ARecordOfAnotherVersionIsAnErrorAndNoCrash) {
  records::Record unknown;
  EXPECT_FALSE(DecodeRecord(unknown).ok());
  unknown.mutable_job_finished()->set_job(1);
  unknown.mutable_job_finished()->set_outcome(99);
  EXPECT_FALSE(DecodeRecord(unknown).ok());
  unknown.mutable_job_requeued()->set_job(0);
  EXPECT_FALSE(DecodeRecord(unknown).ok());
}

TEST(RecordCodec, ADeploymentFromBeforeTenantsIsOfTheDefaultOne) {
  DeploymentSpec spec{.name = "d", .tenant = "t"};
  records::Record encoded;
  EncodeRecord(DeploymentSet{.spec = std::make_shared<const DeploymentSpec>(spec)}, &encoded);
  encoded.mutable_deployment_set()->mutable_spec()->clear_tenant();
  const StatusOr<Record> decoded = DecodeRecord(encoded);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(std::get<DeploymentSet>(*decoded).spec->tenant, "default");
}

TEST(Snapshot, GivesTheSameStateBack) {
  EXPECT_TRUE(rc::check([](uint64_t seed) {
    RandomHistory history(seed);
    history.Turns(200);
    StateCodec::Reader reader;
    RC_ASSERT(StateCodec::Write(history.state(), [&](const records::SnapshotPart& part) {
                records::SnapshotPart copy;
                copy.ParseFromString(part.SerializeAsString());
                return reader.Add(copy);
              }).ok());
    const StatusOr<ClusterState> state = reader.Finish();
    RC_ASSERT(state.ok());
    RC_ASSERT(state->Fingerprint() == history.state().Fingerprint());
  }));
}

// Snapshots of earlier versions do not say when a deployment was first set; its oldest replica does
// nearly.
TEST(Snapshot, ADeploymentOfAnEarlierVersionIsAsOldAsItsOldestReplica) {
  EXPECT_TRUE(rc::check([](uint64_t seed) {
    RandomHistory history(seed);
    history.Turns(200);
    StateCodec::Reader reader;
    RC_ASSERT(StateCodec::Write(history.state(), [&](const records::SnapshotPart& part) {
                records::SnapshotPart copy = part;
                if (copy.has_deployment()) copy.mutable_deployment()->clear_created();
                return reader.Add(copy);
              }).ok());
    const StatusOr<ClusterState> state = reader.Finish();
    RC_ASSERT(state.ok());
    for (const auto& [name, deployment] : state->deployments()) {
      std::optional<Time> oldest;
      for (const ReplicaId id : deployment.replicas) {
        const Time placed = state->replicas().at(id).placed;
        oldest = std::min(oldest.value_or(placed), placed);
      }
      RC_ASSERT(deployment.created == oldest.value_or(Time()));
    }
  }));
}

// What is written about attempts that went wrong, by hand: histories seldom come to it.
TEST(Snapshot, KeepsWhatIsKnownOfFailedAttempts) {
  const Time at = FromMicros(1'700'000'000'000'000);
  JobState job;
  job.id = JobId(7);
  JobSpec spec = testing::MakeJob(2, 0);
  spec.restart_pause = std::chrono::seconds(3);
  spec.restart_pause_max = std::chrono::hours(1);
  spec.resources.memory_share = true;
  job.spec = std::make_shared<const JobSpec>(std::move(spec));
  job.submitted = job.queued = at;
  job.attempt = Attempt(2);
  job.not_before = at + std::chrono::seconds(6);
  job.node_faults = 3;
  job.unfit_nodes = {NodeId(2), NodeId(1)};
  job.failed_rank = 1;
  job.tasks.resize(2);
  for (TaskState& task : job.tasks) {
    task.placement = {NodeId(1), DeviceSet(), 0, 5 * kGiB};
    task.phase = TaskPhase::kExited;
    task.exit = TaskExit{.code = 127, .cause = ExitCause::kNotStarted};
  }
  job.earlier = {{Attempt(1), {NodeId(1), NodeId(2)}, {1}}};
  records::JobState written, copy;
  EncodeJobState(job, &written);
  ASSERT_TRUE(copy.ParseFromString(written.SerializeAsString()));
  const StatusOr<JobState> read = DecodeJobState(copy);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read->spec, *job.spec);
  EXPECT_EQ(read->not_before, job.not_before);
  EXPECT_EQ(read->node_faults, 3u);
  EXPECT_EQ(read->unfit_nodes, job.unfit_nodes);
  EXPECT_EQ(read->failed_rank, 1u);
  EXPECT_EQ(read->tasks, job.tasks);
  EXPECT_EQ(read->earlier[0].abandoned, std::vector<uint32_t>{1});

  copy.mutable_earlier(0)->set_abandoned(0, 2);
  EXPECT_FALSE(DecodeJobState(copy).ok()) << "a rank that the attempt did not have";
}

// One job after the other, each with a key; a second apart.
class ManyJobs {
 public:
  void Run(uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
      const JobId id(state_.last_job().value() + 1);
      at_ += std::chrono::seconds(1);
      state_.Apply(JobAccepted{.at = at_, .job = id, .spec = spec_, .idempotency_key = KeyOf(id)});
      state_.Apply(JobFinished{.at = at_, .job = id, .outcome = JobOutcome::kCancelled});
    }
  }
  static std::string KeyOf(JobId id) { return "u/" + ToString(id); }
  static JobId Find(const ClusterState& state, uint64_t id) {
    const std::string owner = ClusterState::KeyOwner(testing::MakeJob(1, 0), "");
    return state.FindByIdempotencyKey(owner, KeyOf(JobId(id)));
  }
  JobId Find(uint64_t id) const { return Find(state_, id); }
  ClusterState& state() { return state_; }

 private:
  const JobSpecPtr spec_ = std::make_shared<const JobSpec>(testing::MakeJob(1, 0));
  ClusterState state_;
  Time at_ = FromMicros(1'700'000'000'000'000);
};

TEST(IdempotencyKeys, AreGoodForADayAfterTheirJobFinished) {
  constexpr uint64_t kDay = 24 * 3600;
  ManyJobs jobs;
  jobs.Run(ClusterState::kFinishedJobsKept + 10);
  EXPECT_EQ(jobs.state().FindJob(JobId(1)), nullptr);
  EXPECT_EQ(jobs.Find(1), JobId(1));
  // A snapshot keeps what the jobs in it do not tell any more.
  StateCodec::Reader reader;
  ASSERT_TRUE(StateCodec::Write(jobs.state(), [&](const records::SnapshotPart& part) {
                return reader.Add(part);
              }).ok());
  StatusOr<ClusterState> read = reader.Finish();
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(ManyJobs::Find(*read, 1), JobId(1));
  EXPECT_FALSE(read->FindByIdempotencyKey("blue\nbob", ManyJobs::KeyOf(JobId(1))).valid());
  EXPECT_EQ(read->Fingerprint(), jobs.state().Fingerprint());
  jobs.state() = *std::move(read);
  jobs.Run(kDay - ClusterState::kFinishedJobsKept - 10);  // The next is a day after the first.
  EXPECT_EQ(jobs.Find(1), JobId(1));
  jobs.Run(1);
  EXPECT_FALSE(jobs.Find(1).valid());
  EXPECT_EQ(jobs.Find(2), JobId(2));
}

TEST(IdempotencyKeys, AKeyThatLapsedServesAgainAndItsNewJobKeepsIt) {
  ManyJobs jobs;
  const std::string key = ManyJobs::KeyOf(JobId(1));
  jobs.Run(24 * 3600 + 1);
  ASSERT_FALSE(jobs.Find(1).valid());
  const JobId again(jobs.state().last_job().value() + 1);
  jobs.state().Apply(JobAccepted{.at = FromMicros(1'700'100'000'000'000),
                                 .job = again,
                                 .spec = std::make_shared<const JobSpec>(),
                                 .idempotency_key = key});
  EXPECT_EQ(jobs.Find(1), again);
}

TEST(Snapshot, IsRefusedWithoutItsHead) {
  StateCodec::Reader reader;
  records::SnapshotPart part;
  part.mutable_job()->set_id(1);
  EXPECT_FALSE(reader.Add(part).ok());
  EXPECT_FALSE(reader.Finish().ok());
}

TEST(Journal, KeepsWhatWasAppendedAcrossReopening) {
  TempFolder folder;
  const std::vector<Record> records = SomeRecords(300);
  const size_t half = records.size() / 2;
  {
    auto journal = OpenStore(folder.path());
    ASSERT_TRUE(Append(*journal, {records.begin(), records.begin() + half}).ok());
  }
  {
    auto journal = OpenStore(folder.path());
    ASSERT_TRUE(Load(*journal).ok());
    ASSERT_TRUE(Append(*journal, {records.begin() + half, records.end()}).ok());
  }
  auto journal = OpenStore(folder.path());
  const auto state = Load(*journal);
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(state->Fingerprint(), Fold(records).Fingerprint());
  EXPECT_EQ(journal->last_seq(), static_cast<int64_t>(records.size()));
}

TEST(Journal, LetsNoSecondSchedulerUseTheFolder) {
  TempFolder folder;
  auto first = OpenStore(folder.path());
  const auto second = Journal::Open(folder.path());
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(MessageOf(second.status()), HasSubstr("another allot-scheduler"));
  first.reset();
  EXPECT_TRUE(Journal::Open(folder.path()).ok());
}

TEST(Journal, RefusesAFolderThatIsNotThere) {
  const auto journal = Journal::Open("/nonexistent/folder");
  ASSERT_FALSE(journal.ok());
  EXPECT_THAT(MessageOf(journal.status()), HasSubstr("state_dir must be a folder"));
}

// Changes the store behind the journal's back.
void Tamper(const TempFolder& folder, const char* sql) {
  auto db = Database::Open(StorePath(folder.path()));
  ASSERT_TRUE(db.ok());
  ASSERT_TRUE((*db)->Run(sql).ok());
}

TEST(Journal, NamesTheRecordThatIsGarbage) {
  TempFolder folder;
  ASSERT_TRUE(Append(*OpenStore(folder.path()), SomeRecords(50)).ok());
  Tamper(folder, "UPDATE records SET bytes = substr(bytes, 1, length(bytes) - 1) WHERE seq = 7");
  auto journal = OpenStore(folder.path());
  const auto state = Load(*journal);
  ASSERT_FALSE(state.ok());
  EXPECT_THAT(MessageOf(state.status()), HasSubstr("record 7 is garbage"));
  EXPECT_THAT(MessageOf(state.status()), HasSubstr("allot restore FILE"));
}

TEST(Journal, NoticesAByteThatStillParses) {
  TempFolder folder;
  ASSERT_TRUE(Append(*OpenStore(folder.path()), SomeRecords(50)).ok());
  Tamper(folder,
         "UPDATE records SET bytes = (SELECT bytes FROM records WHERE seq = 3) WHERE seq = 4");
  EXPECT_FALSE(Load(*OpenStore(folder.path())).ok());
}

TEST(Journal, NamesTheRecordThatIsMissing) {
  TempFolder folder;
  ASSERT_TRUE(Append(*OpenStore(folder.path()), SomeRecords(50)).ok());
  Tamper(folder, "DELETE FROM records WHERE seq = 5");
  const auto state = Load(*OpenStore(folder.path()));
  ASSERT_FALSE(state.ok());
  EXPECT_THAT(MessageOf(state.status()), HasSubstr("record 5 is missing"));
}

TEST(Journal, RefusesAFileThatIsNoStore) {
  TempFolder folder;
  std::ofstream(StorePath(folder.path())) << std::string(8192, 'x');
  const auto journal = Journal::Open(folder.path());
  ASSERT_FALSE(journal.ok());
  EXPECT_THAT(MessageOf(journal.status()), HasSubstr("scheduler.db"));
}

TEST(Journal, RefusesAStoreOfAnotherSchema) {
  TempFolder folder;
  OpenStore(folder.path());
  Tamper(folder, "UPDATE meta SET value = 9 WHERE key = 'schema'");
  const auto journal = Journal::Open(folder.path());
  ASSERT_FALSE(journal.ok());
  EXPECT_THAT(MessageOf(journal.status()), HasSubstr("schema 9"));
}

TEST(Journal, AppendsNothingOfABatchThatDoesNotFit) {
  TempFolder folder;
  auto journal = OpenStore(folder.path());
  const std::vector<Record> records = SomeRecords(400);
  ASSERT_TRUE(Append(*journal, {records.begin(), records.begin() + 10}).ok());
  ASSERT_TRUE(journal->SetPagesMax(1).ok());  // SQLite takes it as "what there is, and no more"
  Status status;
  std::vector<Record> rest(records.begin() + 10, records.end());
  ASSERT_FALSE((status = Append(*journal, rest)).ok());
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(MessageOf(status), HasSubstr("free space"));
  EXPECT_EQ(journal->last_seq(), 10);
  // Somebody made room: the same batch goes in, whole and once.
  ASSERT_TRUE(journal->SetPagesMax(0).ok());
  ASSERT_TRUE((status = Append(*journal, rest)).ok()) << status;
  journal.reset();
  EXPECT_EQ(Load(*OpenStore(folder.path()))->Fingerprint(), Fold(records).Fingerprint());
}

TEST(History, AnswersForFinishedJobs) {
  TempFolder folder;
  auto journal = OpenStore(folder.path());
  JobState job{.id = JobId(7),
               .spec = std::make_shared<const JobSpec>(testing::MakeJob(1, 0)),
               .user = "ann",
               .phase = JobPhase::kFinished,
               .outcome = JobOutcome::kFailed,
               .code = 3};
  JournalBatch batch{.finished = {job}};
  ASSERT_TRUE(journal->Append({&batch}).ok());
  auto history = History::Open(folder.path());
  ASSERT_TRUE(history.ok()) << history.status();
  const auto found = (*history)->Find(JobId(7));
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->code, 3);
  EXPECT_EQ(*found->spec, *job.spec);
  EXPECT_TRUE(absl::IsNotFound((*history)->Find(JobId(8)).status()));
}

TEST(History, ForgetsOldJobsAsNewOnesCome) {
  TempFolder folder;
  auto journal = OpenStore(folder.path());
  journal->KeepHistory(std::chrono::hours(10));
  uint64_t last = 0;
  // `count` jobs end together in the given hour.
  const auto finish = [&](int hour, int count) {
    JournalBatch batch;
    for (int i = 0; i < count; ++i) {
      batch.finished.push_back({.id = JobId(++last),
                                .spec = std::make_shared<const JobSpec>(testing::MakeJob(1, 0)),
                                .phase = JobPhase::kFinished,
                                .finished = FromMicros(0) + std::chrono::hours(hour)});
    }
    ASSERT_TRUE(journal->Append({&batch}).ok());
  };
  auto db = *Database::Open(StorePath(folder.path()));
  const auto kept = [&] { return *db->Number("SELECT count(*) FROM history"); };
  const auto oldest = [&] { return *db->Number("SELECT min(job) FROM history"); };
  finish(100, 10);
  finish(105, 1);
  EXPECT_EQ(kept(), 11);
  // Eleven hours on the first ten are too old, and two go for each that comes.
  finish(111, 3);
  EXPECT_EQ(kept(), 11 - 6 + 3);
  EXPECT_EQ(oldest(), 7);
  finish(111, 3);
  EXPECT_EQ(oldest(), 11);
  EXPECT_TRUE(Append(*journal, SomeRecords(5)).ok()) << "nothing ends, nothing goes";
  EXPECT_EQ(kept(), 7);
}

// ---- compaction
// ----------------------------------------------------------------------------------

int64_t CountRows(Database& db, const std::string& table) {
  return *db.Number("SELECT count(*) FROM " + table);
}

TEST(Compaction, LoadsToTheSameStateAtEveryPoint) {
  // Every transaction is a sync of a real disk, so a dozen histories and not a hundred.
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(seed);
    TempFolder folder;
    auto journal = OpenStore(folder.path());
    const std::vector<Record> records = SomeRecords(150, seed);
    const CompactionOptions options{.rows_chunk = 7};
    auto db = *Database::Open(StorePath(folder.path()));
    Rng rng(seed);
    for (size_t at = 0; at < records.size();) {
      const size_t end = std::min(records.size(), at + 1 + rng.Below(60));
      ASSERT_TRUE(Append(*journal, {records.begin() + at, records.begin() + end}).ok());
      at = end;
      // Given up after a few transactions, at random: like a crash there.
      uint64_t left = rng.Below(12);
      const int64_t upto = static_cast<int64_t>(rng.Below(at + 1));
      const Status folded = CompactStore(*db, upto, options, [&] { return left-- != 0; });
      ASSERT_TRUE(folded.ok() || absl::IsCancelled(folded));
      if (rng.OneIn(3)) {
        journal.reset();
        journal = OpenStore(folder.path());
      }
      const auto state = Load(*journal);
      ASSERT_TRUE(state.ok());
      ASSERT_TRUE(state->Fingerprint() ==
                  Fold({records.begin(), records.begin() + at}).Fingerprint());
    }
  }
}

TEST(Compaction, DeletesWhatItFolded) {
  TempFolder folder;
  auto journal = OpenStore(folder.path());
  const std::vector<Record> records = SomeRecords(300);
  const auto half = static_cast<int64_t>(records.size() / 2);
  ASSERT_TRUE(Append(*journal, records).ok());
  auto db = *Database::Open(StorePath(folder.path()));
  ASSERT_TRUE(CompactStore(*db, half, {.rows_chunk = 10}, [] { return true; }).ok());
  EXPECT_EQ(CountRows(*db, "records"), static_cast<int64_t>(records.size()) - half);
  ASSERT_TRUE(CompactStore(*db, half * 2, {.rows_chunk = 10}, [] { return true; }).ok());
  EXPECT_EQ(*db->Number("SELECT count(DISTINCT generation) FROM snapshot"), 1);
}

TEST(Compaction, RunsByItselfWhenEnoughRecordsCame) {
  TempFolder folder;
  auto journal = OpenStore(folder.path());
  const std::vector<Record> records = SomeRecords(300);
  ASSERT_TRUE(Append(*journal, records).ok());
  std::promise<int64_t> folded;
  auto compactor = Compactor::Start(folder.path(), {.records_max = 100},
                                    {.folded = [&](int64_t seq, double) { folded.set_value(seq); },
                                     .failed = [](const Status& why) { ADD_FAILURE() << why; }});
  ASSERT_TRUE(compactor.ok()) << compactor.status();
  (*compactor)->Progressed(journal->last_seq(), 10'000);
  EXPECT_EQ(folded.get_future().get(), journal->last_seq());
  compactor->reset();
  EXPECT_EQ(Load(*journal)->Fingerprint(), Fold(records).Fingerprint());
}

}  // namespace
}  // namespace allot::scheduler
