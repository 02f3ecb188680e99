#include "gateway/request_plane.h"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <random>
#include <utility>

#include "common/base/logging.h"
#include "common/http/text.h"
#include "common/proto/wire.pb.h"

namespace allot::gateway {
namespace {

// Of what the model server answered, not for the client: the gateway frames its own answer.
bool IsOurs(std::string_view name) {
  return name == "content-type" || name == "content-length" || name == "date" || name == "server" ||
         name == "connection" || name == "keep-alive" || name == "transfer-encoding" ||
         name.starts_with("x-allot-");
}

// How much is kept of an event that does not end.
constexpr size_t kPartialMax = 64 << 10;
// Of the beginning of a stream that is looked at before it goes out.
constexpr size_t kFirstEventMax = 4 << 10;
// The longest pause that clients obey.
constexpr Duration kRetryAfterMax = std::chrono::seconds(59);

// How long a model server asks clients to wait, as seconds or a date (RFC 9110 10.2.3), or, as some
// do and the openai clients prefer, in milliseconds.
std::optional<Duration> ParsePause(std::string_view name, const std::string& text, Time now) {
  constexpr Duration kMost = std::chrono::hours(1);
  int64_t number = 0;
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (wrong == std::errc() && end == text.data() + text.size()) {
    if (number < 0) return std::nullopt;
    const Duration unit = name == "retry-after" ? Duration(std::chrono::seconds(1))
                                                : Duration(std::chrono::milliseconds(1));
    return unit * std::min<int64_t>(number, kMost / unit);
  }
  std::tm date{};
  if (name != "retry-after" ||
      strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &date) == nullptr)
    return std::nullopt;
  const Duration left = FromMicros(int64_t{timegm(&date)} * 1'000'000) - now;
  return std::clamp(left, Duration::zero(), kMost);
}

bool IsPause(std::string_view name) { return name == "retry-after" || name == "retry-after-ms"; }

bool Has(const http::Headers& headers, std::string_view name) {
  return std::any_of(headers.begin(), headers.end(), [name](const auto& header) {
    return http::EqualsIgnoreCase(header.first, name);
  });
}

uint64_t FingerprintOf(const Submission& submission) {
  const std::hash<std::string_view> hash;
  return hash(submission.body) ^ (hash(submission.tenant) * 31 + hash(submission.path));
}

// Bytes of one answer that may be on their way to a client that does not take them. What is held
// until it is whole has its own bound, and is let come as fast as the link allows.
constexpr uint64_t kStreamWindow = 256 << 10, kHeldWindow = 4 << 20;

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
  exchange.fingerprint = FingerprintOf(submission);
  if (left_.Has(exchange.fingerprint)) metrics_.Repeated(core_.Serving(submission.request.model));
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
    for (const router::TriedElsewhere& retry : effects_.retries) metrics_.Retried(retry);
    for (const router::ReplicaPutOut& out : effects_.put_out) {
      metrics_.PutOut(out);
      SPDLOG_WARN("replica put out replica={} node={} deployment={} cause={} for={}",
                  ToString(out.replica), out.node, out.deployment, ToString(out.cause),
                  FormatDuration(out.time));
    }
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
  if (!wake.has_value()) return timer_.Stop();
  timer_.After(std::max(*wake - clock_.Now(), Duration::zero()), [this] {
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
  exchange.retry_after.reset();
  exchange.headers.clear();
  exchange.content_type.clear();
  exchange.held.clear();
  exchange.first_byte = false;
  exchange.failed = false;
  exchange.received = 0;
  exchange.granted = submission.request.stream ? kStreamWindow : kHeldWindow;

  wire::ForwardRequest request;
  request.set_request(exchange.wire_id);
  request.set_replica(forward.replica.value());
  request.set_replica_incarnation(forward.replica.incarnation().value());
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
  request.set_window(exchange.granted);
  request.set_timeout(submission.deadline.value_or(options_.answer_timeout).count());
  // A copy: another try needs the bytes again.
  if (!wire_.forward(forward.node, std::move(request), submission.body))
    Feed(router::RequestFailed{forward.id, false, "its node is not linked",
                               router::RequestFailed::Fault::kWay});
}

void RequestPlane::Do(const router::Reject& reject) {
  const auto found = exchanges_.find(reject.id.value());
  if (found == exchanges_.end()) return;
  const Exchange exchange = std::move(exchanges_.extract(found).mapped());
  wire_ids_.erase(exchange.wire_id);
  if (exchange.streaming) {
    if (!exchange.event_stream || exchange.mid_event) return exchange.responder->Abort();
    // A client that takes the end for the end would show half an answer.
    exchange.responder->Write(ErrorEvent(FromReject(reject)));
    return exchange.responder->Cut();
  }
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
    if (IsPause(header.name()))
      exchange->retry_after = ParsePause(header.name(), header.value(), clock_.Now());
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
  exchange.received += piece.size();
  if (!exchange.first_byte) {
    const bool events = IsEventStream(exchange.content_type);
    if (events && exchange.status == 200) {
      // A stream may begin, and end, with an error; that is seen before anything is with the
      // client.
      piece.insert(0, std::exchange(exchange.held, {}));
      const std::string_view data = FirstData(piece);
      if (data.empty() && WholeEvents(piece) == 0 && piece.size() < kFirstEventMax) {
        exchange.held = std::move(piece);
        return true;
      }
      exchange.failed = IsError(data);
    }
    exchange.first_byte = true;
    // Errors are answered whole, whatever was asked for. What streams is the answer's to say: what
    // the request said of it may have been in words of the model server's own.
    const bool streams = exchange.status == 200 && !exchange.failed &&
                         (exchange.submission.request.stream || events);
    Feed(router::FirstByteReceived{id, streams});
    if (!exchanges_.contains(id.value())) return false;  // Its deadline passed in that moment.
    if (streams) StartStream(id, exchange);
  }
  if (exchange.streaming) {
    WriteStream(exchange, std::move(piece));
    GiveCredit(exchange);
    // Of an agent that keeps to no credit.
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
  if (static_cast<int64_t>(exchange.held.size()) <= options_.answer_bytes_max) {
    GiveCredit(exchange);
    return true;
  }
  wire_.cancel(exchange.forward->node, exchange.wire_id);
  Feed(router::RequestFailed{id, true,
                             fmt::format("the answer is longer than {}; ask for a stream",
                                         FormatBytes(options_.answer_bytes_max)),
                             router::RequestFailed::Fault::kRequest});
  return false;
}

void RequestPlane::StartStream(RequestId id, Exchange& exchange) {
  exchange.streaming = true;
  exchange.event_stream = IsEventStream(exchange.content_type);
  exchange.submission.body = std::string();  // There will be no other try.
  AddOurHeaders(id, exchange, &exchange.headers);
  // Proxies that collect an answer before they pass it on would make a stream of it none.
  exchange.headers.emplace_back("X-Accel-Buffering", "no");
  if (!Has(exchange.headers, "cache-control"))
    exchange.headers.emplace_back("Cache-Control", "no-cache");
  exchange.responder->StartStream(exchange.status, std::move(exchange.headers),
                                  exchange.content_type);
  exchange.responder->OnRoom([this, alive = std::weak_ptr(alive_), id] {
    if (alive.expired()) return;
    const auto found = exchanges_.find(id.value());
    if (found != exchanges_.end()) GiveCredit(found->second);
  });
}

// Events go out whole, so that a stream that breaks breaks between two of them.
void RequestPlane::WriteStream(Exchange& exchange, std::string piece) {
  exchange.events.Feed(piece);
  exchange.tail += piece;
  if (exchange.tail.size() > 2 * kUsageTail)
    exchange.tail.erase(0, exchange.tail.size() - kUsageTail);
  if (!exchange.event_stream) return exchange.responder->Write(std::move(piece));
  if (!exchange.partial.empty()) piece = std::exchange(exchange.partial, {}) + piece;
  size_t whole = WholeEvents(piece);
  if (piece.size() - whole > kPartialMax) {
    whole = piece.size();
    exchange.mid_event = true;
  } else if (whole > 0) {
    exchange.mid_event = false;
  }
  exchange.partial = piece.substr(whole);
  piece.resize(whole);
  exchange.responder->Write(std::move(piece));
}

void RequestPlane::GiveCredit(Exchange& exchange) {
  if (!exchange.forward.has_value()) return;
  const uint64_t window = exchange.streaming ? kStreamWindow : kHeldWindow;
  const uint64_t waiting = exchange.streaming ? exchange.responder->Backlog() : 0;
  const uint64_t taken = exchange.received - std::min(exchange.received, waiting);
  // In halves of a window, so that a token is not answered by a grant.
  if (taken + window < exchange.granted + window / 2) return;
  exchange.granted = taken + window;
  wire_.grant(exchange.forward->node, exchange.wire_id, exchange.granted);
}

void RequestPlane::Finish(RequestId id, Exchange& exchange) {
  const bool good = exchange.status >= 200 && exchange.status < 300 && exchange.status != 204;
  if (good && !exchange.streaming && IsNothing(exchange.held))
    return Feed(router::RequestFailed{
        id, false, fmt::format("it answered {} with nothing in it", exchange.status)});
  if (good && !exchange.streaming && IsError(exchange.held)) exchange.failed = true;
  router::RequestCompleted completed{id, exchange.status};
  completed.failed = exchange.failed;
  completed.retry_after = exchange.retry_after;
  const Usage usage = UsageOf(exchange.streaming ? exchange.tail : exchange.held);
  completed.prompt_tokens = usage.prompt_tokens.value_or(0);
  completed.output_tokens =
      usage.completion_tokens.value_or(exchange.streaming ? exchange.events.events() : 0);
  // What a stream without events is, nobody knows.
  completed.nothing = exchange.streaming ? exchange.event_stream && exchange.events.events() == 0
                                         : usage.completion_tokens == 0u;
  completed.held = !exchange.streaming && (exchange.status >= 400 || exchange.failed);
  wire_ids_.erase(exchange.wire_id);
  exchange.energy = core_.EnergySoFar(clock_.Now(), id);
  if (completed.held) return Feed(completed);  // Deliver follows, or another try.
  Exchange done = std::move(exchanges_.extract(id.value()).mapped());
  if (done.streaming) {
    if (!done.partial.empty()) done.responder->Write(std::move(done.partial));
    done.responder->End();
  } else {
    SendHeld(id, done, /*blamed=*/false);
  }
  Feed(completed);
}

void RequestPlane::SendHeld(RequestId id, Exchange& exchange, bool blamed) {
  http::Response response;
  response.status = exchange.status;
  AddOurHeaders(id, exchange, &exchange.headers);
  // A stream's headers leave before anybody can know; its watts are there.
  if (exchange.forward.has_value() && exchange.forward->power > 0)
    exchange.headers.emplace_back(
        "X-Allot-Energy-Joules", fmt::format("{:.3f}", static_cast<double>(exchange.energy) / 1e3));

  if (exchange.status >= 400 && !Has(exchange.headers, "x-should-retry"))
    exchange.headers.emplace_back("X-Should-Retry",
                                  WorthSendingAgain(exchange.status) && !blamed ? "true" : "false");
  // Longer ones are taken for none at all.
  if (exchange.retry_after > kRetryAfterMax)
    for (auto& [name, value] : exchange.headers)
      if (IsPause(name)) value = name == "retry-after" ? "59" : "59000";
  response.headers = std::move(exchange.headers);
  response.body = std::move(exchange.held);
  response.content_type = std::move(exchange.content_type);
  exchange.responder->Send(std::move(response));
}

void RequestPlane::Do(const router::Deliver& deliver) {
  const auto found = exchanges_.find(deliver.id.value());
  if (found == exchanges_.end()) return;
  Exchange done = std::move(exchanges_.extract(found).mapped());
  SendHeld(deliver.id, done, deliver.blamed);
}

// Clients that give up early ask again, and everything is generated anew each time: this makes it
// visible.
void RequestPlane::NoteLeft(const Exchange& exchange) { left_.Add(exchange.fingerprint); }

void RequestPlane::GiveUp(RequestId id, Exchange& exchange) {
  const http::ResponderPtr responder = exchange.responder;
  NoteLeft(exchange);
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
