#include "agent/shell/gateway_link.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <set>

#include "common/base/logging.h"
#include "common/http/text.h"
#include "common/wire/codec.h"

namespace allot::agent {
namespace {

constexpr auto kHelloEvery = std::chrono::seconds(1);
constexpr auto kSilenceMax = std::chrono::seconds(5);
constexpr auto kBackoffMin = std::chrono::milliseconds(200),
               kBackoffMax = std::chrono::milliseconds(5000);

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

GatewayLink::GatewayLink(boost::asio::io_context& loop, transport::Context& context,
                         const GatewayLinks::Options& options, GatewayAddress address,
                         const ServingReplicas& replicas, ForwardCounters& counters)
    : loop_(loop),
      context_(context),
      options_(options),
      address_(std::move(address)),
      replicas_(replicas),
      counters_(counters),
      backoff_(kBackoffMin),
      timer_(loop) {
  Dial();
  Tick();
}

GatewayLink::~GatewayLink() { CancelAll(); }

void GatewayLink::Dial() {
  heard_ = std::chrono::steady_clock::now();
  connected_ = false;
  auto dialled = transport::ClientLink::Dial(
      context_, loop_,
      {.endpoint = address_.endpoint,
       .server_public_key = address_.public_key,
       .keys = options_.keys},
      {.message = [this](transport::ClientLink::Incoming in) { Receive(std::move(in)); },
       .connected =
           [this] {
             connected_ = true;
             SayHello();
           },
       .disconnected = [this](const std::string& why) { Redial(why); }});
  if (dialled.ok()) {
    link_ = *std::move(dialled);
  } else {
    Redial(MessageOf(dialled.status()));
  }
}

void GatewayLink::Redial(const std::string& why) {
  if (connected_) SPDLOG_WARN("lost the gateway endpoint={} why=\"{}\"", address_.endpoint, why);
  connected_ = false;
  CancelAll();
  // The link may be what is calling us, so it is not destroyed under its own feet.
  boost::asio::post(loop_, [this, alive = std::weak_ptr(alive_),
                            link = std::shared_ptr(std::move(link_))]() mutable {
    link.reset();
    if (alive.expired()) return;
    timer_.expires_after(backoff_);
    backoff_ = std::min(backoff_ * 2, kBackoffMax);
    timer_.async_wait([this](boost::system::error_code error) {
      if (error) return;
      Dial();
      Tick();
    });
  });
}

void GatewayLink::Tick() {
  if (link_ == nullptr) return;  // A redial is under way and will tick again.
  if (std::chrono::steady_clock::now() - heard_ > kSilenceMax) return Redial("silent");
  if (connected_) SayHello();
  timer_.expires_after(kHelloEvery);
  timer_.async_wait([this](boost::system::error_code error) {
    if (!error) Tick();
  });
}

void GatewayLink::SayHello() {
  wire::Message message;
  message.mutable_link_hello()->set_node(options_.node);
  Add(std::move(message));
}

void GatewayLink::Receive(transport::ClientLink::Incoming in) {
  heard_ = std::chrono::steady_clock::now();
  size_t next_body = 0;
  for (const wire::Message& message : in.envelope.messages()) {
    switch (message.kind_case()) {
      case wire::Message::kLinkWelcome:
        backoff_ = kBackoffMin;
        break;
      case wire::Message::kForwardRequest:
        // A missing body frame is the gateway's fault; an empty body is what it looks like.
        Start(message.forward_request(),
              next_body < in.bodies.size() ? std::move(in.bodies[next_body]) : std::string());
        ++next_body;
        break;
      case wire::Message::kCancelRequest:
        Cancel(message.cancel_request().request());
        break;
      default:
        break;  // A later version may say more.
    }
  }
}

void GatewayLink::Start(const wire::ForwardRequest& request, std::string body) {
  const uint64_t id = request.request();
  const ReplicaServer* server = replicas_.Find(ReplicaId(request.replica()));
  if (server == nullptr)
    return Fail(id, false,
                fmt::format("replica-{} does not serve on {}", request.replica(), options_.node));
  auto [it, fresh] = forwards_.try_emplace(id);
  if (!fresh) return;  // Said twice; the first is under way.
  if (options_.traffic != nullptr)
    it->second.traffic = options_.traffic->Begin(ReplicaId(request.replica()));
  ++counters_.forwarded;
  ++counters_.in_flight;
  http::ClientRequest out{
      .method = request.method(), .target = request.path(), .headers = {}, .body = std::move(body)};
  for (const wire::Header& header : request.headers())
    out.headers.emplace_back(header.name(), header.value());
  EndHere(&out.headers);
  if (request.timeout() > 0) out.timeout = Duration(request.timeout());
  if (server->endpoint != nullptr) {
    it->second.endpoint =
        std::make_unique<EndpointExchange>(server->endpoint, options_.endpoint_request_done);
    it->second.endpoint->Prepare(&out);
  }
  it->second.call = server->client->Start(
      std::move(out),
      {.head = [this, id](int status,
                          http::Headers headers) { Head(id, status, std::move(headers)); },
       .body = [this, id](std::string piece) { Piece(id, std::move(piece), false); },
       .done = [this, id](const Status& status) { Done(id, status); }});
}

void GatewayLink::Head(uint64_t request, int status, http::Headers headers) {
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

void GatewayLink::Piece(uint64_t request, std::string piece, bool last) {
  const auto it = forwards_.find(request);
  if (it == forwards_.end()) return;
  Forward& forward = it->second;
  forward.traffic.Flowed();
  if (forward.endpoint != nullptr) forward.endpoint->TakePiece(piece);
  // The head waits for the first piece, so that a short answer is one message.
  if (!forward.head_sent) {
    forward.head_sent = true;
    wire::Message message;
    auto* head = message.mutable_response_head();
    head->set_request(request);
    head->set_status(forward.status);
    for (auto& [name, value] : forward.headers) {
      auto* header = head->add_headers();
      header->set_name(std::move(name));
      header->set_value(std::move(value));
    }
    Add(std::move(message), std::move(piece));
    piece.clear();
    if (!last) return;
  }
  wire::Message message;
  message.mutable_response_chunk()->set_request(request);
  message.mutable_response_chunk()->set_last(last);
  Add(std::move(message), std::move(piece));
}

void GatewayLink::Done(uint64_t request, const Status& status) {
  const auto it = forwards_.find(request);
  if (it == forwards_.end()) return;
  if (status.ok()) {
    Piece(request, "", true);
    ++counters_.completed;
    --counters_.in_flight;
  } else {
    Fail(request, it->second.head_sent, MessageOf(status));
    --counters_.in_flight;
  }
  if (it->second.endpoint != nullptr) it->second.endpoint->End(status.ok());
  // The call is what is calling us.
  boost::asio::post(loop_, [call = std::shared_ptr(std::move(it->second.call))] {});
  forwards_.erase(it);
}

void GatewayLink::Fail(uint64_t request, bool started, const std::string& message) {
  ++counters_.failed;
  wire::Message out;
  auto* failed = out.mutable_response_failed();
  failed->set_request(request);
  failed->set_started(started);
  failed->set_message(message);
  Add(std::move(out));
}

void GatewayLink::Cancel(uint64_t request) {
  const auto it = forwards_.find(request);
  if (it == forwards_.end()) return;  // It ended meanwhile.
  if (it->second.call != nullptr) it->second.call->Cancel();
  forwards_.erase(it);
  ++counters_.cancelled;
  --counters_.in_flight;
}

void GatewayLink::CancelAll() {
  while (!forwards_.empty()) Cancel(forwards_.begin()->first);
}

void GatewayLink::Add(wire::Message message) {
  *outbox_.add_messages() = std::move(message);
  if (std::exchange(flush_posted_, true)) return;
  boost::asio::post(loop_, [this, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) Flush();
  });
}

void GatewayLink::Add(wire::Message message, std::string body) {
  bodies_.push_back(std::move(body));
  Add(std::move(message));
}

void GatewayLink::Flush() {
  flush_posted_ = false;
  outbox_.set_version(wire::kProtocolVersion);
  outbox_.set_sequence(++sequence_);
  const bool sent = link_ != nullptr && link_->Send(outbox_, std::move(bodies_));
  outbox_.Clear();
  bodies_.clear();
  // Pieces of an answer must not go missing: with the link full or gone, its requests end.
  if (!sent) CancelAll();
}

}  // namespace allot::agent
