#include "agent/shell/log_server.h"

#include <algorithm>

#include "agent/runtime/log_file.h"
#include "common/base/text.h"
#include "common/wire/codec.h"

namespace allot::agent {
namespace {

constexpr uint32_t kPieceBytesMax = 1 << 20;
constexpr auto kLookEvery = std::chrono::milliseconds(100);
constexpr auto kWaitMax = std::chrono::seconds(5);
constexpr size_t kWaitingMax = 1000;

}  // namespace

LogServer::LogServer(boost::asio::io_context& loop, const StateFolder& folder, const Work& work,
                     Answer answer)
    : folder_(folder), work_(work), answer_(std::move(answer)), timer_(loop) {}

void LogServer::Read(const wire::ReadLog& question) {
  const bool hold = question.wait() && waiting_.size() < kWaitingMax;
  if (TryAnswer(question, !hold)) return;
  waiting_.push_back({question, std::chrono::steady_clock::now() + kWaitMax});
  if (!looking_) Look();
}

bool LogServer::TryAnswer(const wire::ReadLog& question, bool last_chance) {
  wire::LogChunk chunk;
  chunk.set_ticket(question.ticket());
  chunk.set_offset(std::max<int64_t>(question.offset(), 0));
  ProcessId id;
  if (question.replica() != 0) {
    const ReplicaId replica(question.replica(), Incarnation(question.replica_incarnation()));
    if (const auto remote = work_.RemoteOf(replica); remote != nullptr) {
      chunk.set_error(fmt::format("{} is served by {}, which keeps its logs to itself",
                                  ToString(replica), ToString(remote->endpoint->url)));
      answer_(std::move(chunk));
      return true;
    }
    id = work_.LastOf(replica);
  } else if (const StatusOr<TaskKey> key = wire::Decode(question.key()); key.ok()) {
    id = ProcessOf(*key);
  } else {
    chunk.set_error(ReplaceInvalidUtf8(fmt::format("whose log? {}", MessageOf(key.status()))));
    answer_(std::move(chunk));
    return true;
  }
  // Looked at before the bytes: what an ended process wrote is all there.
  const bool alive = work_.Alive(id);
  const size_t bytes_max = std::clamp<uint32_t>(question.length_max(), 1, kPieceBytesMax);
  StatusOr<LogPiece> piece =
      ReadLogPiece(folder_.LogFolder(), StateFolder::LogName(id), question.offset(), bytes_max);
  if (!piece.ok()) {
    chunk.set_error(ReplaceInvalidUtf8(MessageOf(piece.status())));
    answer_(std::move(chunk));
    return true;
  }
  if (piece->data.empty() && alive && !last_chance) return false;
  chunk.set_offset(piece->offset);
  chunk.set_ended(!alive && piece->data.size() < bytes_max);
  chunk.set_data(std::move(piece->data));
  answer_(std::move(chunk));
  return true;
}

void LogServer::Look() {
  const auto now = std::chrono::steady_clock::now();
  for (auto it = waiting_.begin(); it != waiting_.end();)
    it = TryAnswer(it->question, now >= it->until) ? waiting_.erase(it) : std::next(it);
  looking_ = !waiting_.empty();
  if (!looking_) return;
  timer_.After(kLookEvery, [this] { Look(); });
}

}  // namespace allot::agent
