// Nothing is acknowledged before it is on disk; a full disk delays, it never loses.
#include <condition_variable>
#include <future>
#include <mutex>

#include "gtest/gtest.h"
#include "scheduler/shell/journal_thread.h"
#include "tests/unit/scheduler_shell/support.h"

namespace allot::scheduler {
namespace {

using testing::RandomHistory;
using testing::TempFolder;

// What the listener heard, and a way to wait for more.
class Heard {
 public:
  JournalThread::Listener Listener() {
    return {
        .durable = [this](uint64_t ticket, int64_t, int64_t) { Note([&] { durable_ = ticket; }); },
        .failed = [this](const Status&) { Note([&] { ++failures_; }); },
        .committed = [this](double, size_t) { Note([&] { ++commits_; }); }};
  }
  void WaitForDurable(uint64_t ticket) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return durable_ >= ticket; });
  }
  void WaitForFailures(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return failures_ >= count; });
  }
  uint64_t durable() {
    std::lock_guard lock(mutex_);
    return durable_;
  }
  int commits() {
    std::lock_guard lock(mutex_);
    return commits_;
  }

 private:
  template <class F>
  void Note(F f) {
    std::lock_guard lock(mutex_);
    f();
    changed_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t durable_ = 0;
  int failures_ = 0, commits_ = 0;
};

std::unique_ptr<Journal> Open(const std::string& folder) {
  auto journal = Journal::Open(folder);
  EXPECT_TRUE(journal.ok()) << journal.status();
  return *std::move(journal);
}

size_t CountRecords(const std::string& folder) {
  size_t count = 0;
  EXPECT_TRUE(Open(folder)->Load([](ClusterState) {}, [&](const Record&) { ++count; }).ok());
  return count;
}

std::vector<JournalBatch> Batches(int turns) {
  RandomHistory history(3);
  history.Turns(turns);
  std::vector<JournalBatch> batches;
  for (const Record& record : history.records()) batches.push_back({.records = {record}});
  return batches;
}

TEST(JournalThread, TellsThatABatchIsDurableOnlyWhenItIs) {
  TempFolder folder;
  Heard heard;
  std::vector<JournalBatch> batches = Batches(50);
  const size_t count = batches.size();
  {
    JournalThread thread(Open(folder.path()), {}, heard.Listener());
    uint64_t last = 0;
    for (JournalBatch& batch : batches) last = thread.Push(std::move(batch));
    EXPECT_EQ(last, count);
    heard.WaitForDurable(last);
  }
  EXPECT_EQ(CountRecords(folder.path()), count);
}

TEST(JournalThread, MergesWhatWaitsIntoOneTransaction) {
  TempFolder folder;
  Heard heard;
  JournalThread thread(Open(folder.path()), {}, heard.Listener());
  std::promise<void> entered, go;
  thread.WithJournal([&](Journal&) {
    entered.set_value();
    go.get_future().wait();
  });
  entered.get_future().wait();
  uint64_t last = 0;
  for (JournalBatch& batch : Batches(50)) last = thread.Push(std::move(batch));
  go.set_value();
  heard.WaitForDurable(last);
  EXPECT_EQ(heard.commits(), 1);
}

TEST(JournalThread, KeepsAndRetriesWhatAFullDiskRefused) {
  TempFolder folder;
  Heard heard;
  size_t count = 0;
  {
    JournalThread thread(Open(folder.path()), {.retry_min = std::chrono::milliseconds(1)},
                         heard.Listener());
    thread.WithJournal([](Journal& journal) { EXPECT_TRUE(journal.SetPagesMax(1).ok()); });
    uint64_t last = 0;
    for (JournalBatch& batch : Batches(400)) {
      last = thread.Push(std::move(batch));
      ++count;
    }
    heard.WaitForFailures(3);
    EXPECT_LT(heard.durable(), last);
    EXPECT_FALSE(thread.Drain().ok());
    EXPECT_GT(thread.waiting_records(), 0u);
    thread.WithJournal([](Journal& journal) { EXPECT_TRUE(journal.SetPagesMax(0).ok()); });
    heard.WaitForDurable(last);
    EXPECT_TRUE(thread.Drain().ok());
    EXPECT_EQ(thread.waiting_records(), 0u);
  }
  EXPECT_EQ(CountRecords(folder.path()), count);
}

}  // namespace
}  // namespace allot::scheduler
