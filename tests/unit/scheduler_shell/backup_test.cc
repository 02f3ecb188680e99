// Backups come back as they were, damaged ones never, and no number is given twice.
#include "scheduler/shell/backup.h"

#include <filesystem>
#include <fstream>
#include <iterator>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "scheduler/shell/compactor.h"
#include "scheduler/shell/journal.h"
#include "scheduler/shell/mark.h"
#include "scheduler/shell/store.h"
#include "tests/unit/scheduler_shell/support.h"

namespace allot::scheduler {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TempFolder;

std::string Contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class Backups : public ::testing::Test {
 protected:
  Backups() : state_dir_(folder_ / "state"), file_(folder_ / "a.backup") {
    fs::create_directories(state_dir_);
    Start();
  }

  void Start() {
    auto journal = Journal::Open(state_dir_);
    ASSERT_TRUE(journal.ok()) << journal.status();
    journal_ = *std::move(journal);
    state_ = ClusterState();
    const Status loaded = journal_->Load([this](ClusterState state) { state_ = std::move(state); },
                                         [this](const Record& record) { state_.Apply(record); });
    ASSERT_TRUE(loaded.ok()) << loaded;
  }
  void Stop() { journal_.reset(); }
  void Jobs(int count) {
    for (int i = 0; i < count; ++i) {
      const JobId id(std::max(state_.last_job().value() + 1, journal_->marked().jobs_from));
      const Record record = JobAccepted{FromMicros(1'800'000'000'000'000), id, spec_, "ann", ""};
      state_.Apply(record);
      JournalBatch batch{.records = {record}};
      ASSERT_TRUE(journal_->Append({&batch}).ok());
    }
  }
  StatusOr<BackupFacts> Backup() { return MakeBackup({.state_dir = state_dir_, .to = file_}); }
  StatusOr<RestoreReport> Restore(const std::string& file) {
    return RestoreStore({.file = file, .state_dir = state_dir_});
  }
  // Of what is in the folder, without what SQLite makes to look at a store.
  std::vector<std::string> Names(const std::string& folder) const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (!name.ends_with("-wal") && !name.ends_with("-shm")) names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  TempFolder folder_;
  const std::string state_dir_, file_;
  const JobSpecPtr spec_ = std::make_shared<const JobSpec>(testing::MakeJob(1, 0));
  std::unique_ptr<Journal> journal_;
  ClusterState state_;
};

TEST_F(Backups, OfARunningAndOfAStoppedStoreComeBackAsTheyWere) {
  for (const bool running : {true, false}) {
    SCOPED_TRACE(running);
    fs::remove(file_);
    Jobs(30);
    const uint64_t fingerprint = state_.Fingerprint(), records = journal_->last_seq();
    if (!running) Stop();
    const auto facts = Backup();
    ASSERT_TRUE(facts.ok()) << facts.status();
    EXPECT_EQ(facts->seq, static_cast<int64_t>(records));
    EXPECT_EQ(facts->sha256.size(), 64u);
    EXPECT_EQ(fs::status(file_).permissions(), fs::perms::owner_read | fs::perms::owner_write);
    if (!running) Start();
    Jobs(4);
    const uint64_t lost = state_.last_job().value();
    Stop();
    const auto report = Restore(file_);
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_EQ(report->jobs_lost, 4u);
    EXPECT_EQ(report->last_lost, lost);
    EXPECT_FALSE(report->guessed);
    EXPECT_GT(report->jobs_from, lost);
    EXPECT_THAT(Names(report->moved_to), ::testing::Contains("scheduler.db"));
    Start();
    EXPECT_EQ(state_.Fingerprint(), fingerprint);
    Jobs(1);
    EXPECT_GT(state_.last_job().value(), lost);
    Stop();
    Start();
  }
  EXPECT_THAT(Names(folder_.path()), ElementsAre("a.backup", "state"));
}

TEST_F(Backups, ABackupWithASnapshotComesBackToo) {
  Jobs(50);
  auto db = Database::Open(StorePath(state_dir_));
  ASSERT_TRUE(CompactStore(**db, 40, {}, [] { return true; }).ok());
  const uint64_t fingerprint = state_.Fingerprint();
  ASSERT_TRUE(Backup().ok());
  db->reset();
  Stop();
  ASSERT_TRUE(Restore(file_).ok());
  Start();
  EXPECT_EQ(state_.Fingerprint(), fingerprint);
}

TEST_F(Backups, ADamagedOneIsRefusedWhereverItIsDamaged) {
  Jobs(60);
  ASSERT_TRUE(Backup().ok());
  Jobs(1);
  Stop();
  const std::string good = Contents(file_), db = Contents(StorePath(state_dir_));
  for (size_t at = 0; at + 80 < good.size(); at += 1'999) {
    SCOPED_TRACE(at);
    std::string bad = good;
    bad.replace(at, 80, 80, '\x5a');
    std::ofstream(file_, std::ios::binary | std::ios::trunc) << bad;
    ClusterState state;
    const auto checked = CheckBackup(
        file_, [](int64_t, int64_t) { return true; }, &state);
    // What is not used holds nothing that could be missed.
    if (checked.ok()) {
      EXPECT_EQ(checked->seq, 60);
      continue;
    }
    EXPECT_THAT(MessageOf(checked.status()), HasSubstr(file_));
    EXPECT_FALSE(Restore(file_).ok());
  }
  for (const size_t kept : {size_t{0}, size_t{100}, good.size() / 2, good.size() - 4096}) {
    std::ofstream(file_, std::ios::binary | std::ios::trunc) << good.substr(0, kept);
    EXPECT_FALSE(Restore(file_).ok()) << kept;
  }
  EXPECT_EQ(Contents(StorePath(state_dir_)), db);
  EXPECT_THAT(Names(state_dir_), ElementsAre("scheduler.db", "scheduler.lock", "scheduler.mark"));
  Start();
  EXPECT_EQ(journal_->last_seq(), 61);
}

TEST_F(Backups, IsRefusedWhereARowWasChangedAndStillParses) {
  Jobs(10);
  ASSERT_TRUE(Backup().ok());
  {
    auto db = Database::Open(file_);
    ASSERT_TRUE((*db)->Run("PRAGMA journal_mode=DELETE; DELETE FROM records WHERE seq = 10").ok());
  }
  const auto checked = CheckBackup(file_, [](int64_t, int64_t) { return true; });
  EXPECT_THAT(MessageOf(checked.status()), HasSubstr("SHA-256"));
}

TEST_F(Backups, NothingIsRestoredOverARunningScheduler) {
  Jobs(5);
  ASSERT_TRUE(Backup().ok());
  for (const std::string& file : {file_, std::string()}) {
    const auto report = Restore(file);
    EXPECT_TRUE(absl::IsFailedPrecondition(report.status())) << report.status();
    EXPECT_THAT(MessageOf(report.status()), HasSubstr("stop it first"));
  }
  EXPECT_TRUE(journal_->LookAfter().ok());
}

TEST_F(Backups, WhoInterruptsFindsAllAsItWas) {
  Jobs(20);
  ASSERT_TRUE(Backup().ok());
  Jobs(1);
  Stop();
  const auto before = Names(state_dir_);
  const std::string db = Contents(StorePath(state_dir_));
  for (int after = 0; after < 4; ++after) {
    int asked = 0;
    const Progress progress = [&](int64_t, int64_t) { return asked++ < after; };
    const auto report =
        RestoreStore({.file = file_, .state_dir = state_dir_, .progress = progress});
    if (report.ok()) {
      EXPECT_GT(after, 1);
      return;
    }
    EXPECT_TRUE(absl::IsCancelled(report.status())) << report.status();
    EXPECT_EQ(Names(state_dir_), before);
    EXPECT_EQ(Contents(StorePath(state_dir_)), db);
  }
  FAIL() << "was never through";
}

TEST_F(Backups, ADryRunChangesNothing) {
  Jobs(20);
  ASSERT_TRUE(Backup().ok());
  Jobs(3);
  Stop();
  const auto before = Names(state_dir_);
  const auto report = RestoreStore({.file = file_, .state_dir = state_dir_, .dry_run = true});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->jobs_lost, 3u);
  EXPECT_EQ(Names(state_dir_), before);
  Start();
  EXPECT_EQ(state_.last_job(), JobId(23));
}

// Died between the new mark and the new store.
TEST_F(Backups, AHalfDoneRestoreIsNotStartedFromAndCanBeDoneAgain) {
  Jobs(20);
  ASSERT_TRUE(Backup().ok());
  Stop();
  auto mark = **ReadMark(state_dir_);
  mark.store = 99;
  mark.jobs_from = 7'001;
  mark.jobs = 7'000;
  ASSERT_TRUE(ReplaceMark(state_dir_, mark).ok());
  EXPECT_FALSE(Journal::Open(state_dir_).ok());
  fs::remove(StorePath(state_dir_));
  EXPECT_FALSE(Journal::Open(state_dir_).ok());
  const auto report = Restore(file_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_GE(report->jobs_from, 7'001u);
  Start();
}

TEST_F(Backups, OnAnotherMachineNumbersJumpFar) {
  Jobs(5);
  ASSERT_TRUE(Backup().ok());
  const std::string other = folder_ / "other";
  const auto report = RestoreStore({.file = file_, .state_dir = other});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->guessed);
  EXPECT_GT(report->jobs_from, kWideMargin);
  EXPECT_EQ(report->moved_to, "");
  EXPECT_TRUE(Journal::Open(other).ok());
}

// The old way: copies that `sqlite3 .backup` or `cp` made.
TEST_F(Backups, AnOlderCopyPutInPlaceIsRefusedAndCanBeAccepted) {
  Jobs(20);
  {
    auto db = Database::Inspect(StorePath(state_dir_));
    ASSERT_TRUE((*db)->Run(("VACUUM INTO '" + folder_ / "copy.db" + "'").c_str()).ok());
  }
  Jobs(4);
  Stop();
  fs::copy_file(folder_ / "copy.db", StorePath(state_dir_), fs::copy_options::overwrite_existing);
  const auto refused = Journal::Open(state_dir_);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(MessageOf(refused.status()), HasSubstr("record 24 was acknowledged"));
  EXPECT_THAT(MessageOf(refused.status()), HasSubstr("allot restore --accept --store"));
  const auto report = Restore("");
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->old_seq, 24);
  EXPECT_FALSE(report->guessed);
  Start();
  EXPECT_EQ(state_.last_job(), JobId(20));
  Jobs(1);
  EXPECT_GT(state_.last_job(), JobId(24));
  Stop();
  // Or named as what it is.
  const auto named = Restore(folder_ / "copy.db");
  ASSERT_TRUE(named.ok()) << named.status();
  EXPECT_TRUE(named->backup.plain);
  Start();
}

TEST_F(Backups, AStoreWithoutItsMarkIsAcceptedWithAWideMargin) {
  Jobs(20);
  Stop();
  fs::remove(MarkPath(state_dir_));
  EXPECT_FALSE(Journal::Open(state_dir_).ok());
  const auto report = Restore("");
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->guessed);
  EXPECT_GT(report->jobs_from, kWideMargin);
  Start();
  EXPECT_EQ(state_.last_job(), JobId(20));
}

TEST_F(Backups, WhatIsBeforeADamagedRecordIsAccepted) {
  Jobs(20);
  Stop();
  {
    auto db = Database::Open(StorePath(state_dir_));
    ASSERT_TRUE((*db)->Run("UPDATE records SET crc = crc + 1 WHERE seq = 15").ok());
  }
  const auto report = Restore("");
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->records_dropped, 6);
  EXPECT_GT(report->jobs_from, 20u);
  Start();
  EXPECT_EQ(state_.last_job(), JobId(14));
  EXPECT_EQ(journal_->last_seq(), 14);
}

TEST_F(Backups, FilesGoWithItAndAreNeverWrittenOver) {
  std::ofstream(folder_ / "scheduler.key") << "secret";
  ASSERT_TRUE(MakeBackup({.state_dir = state_dir_,
                          .to = file_,
                          .files = {{"scheduler.key", folder_ / "scheduler.key"}}})
                  .ok());
  Stop();
  const RestoreRequest request{
      .file = file_, .state_dir = state_dir_, .files_to = folder_ / "files"};
  const auto report = RestoreStore(request);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(Contents(folder_ / "files/scheduler.key"), "secret");
  const auto again = RestoreStore(request);
  EXPECT_TRUE(absl::IsAlreadyExists(again.status())) << again.status();
}

TEST_F(Backups, AreNotMadeOverAFileNorOfNothing) {
  ASSERT_TRUE(Backup().ok());
  EXPECT_TRUE(absl::IsAlreadyExists(Backup().status()));
  EXPECT_TRUE(
      absl::IsNotFound(MakeBackup({.state_dir = folder_.path(), .to = folder_ / "b"}).status()));
  Stop();
  EXPECT_TRUE(absl::IsNotFound(Restore(folder_ / "none").status()));
}

}  // namespace
}  // namespace allot::scheduler
