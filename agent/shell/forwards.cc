#include "agent/shell/forwards.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <set>

#include "common/base/text.h"
#include "common/http/text.h"

namespace allot::agent {
namespace {

// Of one answer, read from its model server and not on its way: twice what one read may bring.
constexpr uint64_t kAnswerHeldMax = 64 << 10;
// What gateways may have this node hold of bodies that are not whole yet.
constexpr uint64_t kBodyMax = 64 << 20, kBodiesMax = 256 << 20;
// Messages are heard of when they are whole, so a slow path gets them in smaller envelopes.
constexpr uint64_t kEnvelopeBytesMax = 64 << 10;

// Headers of one connection do not belong to the next (RFC 9110, 7.6.1): those that are known to be
// its own, and those that "Connection" names. Names are in lower case.
void EndHere(http::Headers* headers) {
  std::set<std::string, std::less<>> named;
  for (const auto& [name, value] : *headers) {
    if (name != "connection") continue;
    std::string word;
    for (const char c : value + ",") {
      if (c == ',') {
        http::ToLower(&word);
        named.insert(std::exchange(word, ""));
      } else if (c != ' ' && c != '\t') {
        word += c;
      }
    }
  }
  std::erase_if(*headers, [&named](const auto& header) {
    return http::IsConnectionHeader(header.first) || named.contains(header.first);
  });
}

}  // namespace

Forwards::Forwards(const GatewayLinks::Options& options, const ServingReplicas& replicas,
                   ForwardCounters& counters, boost::asio::io_context& loop,
                   std::function<void()> changed)
    : options_(options),
      replicas_(replicas),
      counters_(counters),
      loop_(loop),
      changed_(std::move(changed)) {}

Forwards::~Forwards() { CancelAll(); }

void Forwards::Begin(bool pieces) {
  CancelAll();
  pieces_ = pieces;
  sender_ = transport::PieceSender(pieces);
  refusals_.clear();
}

// ---- there --------------------------------------------------------------------------------------

void Forwards::Start(const wire::ForwardRequest& request, std::string body) {
  const uint64_t id = request.request();
  if (forwards_.contains(id) || arriving_.contains(id)) return;  // Said twice.
  if (request.body_bytes() <= body.size()) return Forth(request, std::move(body));
  if (request.body_bytes() > kBodyMax)
    return Refuse(id, fmt::format("its body has {} bytes; this node takes {}", request.body_bytes(),
                                  kBodyMax));
  if (arriving_bytes_ + request.body_bytes() > kBodiesMax)
    return Refuse(id, fmt::format("{} is receiving bodies of {} bytes already", options_.node,
                                  arriving_bytes_));
  arriving_bytes_ += request.body_bytes();
  arriving_.emplace(id, Arriving{request, std::move(body)});
}

void Forwards::More(uint64_t request, std::string piece) {
  const auto it = arriving_.find(request);
  if (it == arriving_.end()) return;  // Cancelled or refused meanwhile.
  const uint64_t whole = it->second.request.body_bytes();
  if (it->second.body.size() + piece.size() > whole) {
    DropArriving(it);
    return Refuse(request, "its body is longer than was said");
  }
  it->second.body += piece;
  if (it->second.body.size() < whole) return;
  Arriving arrived = std::move(it->second);
  arrived.request.set_body_bytes(whole);
  DropArriving(it);
  Forth(arrived.request, std::move(arrived.body));
}

void Forwards::DropArriving(std::map<uint64_t, Arriving>::iterator it) {
  arriving_bytes_ -= it->second.request.body_bytes();
  arriving_.erase(it);
}

void Forwards::Forth(const wire::ForwardRequest& request, std::string body) {
  const uint64_t id = request.request();
  const ReplicaId replica =
      replicas_.Named(ReplicaId(request.replica(), Incarnation(request.replica_incarnation())));
  const ReplicaServer* server = replicas_.Find(replica);
  if (server == nullptr)
    return Refuse(id, fmt::format("{} does not serve on {}", ToString(replica), options_.node));
  Forward& forward = forwards_[id];
  if (options_.traffic != nullptr) forward.traffic = options_.traffic->Begin(replica);
  ++counters_.forwarded;
  ++counters_.in_flight;
  sender_.Open(
      id, pieces_ && request.window() > 0 ? request.window() : transport::PieceSender::kAnyCredit);
  http::ClientRequest out{
      .method = request.method(), .target = request.path(), .headers = {}, .body = std::move(body)};
  for (const wire::Header& header : request.headers())
    out.headers.emplace_back(header.name(), header.value());
  EndHere(&out.headers);
  if (request.timeout() > 0) out.timeout = Duration(request.timeout());
  if (server->endpoint != nullptr) {
    forward.endpoint =
        std::make_unique<EndpointExchange>(server->endpoint, options_.endpoint_request_done);
    forward.endpoint->Prepare(&out);
  }
  forward.call = server->client->Start(
      std::move(out),
      {.head = [this, id](int status,
                          http::Headers headers) { Head(id, status, std::move(headers)); },
       .body = [this, id](std::string piece) { Piece(id, std::move(piece)); },
       .done = [this, id](const Status& status) { Done(id, status); }});
}

// ---- and back -----------------------------------------------------------------------------------

void Forwards::Head(uint64_t request, int status, http::Headers headers) {
  const auto it = forwards_.find(request);
  if (it == forwards_.end()) return;
  Forward& forward = it->second;
  forward.traffic.Flowed();
  EndHere(&headers);
  if (forward.endpoint != nullptr) {
    if (const Status ours = forward.endpoint->TakeHead(status, &headers); !ours.ok()) {
      forward.call->Cancel();  // The rest of it is nobody's.
      return Done(request, ours);
    }
  }
  forward.status = status;
  forward.headers = std::move(headers);
}

void Forwards::Piece(uint64_t request, std::string piece) {
  const auto it = forwards_.find(request);
  if (it == forwards_.end()) return;
  Forward& forward = it->second;
  forward.traffic.Flowed();
  if (forward.endpoint != nullptr) forward.endpoint->TakePiece(piece);
  sender_.Push(request, std::move(piece));
  if (!forward.held && sender_.waiting(request) >= kAnswerHeldMax) {
    forward.held = true;
    forward.call->Hold(true);
  }
  changed_();
}

void Forwards::Done(uint64_t request, const Status& status) {
  const auto it = forwards_.find(request);
  if (it == forwards_.end()) return;
  Forward& forward = it->second;
  forward.over = true;
  --counters_.in_flight;
  if (forward.endpoint != nullptr) forward.endpoint->End(status.ok());
  // It is at the model server no more, though its answer may still be on its way.
  forward.traffic = {};
  // The call is what is calling us.
  boost::asio::post(loop_, [call = std::shared_ptr(std::move(forward.call))] {});
  if (status.ok()) {
    ++counters_.completed;
    sender_.End(request);
    return changed_();
  }
  if (!forward.head_sent) {  // Nobody has seen anything of it: another replica may be tried.
    sender_.Drop(request);
    forwards_.erase(it);
    return Refuse(request, MessageOf(status));
  }
  ++counters_.failed;
  forward.failed = MessageOf(status);
  sender_.End(request);
  changed_();
}

void Forwards::Refuse(uint64_t request, const std::string& message) {
  ++counters_.failed;
  auto* failed = refusals_.emplace_back().mutable_response_failed();
  failed->set_request(request);
  failed->set_message(message);
  changed_();
}

void Forwards::Cancel(uint64_t request) {
  if (const auto it = arriving_.find(request); it != arriving_.end()) DropArriving(it);
  const auto it = forwards_.find(request);
  if (it == forwards_.end()) return;  // It ended meanwhile.
  if (it->second.call != nullptr) it->second.call->Cancel();
  if (!it->second.over) {
    ++counters_.cancelled;
    --counters_.in_flight;
  }
  forwards_.erase(it);
  sender_.Drop(request);
}

void Forwards::CancelAll() {
  while (!forwards_.empty()) Cancel(forwards_.begin()->first);
  arriving_.clear();
  arriving_bytes_ = 0;
}

bool Forwards::Fill(Duration now, wire::Envelope* envelope, transport::Bodies* bodies) {
  for (wire::Message& refusal : refusals_) *envelope->add_messages() = std::move(refusal);
  refusals_.clear();
  const uint64_t most = std::clamp<uint64_t>(sender_.pacer().window() / 4,
                                             transport::kPieceBytesMax, kEnvelopeBytesMax);
  for (uint64_t bytes = 0; bytes < most || !pieces_;) {
    std::optional<transport::PieceSender::Piece> piece = sender_.Next(now);
    if (!piece.has_value()) return false;
    bytes += piece->bytes.size();
    Say(*std::move(piece), envelope, bodies);
  }
  return true;
}

void Forwards::Say(transport::PieceSender::Piece piece, wire::Envelope* envelope,
                   transport::Bodies* bodies) {
  const auto it = forwards_.find(piece.stream);
  if (it == forwards_.end()) return;
  Forward& forward = it->second;
  if (forward.held && sender_.waiting(piece.stream) < kAnswerHeldMax / 2) {
    forward.held = false;
    if (forward.call != nullptr) forward.call->Hold(false);
  }
  // The head waits for the first piece, so that a short answer is one message.
  const bool first = !std::exchange(forward.head_sent, true);
  if (first) {
    auto* head = envelope->add_messages()->mutable_response_head();
    head->set_request(piece.stream);
    head->set_status(forward.status);
    for (auto& [name, value] : forward.headers) {
      auto* header = head->add_headers();
      header->set_name(pieces_ ? std::move(name) : ReplaceInvalidUtf8(name));
      header->set_value(pieces_ ? std::move(value) : ReplaceInvalidUtf8(value));
    }
    bodies->push_back(std::move(piece.bytes));
    piece.bytes.clear();
  }
  const bool ends_well = piece.last && !forward.failed.has_value();
  if (ends_well || !piece.bytes.empty()) {
    auto* chunk = envelope->add_messages()->mutable_response_chunk();
    chunk->set_request(piece.stream);
    chunk->set_last(ends_well);
    bodies->push_back(std::move(piece.bytes));
  }
  if (!piece.last) return;
  if (forward.failed.has_value()) {
    auto* failed = envelope->add_messages()->mutable_response_failed();
    failed->set_request(piece.stream);
    failed->set_started(true);
    failed->set_message(*forward.failed);
  }
  forwards_.erase(it);
}

}  // namespace allot::agent
