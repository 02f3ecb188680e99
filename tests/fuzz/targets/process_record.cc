// The record of a process: its launch, and the lines of its supervisor. Written by us, and by
// whoever fills the disk, pulls the plug or edits it.
#include <google/protobuf/stubs/logging.h>

#include "agent/runtime/process_record.h"
#include "agent/runtime/progress.h"
#include "common/base/ids.h"
#include "tests/fuzz/fuzz.h"

namespace allot::agent {
namespace {

FUZZ(process_record) {
  const google::protobuf::LogSilencer quiet;
  const std::string_view name = input.substr(0, input.find('\n'));
  if (const std::optional<TaskKey> key = TaskOfProcess(name))
    HOLDS(key->attempt.valid() && key->task.job.valid());
  if (const std::optional<ReplicaStart> start = ReplicaOfProcess(name)) HOLDS(start->id.valid());

  const StatusOr<ProcessRecord> record = ParseRecord(input);
  if (!record.ok()) return fuzz::HoldsOfInnerError(record.status());
  // An agent that starts again writes what it has read, and the next one reads the same.
  const std::string text = FormatLaunch(record->launch, record->boot_id);
  const StatusOr<ProcessRecord> again = ParseRecord(text);
  HOLDS_FOR(again.ok(), MessageOf(again.status()));
  HOLDS(again->launch.port == record->launch.port);
  HOLDS(again->launch.what.index() == record->launch.what.index());
  HOLDS_FOR(again->boot_id == record->boot_id, record->boot_id);
  HOLDS(FormatLaunch(again->launch, again->boot_id).size() == text.size());
  HOLDS(!again->started && !again->running && !again->exit);  // a launch alone was never run
}

}  // namespace
}  // namespace allot::agent
