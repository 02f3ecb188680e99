#include "agent/runtime/process_record.h"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <vector>

#include "agent/supervisor/protocol.h"
#include "common/wire/codec.h"

namespace allot::agent {
namespace {

constexpr std::string_view kMagic = "allot-process 1 ";
// Where the supervisor's lines go shall be allocated when the launch is, so that a full disk
// cannot lose an exit: keep them in the launch's last block.
constexpr size_t kBlock = 4096, kLinesMax = 4 * allot::supervisor::kLineMax;

std::string_view TakeWord(std::string_view* text) {
  while (text->starts_with(' ')) text->remove_prefix(1);
  const std::string_view word = text->substr(0, text->find(' '));
  text->remove_prefix(word.size());
  return word;
}

template <class T>
bool TakeNumber(std::string_view* text, T* number) {
  const std::string_view word = TakeWord(text);
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), *number);
  return error == std::errc() && end == word.data() + word.size();
}

bool TakeTime(std::string_view* text, Time* time) {
  int64_t micros = 0;
  if (!TakeNumber(text, &micros)) return false;
  *time = FromMicros(micros);
  return true;
}

const std::vector<std::string>* CommandOf(const ProcessLaunch& launch,
                                          const std::string** work_dir) {
  return std::visit(
      [&](const auto& start) {
        *work_dir = &start.launch.work_dir;
        return &start.launch.command;
      },
      launch.what);
}

// Errors that say something of the machine and nothing of the path or program that was named: it
// has run out of something, or a disk or a server of files does not answer.
bool OfTheMachine(int error) {
  switch (error) {
    case EAGAIN:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case ENOSPC:
    case EDQUOT:
    case EIO:
    case EROFS:
    case ESTALE:
    case ENXIO:
    case ENODEV:
    case ENOTCONN:
    case ECONNREFUSED:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ETIMEDOUT:
    case EREMOTEIO:
      return true;
    default:
      return false;
  }
}

// As shells have it: 127 for what is not there, 126 for what is and cannot be run.
int CodeOf(std::string_view step, int error) {
  if (step == "interpreter" || step == "crlf") return 126;
  return step == "command" && error != ENOENT && error != ENOTDIR && !OfTheMachine(error) ? 126
                                                                                          : 127;
}

std::string WhyNotRun(const std::string& command, std::string_view step, int error,
                      std::string_view interpreter) {
  if (step == "crlf")
    return fmt::format(
        "its lines end in CR LF, so its interpreter would be \"{}\\r\"; convert it with dos2unix "
        "or sed -i 's/\\r$//'",
        interpreter);
  if (step == "interpreter")
    return interpreter.empty()
               ? "it is there, but the program that loads it is not; was it made for another "
                 "system?"
               : fmt::format("it is there, but its interpreter {} is not", interpreter);
  switch (error) {
    case ENOENT:
      return command.find('/') == std::string::npos
                 ? "there is no such program in PATH (No such file or directory)"
                 : strerror(error);
    case EACCES:
      return "it is there, but it may not be run (Permission denied); is it a program, and has it "
             "the x bit?";
    case ENOEXEC:
      return "it is neither a program for this machine nor a script with a #! line (Exec format "
             "error)";
    default:
      return strerror(error);
  }
}

// What a person's rights do not reach is not explained by the path alone. `user` is "UID:GID".
std::string WhyNotReached(int error, std::string_view user) {
  const std::string_view uid = user.substr(0, user.find(':'));
  if (uid.empty() || (error != EACCES && error != EPERM)) return strerror(error);
  return fmt::format(
      "{} for the user it runs as (uid {}); open it to that user, or see `users` in the agent's "
      "config",
      strerror(error), uid);
}

// `detail`: the interpreter, or the user.
std::string WhyFailed(const ProcessLaunch& launch, std::string_view step, int error,
                      std::string_view detail) {
  const std::string* work_dir = nullptr;
  const std::vector<std::string>* words = CommandOf(launch, &work_dir);
  if (step == "log") return fmt::format("cannot write the log of the process: {}", strerror(error));
  if (step == "work_dir" && work_dir->empty())
    return fmt::format("cannot enter its scratch folder: {}", strerror(error));
  if (step == "work_dir")
    return fmt::format("cannot enter the work_dir {}: {}", *work_dir, WhyNotReached(error, detail));
  if (step == "start") {
    const auto* task = std::get_if<StartTask>(&launch.what);
    std::string what;
    if (task != nullptr && task->launch.checkpoint_dir_named)
      what += fmt::format("its checkpoint_dir {} or ", task->launch.checkpoint_dir);
    if (!work_dir->empty()) what += fmt::format("its work_dir {} or ", *work_dir);
    return fmt::format(
        "it did not run within a minute: {}the program \"{}\" does not answer; is a file server "
        "away?",
        what, words->empty() ? "" : words->front());
  }
  if (step == "checkpoint_dir") {
    const auto* task = std::get_if<StartTask>(&launch.what);
    return fmt::format("cannot make the checkpoint_dir {}: {}",
                       task != nullptr ? task->launch.checkpoint_dir : "",
                       WhyNotReached(error, detail));
  }
  if (step == "user")
    return fmt::format("cannot become the user it is to run as ({}): {}", detail, strerror(error));
  if (step == "tmp") return fmt::format("cannot give it a /tmp of its own: {}", strerror(error));
  if (step == "lease") return "its lease was over before it ran (at_most_one)";
  if (step == "setup")
    return "its supervisor is of a build before the agent's and cannot start it as it is to run";
  if (step == "limits") return fmt::format("cannot set its limits: {}", strerror(error));
  if (step == "cgroup")
    return fmt::format("cannot start a process in its cgroup: {}", strerror(error));
  const std::string command = words->empty() ? "" : words->front();
  return fmt::format("cannot run \"{}\": {}", command,
                     step == "command" && error == EACCES && !detail.empty()
                         ? WhyNotReached(error, detail)
                         : WhyNotRun(command, step, error, detail));
}

// A path or program that is named wrongly is so on every node. What the agent sets up for a process
// is ours.
ExitCause CauseOf(const ProcessLaunch& launch, std::string_view step, int error) {
  const std::string* work_dir = nullptr;
  (void)CommandOf(launch, &work_dir);
  const auto* task = std::get_if<StartTask>(&launch.what);
  // Without a work_dir it is the scratch folder, which we have made. A checkpoint_dir that the job
  // has not named is the cluster's.
  if (step == "lease") return ExitCause::kLeaseEnded;
  const bool clusters =
      step == "checkpoint_dir" && task != nullptr && !task->launch.checkpoint_dir_named;
  const bool ours = clusters || step == "log" || step == "cgroup" || step == "tmp" ||
                    step == "limits" || step == "user" || step == "setup" || step == "start" ||
                    (step == "work_dir" && work_dir->empty());
  return ours || OfTheMachine(error) ? ExitCause::kNotStarted : ExitCause::kTask;
}

}  // namespace

std::string FormatLaunch(const ProcessLaunch& launch, std::string_view boot_id) {
  wire::Message message;
  std::visit([&](const auto& start) { wire::Encode(SchedulerMessage(start), &message); },
             launch.what);
  const std::string bytes = message.SerializeAsString();
  std::string text = fmt::format("{}{} {}{}{}\n", kMagic, bytes.size(), launch.port,
                                 boot_id.empty() ? "" : " ", boot_id);
  text += bytes;
  text += '\n';
  const size_t used = text.size() % kBlock;
  if (used == 0 || used > kBlock - kLinesMax) text.append(kBlock - used + 1, '\n');
  return text;
}

void ParseSupervisorLines(std::string_view lines, ProcessRecord* record) {
  for (size_t end; (end = lines.find('\n')) != lines.npos; lines.remove_prefix(end + 1)) {
    std::string_view line = lines.substr(0, end);
    const std::string_view kind = TakeWord(&line);
    if (kind == "starting") {
      record->started = true;
    } else if (kind == "running") {
      ProcessRecord::Running running;
      if (TakeNumber(&line, &running.supervisor_pid) && TakeNumber(&line, &running.pid) &&
          TakeTime(&line, &running.at))
        record->running = running;
    } else if (kind == "lease") {
      record->lease_ended = true;
    } else if (kind == "exit") {
      TaskExit exit;
      int clean = 1;
      if (!TakeNumber(&line, &exit.code) || !TakeNumber(&line, &exit.signal) ||
          !TakeTime(&line, &exit.started) || !TakeTime(&line, &exit.finished) ||
          !TakeNumber(&line, &clean))
        continue;
      if (record->lease_ended) {
        exit.cause = ExitCause::kLeaseEnded;
        exit.message = "its lease was not renewed in time (at_most_one), so it was ended";
      }
      if (clean == 0) exit.message = "processes it left behind do not die, even of SIGKILL";
      record->exit = std::move(exit);
    } else if (kind == "failed") {
      const std::string_view step = TakeWord(&line);
      int error = 0;
      TaskExit exit;
      if (!TakeNumber(&line, &error) || !TakeTime(&line, &exit.finished)) continue;
      exit.code = CodeOf(step, error);
      exit.started = exit.finished;
      exit.message = WhyFailed(record->launch, step, error, TakeWord(&line));
      exit.cause = CauseOf(record->launch, step, error);
      record->exit = std::move(exit);
    }
  }
}

StatusOr<ProcessRecord> ParseRecord(std::string_view content) {
  if (!content.starts_with(kMagic)) return InvalidArgument("it is not a record of a process");
  content.remove_prefix(kMagic.size());
  const size_t end = content.find('\n');
  if (end == content.npos) return InvalidArgument("its first line is cut off");
  std::string_view header = content.substr(0, end);
  content.remove_prefix(end + 1);
  ProcessRecord record;
  size_t size = 0;
  if (!TakeNumber(&header, &size) || !TakeNumber(&header, &record.launch.port))
    return InvalidArgument("its first line does not give a size and a port");
  record.boot_id = TakeWord(&header);
  if (content.size() < size) return InvalidArgument("its launch is cut off");
  wire::Message message;
  if (!message.ParseFromArray(content.data(), static_cast<int>(size)))
    return InvalidArgument("its launch is not a message");
  ASSIGN_OR_RETURN(SchedulerMessage decoded, wire::DecodeSchedulerMessage(message));
  if (auto* task = std::get_if<StartTask>(&decoded)) {
    record.launch.what = std::move(*task);
  } else if (auto* replica = std::get_if<StartReplica>(&decoded)) {
    record.launch.what = std::move(*replica);
  } else {
    return InvalidArgument("its launch is neither of a task nor of a replica");
  }
  ParseSupervisorLines(content.substr(size), &record);
  return record;
}

TaskExit SupervisorKilled(const ProcessRecord& record, Time now) {
  TaskExit exit{.signal = 9, .message = "supervisor killed", .cause = ExitCause::kSupervisorLost};
  exit.started = record.running ? record.running->at : now;
  exit.finished = std::max(now, exit.started);
  return exit;
}

namespace {
// What is left of a process's name after its numbers: nothing, or the incarnation of those.
std::optional<Incarnation> IncarnationAt(const char* from, const char* end) {
  if (from == end) return Incarnation();
  if (*from != '.') return std::nullopt;
  return ParseIncarnation({from + 1, end});
}
}  // namespace

std::optional<TaskKey> TaskOfProcess(std::string_view id) {
  const size_t first = id.find('.');
  if (first == id.npos) return std::nullopt;
  const std::optional<JobId> job = ParseJobId(id.substr(0, first));
  std::string_view rest = id.substr(first + 1);
  uint32_t index = 0, attempt = 0;
  const char* end = rest.data() + rest.size();
  const auto [dot, error] = std::from_chars(rest.data(), end, index);
  if (!job || error != std::errc() || dot == end || *dot != '.') return std::nullopt;
  const auto [stop, error2] = std::from_chars(dot + 1, end, attempt);
  if (error2 != std::errc() || attempt == 0) return std::nullopt;
  const std::optional<Incarnation> incarnation = IncarnationAt(stop, end);
  if (!incarnation) return std::nullopt;
  return TaskKey{{*job, index}, Attempt(attempt, *incarnation)};
}

std::optional<ReplicaStart> ReplicaOfProcess(std::string_view id) {
  const size_t dot = id.find('.');
  if (dot == id.npos) return std::nullopt;
  const std::optional<ReplicaId> replica = ParseReplicaId(id.substr(0, dot));
  uint32_t start = 0;
  const char* end = id.data() + id.size();
  const auto [stop, error] = std::from_chars(id.data() + dot + 1, end, start);
  if (!replica || error != std::errc()) return std::nullopt;
  const std::optional<Incarnation> incarnation = IncarnationAt(stop, end);
  if (!incarnation) return std::nullopt;
  return ReplicaStart{ReplicaId(replica->value(), *incarnation), start};
}

}  // namespace allot::agent
