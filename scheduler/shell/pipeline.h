// The one way from events to the outside: Step, then the journal, then the commands.
//
// Every command, reply and answer that shows durable state is prepared when its step ran (so it
// tells exactly what was decided then) and performed only after the records of that step, and of
// every step before it, are on disk. Whatever becomes ready in one turn of the loop is one batch.
//
// Degraded: the journal cannot be written. Nothing is acknowledged, new work is refused, and the
// batch is tried again until it succeeds; then all goes on as if it had only been slow.
//
// Belongs to the loop's thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "common/asio/timer.h"
#include "scheduler/core/core.h"
#include "scheduler/shell/census.h"
#include "scheduler/shell/clock.h"
#include "scheduler/shell/compactor.h"
#include "scheduler/shell/journal_thread.h"
#include "scheduler/shell/metrics.h"
#include "scheduler/shell/record_log.h"

namespace allot::scheduler {

class Pipeline {
 public:
  using Action = absl::AnyInvocable<void()>;
  // How commands reach the outside. The `prepare` functions are called right after the step and
  // return what to do once it is durable (may be empty).
  struct Outside {
    std::function<Action(SendToAgent)> prepare_send;
    std::function<Action(std::shared_ptr<const RouteTable>)> prepare_routes;
    std::function<Action(const Reply&)> prepare_reply;
    std::function<Action(JobId)> prepare_job_ended;
    std::function<void()> performed;  // a run of actions is over: send what was gathered
  };
  struct Options {
    std::string state_dir;
    CoreOptions core;
    CompactionOptions compaction;
    JournalThread::Options journal;
    Duration history_kept = std::chrono::hours(24 * 90);  // finished jobs, for look-ups
    PolicyPtr first_policy;                // applied when the store is empty; may be null
    size_t waiting_records_max = 200'000;  // not durable; beyond it new work is refused
    std::function<Time()> machine_clock = MachineTime;
    // The files of the store are gone (DataLoss): nothing will be durable any more. On the loop.
    std::function<void(const Status& why)> lost = [](const Status&) {};
  };

  // Opens the store and loads it; changes nothing in it.
  static StatusOr<std::unique_ptr<Pipeline>> Open(boost::asio::io_context& loop, Options options,
                                                  Metrics& metrics);
  ~Pipeline();  // like a crash: what is not durable is lost. See Stop.

  // Begins a new term and makes that durable; then events may come. Once, before the loop runs, and
  // last of all: a start that fails (a port in use) must not cost a term.
  Status Begin(Outside outside);
  Status Stop();  // waits until all that was decided is durable

  void Feed(const Event& event);
  // After everything decided so far is durable; at once when it already is.
  void WhenDurable(Action action);

  // Why new work is refused just now, or OK.
  Status Accepting() const;
  const std::optional<Status>& degraded() const { return degraded_; }

  const Core& core() const { return core_; }
  const JobCensus& census() const { return census_; }
  Time Now() const { return clock_->Now(); }
  // How far the machine's clock is past ours: it was set since, or held at the start.
  Duration ClockOffset() const { return options_.machine_clock() - Now(); }
  size_t waiting_records() const { return journal_->waiting_records(); }
  JournalThread& journal() { return *journal_; }

 private:
  struct Unsynced {
    uint64_t ticket;
    std::vector<Action> actions;
  };
  Pipeline(boost::asio::io_context& loop, Options options, Metrics& metrics);
  Status Load();
  void WarnOfClock(Time machine) const;
  Status BeginTerm();
  Status StartCompactor();
  void StartJournal();
  void Keep(Effects& effects);
  void Count(const Record& record);
  void Log(const std::optional<LogLine>& line);
  void Prepare(Command& command);
  void FlushSoon();
  void Flush();
  void Perform(std::vector<Action>& actions);
  void Durable(uint64_t ticket);
  void ArmTimer();

  boost::asio::io_context& loop_;
  const Options options_;
  Metrics& metrics_;
  Outside outside_;
  Core core_;
  JobCensus census_;
  ClockStart start_;
  std::optional<ShellClock> clock_;
  Effects effects_;
  JournalBatch batch_;           // decided, not yet given to the journal
  std::vector<Action> actions_;  // to perform after batch_
  std::deque<Unsynced> unsynced_;
  bool flush_posted_ = false, tick_posted_ = false;
  std::string last_line_;  // of the log, by Log
  std::optional<Status> degraded_;
  Timer timer_;
  std::optional<Time> armed_;
  // Posted closures hold it weakly: they may run after we are gone.
  std::shared_ptr<Pipeline*> self_;
  std::unique_ptr<Journal> store_;  // until Begin; then it is the journal thread's
  std::unique_ptr<Compactor> compactor_;
  std::unique_ptr<JournalThread> journal_;  // last: its thread calls the compactor
};

}  // namespace allot::scheduler
