// A store that is not all that was acknowledged is never opened: whatever was damaged, cut off,
// removed or put in its place, and wherever.
#include "scheduler/shell/store_check.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "scheduler/shell/compactor.h"
#include "scheduler/shell/journal.h"
#include "scheduler/shell/wal.h"
#include "tests/unit/scheduler_shell/support.h"

namespace allot::scheduler {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::TempFolder;

std::string BytesOf(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void WriteBytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// A store as kill -9 leaves it: the last connection never closed it, so its log is there.
class DeadStore : public ::testing::Test {
 protected:
  static constexpr int kRecords = 60;

  DeadStore() {
    TempFolder life;
    auto journal = Journal::Open(life.path());
    EXPECT_TRUE(journal.ok()) << journal.status();
    testing::RandomHistory history(3);
    history.Turns(200);
    for (int i = 0; i < kRecords; ++i) {
      JournalBatch batch{.records = {history.records()[i]}};
      EXPECT_TRUE((*journal)->Append({&batch}).ok());
    }
    TakeFrom(life.path());
  }
  void TakeFrom(const std::string& folder) {
    for (const char* name : {"scheduler.db", "scheduler.db-wal", "scheduler.mark"})
      fs::copy_file(folder + "/" + name, path(name), fs::copy_options::overwrite_existing);
  }
  std::string path(const std::string& name) const { return folder_ / name; }

  Status Open() {
    auto journal = Journal::Open(folder_.path());
    RETURN_IF_ERROR(journal.status());
    RETURN_IF_ERROR((*journal)->Load([](ClusterState) {}, [](const Record&) {}));
    return (*journal)->last_seq() == kRecords ? absl::OkStatus()
                                              : Internal("opened {}", (*journal)->last_seq());
  }
  // And leaves everything as it is.
  void ExpectRefused(const std::string& why) {
    const std::string db = BytesOf(path("scheduler.db")), wal = BytesOf(path("scheduler.db-wal")),
                      mark = BytesOf(path("scheduler.mark"));
    const Status status = Open();
    ASSERT_FALSE(status.ok());
    EXPECT_THAT(MessageOf(status), HasSubstr(why));
    EXPECT_THAT(MessageOf(status), HasSubstr("allot restore"));
    EXPECT_EQ(BytesOf(path("scheduler.db")), db);
    EXPECT_EQ(BytesOf(path("scheduler.db-wal")), wal);
    EXPECT_EQ(BytesOf(path("scheduler.mark")), mark);
  }
  void Change(const std::string& name, size_t at, size_t count) {
    std::string bytes = BytesOf(path(name));
    ASSERT_LE(at + count, bytes.size());
    for (size_t i = at; i < at + count; ++i) bytes[i] = static_cast<char>(bytes[i] ^ 0x5a);
    WriteBytes(path(name), bytes);
  }

  TempFolder folder_;
};

TEST_F(DeadStore, IsOpenedWhole) { EXPECT_TRUE(Open().ok()) << Open(); }

TEST_F(DeadStore, IsRefusedWhereverItsLogIsDamaged) {
  const std::string wal = BytesOf(path("scheduler.db-wal"));
  const auto report = ReadWal(wal);
  ASSERT_TRUE(report.ok() && report->sound());
  ASSERT_GT(report->committed, 40);
  // Each frame: its head, its page; and the file's first bytes.
  for (int64_t frame = 1; frame <= report->committed; frame += 7) {
    for (const int64_t into : {0, 10, 17, 100}) {
      SCOPED_TRACE(fmt::format("frame {} byte {}", frame, into));
      WriteBytes(path("scheduler.db-wal"), wal);
      Change("scheduler.db-wal", static_cast<size_t>(report->OffsetOf(frame) + into), 80);
      ExpectRefused("scheduler.db");
    }
  }
  WriteBytes(path("scheduler.db-wal"), wal);
  Change("scheduler.db-wal", 20, 4);
  ExpectRefused("its first 32 bytes");
  WriteBytes(path("scheduler.db-wal"), wal);
  EXPECT_TRUE(Open().ok()) << "what was refused could be mended";
}

TEST_F(DeadStore, SaysWhereItsLogIsDamaged) {
  Change("scheduler.db-wal", 32 + 20 * (24 + 4096) + 500, 80);
  ExpectRefused("frame 21 (at byte 82432) was damaged");
}

TEST_F(DeadStore, IsRefusedWithoutItsLog) {
  fs::remove(path("scheduler.db-wal"));
  ExpectRefused("scheduler.db");
}

TEST_F(DeadStore, IsRefusedWithHalfItsLog) {
  const auto size = fs::file_size(path("scheduler.db-wal"));
  for (const auto kept : {size - 1, size / 2, uintmax_t{32}, uintmax_t{0}}) {
    SCOPED_TRACE(kept);
    fs::resize_file(path("scheduler.db-wal"), kept);
    ExpectRefused("scheduler.db");
  }
}

TEST_F(DeadStore, IsRefusedWithoutItsDatabase) {
  fs::remove(path("scheduler.db"));
  ExpectRefused("missing, while scheduler.db-wal beside it holds");
  fs::remove(path("scheduler.db-wal"));
  ExpectRefused("the store is gone; the mark beside it says that it had at least 60 records");
}

TEST_F(DeadStore, IsRefusedWhereItsDatabaseIsCutOrDamaged) {
  EXPECT_TRUE(Open().ok());  // which puts the log into the database
  const std::string db = BytesOf(path("scheduler.db"));
  ASSERT_GT(db.size(), 8u * 4096);
  for (const size_t kept : {db.size() - 4096, db.size() / 2 / 4096 * 4096, size_t{4096}}) {
    SCOPED_TRACE(kept);
    WriteBytes(path("scheduler.db"), db.substr(0, kept));
    ExpectRefused("scheduler.db");
  }
  for (size_t page = 0; page * 4096 < db.size(); ++page) {
    SCOPED_TRACE(page);
    std::string bytes = db;
    bytes.replace(page * 4096 + (page == 0 ? 100 : 0), 80, 80, '\x5a');
    WriteBytes(path("scheduler.db"), bytes);
    ExpectRefused("scheduler.db");
  }
}

TEST_F(DeadStore, WithoutItsIndexIsMendedByItself) {
  WriteBytes(path("scheduler.db-shm"), std::string(32'768, 'x'));
  EXPECT_TRUE(Open().ok()) << Open();
}

TEST_F(DeadStore, IsRefusedWithoutItsMark) {
  fs::remove(path("scheduler.mark"));
  ExpectRefused("the mark beside it (scheduler.mark) is missing");
  WriteBytes(path("scheduler.mark"), std::string(1024, 'x'));
  ExpectRefused("neither of its lines is whole");
}

TEST_F(DeadStore, IsRefusedInPlaceOfAnother) {
  TempFolder other;
  {
    auto journal = Journal::Open(other.path());
    testing::RandomHistory history(3);
    history.Turns(200);
    JournalBatch batch{.records = history.records()};
    ASSERT_TRUE((*journal)->Append({&batch}).ok());
  }
  fs::remove(path("scheduler.db-wal"));
  fs::copy_file(StorePath(other.path()), path("scheduler.db"),
                fs::copy_options::overwrite_existing);
  WriteBytes(path("scheduler.db-wal"), "");
  ExpectRefused("is not the one that was here");
}

TEST_F(DeadStore, IsRefusedAsAnOlderCopyOfItself) {
  TempFolder copy;
  for (const char* name : {"scheduler.db", "scheduler.db-wal"})
    fs::copy_file(path(name), copy / name);
  {
    auto journal = Journal::Open(folder_.path());
    ASSERT_TRUE(journal.ok());
    JournalBatch batch{.records = {TermBegun{.at = FromMicros(1), .term = Term(99)}}};
    ASSERT_TRUE((*journal)->Append({&batch}).ok());
  }
  for (const char* name : {"scheduler.db", "scheduler.db-wal"})
    fs::copy_file(copy / name, path(name), fs::copy_options::overwrite_existing);
  ExpectRefused("ends with record 60, but record 61 was acknowledged");
}

// What a power cut leaves of a transaction that nobody was told of.
TEST_F(DeadStore, IsOpenedWithATornTailThatNobodyWasToldOf) {
  const std::string wal = BytesOf(path("scheduler.db-wal"));
  WriteBytes(path("scheduler.db-wal"), wal + wal.substr(32, 3 * (24 + 4096)));
  EXPECT_TRUE(Open().ok()) << Open();
  WriteBytes(path("scheduler.db-wal"), wal + std::string(10'000, '\0'));
  EXPECT_TRUE(Open().ok()) << Open();
}

TEST(StoreCheck, ASnapshotThatLostItsLastPartsIsRefused) {
  TempFolder folder;
  {
    auto journal = Journal::Open(folder.path());
    testing::RandomHistory history(5);
    history.Turns(300);
    JournalBatch batch{.records = history.records()};
    ASSERT_TRUE((*journal)->Append({&batch}).ok());
    auto db = Database::Open(StorePath(folder.path()));
    ASSERT_TRUE(CompactStore(**db, 1 << 20, {}, [] { return true; }).ok());
    ASSERT_TRUE(
        (*db)->Run("DELETE FROM snapshot WHERE part = (SELECT max(part) FROM snapshot)").ok());
  }
  auto journal = Journal::Open(folder.path());
  ASSERT_TRUE(journal.ok()) << journal.status();
  const Status loaded = (*journal)->Load([](ClusterState) {}, [](const Record&) {});
  EXPECT_THAT(MessageOf(loaded), AllOf(HasSubstr("snapshot part"), HasSubstr("is missing")));
}

TEST(StoreCheck, AStoreThatIsBeingMadeIsMadeByTheNextStart) {
  TempFolder folder;
  ASSERT_TRUE(ReplaceMark(folder.path(), {.store = 7}).ok());  // died here
  EXPECT_TRUE(Journal::Open(folder.path()).ok());
  EXPECT_TRUE(Journal::Open(folder.path()).ok());
  EXPECT_EQ(InspectStore(folder.path())->store, 7u);
}

// ---- files that go away under a running scheduler

class GoneFile : public ::testing::TestWithParam<std::string> {};

TEST_P(GoneFile, IsNoticedBeforeAnythingIsAcknowledged) {
  for (const bool replaced : {false, true}) {
    TempFolder folder;
    auto journal = Journal::Open(folder.path());
    ASSERT_TRUE(journal.ok());
    JournalBatch batch{.records = {TermBegun{.at = FromMicros(1), .term = Term(1)}}};
    ASSERT_TRUE((*journal)->Append({&batch}).ok());
    EXPECT_TRUE((*journal)->LookAfter().ok());
    const std::string file = folder / GetParam();
    if (replaced) {
      fs::copy_file(file, file + ".copy");
      fs::rename(file + ".copy", file);
    } else {
      fs::remove(file);
    }
    const Status status = (*journal)->LookAfter();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_THAT(MessageOf(status), HasSubstr(replaced ? "replaced" : "removed"));
    // And all of it is saved.
    EXPECT_THAT(MessageOf(status), HasSubstr("rescued-1.db"));
    EXPECT_EQ(
        *(*Database::OpenFrozen(folder / "rescued-1.db"))->Number("SELECT max(seq) FROM records"),
        1);
    EXPECT_TRUE(absl::IsDataLoss((*journal)->Append({&batch})));
    EXPECT_EQ((*journal)->last_seq(), 1);
  }
}

INSTANTIATE_TEST_SUITE_P(Of, GoneFile,
                         ::testing::Values("scheduler.db", "scheduler.db-wal", "scheduler.db-shm",
                                           "scheduler.mark", "scheduler.lock"),
                         [](const auto& row) {
                           std::string name = row.param;
                           for (char& c : name)
                             if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
                           return name;
                         });

// ---- the mark

TEST(Mark, KeepsWhatItWasTold) {
  TempFolder folder;
  EXPECT_FALSE(ReadMark(folder.path())->has_value());
  ASSERT_TRUE(ReplaceMark(folder.path(), {.store = 5, .jobs_from = 9}).ok());
  auto mark = Mark::Open(folder.path());
  ASSERT_TRUE(mark.ok()) << mark.status();
  for (int64_t seq = 1; seq <= 10; ++seq) {
    ASSERT_TRUE((*mark)->Advance(seq).ok());
    EXPECT_EQ((*ReadMark(folder.path()))->seq, seq);
  }
  ASSERT_TRUE((*mark)->Reserve(1, 0).ok());
  ASSERT_TRUE((*mark)->Reserve(1'000, 7).ok());
  ASSERT_TRUE((*mark)->Advance(4).ok());
  EXPECT_EQ(**ReadMark(folder.path()),
            (MarkFacts{.store = 5, .seq = 10, .jobs = 1'000, .replicas = 1'006, .jobs_from = 9}));
  ASSERT_TRUE((*mark)->Reserve(1'001, 7).ok());
  EXPECT_EQ((*ReadMark(folder.path()))->jobs, 2'000u);
}

// As the first version that had marks wrote them; the second line is of a later one.
TEST(Mark, IsReadAsItWasFirstWritten) {
  TempFolder folder;
  const auto line = [](std::string text) {
    text.resize(511, ' ');
    return text + "\n";
  };
  const std::string first = line(
      "allotrope-mark 1 count=7 store=5 seq=42 jobs=1000 replicas=2000 jobs_from=3 replicas_from=4 "
      "crc=d28440dc");
  const std::string later = line(
      "allotrope-mark 1 count=6 store=5 seq=41 jobs=1000 replicas=2000 jobs_from=3 replicas_from=4 "
      "later=1 "
      "crc=14bbf877");
  WriteBytes(MarkPath(folder.path()), first + later);
  EXPECT_EQ(**ReadMark(folder.path()), (MarkFacts{5, 42, 1'000, 2'000, 3, 4}));
  WriteBytes(MarkPath(folder.path()), std::string(512, '\0') + later);
  EXPECT_EQ((*ReadMark(folder.path()))->seq, 41);
}

// A line that was being written when the power went is not whole; the one before holds, and no
// reservation that was synced is lost with it.
TEST(Mark, SurvivesALineThatIsTorn) {
  TempFolder folder;
  ASSERT_TRUE(ReplaceMark(folder.path(), {.store = 5}).ok());
  auto mark = Mark::Open(folder.path());
  ASSERT_TRUE(mark.ok());
  ASSERT_TRUE((*mark)->Reserve(1, 1).ok());
  for (int64_t seq = 1; seq <= 5; ++seq) {
    const std::string before = BytesOf(MarkPath(folder.path()));
    ASSERT_TRUE((*mark)->Advance(seq).ok());
    const std::string after = BytesOf(MarkPath(folder.path()));
    ASSERT_EQ(after.size(), 1024u);
    size_t first = 0;
    while (before[first] == after[first]) ++first;
    std::string torn = after;
    torn[first / 512 * 512 + 60] ^= 1;
    WriteBytes(folder / "torn", torn);
    fs::create_directories(folder / "t");
    WriteBytes(MarkPath(folder / "t"), torn);
    const auto read = ReadMark(folder / "t");
    ASSERT_TRUE(read.ok() && *read) << read.status();
    EXPECT_EQ((*read)->jobs, 1'000u);
  }
}

// ---- the log, byte by byte

TEST(Wal, TakesAnyBytes) {
  TempFolder folder;
  auto journal = Journal::Open(folder.path());
  JournalBatch batch{.records = {TermBegun{.at = FromMicros(1), .term = Term(1)}}};
  for (int i = 0; i < 5; ++i) ASSERT_TRUE((*journal)->Append({&batch}).ok());
  const std::string wal = BytesOf(StorePath(folder.path()) + "-wal");
  for (size_t kept = 0; kept < wal.size(); kept += 509)
    EXPECT_TRUE(ReadWal(std::string_view(wal).substr(0, kept))->sound()) << kept;
  Rng rng(1);
  for (int i = 0; i < 300; ++i) {
    std::string bytes = wal.substr(0, rng.Below(wal.size()));
    for (int n = 0; n < 20 && !bytes.empty(); ++n)
      bytes[rng.Below(std::min<size_t>(bytes.size(), 64))] = static_cast<char>(rng.Below(256));
    EXPECT_TRUE(ReadWal(bytes).ok());
  }
  EXPECT_TRUE(ReadWal("")->sound());
}

// Transactions that were given up leave frames behind the end, of any age; none of them is damage.
TEST(Wal, WhatWasRolledBackIsNoDamage) {
  TempFolder folder;
  auto db = Database::Open(folder / "x.db");
  ASSERT_TRUE(db.ok());
  ASSERT_TRUE((*db)->Run("CREATE TABLE t (a); PRAGMA cache_size=1; PRAGMA cache_spill=1").ok());
  for (int rows : {300, 100, 200}) {
    ASSERT_TRUE(
        (*db)
            ->Run(fmt::format("BEGIN IMMEDIATE; WITH n(i) AS (SELECT 1 UNION ALL SELECT i+1 "
                              "FROM n WHERE i < {}) INSERT INTO t SELECT randomblob(3000) "
                              "FROM n; ROLLBACK; INSERT INTO t VALUES (1)",
                              rows)
                      .c_str())
            .ok());
    const auto report = ReadWal(BytesOf(folder / "x.db-wal"));
    ASSERT_TRUE(report.ok());
    EXPECT_TRUE(report->sound());
    EXPECT_GT(report->committed, 0);
    EXPECT_LT(report->OffsetOf(report->committed + 1),
              static_cast<int64_t>(fs::file_size(folder / "x.db-wal")));
  }
}

}  // namespace
}  // namespace allot::scheduler
