// A node's links to gateways, over real sockets: the gateways and the model server are the test's.
#include "agent/shell/gateway_links.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "common/http/server.h"
#include "common/transport/link.h"
#include "common/wire/codec.h"

namespace allot::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const ReplicaId kServed(3);

// What a gateway has heard of one request.
struct Answer {
  int status = 0;
  std::map<std::string, std::string> headers;
  std::vector<std::string> pieces;
  bool last = false;
  std::optional<wire::ResponseFailed> failed;
};

class FakeGateway {
 public:
  FakeGateway(transport::Context& context, boost::asio::io_context& loop)
      : context_(context), loop_(loop) {
    EXPECT_TRUE(Listen("tcp://127.0.0.1:0"));
    address_ = {link_->endpoint(), keys_.public_key};
  }
  bool Listen(const std::string& endpoint) {
    auto link =
        transport::ServerLink::Listen(context_, loop_, {.endpoint = endpoint, .keys = keys_},
                                      [this](transport::ServerLink::Incoming in) { Take(in); });
    if (link.ok()) link_ = *std::move(link);
    return link.ok();
  }
  void HangUp() { link_.reset(); }
  const GatewayAddress& address() const { return address_; }

  void Ask(uint64_t request, std::string body, const http::Headers& headers = {},
           ReplicaId replica = kServed) {
    wire::Envelope envelope;
    auto* out = envelope.add_messages()->mutable_forward_request();
    out->set_request(request);
    out->set_replica(replica.value());
    out->set_method("POST");
    out->set_path("/v1/completions");
    for (const auto& [name, value] : headers) {
      auto* header = out->add_headers();
      header->set_name(name);
      header->set_value(value);
    }
    link_->Send(peer_, envelope, {std::move(body)});
  }
  void Cancel(uint64_t request) {
    wire::Envelope envelope;
    envelope.add_messages()->mutable_cancel_request()->set_request(request);
    link_->Send(peer_, envelope);
  }

  // A part of a request whose body comes in pieces.
  void AskInPieces(uint64_t request, uint64_t window, std::vector<std::string> pieces,
                   uint64_t body_bytes) {
    for (size_t i = 0; i < pieces.size(); ++i) {
      wire::Envelope envelope;
      if (i == 0) {
        auto* out = envelope.add_messages()->mutable_forward_request();
        out->set_request(request);
        out->set_replica(kServed.value());
        out->set_method("POST");
        out->set_path("/v1/completions");
        out->set_window(window);
        out->set_body_bytes(body_bytes);
      } else {
        envelope.add_messages()->mutable_request_chunk()->set_request(request);
      }
      link_->Send(peer_, envelope, {std::move(pieces[i])});
    }
  }
  void Grant(uint64_t request, uint64_t total) {
    wire::Envelope envelope;
    envelope.add_messages()->mutable_grant()->set_request(request);
    envelope.mutable_messages(0)->mutable_grant()->set_bytes(total);
    link_->Send(peer_, envelope);
  }
  void Take(uint64_t total) {
    wire::Envelope envelope;
    envelope.add_messages()->mutable_taken()->set_bytes(total);
    link_->Send(peer_, envelope);
  }
  void More(uint64_t request, std::string piece) {
    wire::Envelope envelope;
    envelope.add_messages()->mutable_request_chunk()->set_request(request);
    link_->Send(peer_, envelope, {std::move(piece)});
  }
  // As after a silence: what was linked is not, until the token comes back.
  void Forget() { token_ = 77; }

  std::vector<std::string> hellos;
  std::vector<wire::PathProbe> probes;
  std::set<uint64_t> incarnations;
  std::map<uint64_t, Answer> answers;
  uint64_t taken = 0;
  int tokens_back = 0;
  size_t largest_envelope = 0;  // bytes of bodies
  bool old = false;             // a build that knows of no probes, tokens, pieces
  bool loses_large = false;     // the path does
  bool acknowledge = false;     // what arrives, from now on

 private:
  void Welcome(const transport::ServerLink::Incoming& in, const wire::LinkHello& hello) {
    hellos.push_back(hello.node());
    if (hello.token() == token_) ++tokens_back;
    incarnations.insert(hello.incarnation());
    EXPECT_EQ(in.envelope.incarnation(), hello.incarnation());
    wire::Envelope envelope;
    auto* welcome = envelope.add_messages()->mutable_link_welcome();
    welcome->set_gateway("g1");
    if (!old) {
      welcome->set_incarnation(hello.incarnation());
      welcome->set_pieces(true);
      welcome->set_linked(hello.token() == token_);
      if (!welcome->linked()) welcome->set_token(token_);
    }
    link_->Send(peer_, envelope);
  }
  void Take(transport::ServerLink::Incoming& in) {
    peer_ = in.peer;
    size_t next_body = 0, bytes = 0;
    for (const std::string& body : in.bodies) bytes += body.size();
    largest_envelope = std::max(largest_envelope, bytes);
    arrived_ += bytes;
    if (acknowledge) Take(arrived_);
    for (const wire::Message& message : in.envelope.messages()) {
      if (message.has_path_probe()) {
        probes.push_back(message.path_probe());
        wire::Envelope envelope;
        auto* echo = envelope.add_messages()->mutable_path_echo();
        echo->set_nonce(message.path_probe().nonce());
        echo->set_padding(message.path_probe().padding());
        const bool large = !message.path_probe().padding().empty();
        if (!old && !(loses_large && large)) link_->Send(peer_, envelope);
      } else if (message.has_link_hello()) {
        Welcome(in, message.link_hello());
      } else if (message.has_taken()) {
        taken = message.taken().bytes();
      } else if (message.has_response_head()) {
        const wire::ResponseHead& head = message.response_head();
        Answer& answer = answers[head.request()];
        answer.status = head.status();
        for (const wire::Header& header : head.headers())
          answer.headers[header.name()] = header.value();
        answer.pieces.push_back(in.bodies.at(next_body++));
      } else if (message.has_response_chunk()) {
        Answer& answer = answers[message.response_chunk().request()];
        answer.last = message.response_chunk().last();
        answer.pieces.push_back(in.bodies.at(next_body++));
      } else if (message.has_response_failed()) {
        answers[message.response_failed().request()].failed = message.response_failed();
      }
    }
  }

  transport::Context& context_;
  boost::asio::io_context& loop_;
  const transport::KeyPair keys_ = transport::NewKeyPair();
  GatewayAddress address_;
  std::string peer_;
  uint64_t token_ = 5, arrived_ = 0;
  std::unique_ptr<transport::ServerLink> link_;
};

class LinksToGateways : public ::testing::Test {
 protected:
  LinksToGateways() {
    std::string pattern = std::filesystem::temp_directory_path() / "allot-test-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    const transport::KeyPair keys = transport::NewKeyPair();
    const std::string allow = folder_ + "/allow.yaml";
    EXPECT_TRUE(
        transport::EnrollPeer(allow, {"n1", keys.public_key, transport::Role::kAgent}, false).ok());
    context_ = *transport::Context::Create({.allow_file = allow});
    gateway_ = std::make_unique<FakeGateway>(*context_, loop_);
    server_ = *http::Server::Listen(loop_, {.listen = "127.0.0.1:0"},
                                    [this](http::Request request, http::ResponderPtr responder) {
                                      responder->OnClientGone([this] { ++clients_gone_; });
                                      asked_.push_back(std::move(request));
                                      responders_.push_back(std::move(responder));
                                    });
    keys_ = keys;
    Restart({std::chrono::hours(1), std::chrono::hours(1)});
  }
  // An agent that waits so long for its probes. The others of these tests wait for them in earnest.
  void Restart(transport::PathProof::Patience patience) {
    links_ = std::make_unique<GatewayLinks>(
        loop_, *context_,
        GatewayLinks::Options{
            .node = "n1",
            .keys = keys_,
            .endpoint_request_done =
                [this](const EndpointRequestDone& done) { ended_.push_back(done); },
            .traffic = &traffic_,
            .path_patience = patience});
  }
  ~LinksToGateways() override {
    links_.reset();
    if (endpoint_) {
      EXPECT_EQ(InFlight(), 0u);
    }
    gateway_.reset();
    responders_.clear();
    server_.reset();
    context_.reset();
    std::filesystem::remove_all(folder_);
  }

  bool Until(const std::function<bool()>& holds) {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!holds()) {
      loop_.restart();
      loop_.run_one_for(std::chrono::milliseconds(20));
      if (std::chrono::steady_clock::now() > give_up) return false;
    }
    return true;
  }
  void Serve(bool serving) {
    const std::string address = server_->address();
    const int port = std::stoi(address.substr(address.rfind(':') + 1));
    links_->SetServing({kServed, serving, static_cast<uint16_t>(port), 4});
  }
  // As above, but the server is an endpoint behind two devices, and wants a token.
  void ServeEndpoint() {
    auto endpoint = std::make_shared<Endpoint>();
    endpoint->name = "far";
    endpoint->url = *ParseUrl("http://" + server_->address() + "/openai");
    endpoint->remote_model = "far/model";
    std::ofstream(folder_ + "/token") << "sesame\n";
    endpoint->token = *TokenFile::Open(folder_ + "/token");
    endpoint->devices = {"far/0", "far/1"};
    endpoint->loads = {std::make_shared<EndpointLoad>(), std::make_shared<EndpointLoad>()};
    endpoint_ = endpoint;
    links_->SetServing({kServed, true, 0, 4}, *EndpointDirectory({endpoint}).Lease({"far/1"}));
  }
  uint32_t InFlight() const { return endpoint_->loads[1]->in_flight; }
  void Link() {
    links_->SetGateways({gateway_->address()});
    ASSERT_TRUE(Until([&] { return links_->linked() == 1; }));
  }
  // Linked, serving, and request 7 has reached the model server.
  http::Responder& AskedToStream() {
    Link();
    Serve(true);
    gateway_->Ask(7, "{}");
    EXPECT_TRUE(Until([&] { return !responders_.empty(); }));
    responders_.at(0)->StartStream(200, {}, "text/event-stream");
    responders_.at(0)->Write("one");
    EXPECT_TRUE(Until([&] { return !answer().pieces.empty(); }));
    return *responders_.at(0);
  }
  Answer& answer() { return gateway_->answers[7]; }

  boost::asio::io_context loop_{1};
  std::vector<ReplicaTraffic> told_;
  TrafficMeter traffic_{loop_, [this](const ReplicaTraffic& t) { told_.push_back(t); }};
  std::string folder_;
  std::unique_ptr<transport::Context> context_;
  std::unique_ptr<FakeGateway> gateway_;
  std::unique_ptr<http::Server> server_;  // the model server
  std::vector<http::Request> asked_;
  std::vector<http::ResponderPtr> responders_;
  int clients_gone_ = 0;
  std::vector<EndpointRequestDone> ended_;
  std::shared_ptr<const Endpoint> endpoint_;
  transport::KeyPair keys_;
  std::unique_ptr<GatewayLinks> links_;
};

TEST_F(LinksToGateways, EachNamedGatewayIsDialledAndToldWhoWeAre) {
  FakeGateway other(*context_, loop_);
  links_->SetGateways({gateway_->address(), other.address()});
  ASSERT_TRUE(Until([&] { return !gateway_->hellos.empty() && !other.hellos.empty(); }));
  EXPECT_EQ(gateway_->hellos[0], "n1");
  EXPECT_TRUE(Until([&] { return links_->linked() == 2; }));
}

TEST_F(LinksToGateways, ARequestReachesTheModelServerAndItsAnswerTheGateway) {
  Link();
  Serve(true);
  gateway_->Ask(
      7, R"({"prompt":"x"})",
      {{"content-type", "application/json"}, {"traceparent", "00-1"}, {"te", "trailers"}});
  ASSERT_TRUE(Until([&] { return !responders_.empty(); }));
  EXPECT_EQ(asked_[0].method, "POST");
  EXPECT_EQ(asked_[0].path, "/v1/completions");
  EXPECT_EQ(asked_[0].body, R"({"prompt":"x"})");
  EXPECT_EQ(asked_[0].Header("traceparent"), "00-1");
  EXPECT_EQ(asked_[0].Header("te"), "") << "it belongs to the connection";
  EXPECT_EQ(links_->counters().in_flight, 1u);
  responders_[0]->Send({.status = 201, .headers = {{"x-seed", "9"}}, .body = "words"});
  ASSERT_TRUE(Until([&] { return answer().last; }));
  EXPECT_EQ(answer().status, 201);
  EXPECT_EQ(answer().headers["x-seed"], "9");
  EXPECT_FALSE(answer().headers.contains("content-length"));
  EXPECT_THAT(answer().pieces, ElementsAre("words", ""));
  EXPECT_EQ(links_->counters().forwarded, 1u);
  EXPECT_EQ(links_->counters().completed, 1u);
  EXPECT_EQ(links_->counters().in_flight, 0u);
}

// Whether a replica may be ended, or is dead though its health checks fail, hangs on these.
TEST_F(LinksToGateways, WhatAReplicaHasInFlightIsToldAndThatItsAnswerFlows) {
  http::Responder& server = AskedToStream();
  ASSERT_TRUE(Until([&] { return !told_.empty() && told_.back().flowed; }));
  EXPECT_EQ(told_.front().id, kServed);
  for (const ReplicaTraffic& traffic : told_) EXPECT_EQ(traffic.in_flight, 1u);
  gateway_->Ask(8, "{}");
  ASSERT_TRUE(Until([&] { return responders_.size() == 2; }));
  server.End();
  ASSERT_TRUE(Until([&] { return answer().last; }));
  EXPECT_NE(told_.back().in_flight, 0u);  // One is still under way.
  gateway_->Cancel(8);
  ASSERT_TRUE(Until([&] { return told_.back().in_flight == 0; }));
  told_.clear();
  gateway_->Ask(9, "{}");
  ASSERT_TRUE(Until([&] { return responders_.size() == 3; }));
  gateway_->HangUp();
  EXPECT_TRUE(Until([&] { return !told_.empty() && told_.back().in_flight == 0; }));
}

TEST_F(LinksToGateways, PiecesArriveAsTheyAreProduced) {
  http::Responder& server = AskedToStream();  // One has arrived, and nothing else was written.
  server.Write("two");
  ASSERT_TRUE(Until([&] { return answer().pieces.size() == 2; }));
  EXPECT_FALSE(answer().last);
  server.End();
  ASSERT_TRUE(Until([&] { return answer().last; }));
  EXPECT_THAT(answer().pieces, ElementsAre("one", "two", ""));
}

TEST_F(LinksToGateways, ACancelledRequestClosesItsConnectionAndIsNotAnswered) {
  AskedToStream();
  gateway_->Cancel(7);
  ASSERT_TRUE(Until([&] { return clients_gone_ == 1; }));
  EXPECT_EQ(links_->counters().cancelled, 1u);
  EXPECT_EQ(links_->counters().in_flight, 0u);
  gateway_->Cancel(7);  // Said twice, or too late: nothing to do.
  gateway_->Ask(8, "{}");
  ASSERT_TRUE(Until([&] { return responders_.size() == 2; }));
  responders_[1]->Send({.body = "next"});
  ASSERT_TRUE(Until([&] { return gateway_->answers[8].last; }));
  EXPECT_THAT(answer().pieces, ElementsAre("one"));
  EXPECT_FALSE(answer().failed.has_value());
  EXPECT_EQ(links_->counters().cancelled, 1u);
}

// The scheduler may be gone or blind; what it does not hear may work all the same.
TEST_F(LinksToGateways, AGatewayThatIsNoLongerNamedIsKeptForAsLongAsItAnswers) {
  http::Responder& server = AskedToStream();
  links_->SetGateways({});
  EXPECT_EQ(links_->linked(), 1u);
  server.Write("two");
  ASSERT_TRUE(Until([&] { return answer().pieces.size() == 2; }));
  gateway_->HangUp();
  ASSERT_TRUE(Until([&] { return links_->linked() == 0; }));
  gateway_->hellos.clear();
  ASSERT_TRUE(Until([&] { return gateway_->Listen(gateway_->address().endpoint); }));
  EXPECT_TRUE(Until([&] { return links_->linked() == 1; })) << "a cut in between is forgiven";
}

TEST_F(LinksToGateways, AGatewayWhoseKeyIsEnrolledNoMoreTakesItsRequestsWithIt) {
  AskedToStream();
  links_->SetGateways({}, std::vector<std::string>{gateway_->address().public_key});
  EXPECT_EQ(links_->linked(), 1u);
  links_->SetGateways({}, std::vector<std::string>{"another"});
  EXPECT_EQ(links_->linked(), 0u);
  EXPECT_TRUE(Until([&] { return clients_gone_ == 1; }));
  EXPECT_EQ(links_->counters().in_flight, 0u);
}

TEST_F(LinksToGateways, AGatewayThatNeverAnsweredIsForgottenWithItsName) {
  const GatewayAddress nobody{"tcp://127.0.0.1:1", gateway_->address().public_key};
  links_->SetGateways({nobody});
  links_->SetGateways({});
  EXPECT_EQ(links_->size(), 0u);
}

TEST_F(LinksToGateways, EveryDialIsAnIncarnationOfItsOwn) {
  Link();
  gateway_->HangUp();
  ASSERT_TRUE(Until([&] { return links_->linked() == 0; }));
  ASSERT_TRUE(Until([&] { return gateway_->Listen(gateway_->address().endpoint); }));
  ASSERT_TRUE(Until([&] { return links_->linked() == 1; }));
  EXPECT_EQ(gateway_->incarnations.size(), 2u);
  EXPECT_FALSE(gateway_->incarnations.contains(0));
}

// After a silence the gateway has forgotten what it asked; whatever is answered finds nobody.
TEST_F(LinksToGateways, AGatewayThatHadGivenUsUpIsLinkedAnewAndItsRequestsHaveEnded) {
  AskedToStream();
  gateway_->Forget();
  ASSERT_TRUE(Until([&] { return clients_gone_ == 1; }));
  EXPECT_TRUE(Until([&] { return links_->linked() == 1; }));
  EXPECT_EQ(gateway_->incarnations.size(), 1u) << "over the same connection";
}

TEST_F(LinksToGateways, APathThatLosesLargeMessagesMakesNoLinkAndTheNextDialSaysSo) {
  Restart({std::chrono::hours(1), std::chrono::milliseconds(100)});
  gateway_->loses_large = true;
  links_->SetGateways({gateway_->address()});
  ASSERT_TRUE(
      Until([&] { return !gateway_->probes.empty() && gateway_->probes.back().large_lost(); }));
  EXPECT_EQ(gateway_->tokens_back, 0);
  EXPECT_EQ(links_->linked(), 0u);
  gateway_->loses_large = false;
  EXPECT_TRUE(Until([&] { return links_->linked() == 1; }));
}

TEST_F(LinksToGateways, AGatewayOfAnEarlierBuildIsLinkedAndToldEverythingAsItComes) {
  gateway_->old = true;
  Link();
  Serve(true);
  gateway_->Ask(7, "{}");
  ASSERT_TRUE(Until([&] { return !responders_.empty(); }));
  const std::string large(3 << 20, 'x');
  responders_[0]->Send({.headers = {{"x-n", "caf\xe9"}}, .body = large});
  ASSERT_TRUE(Until([&] { return answer().last; }));
  std::string whole;
  for (const std::string& piece : answer().pieces) whole += piece;
  EXPECT_EQ(whole, large) << "though nothing was acknowledged";
  EXPECT_EQ(answer().headers["x-n"], "caf\xEF\xBF\xBD") << "its Protobuf takes UTF-8 only";
}

// RFC 9110, 5.5: bytes above 0x7f in a value are somebody's text, and none of our business.
TEST_F(LinksToGateways, OddBytesInAHeaderAreThatHeadersAffair) {
  Link();
  Serve(true);
  gateway_->Ask(7, "{}");
  ASSERT_TRUE(Until([&] { return !responders_.empty(); }));
  responders_[0]->Send({.headers = {{"x-n", "caf\xe9"}}, .body = "x"});
  ASSERT_TRUE(Until([&] { return answer().last; }));
  EXPECT_EQ(answer().headers["x-n"], "caf\xe9");
}

TEST_F(LinksToGateways, ABodyInPiecesReachesTheModelServerWhole) {
  Link();
  Serve(true);
  const std::string first(100'000, 'a'), second(50'000, 'b');
  gateway_->AskInPieces(7, 0, {first, second}, 150'003);
  gateway_->AskInPieces(8, 0, {"{}"}, 2);
  ASSERT_TRUE(Until([&] { return !responders_.empty(); }));
  EXPECT_EQ(asked_[0].body, "{}") << "the other is not whole yet";
  EXPECT_TRUE(Until([&] { return gateway_->taken == 150'000; })) << "what has come is acknowledged";
  gateway_->AskInPieces(9, 0, {"12", "345"}, 4);  // longer than was said
  ASSERT_TRUE(Until([&] { return gateway_->answers[9].failed.has_value(); }));
  gateway_->AskInPieces(10, 0, {"x"}, uint64_t{1} << 40);
  ASSERT_TRUE(Until([&] { return gateway_->answers[10].failed.has_value(); }));
  gateway_->More(7, "end");
  ASSERT_TRUE(Until([&] { return responders_.size() == 2; }));
  EXPECT_EQ(asked_[1].body, first + second + "end");
}

TEST_F(LinksToGateways, ARequestCancelledHalfwayNeverBegins) {
  Link();
  Serve(true);
  gateway_->AskInPieces(7, 0, {"half"}, 8);
  gateway_->Cancel(7);
  gateway_->More(7, "half");
  gateway_->Ask(8, "{}");
  ASSERT_TRUE(Until([&] { return !responders_.empty(); }));
  EXPECT_EQ(asked_.at(0).body, "{}");
  EXPECT_EQ(links_->counters().forwarded, 1u);
}

// A client that does not read must fill neither the gateway nor this node.
TEST_F(LinksToGateways, AnAnswerKeepsToItsCreditAndTheModelServerIsHeldBack) {
  Link();
  Serve(true);
  gateway_->AskInPieces(7, 100'000, {"{}"}, 2);
  ASSERT_TRUE(Until([&] { return !responders_.empty(); }));
  const std::string large(32 << 20, 'x');
  responders_[0]->StartStream(200, {}, "text/plain");
  responders_[0]->Write(large);
  const auto received = [&] {
    size_t bytes = 0;
    for (const std::string& piece : answer().pieces) bytes += piece.size();
    return bytes;
  };
  ASSERT_TRUE(Until([&] { return received() == 100'000; }));
  gateway_->AskInPieces(8, 100'000, {"{}"}, 2);
  ASSERT_TRUE(Until([&] { return responders_.size() == 2; }));
  responders_[1]->Send({.body = "quick"});
  ASSERT_TRUE(Until([&] { return gateway_->answers[8].last; })) << "nobody else waits";
  EXPECT_EQ(received(), 100'000u);
  EXPECT_GT(responders_[0]->Backlog(), large.size() / 2) << "it is in no memory of ours";
  EXPECT_LT(gateway_->largest_envelope, 80'000u);
  // Credit alone is not enough: what was sent must have arrived.
  gateway_->Grant(7, 64 << 20);
  ASSERT_TRUE(Until([&] { return received() + 5 >= 256 << 10; }));
  EXPECT_EQ(received() + 5, 256u << 10) << "the first window, with the other answer's bytes";
  gateway_->acknowledge = true;
  gateway_->Take(received() + 5);
  responders_[0]->End();
  ASSERT_TRUE(Until([&] { return answer().last; }));
  EXPECT_EQ(received(), large.size());
}

TEST_F(LinksToGateways, AGatewayThatWentAwayIsDialledAgainAndItsRequestsHaveEnded) {
  AskedToStream();
  gateway_->HangUp();
  ASSERT_TRUE(Until([&] { return clients_gone_ == 1; }));
  EXPECT_EQ(links_->linked(), 0u);
  gateway_->hellos.clear();
  // The port comes back a moment after its socket was closed.
  ASSERT_TRUE(Until([&] { return gateway_->Listen(gateway_->address().endpoint); }));
  ASSERT_TRUE(Until([&] { return !gateway_->hellos.empty(); }));
  EXPECT_TRUE(Until([&] { return links_->linked() == 1; }));
  gateway_->Ask(7, "{}");  // The number is free again.
  EXPECT_TRUE(Until([&] { return responders_.size() == 2; }));
}

TEST_F(LinksToGateways, AReplicaThatDoesNotServeHereIsSaidSoAndWasNotStarted) {
  Link();
  gateway_->Ask(7, "{}");
  ASSERT_TRUE(Until([&] { return answer().failed.has_value(); }));
  EXPECT_FALSE(answer().failed->started());
  EXPECT_THAT(answer().failed->message(), HasSubstr("replica-3 does not serve on n1"));
  Serve(true);
  Serve(false);
  gateway_->Ask(8, "{}");
  EXPECT_TRUE(Until([&] { return gateway_->answers[8].failed.has_value(); }));
  EXPECT_TRUE(asked_.empty());
  EXPECT_EQ(links_->counters().failed, 2u);
}

// RFC 9110, 7.6.1: what "Connection" names belongs to the connection, whatever it is.
TEST_F(LinksToGateways, WhatAConnectionNamesAsItsOwnGoesNoFurther) {
  Link();
  Serve(true);
  gateway_->Ask(7, "{}",
                {{"connection", "X-Hop, close"}, {"x-hop", "1"}, {"x-end", "2"}, {"te", "gzip"}});
  ASSERT_TRUE(Until([&] { return !responders_.empty(); }));
  EXPECT_EQ(asked_[0].Header("x-hop"), "");
  EXPECT_EQ(asked_[0].Header("x-end"), "2");
  responders_[0]->Send({.headers = {{"Keep-Alive", "timeout=5"}, {"X-End", "3"}}, .body = "x"});
  ASSERT_TRUE(Until([&] { return answer().last; }));
  EXPECT_EQ(answer().headers["x-end"], "3");
  for (const char* name : {"keep-alive", "connection", "content-length", "transfer-encoding"})
    EXPECT_FALSE(answer().headers.contains(name)) << name;
}

TEST_F(LinksToGateways, AnEndpointIsAskedUnderItsOwnPathNameAndToken) {
  Link();
  ServeEndpoint();
  EXPECT_EQ(endpoint_->loads[1]->concurrency, 4u);
  gateway_->Ask(7, R"({"model":"chat","prompt":"x","n":1.0})",
                {{"content-type", "application/json"},
                 {"authorization", "Bearer ours"},
                 {"cookie", "session=1"},
                 {"accept-encoding", "gzip"},
                 {"traceparent", "00-1"}});
  ASSERT_TRUE(Until([&] { return !responders_.empty(); }));
  EXPECT_EQ(asked_[0].path, "/openai/v1/completions");
  EXPECT_EQ(asked_[0].body, R"({"model":"far/model","prompt":"x","n":1.0})");
  EXPECT_EQ(asked_[0].Header("authorization"), "Bearer sesame");
  EXPECT_EQ(asked_[0].Header("content-type"), "application/json");
  EXPECT_EQ(asked_[0].Header("traceparent"), "00-1");
  for (const char* name : {"cookie", "accept-encoding"})
    EXPECT_EQ(asked_[0].Header(name), "") << name;
  EXPECT_EQ(InFlight(), 1u);
  responders_[0]->Send(
      {.headers = {{"x-ratelimit-remaining", "9"}, {"set-cookie", "a=1"}},
       .body = R"({"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5}})"});
  ASSERT_TRUE(Until([&] { return answer().last; }));
  EXPECT_EQ(answer().headers["x-ratelimit-remaining"], "9");
  EXPECT_FALSE(answer().headers.contains("set-cookie"));
  EXPECT_EQ(InFlight(), 0u);
  ASSERT_EQ(ended_.size(), 1u);
  EXPECT_EQ(ended_[0].device, "far/1");
  EXPECT_EQ(ended_[0].outcome, EndpointOutcome::kAnswered);
  EXPECT_GE(ended_[0].took.count(), 0);
  EXPECT_EQ(ended_[0].tokens, (TokenUsage{3, 5}));
}

TEST_F(LinksToGateways, HowRequestsAtAnEndpointEndIsCounted) {
  Link();
  ServeEndpoint();
  const struct {
    int status;
    EndpointOutcome outcome;
  } rows[] = {{200, EndpointOutcome::kAnswered},
              {429, EndpointOutcome::kRefused},
              {503, EndpointOutcome::kError}};
  uint64_t request = 10;
  for (const auto& row : rows) {
    gateway_->Ask(++request, "{}");
    ASSERT_TRUE(Until([&] { return responders_.size() == request - 10; }));
    responders_.back()->Send({.status = row.status, .body = "x"});
    ASSERT_TRUE(Until([&] { return gateway_->answers[request].last; }));
    EXPECT_EQ(gateway_->answers[request].status, row.status) << "as at a model server of our own";
    EXPECT_EQ(ended_.back().outcome, row.outcome);
  }
  gateway_->Ask(20, "{}");
  ASSERT_TRUE(Until([&] { return responders_.size() == 4; }));
  responders_.back()->Abort();  // On a kept connection, so it is sent once more.
  ASSERT_TRUE(Until([&] { return responders_.size() == 5; }));
  responders_.back()->Abort();
  ASSERT_TRUE(Until([&] { return gateway_->answers[20].failed.has_value(); }));
  EXPECT_EQ(ended_.back().outcome, EndpointOutcome::kFailed);
  gateway_->Ask(21, "{}");
  ASSERT_TRUE(Until([&] { return responders_.size() == 6; }));
  gateway_->Cancel(21);
  ASSERT_TRUE(Until([&] { return clients_gone_ == 1; }));
  EXPECT_EQ(ended_.back().outcome, EndpointOutcome::kCancelled);
  EXPECT_EQ(ended_.size(), 5u);
  links_->SetServing({kServed, false, 0, 4});
  EXPECT_EQ(endpoint_->loads[1]->concurrency, 0u);
}

// Which key is refused there is our affair; a client told 401 would look for the fault at its own.
TEST_F(LinksToGateways, ATokenThatTheEndpointRefusesIsOurFaultNotTheClients) {
  Link();
  ServeEndpoint();
  gateway_->Ask(7, "{}");
  ASSERT_TRUE(Until([&] { return !responders_.empty(); }));
  responders_[0]->Send({.status = 401, .body = R"({"error":"bad key sesame"})"});
  ASSERT_TRUE(Until([&] { return answer().failed.has_value(); }));
  EXPECT_FALSE(answer().failed->started()) << "so another replica may be tried";
  EXPECT_EQ(answer().failed->message(), "the endpoint far refuses this node's token (401)");
  EXPECT_TRUE(answer().pieces.empty());
  EXPECT_EQ(ended_.at(0).outcome, EndpointOutcome::kFailed);
  EXPECT_EQ(links_->counters().in_flight, 0u);
}

TEST_F(LinksToGateways, AModelServerThatBreaksOffFailsARequestThatHadStarted) {
  AskedToStream().Abort();
  ASSERT_TRUE(Until([&] { return answer().failed.has_value(); }));
  EXPECT_TRUE(answer().failed->started());
  EXPECT_FALSE(answer().last);
  EXPECT_EQ(links_->counters().failed, 1u);
  EXPECT_EQ(links_->counters().in_flight, 0u);
}

TEST_F(LinksToGateways, AModelServerThatIsGoneFailsARequestThatHadNotStarted) {
  Link();
  Serve(true);
  server_.reset();  // It crashed, and its replica is not known to be gone yet.
  gateway_->Ask(7, "{}");
  ASSERT_TRUE(Until([&] { return answer().failed.has_value(); }));
  EXPECT_FALSE(answer().failed->started());
  EXPECT_EQ(links_->counters().in_flight, 0u);
}

// An agent is asked to stop between any two things that its loop does.
TEST(GatewayLinks, EndWithWhatTheyHoldWheneverTheLoopStops) {
  for (int handlers = 0; handlers < 12; ++handlers) {
    boost::asio::io_context loop(1);
    // Bound and not listening: the port is ours, and connecting to it is refused.
    boost::asio::ip::tcp::acceptor held(loop);
    held.open(boost::asio::ip::tcp::v4());
    held.bind({boost::asio::ip::make_address("127.0.0.1"), 0});
    auto context = transport::Context::Create({});
    ASSERT_TRUE(context.ok()) << context.status();
    auto links = std::make_unique<GatewayLinks>(
        loop, **context, GatewayLinks::Options{.node = "n1", .keys = transport::NewKeyPair()});
    const std::vector<GatewayAddress> nobody = {
        {fmt::format("tcp://127.0.0.1:{}", held.local_endpoint().port()),
         transport::NewKeyPair().public_key}};
    links->SetGateways(nobody);
    for (int i = 0; i < handlers; ++i) loop.run_one_for(std::chrono::milliseconds(50));
    links.reset();
    context->reset();  // CHECKs that no link is left; what is posted is so still.
  }
}

}  // namespace
}  // namespace allot::agent
