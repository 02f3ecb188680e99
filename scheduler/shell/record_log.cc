#include "scheduler/shell/record_log.h"

#include "common/base/text.h"

namespace allot::scheduler {
namespace {

std::string NameOf(const ClusterState& state, NodeId id) {
  const NodeState* node = state.FindNode(id);
  return node != nullptr ? node->info->name : fmt::format("node-{}", id.value());
}

std::string PlaceOf(const ClusterState& state, NodeId id, const std::string& device) {
  std::string place = "node=" + NameOf(state, id);
  if (!device.empty()) place += " device=" + Quoted(device, 128);
  return place;
}

struct Teller {
  const ClusterState& state;

  template <class R>
  std::optional<LogLine> operator()(const R&) const {
    return std::nullopt;
  }
  std::optional<LogLine> operator()(const NodeRegistered& r) const {
    std::string text =
        fmt::format("node registered node={} epoch={} address={} version={}", r.info->name,
                    r.epoch.value(), Quoted(r.info->address, 80), Quoted(r.info->version, 40));
    for (const std::string& why : r.info->unfit) text += " unfit=" + Quoted(why);
    return LogLine{!r.info->unfit.empty(), std::move(text)};
  }
  std::optional<LogLine> operator()(const NodeLost& r) const {
    return LogLine{true, fmt::format("node lost node={} epoch={}; it was not heard for the lease, "
                                     "and what ran on it goes elsewhere",
                                     NameOf(state, r.node), r.epoch.value())};
  }
  std::optional<LogLine> operator()(const NodeDrainSet& r) const {
    return LogLine{false, fmt::format("node {} node={}", r.drain ? "draining" : "undrained",
                                      NameOf(state, r.node))};
  }
  std::optional<LogLine> operator()(const JobRequeued& r) const {
    const JobState* job = state.FindJob(r.job);
    std::string text =
        fmt::format("job requeued job={} reason={}", ToString(r.job), ToString(r.reason));
    if (job != nullptr) {
      text += fmt::format(" attempt={}", job->attempt.value());
      if (const std::string blame = BlameOf(state, *job); !blame.empty())
        text += " first=" + Quoted(blame);
    }
    if (r.not_before > r.at) text += fmt::format(" pause={}", FormatDuration(r.not_before - r.at));
    return LogLine{r.reason != RequeueReason::kTaskFailed, std::move(text)};
  }
  std::optional<LogLine> operator()(const DeviceQuarantined& r) const {
    return LogLine{true, fmt::format("quarantined {} strikes={} why={}",
                                     PlaceOf(state, r.node, r.device), r.strikes, Quoted(r.why))};
  }
  std::optional<LogLine> operator()(const DeviceOnProbation& r) const {
    return LogLine{false, "on probation " + PlaceOf(state, r.node, r.device)};
  }
  std::optional<LogLine> operator()(const DeviceCleared& r) const {
    return LogLine{false, "back in service " + PlaceOf(state, r.node, r.device)};
  }
  std::optional<LogLine> operator()(const RegistrationRefused& n) const {
    return LogLine{true, fmt::format("registration refused node={} reason={} why={}",
                                     Quoted(n.node, 80), ToString(n.reason), Quoted(n.message))};
  }
  std::optional<LogLine> operator()(const CutOff& n) const {
    return LogLine{true,
                   fmt::format("no node was heard for {}: this scheduler seems to be cut off; "
                               "leases stand still until one is heard",
                               FormatDuration(n.silent))};
  }
  std::optional<LogLine> operator()(const ForeignWork& n) const {
    return LogLine{
        true,
        fmt::format("work of another life of the store node={} incarnation={} tasks={} replicas={}: "
                    "the store was restored or made anew, or the node served another; what this "
                    "scheduler does not know is ended there",
                    n.node, ToString(n.incarnation), n.tasks, n.replicas)};
  }
  std::optional<LogLine> operator()(const TaskUnanswered& n) const {
    return LogLine{true, fmt::format("task taken back node={} task={}: the node is heard, but did "
                                     "not say within {} that it has it",
                                     n.node, ToString(n.key), FormatDuration(n.after))};
  }
};

}  // namespace

std::string Quoted(std::string_view text, size_t length_max) {
  const std::string valid = ReplaceInvalidUtf8(text);
  std::string out = "\"";
  for (size_t i = 0; i < valid.size(); ++i) {
    const auto c = static_cast<unsigned char>(valid[i]);
    // Never through the middle of a character.
    if (out.size() > length_max && (c & 0xC0) != 0x80) {
      out += "…";
      break;
    }
    // U+0080 to U+009F are controls too, and U+2028 and U+2029 end lines.
    const bool c1 =
        c == 0xC2 && i + 1 < valid.size() && static_cast<unsigned char>(valid[i + 1]) < 0xA0;
    const bool separator = c == 0xE2 && valid.compare(i, 2, "\xE2\x80") == 0 &&
                           i + 2 < valid.size() &&
                           (valid[i + 2] == '\xA8' || valid[i + 2] == '\xA9');
    if (c == '"' || c == '\\') {
      out += '\\';
      out += valid[i];
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c < 0x20 || c == 0x7F) {
      out += fmt::format("\\x{:02x}", c);
    } else if (c1) {
      out += fmt::format("\\u00{:02x}", static_cast<unsigned char>(valid[++i]));
    } else if (separator) {
      out += valid[i + 2] == '\xA8' ? "\\u2028" : "\\u2029";
      i += 2;
    } else {
      out += valid[i];
    }
  }
  return out + "\"";
}

std::string BlameOf(const ClusterState& state, const JobState& job) {
  if (!job.failed_rank || *job.failed_rank >= job.tasks.size()) return "";
  const TaskState& task = job.tasks[*job.failed_rank];
  if (!task.exit) return "";
  const TaskExit& exit = *task.exit;
  std::string how = exit.message;
  if (how.empty())
    how = exit.signal != 0 ? fmt::format("signal {}", exit.signal)
                           : fmt::format("exit code {}", exit.code);
  return fmt::format("task {} on {}: {}", *job.failed_rank, NameOf(state, task.placement.node),
                     how);
}

std::optional<LogLine> LineOf(const Record& record, const ClusterState& state) {
  return std::visit(Teller{state}, record);
}

std::optional<LogLine> LineOf(const Note& note) {
  static const ClusterState kNone;
  return std::visit(Teller{kNone}, note);
}

}  // namespace allot::scheduler
