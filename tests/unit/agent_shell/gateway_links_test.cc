// A node's links to gateways, over real sockets: the gateways and the model server are the test's.
#include "agent/shell/gateway_links.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>

#include "common/http/server.h"
#include "common/transport/link.h"
#include "common/wire/codec.h"

namespace allot::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const ReplicaId kReplica(3);

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
           ReplicaId replica = kReplica) {
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

  std::vector<std::string> hellos;
  std::map<uint64_t, Answer> answers;

 private:
  void Take(transport::ServerLink::Incoming& in) {
    peer_ = in.peer;
    size_t next_body = 0;
    for (const wire::Message& message : in.envelope.messages()) {
      if (message.has_link_hello()) {
        hellos.push_back(message.link_hello().node());
        wire::Envelope envelope;
        envelope.add_messages()->mutable_link_welcome()->set_gateway("g1");
        link_->Send(peer_, envelope);
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
    links_ = std::make_unique<GatewayLinks>(loop_, *context_,
                                            GatewayLinks::Options{.node = "n1", .keys = keys});
  }
  ~LinksToGateways() override {
    links_.reset();
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
    links_->SetServing({kReplica, serving, static_cast<uint16_t>(port), 4});
  }
  void Link() {
    links_->SetGateways({gateway_->address()});
    ASSERT_TRUE(Until([&] { return !gateway_->hellos.empty(); }));
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
  std::string folder_;
  std::unique_ptr<transport::Context> context_;
  std::unique_ptr<FakeGateway> gateway_;
  std::unique_ptr<http::Server> server_;  // the model server
  std::vector<http::Request> asked_;
  std::vector<http::ResponderPtr> responders_;
  int clients_gone_ = 0;
  std::unique_ptr<GatewayLinks> links_;
};

TEST_F(LinksToGateways, EachNamedGatewayIsDialledAndToldWhoWeAre) {
  FakeGateway other(*context_, loop_);
  links_->SetGateways({gateway_->address(), other.address()});
  ASSERT_TRUE(Until([&] { return !gateway_->hellos.empty() && !other.hellos.empty(); }));
  EXPECT_EQ(gateway_->hellos[0], "n1");
  EXPECT_EQ(links_->connected(), 2u);
  links_->SetGateways({other.address()});
  EXPECT_EQ(links_->connected(), 1u);
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

TEST_F(LinksToGateways, AGatewayThatIsNoLongerNamedTakesItsRequestsWithIt) {
  AskedToStream();
  links_->SetGateways({});
  EXPECT_EQ(links_->connected(), 0u);
  EXPECT_TRUE(Until([&] { return clients_gone_ == 1; }));
  EXPECT_EQ(links_->counters().in_flight, 0u);
}

TEST_F(LinksToGateways, AGatewayThatWentAwayIsDialledAgainAndItsRequestsHaveEnded) {
  AskedToStream();
  gateway_->HangUp();
  ASSERT_TRUE(Until([&] { return clients_gone_ == 1; }));
  EXPECT_EQ(links_->connected(), 0u);
  gateway_->hellos.clear();
  // The port comes back a moment after its socket was closed.
  ASSERT_TRUE(Until([&] { return gateway_->Listen(gateway_->address().endpoint); }));
  ASSERT_TRUE(Until([&] { return !gateway_->hellos.empty(); }));
  EXPECT_EQ(links_->connected(), 1u);
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

}  // namespace
}  // namespace allot::agent
