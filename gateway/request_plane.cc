#include "gateway/request_plane.h"

#include <algorithm>
#include <random>
#include <utility>

#include "common/base/logging.h"
#include "common/proto/wire.pb.h"

namespace allot::gateway {
namespace {

// Of what the model server answered, not for the client: the gateway frames its own answer.
bool IsOurs(std::string_view name) {
  return name == "content-type" || name == "content-length" || name == "date" || name == "server" ||
         name == "connection" || name == "keep-alive" || name == "transfer-encoding" ||
         name.starts_with("x-allot-");
}

uint64_t SeedOr(uint64_t seed) { return seed != 0 ? seed : std::random_device()(); }

}  // namespace

RequestPlane::RequestPlane(boost::asio::io_context& loop, const GatewayClock& clock,
                           Metrics& metrics, Options options, Wire wire)
    : loop_(loop),
      clock_(clock),
      metrics_(metrics),
      options_(options),
      wire_(std::move(wire)),
      core_(router::CoreOptions{.seed = SeedOr(options.seed)}),
      // Numbers of an earlier life are not given out again: agents and logs may remember them.
      last_id_(static_cast<uint64_t>(ToMicros(clock.Now())) << 12),
      timer_(loop) {}

RequestPlane::~RequestPlane() = default;

RequestId RequestPlane::NewId() { return RequestId(++last_id_); }

RequestId RequestPlane::Submit(Submission submission, http::ResponderPtr responder) {
  const RequestId id = NewId();
  router::RequestArrived arrived;
  arrived.id = id;
  arrived.model = submission.request.model;
  arrived.tenant = submission.tenant;
  arrived.priority = submission.priority;
  if (submission.deadline.has_value()) arrived.deadline = clock_.Now() + *submission.deadline;
  arrived.prompt_tokens = submission.request.prompt_tokens;
  arrived.output_tokens_max = submission.request.output_tokens_max;
  arrived.stream = submission.request.stream;

  responder->OnClientGone([this, alive = std::weak_ptr(alive_), id] {
    if (alive.expired()) return;
    const auto found = exchanges_.find(id.value());
    if (found == exchanges_.end()) return;
    GiveUp(id, found->second);
  });
  Exchange& exchange = exchanges_[id.value()];
  exchange.submission = std::move(submission);
  exchange.responder = std::move(responder);
  Feed(std::move(arrived));
  return id;
}

void RequestPlane::TakeRoutes(std::shared_ptr<const RouteTable> table) {
  Feed(router::RoutesReceived{std::move(table)});
}
void RequestPlane::Linked(const std::string& node) { Feed(router::NodeLinked{node}); }
void RequestPlane::Unlinked(const std::string& node) { Feed(router::NodeUnlinked{node}); }

// Performing a command may cause the next event (a node that turns out to be gone); it waits its
// turn, as the core is not to be called from within its own commands.
void RequestPlane::Feed(router::Event event) {
  events_.push_back(std::move(event));
  if (std::exchange(feeding_, true)) return;
  while (!events_.empty()) {
    const router::Event next = std::move(events_.front());
    events_.pop_front();
    effects_.Clear();
    const bool arrival = std::holds_alternative<router::RequestArrived>(next);
    const Duration before = clock_.SinceStart();
    core_.Step(clock_.Now(), next, effects_);
    if (arrival) metrics_.Decided(clock_.SinceStart() - before);
    const std::vector<router::Command> commands = std::move(effects_.commands);
    const std::vector<router::RequestEnded> ended = std::move(effects_.ended);
    for (const router::RequestEnded& request : ended) metrics_.Ended(request);
    for (const router::Command& command : commands)
      std::visit([this](const auto& c) { Do(c); }, command);
  }
  feeding_ = false;
  ArmTimer();
}

void RequestPlane::ArmTimer() {
  const std::optional<Time> wake = core_.NextWakeup();
  if (wake == armed_) return;
  armed_ = wake;
  timer_.cancel();
  if (!wake.has_value()) return;
  timer_.expires_after(std::max(*wake - clock_.Now(), Duration::zero()));
  timer_.async_wait([this](boost::system::error_code cancelled) {
    if (cancelled) return;
    armed_.reset();
    Feed(router::ClockTicked{});
  });
}

void RequestPlane::Do(const router::Forward& forward) {
  const auto found = exchanges_.find(forward.id.value());
  if (found == exchanges_.end()) return;
  Exchange& exchange = found->second;
  const Submission& submission = exchange.submission;
  metrics_.Routed(forward);
  wire_ids_.erase(exchange.wire_id);
  // Every try has a number of its own, so that a late answer of an earlier one is told apart.
  exchange.wire_id = forward.tries == 1 ? forward.id.value() : NewId().value();
  wire_ids_[exchange.wire_id] = forward.id.value();
  exchange.forward = forward;
  exchange.status = 0;
  exchange.headers.clear();
  exchange.held.clear();
  exchange.first_byte = false;

  wire::ForwardRequest request;
  request.set_request(exchange.wire_id);
  request.set_replica(forward.replica.value());
  request.set_method("POST");
  request.set_path(submission.path);
  for (const auto& [name, value] : submission.headers) {
    wire::Header* header = request.add_headers();
    header->set_name(name);
    header->set_value(value);
  }
  wire::Header* header = request.add_headers();
  header->set_name("x-allot-request-id");
  header->set_value(ToString(forward.id));
  request.set_timeout(submission.deadline.value_or(options_.answer_timeout).count());
  // A copy: another try needs the bytes again.
  if (!wire_.forward(forward.node, std::move(request), submission.body))
    Feed(router::RequestFailed{forward.id, false, "its node is not linked"});
}

void RequestPlane::Do(const router::Reject& reject) {
  const auto found = exchanges_.find(reject.id.value());
  if (found == exchanges_.end()) return;
  Exchange exchange = std::move(found->second);
  wire_ids_.erase(exchange.wire_id);
  exchanges_.erase(found);
  if (exchange.streaming) return exchange.responder->Abort();
  http::Response response = ToResponse(FromReject(reject));
  AddOurHeaders(reject.id, exchange, &response.headers);
  exchange.responder->Send(std::move(response));
}

void RequestPlane::Do(const router::CancelForward& cancel) {
  const auto found = exchanges_.find(cancel.id.value());
  if (found == exchanges_.end()) return;
  wire_.cancel(cancel.node, found->second.wire_id);
  wire_ids_.erase(found->second.wire_id);
}

RequestPlane::Exchange* RequestPlane::Answering(const std::string& node, uint64_t wire_id,
                                                RequestId* id) {
  const auto known = wire_ids_.find(wire_id);
  if (known == wire_ids_.end()) return nullptr;
  const auto found = exchanges_.find(known->second);
  if (found == exchanges_.end() || !found->second.forward.has_value() ||
      found->second.forward->node != node)
    return nullptr;
  *id = RequestId(known->second);
  return &found->second;
}

void RequestPlane::OnHead(const std::string& node, wire::ResponseHead head, std::string body) {
  RequestId id;
  Exchange* exchange = Answering(node, head.request(), &id);
  // Nobody waits for it any more; the replica has better things to do.
  if (exchange == nullptr) return wire_.cancel(node, head.request());
  if (exchange->status != 0) return;  // Said twice.
  exchange->status = head.status() >= 200 && head.status() <= 599 ? head.status() : 502;
  for (wire::Header& header : *head.mutable_headers()) {
    if (header.name() == "content-type") exchange->content_type = header.value();
    if (!IsOurs(header.name()))
      exchange->headers.emplace_back(std::move(*header.mutable_name()),
                                     std::move(*header.mutable_value()));
  }
  TakePiece(id, *exchange, std::move(body));  // The last thing: the exchange may be gone then.
}

void RequestPlane::OnChunk(const std::string& node, const wire::ResponseChunk& chunk,
                           std::string body) {
  RequestId id;
  Exchange* exchange = Answering(node, chunk.request(), &id);
  if (exchange == nullptr) {
    if (!chunk.last()) wire_.cancel(node, chunk.request());
    return;
  }
  if (exchange->status == 0) {
    wire_.cancel(node, chunk.request());
    return Feed(router::RequestFailed{id, false, "it sent a piece before its head"});
  }
  if (!body.empty() && !TakePiece(id, *exchange, std::move(body))) return;
  if (chunk.last()) Finish(id, *exchange);
}

void RequestPlane::OnFailed(const std::string& node, const wire::ResponseFailed& failed) {
  RequestId id;
  const Exchange* exchange = Answering(node, failed.request(), &id);
  if (exchange == nullptr) return;
  Feed(router::RequestFailed{id, exchange->streaming, failed.message()});
}

bool RequestPlane::TakePiece(RequestId id, Exchange& exchange, std::string piece) {
  if (piece.empty()) return true;
  if (!std::exchange(exchange.first_byte, true)) {
    Feed(router::FirstByteReceived{id});
    if (!exchanges_.contains(id.value())) return false;  // Its deadline passed in that moment.
    // Errors are answered whole, whatever was asked for.
    if (exchange.submission.request.stream && exchange.status == 200) {
      exchange.streaming = true;
      exchange.submission.body = std::string();  // There will be no other try.
      AddOurHeaders(id, exchange, &exchange.headers);
      exchange.responder->StartStream(exchange.status, std::move(exchange.headers),
                                      exchange.content_type);
    }
  }
  if (exchange.streaming) {
    exchange.events.Feed(piece);
    exchange.responder->Write(std::move(piece));
    if (exchange.responder->Backlog() <= options_.backlog_bytes_max) return true;
    SPDLOG_WARN("client is too slow request={}", ToString(id));
    metrics_.SlowClient();
    GiveUp(id, exchange);
    return false;
  }
  if (exchange.held.empty()) {
    exchange.held = std::move(piece);
  } else {
    exchange.held += piece;
  }
  if (static_cast<int64_t>(exchange.held.size()) <= options_.answer_bytes_max) return true;
  wire_.cancel(exchange.forward->node, exchange.wire_id);
  Feed(router::RequestFailed{id, true,
                             fmt::format("the answer is longer than {}; ask for a stream",
                                         FormatBytes(options_.answer_bytes_max))});
  return false;
}

void RequestPlane::Finish(RequestId id, Exchange& exchange) {
  Exchange done = std::move(exchange);
  wire_ids_.erase(done.wire_id);
  exchanges_.erase(id.value());
  router::RequestCompleted completed{id, done.status, 0};
  completed.output_tokens = done.streaming ? done.events.events() : CompletionTokens(done.held);
  if (done.streaming) {
    done.responder->End();
  } else {
    http::Response response;
    response.status = done.status;
    AddOurHeaders(id, done, &done.headers);
    // A stream's headers leave before anybody can know; its watts are there.
    if (done.forward.has_value() && done.forward->power > 0) {
      const MilliJoule energy = core_.EnergySoFar(clock_.Now(), id);
      done.headers.emplace_back("X-Allot-Energy-Joules",
                                fmt::format("{:.3f}", static_cast<double>(energy) / 1e3));
    }
    response.headers = std::move(done.headers);
    response.body = std::move(done.held);
    response.content_type = std::move(done.content_type);
    done.responder->Send(std::move(response));
  }
  Feed(completed);
}

void RequestPlane::GiveUp(RequestId id, Exchange& exchange) {
  const http::ResponderPtr responder = exchange.responder;
  Feed(router::ClientGone{id});  // cancels at the agent
  exchanges_.erase(id.value());
  responder->Abort();
}

void RequestPlane::AddOurHeaders(RequestId id, const Exchange& exchange,
                                 http::Headers* headers) const {
  headers->emplace_back("X-Allot-Request-Id", ToString(id));
  if (!exchange.forward.has_value()) return;
  const router::Forward& f = *exchange.forward;
  headers->emplace_back("X-Allot-Node", f.node);
  headers->emplace_back("X-Allot-Replica", ToString(f.replica));
  headers->emplace_back("X-Allot-Device", f.device_model);
  headers->emplace_back("X-Allot-Device-Kind", ToString(f.kind));
  headers->emplace_back("X-Allot-Emulated", f.emulated ? "true" : "false");
  headers->emplace_back("X-Allot-Price-Usd-Per-Hour",
                        fmt::format("{:.6f}", f.price.dollars_per_hour()));
  if (f.power > 0)
    headers->emplace_back("X-Allot-Power-Watts",
                          fmt::format("{:.3f}", static_cast<double>(f.power) / 1e3));
  headers->emplace_back("X-Allot-Predicted-Ms",
                        fmt::format("{:.3f}", static_cast<double>(f.predicted.count()) / 1e3));
  headers->emplace_back("X-Allot-Policy", core_.routes().policy_name);
  headers->emplace_back("X-Allot-Reason", ToString(f.reason));
}

}  // namespace allot::gateway
