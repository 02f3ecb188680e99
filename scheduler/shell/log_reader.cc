#include "scheduler/shell/log_reader.h"

#include <algorithm>
#include <utility>

#include "common/asio/timer.h"
#include "common/base/limits.h"
#include "common/wire/codec.h"

namespace allot::scheduler {
namespace {

constexpr uint32_t kPieceBytesMax = 256 << 10, kPieceBytesMin = 16 << 10;
// Heartbeats wait behind what a node has to say, so all its readers share so much of it at a time.
constexpr uint32_t kNodeBytes = 512 << 10;
// On their way to all clients together; with more streams than that has least pieces for, so many.
constexpr uint32_t kAllBytes = limits::kApiLogBytes.value;
constexpr Duration kAnswerTimeout = std::chrono::seconds(15);
constexpr int kTriesMax = 2;  // a question or its answer may be lost once
constexpr Duration kNotYet = std::chrono::milliseconds(200);
constexpr Duration kDrain = std::chrono::milliseconds(50);

}  // namespace

struct LogReader::Stream {
  Stream(boost::asio::io_context& loop, What w, std::string s, http::ResponderPtr r)
      : what(w), sender(std::move(s)), responder(std::move(r)), timer(loop) {}
  const What what;
  const std::string sender;
  const http::ResponderPtr responder;
  int64_t offset = 0;
  bool follow = false, started = false, over = false;
  bool waits_for_room = false;
  uint64_t ticket = 0;
  std::string node;  // asked last
  TaskKey key;       // fixed once found: a later attempt is another log
  int tries = 0;
  Timer timer;
};

LogReader::LogReader(boost::asio::io_context& loop, Pipeline& pipeline, Peers& peers,
                     History& history)
    : loop_(loop), pipeline_(pipeline), peers_(peers), history_(history) {
  peers_.OnLog(
      [this](const std::string& node, wire::LogChunk chunk) { OnChunk(node, std::move(chunk)); });
}

LogReader::~LogReader() { peers_.OnLog(nullptr); }

size_t LogReader::streams(const std::string& sender) const {
  const auto it = of_sender_.find(sender);
  return it == of_sender_.end() ? 0 : it->second;
}

void LogReader::Start(What what, int64_t offset, bool follow, std::string sender,
                      http::ResponderPtr responder) {
  auto stream = std::make_shared<Stream>(loop_, what, std::move(sender), std::move(responder));
  ++of_sender_[stream->sender];
  stream->offset = offset;
  stream->follow = follow;
  stream->ticket = ++last_ticket_;
  streams_[stream->ticket] = stream;
  stream->responder->OnClientGone([this, weak = std::weak_ptr(stream)] {
    if (const auto stream = weak.lock()) Finish(stream);
  });
  stream->responder->OnRoom([this, weak = std::weak_ptr(stream)] {
    const auto stream = weak.lock();
    if (stream == nullptr || !stream->waits_for_room || stream->responder->Backlog() > 0) return;
    Ask(stream);
  });
  Ask(stream);
}

StatusOr<LogReader::Place> LogReader::Find(const What& what) const {
  if (const auto* task = std::get_if<TaskLog>(&what)) return FindTask(*task);
  const ReplicaId id = pipeline_.core().state().Named(std::get<ReplicaId>(what));
  const auto& replicas = pipeline_.core().state().replicas();
  const auto it = replicas.find(id);
  if (it == replicas.end())
    return NotFound("there is no {}; `allot deployments` lists them", ToString(id));
  Place place{.replica = id};
  RETURN_IF_ERROR(Reachable(it->second.placement.node, &place.node));
  return place;
}

StatusOr<LogReader::Place> LogReader::FindTask(const TaskLog& log) const {
  const ClusterState& state = pipeline_.core().state();
  if (const JobState* job = state.FindJob(log.task.job)) return FindTaskOf(*job, log);
  if (log.task.job > state.last_job())
    return NotFound("there is no {}; `allot jobs` lists them", ToString(log.task.job));
  ASSIGN_OR_RETURN(const JobState old, history_.Find(log.task.job));
  return FindTaskOf(old, log);
}

StatusOr<LogReader::Place> LogReader::FindTaskOf(const JobState& job, const TaskLog& log) const {
  if (log.task.index >= job.spec->tasks) {
    return NotFound("{} has tasks 0 to {}", ToString(job.id), job.spec->tasks - 1);
  }
  const Attempt attempt = log.attempt.valid() ? Named(job, log.attempt) : job.attempt;
  if (attempt.value() > job.attempt.value()) {
    return NotFound("{} has had {} attempts", ToString(job.id), job.attempt.value());
  }
  Place place{.key = {log.task, attempt}};
  if (attempt != job.attempt) {
    for (const EarlierAttempt& earlier : job.earlier) {
      if (earlier.attempt != attempt) continue;
      RETURN_IF_ERROR(Reachable(earlier.nodes[log.task.index], &place.node));
      return place;
    }
    return NotFound(
        "{} has had {} attempts, and where attempt {} ran is not remembered; its log stays in that "
        "node's state folder",
        ToString(job.id), job.attempt.value(), attempt.value());
  }
  const bool waiting = job.phase == JobPhase::kPending && !log.attempt.valid();
  if (waiting || job.tasks.empty()) {
    if (job.phase == JobPhase::kFinished) {
      return FailedPrecondition("{} ended before it ran; there is no output", ToString(job.id));
    }
    return absl::AbortedError("it is pending and has no output yet");
  }
  const TaskState& task = job.tasks[log.task.index];
  if (task.phase == TaskPhase::kAssigned && !task.abandoned) {
    return absl::AbortedError("it has not started yet");
  }
  RETURN_IF_ERROR(Reachable(task.placement.node, &place.node));
  return place;
}

Status LogReader::Reachable(NodeId id, std::string* name) const {
  const NodeState* node = pipeline_.core().state().FindNode(id);
  if (node == nullptr) return NotFound("its node is not known");
  *name = node->info->name;
  if (!node->alive) {
    return Unavailable("node {} is lost; its logs are not reachable", node->info->name);
  }
  return absl::OkStatus();
}

void LogReader::Ask(const std::shared_ptr<Stream>& stream) {
  if (stream->over) return;
  stream->waits_for_room = stream->responder->Backlog() > 0;
  if (stream->waits_for_room) return;
  What what = stream->what;
  if (stream->key.attempt.valid()) std::get<TaskLog>(what).attempt = stream->key.attempt;
  StatusOr<Place> place = Find(what);
  if (!place.ok()) {
    if (!absl::IsAborted(place.status())) return Fail(stream, place.status());
    if (stream->follow) return AskAfter(stream, kNotYet);
    return Fail(stream, FailedPrecondition("{}; ask with follow=1 to wait for it",
                                           MessageOf(place.status())));
  }
  stream->node = place->node;
  stream->key = place->key;
  streams_.erase(stream->ticket);  // a new number for each question: late answers are told apart
  stream->ticket = ++last_ticket_;
  streams_[stream->ticket] = stream;
  wire::ReadLog question;
  question.set_ticket(stream->ticket);
  if (place->replica.valid()) {
    question.set_replica(place->replica.value());
    question.set_replica_incarnation(place->replica.incarnation().value());
  } else {
    wire::Encode(place->key, question.mutable_key());
  }
  question.set_offset(stream->offset);
  const auto readers = std::count_if(streams_.begin(), streams_.end(), [&](const auto& entry) {
    return entry.second->node == place->node;
  });
  const uint32_t share = std::min(kNodeBytes / static_cast<uint32_t>(readers),
                                  kAllBytes / static_cast<uint32_t>(streams_.size()));
  question.set_length_max(std::clamp(share, kPieceBytesMin, kPieceBytesMax));
  question.set_wait(stream->follow);
  if (!peers_.Ask(place->node, question)) {
    return Fail(stream, Unavailable("node {} is not connected just now; its logs are not reachable",
                                    place->node));
  }
  stream->timer.After(kAnswerTimeout, [this, weak = std::weak_ptr(stream)] {
    if (const auto stream = weak.lock()) OnSilence(stream);
  });
}

void LogReader::AskAfter(const std::shared_ptr<Stream>& stream, Duration pause) {
  stream->timer.After(pause, [this, weak = std::weak_ptr(stream)] {
    if (const auto stream = weak.lock()) Ask(stream);
  });
}

void LogReader::OnChunk(const std::string& node, wire::LogChunk chunk) {
  const auto it = streams_.find(chunk.ticket());
  if (it == streams_.end() || it->second->node != node) return;  // given up, or not the one asked
  const std::shared_ptr<Stream> stream = it->second;
  stream->timer.Stop();
  stream->tries = 0;
  if (!chunk.error().empty()) {
    return Fail(stream, NotFound("node {}: {}", node, chunk.error()));
  }
  if (!std::exchange(stream->started, true)) {
    // Proxies that collect an answer before they pass it on would hold lines back.
    stream->responder->StartStream(200,
                                   {{"X-Accel-Buffering", "no"}, {"Cache-Control", "no-cache"}},
                                   "text/plain; charset=utf-8");
  }
  const bool empty = chunk.data().empty();
  if (!empty) {
    stream->offset = chunk.offset() + static_cast<int64_t>(chunk.data().size());
    stream->responder->Write(std::move(*chunk.mutable_data()));
  }
  if (chunk.ended() || (empty && !stream->follow)) {
    stream->responder->End();
    return Finish(stream);
  }
  // An agent that has nothing answers at once or after a while, as it likes.
  empty ? AskAfter(stream, kDrain) : Ask(stream);
}

void LogReader::OnSilence(const std::shared_ptr<Stream>& stream) {
  if (++stream->tries < kTriesMax) return Ask(stream);
  Fail(stream, DeadlineExceeded("node {} does not answer", stream->node));
}

void LogReader::Fail(const std::shared_ptr<Stream>& stream, const Status& why) {
  if (stream->over) return;
  if (stream->started) {
    stream->responder->Abort();  // a truncated answer is all HTTP leaves us to say
  } else {
    stream->responder->Send(http::ErrorResponse(why));
  }
  Finish(stream);
}

void LogReader::Finish(const std::shared_ptr<Stream>& stream) {
  if (std::exchange(stream->over, true)) return;
  if (const auto of = of_sender_.find(stream->sender); --of->second == 0) of_sender_.erase(of);
  stream->timer.Stop();
  streams_.erase(stream->ticket);
}

}  // namespace allot::scheduler
