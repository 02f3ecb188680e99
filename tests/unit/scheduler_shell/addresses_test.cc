// What is told of addresses, who may enrol, whom gateways let in.
#include "common/model/translated.h"
#include "common/transport/invitations.h"
#include "common/wire/codec.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "scheduler/shell/reach.h"
#include "tests/unit/scheduler_shell/cluster.h"

namespace allot::scheduler {
namespace {

using testing::Cluster;
using ::testing::ElementsAre;
using testing::FakeAgent;
using ::testing::HasSubstr;

TEST(Reach, TellsWhereAPeerIs) {
  const Reach several{false, "10.0.0.1"}, alone{true, ""}, unknown{false, ""};
  struct Row {
    const Reach& reach;
    std::string address, seen, told;
  };
  const Row rows[] = {
      // From elsewhere: where it is seen.
      {several, "tcp://0.0.0.0:7410", "10.0.0.7", "tcp://10.0.0.7:7410"},
      {several, "[::]:7402", "fd00::7", "[fd00::7]:7402"},
      {several, "0.0.0.0:7402", "fd00::7", "[fd00::7]:7402"},
      {several, "gw1.example:7411", "10.0.0.7", "gw1.example:7411"},
      {several, "10.9.9.9:7411", "10.0.0.7", "10.9.9.9:7411"},
      // From this machine: where this machine is.
      {several, "tcp://*:7410", "127.0.0.1", "tcp://10.0.0.1:7410"},
      {several, "127.0.0.1:7411", "127.0.0.1", "127.0.0.1:7411"},
      // Everybody on one machine.
      {alone, "0.0.0.0:7411", "127.0.0.1", "127.0.0.1:7411"},
      {alone, "[::]:7411", "::1", "[::1]:7411"},
      // Nobody knows better.
      {unknown, "0.0.0.0:7411", "127.0.0.1", "127.0.0.1:7411"},
      {several, "", "10.0.0.7", ""},
  };
  for (const Row& row : rows)
    EXPECT_EQ(row.reach.Told(row.address, row.seen), row.told) << row.address << " " << row.seen;
}

TEST(Reach, LocatesANode) {
  const Reach several{false, "10.0.0.1"}, alone{true, ""};
  const auto located = [](const Reach& reach, const std::string& seen, const std::string& address,
                          const std::string& metrics) {
    NodeInfo info;
    info.address = address;
    info.metrics_address = metrics;
    reach.Locate(seen, info);
    return info.address + " " + info.metrics_address + " " + info.seen_address;
  };
  EXPECT_EQ(located(several, "10.0.0.7", "10.0.0.7", "[::]:7402"),
            "10.0.0.7 10.0.0.7:7402 10.0.0.7");
  EXPECT_EQ(located(several, "10.0.0.7", "192.168.1.5", "192.168.1.5:7402"),
            "192.168.1.5 192.168.1.5:7402 10.0.0.7");
  EXPECT_EQ(located(several, "127.0.0.1", "127.0.0.1", "0.0.0.0:7402"),
            "10.0.0.1 10.0.0.1:7402 10.0.0.1");
  EXPECT_EQ(located(several, "10.0.0.7", "", ":"), "10.0.0.7 : 10.0.0.7");
  EXPECT_EQ(located(alone, "127.0.0.1", "127.0.0.1", "127.0.0.1:4711"),
            "127.0.0.1 127.0.0.1:4711 127.0.0.1");
}

// Beside a head that others know by a name: the address it has found stands, and no translator is
// suspected. One without a name of the head's own says the name.
TEST(Reach, ANameIsNoPlaceThatOneIsSeenAt) {
  NodeInfo info;
  info.address_derived = true;
  info.address = "10.0.0.5";
  Reach{false, "head"}.Locate("127.0.0.1", info);
  EXPECT_EQ(info.address, "10.0.0.5");
  EXPECT_EQ(info.seen_address, "10.0.0.5");
  EXPECT_FALSE(IsTranslated(info));
  info.address = "127.0.0.1";
  Reach{false, "head"}.Locate("127.0.0.1", info);
  EXPECT_EQ(info.address, "head");
  EXPECT_FALSE(IsTranslated(info));
}

TEST(Reach, TellsNoOtherMachineOfLoopback) {
  const Reach several{false, "10.0.0.1"}, alone{true, ""};
  EXPECT_FALSE(several.MayTell("tcp://127.0.0.1:7410", "10.0.0.7"));
  EXPECT_FALSE(several.MayTell("tcp://[::1]:7410", "10.0.0.7"));
  EXPECT_TRUE(several.MayTell("tcp://127.0.0.1:7410", "127.0.0.1"));
  EXPECT_TRUE(several.MayTell("tcp://10.0.0.1:7410", "10.0.0.7"));
  EXPECT_TRUE(alone.MayTell("tcp://127.0.0.1:7410", "127.0.0.1"));
}

// A cluster that is bound everywhere, and a node that says it is behind a router.
TEST(Addresses, AreToldAsOthersReachThem) {
  Cluster cluster(/*local=*/false);
  cluster.WriteTokens("tokens: [{name: p, role: viewer, sha256: " + auth::Sha256Hex("one") +
                      "}]\n");
  cluster.UseToken("one");
  cluster.adjust = [](Shell::Options& options) {
    options.listen = "tcp://0.0.0.0:0";
    options.http_listen = "0.0.0.0:0";
    options.own_host = "10.0.0.1";
  };
  cluster.Start();
  FakeAgent agent(cluster, {.adjust = [](NodeInfo& info) {
                    info.address = "192.168.7.7";
                    info.address_derived = true;
                    info.metrics_address = "[::]:7402";
                  }});
  ASSERT_TRUE(agent.WaitForWelcome());
  const std::string port = cluster.http_address().substr(cluster.http_address().rfind(':'));
  const json::value targets = cluster.Get("/v1/sd/prometheus").json();
  EXPECT_EQ(targets.as_array()[0].at("targets").as_array()[0].as_string(), "10.0.0.1" + port);
  EXPECT_EQ(targets.as_array()[1].at("targets").as_array()[0].as_string(), "10.0.0.1:7402");
  const json::value node = cluster.Get("/v1/nodes").json().at("nodes").as_array()[0];
  EXPECT_EQ(node.at("seen_address").as_string(), "10.0.0.1");
  EXPECT_THAT(std::string(node.at("warnings").as_array()[0].as_string()),
              HasSubstr("it tells 192.168.7.7 and is seen at 10.0.0.1"));
}

// Who speaks TLS says so, and Prometheus is told.
TEST(Addresses, SayWhereTlsIsSpoken) {
  Cluster cluster;
  cluster.Start();
  FakeAgent agent(cluster, {.adjust = [](NodeInfo& info) {
                    info.address = "node-7.example";
                    info.metrics_address = "https://node-7.example:7402";
                  }});
  ASSERT_TRUE(agent.WaitForWelcome());
  const json::value targets = cluster.Get("/v1/sd/prometheus").json();
  const json::value &scheduler = targets.as_array()[0], &node = targets.as_array()[1];
  EXPECT_FALSE(scheduler.at("labels").as_object().contains("__scheme__"));
  EXPECT_EQ(node.at("targets").as_array()[0].as_string(), "node-7.example:7402");
  EXPECT_EQ(node.at("labels").at("__scheme__").as_string(), "https");
  EXPECT_FALSE(cluster.Get("/v1/cluster").json().as_object().contains("certificate"));
}

// Somebody wrote the address down: another network than the scheduler's, and nobody's mistake.
TEST(Addresses, WhatIsWrittenDownIsTakenAtItsWord) {
  Cluster cluster;
  cluster.Start();
  FakeAgent agent(cluster,
                  {.adjust = [](NodeInfo& info) { info.address = "node-7.fast.example"; }});
  ASSERT_TRUE(agent.WaitForWelcome());
  EXPECT_FALSE(
      cluster.Get("/v1/nodes").json().at("nodes").as_array()[0].as_object().contains("warnings"));
}

// ---- links that are no agent's -----------------------------------------------------------------

// Dials with some keys and keeps what it hears.
class Caller {
 public:
  Caller(Cluster& cluster, transport::KeyPair keys) {
    context_ = *transport::Context::Create({});
    link_ = *transport::ClientLink::Dial(
        *context_, loop_,
        {.endpoint = cluster.endpoint(),
         .server_public_key = cluster.public_key(),
         .keys = std::move(keys)},
        {.message =
             [this](transport::ClientLink::Incoming in) {
               ++envelopes;
               for (const wire::Message& message : in.envelope.messages()) heard.push_back(message);
             },
         .connected = [this] { connected = true; },
         .disconnected = [this](const std::string& why) { ended = why; }});
  }
  ~Caller() { link_.reset(); }
  void Say(const std::function<void(wire::Message&)>& fill) {
    wire::Envelope envelope;
    envelope.set_sequence(++sequence_);
    fill(*envelope.add_messages());
    link_->Send(envelope);
  }
  bool Until(const std::function<bool()>& holds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!holds()) {
      if (std::chrono::steady_clock::now() > end) return false;
      loop_.restart();
      loop_.run_one_for(std::chrono::milliseconds(50));
    }
    return true;
  }
  // The last message of a kind.
  template <class Has>
  const wire::Message* Last(Has has) const {
    for (auto it = heard.rbegin(); it != heard.rend(); ++it)
      if (has(*it)) return &*it;
    return nullptr;
  }
  std::vector<wire::Message> heard;
  size_t envelopes = 0;
  bool connected = false;
  std::string ended;

 private:
  boost::asio::io_context loop_{1};
  std::unique_ptr<transport::Context> context_;
  std::unique_ptr<transport::ClientLink> link_;
  uint64_t sequence_ = 0;
};

const wire::EnrollAnswer* AnswerOf(const Caller& caller) {
  const wire::Message* last = caller.Last([](const auto& m) { return m.has_enroll_answer(); });
  return last == nullptr ? nullptr : &last->enroll_answer();
}

TEST(Enrolment, AnInvitedPeerMakesItsOwnKeyThePeers) {
  Cluster cluster;
  cluster.adjust = [](Shell::Options& options) { options.advertise = {"tcp://head:7400"}; };
  cluster.Start();
  const transport::KeyPair carried = transport::NewKeyPair(), own = transport::NewKeyPair();
  const std::string allow = cluster.folder() / "allow.yaml";
  const Time now = transport::WallClock();
  ASSERT_TRUE(transport::Invite(
                  allow,
                  {"n7", carried.public_key, transport::Role::kAgent, now + std::chrono::hours(1)},
                  now, false)
                  .ok());
  Caller invited(cluster, carried);
  // It may do nothing else: no node comes of a registration.
  invited.Say([](wire::Message& m) {
    RegisterNode claim;
    claim.registration = 1;
    claim.info.name = "agent/n7";
    wire::Encode(AgentMessage{claim}, &m);
  });
  invited.Say(
      [&](wire::Message& m) { m.mutable_enroll_request()->set_public_key(own.public_key); });
  ASSERT_TRUE(invited.Until([&] { return AnswerOf(invited) != nullptr; }));
  EXPECT_EQ(AnswerOf(invited)->error(), "");
  EXPECT_EQ(AnswerOf(invited)->name(), "n7");
  EXPECT_EQ(AnswerOf(invited)->role(), "agent");
  EXPECT_THAT(AnswerOf(invited)->endpoints(), ElementsAre("tcp://head:7400"));
  EXPECT_TRUE(cluster.Get("/v1/nodes").json().at("nodes").as_array().empty());
  const auto peers = *transport::LoadAllowFile(allow);
  ASSERT_EQ(peers.size(), 1u);
  EXPECT_EQ(peers[0].public_key, own.public_key);

  Caller again(cluster, carried);
  ASSERT_TRUE(again.Until([&] { return !again.ended.empty(); }));
  EXPECT_FALSE(again.connected);
  Caller joined(cluster, own);
  EXPECT_TRUE(joined.Until([&] { return joined.connected; }));
}

TEST(Enrolment, SaysWhyAKeyIsNotTaken) {
  Cluster cluster;
  cluster.Start();
  const transport::KeyPair carried = transport::NewKeyPair();
  const Time now = transport::WallClock();
  ASSERT_TRUE(transport::Invite(cluster.folder() / "allow.yaml",
                                {"g7", carried.public_key, transport::Role::kGateway,
                                 now + std::chrono::hours(1)},
                                now, false)
                  .ok());
  Caller invited(cluster, carried);
  invited.Say([](wire::Message& m) { m.mutable_enroll_request()->set_public_key("short"); });
  ASSERT_TRUE(invited.Until([&] { return AnswerOf(invited) != nullptr; }));
  EXPECT_THAT(AnswerOf(invited)->error(), HasSubstr("public key"));
}

TEST(Admission, GatewaysAreToldWhomToLetInAndWhomNoMore) {
  Cluster cluster(/*local=*/false);
  cluster.WriteTokens(
      "tokens: [{name: ann, role: user, tenant: red, sha256: " + auth::Sha256Hex("one") + "}]\n");
  cluster.Start();
  cluster.Enroll("n1", transport::Role::kAgent);
  Caller gateway(cluster, cluster.Enroll("g1", transport::Role::kGateway));
  uint64_t have = 0;
  const auto hello = [&](bool knows) {
    gateway.Say([&](wire::Message& m) {
      m.mutable_gateway_hello()->set_name("g1");
      m.mutable_gateway_hello()->mutable_address()->set_endpoint("tcp://127.0.0.1:1");
      if (knows) m.mutable_gateway_hello()->set_admission_version(have);
    });
  };
  const auto lists = [&]() -> const wire::Admission* {
    const wire::Message* last = gateway.Last([](const auto& m) { return m.has_admission(); });
    return last == nullptr ? nullptr : &last->admission();
  };
  hello(true);
  ASSERT_TRUE(gateway.Until([&] { return lists() != nullptr && lists()->agents_size() == 1; }));
  EXPECT_EQ(lists()->agents(0).name(), "n1");
  ASSERT_EQ(lists()->tokens_size(), 1);
  EXPECT_EQ(lists()->tokens(0).sha256(), auth::Sha256Hex("one"));
  EXPECT_EQ(lists()->tokens(0).tenant(), "red");
  have = lists()->version();

  // Without being asked: within the second that revoking may take.
  ASSERT_TRUE(transport::RevokePeer(cluster.folder() / "allow.yaml", "n1").ok());
  cluster.WriteTokens("tokens: []\n");
  ASSERT_TRUE(
      gateway.Until([&] { return lists()->agents_size() == 0 && lists()->tokens_size() == 0; }));
  have = lists()->version();
  // Who has them is told nothing; who knows of no lists neither.
  gateway.heard.clear();
  for (const bool knows : {true, false}) {
    const size_t before = gateway.envelopes;
    hello(knows);
    ASSERT_TRUE(gateway.Until([&] { return gateway.envelopes > before; }));
    EXPECT_EQ(lists(), nullptr);
  }
}

}  // namespace
}  // namespace allot::scheduler
