#include "scheduler/shell/journal_thread.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "common/base/thread.h"

namespace allot::scheduler {

JournalThread::JournalThread(std::unique_ptr<Journal> journal, Options options, Listener listener)
    : options_(options),
      listener_(std::move(listener)),
      journal_(std::move(journal)),
      thread_(StartThread([this] { Run(); })) {}

JournalThread::~JournalThread() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

uint64_t JournalThread::Push(JournalBatch batch) {
  uint64_t ticket;
  {
    std::lock_guard lock(mutex_);
    waiting_records_.fetch_add(batch.records.size(), std::memory_order_relaxed);
    queue_.push_back(std::move(batch));
    ticket = ++pushed_;
  }
  wake_.notify_one();
  return ticket;
}

Status JournalThread::Drain() {
  std::unique_lock lock(mutex_);
  const uint64_t goal = pushed_, failed = attempts_failed_;
  hurry_ = true;
  wake_.notify_one();
  written_.wait(lock, [&] { return durable_ >= goal || attempts_failed_ > failed; });
  return durable_ >= goal ? absl::OkStatus() : last_error_;
}

void JournalThread::WithJournal(std::function<void(Journal&)> f) {
  {
    std::lock_guard lock(mutex_);
    calls_.push_back(std::move(f));
    hurry_ = true;
  }
  wake_.notify_one();
}

void JournalThread::Run() {
  std::unique_lock lock(mutex_);
  auto pause = options_.retry_min;
  for (;;) {
    const bool woken = wake_.wait_for(lock, options_.look_after_every, [this] {
      return stop_ || !queue_.empty() || !calls_.empty();
    });
    if (stop_) return;
    if (!woken) {
      lock.unlock();
      if (Status status = journal_->LookAfter(); !status.ok()) listener_.failed(status);
      lock.lock();
      continue;
    }
    while (!calls_.empty()) {
      auto call = std::move(calls_.front());
      calls_.pop_front();
      lock.unlock();
      call(*journal_);
      lock.lock();
    }
    if (queue_.empty()) continue;
    hurry_ = false;
    if (WriteOnce(lock)) {
      pause = options_.retry_min;
      continue;
    }
    wake_.wait_for(lock, pause, [this] { return stop_ || hurry_; });
    pause = std::min(pause * 2, options_.retry_max);
  }
}

bool JournalThread::WriteOnce(std::unique_lock<std::mutex>& lock) {
  // A deque's elements stay where they are while others are pushed behind them, and only this
  // thread pops, so the batches can be read without the lock and are still there after a failure.
  std::vector<const JournalBatch*> taken;
  size_t records = 0;
  for (const JournalBatch& batch : queue_) {
    if (!taken.empty() && records + batch.records.size() > options_.merge_records_max) break;
    taken.push_back(&batch);
    records += batch.records.size();
  }
  lock.unlock();
  const auto before = std::chrono::steady_clock::now();
  Status status = journal_->Append(taken);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - before;
  if (status.ok()) {
    listener_.committed(took.count(), records);
  } else {
    listener_.failed(status);
  }
  lock.lock();
  if (!status.ok()) {
    last_error_ = std::move(status);
    ++attempts_failed_;
    written_.notify_all();
    return false;
  }
  std::vector<JournalBatch> done;  // destroyed without the lock
  for (size_t i = 0; i < taken.size(); ++i) {
    done.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  durable_ += done.size();
  waiting_records_.fetch_sub(records, std::memory_order_relaxed);
  const uint64_t ticket = durable_;
  written_.notify_all();
  lock.unlock();
  listener_.durable(ticket, journal_->last_seq(), journal_->wal_pages());
  lock.lock();
  return true;
}

}  // namespace allot::scheduler
