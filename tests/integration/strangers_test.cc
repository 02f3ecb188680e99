// Whoever may not speak, at the ports for agents of a cluster that works: refused, counted in
// /metrics, and placements go on. What each kind of stranger meets in detail is tested in
// tests/unit/transport.
#include <atomic>
#include <thread>

#include "common/transport/keys.h"
#include "common/wire/codec.h"
#include "tests/integration/cluster_fixture.h"
#include "tests/unit/transport/strangers.h"

namespace allot::testing {
namespace {

using transport::RawPeer;
using transport::Stranger;

constexpr char kRefused[] = "allotrope_link_refused_total";
constexpr char kConnections[] = "allotrope_link_connections_total";

class Strangers : public ClusterTest {
 protected:
  void UpWithTwoNodes() {
    Up({{"one", true, {}}, {"two", true, {}}});
    const auto scheduler = cluster().layout().File("keys/scheduler.key");
    server_key_ = transport::LoadKeyFile(scheduler)->public_key;
    ASSERT_TRUE(Until([&] { return Live() == 3; })) << "two agents and the gateway are linked";
    epochs_ = Epochs();
  }

  // The value of `name{label="value"}` in the scheduler's metrics, or the gateway's.
  double Metric(const std::string& name, const std::string& label, const std::string& value,
                bool of_gateway = false) {
    const auto api =
        client::Api::Connect({of_gateway ? gateway_url() : "http://" + addresses().http, token()});
    const auto text = (*api)->Fetch({.target = "/metrics"});
    EXPECT_TRUE(text.ok()) << text.status();
    const std::string row = name + "{" + label + "=\"" + value + "\"} ";
    const size_t at = text.ok() ? text->find(row) : std::string::npos;
    return at == std::string::npos ? 0 : std::stod(text->substr(at + row.size()));
  }
  double Refused(const std::string& reason) { return Metric(kRefused, "reason", reason); }
  double Accepted() { return Metric(kConnections, "event", "accepted"); }
  double Live() { return Accepted() - Metric(kConnections, "event", "disconnected"); }
  double RefusedByGateway() {
    return Metric("allotrope_gateway_link_dropped_total", "reason", "handshake", true);
  }

  // Jobs are submitted, placed and done, one after the other.
  void ExpectPlacementsGoOn(int jobs) {
    for (int i = 0; i < jobs; ++i)
      EXPECT_EQ(Allot({"submit", "--wait", "--", "/bin/true"}).code, 0);
  }
  // No agent had to register anew: nobody's link suffered.
  std::vector<uint64_t> Epochs() {
    std::vector<uint64_t> out;
    const auto nodes = api().Nodes();
    EXPECT_TRUE(nodes.ok()) << nodes.status();
    for (const client::NodeView& node : nodes->view) {
      EXPECT_TRUE(node.alive) << node.name;
      out.push_back(static_cast<uint64_t>(node.epoch));
    }
    return out;
  }
  void ExpectNodesUntouched() { EXPECT_EQ(Epochs(), epochs_); }

  std::string RegistrationAs(const std::string& name) const {
    RegisterNode claim;
    claim.registration = 1;
    claim.info.name = name;
    claim.info.instance = "impostor";
    claim.info.address = "127.0.0.1";
    wire::Envelope envelope;
    envelope.set_version(wire::kProtocolVersion);
    envelope.set_sequence(1);
    wire::Encode(claim, envelope.add_messages());
    return envelope.SerializeAsString();
  }

  std::string server_key_;
  std::vector<uint64_t> epochs_;
};

TEST_F(Strangers, AConnectionWithoutAKeyIsRefused) {
  UpWithTwoNodes();
  // Some dial again, others give up: that depends on which side sees first that it will not do.
  std::vector<RawPeer> peers(5);
  for (RawPeer& peer : peers) {
    peer.Connect(addresses().endpoint);
    peer.Send(RegistrationAs("three"));
  }
  ExpectPlacementsGoOn(3);
  EXPECT_TRUE(Until([&] { return Refused("handshake") >= 5; })) << Refused("handshake");
  ExpectPlacementsGoOn(1);
  EXPECT_EQ(Metric(kConnections, "event", "admitted"), 3);
  ExpectNodesUntouched();
}

TEST_F(Strangers, AConnectionWithAnUnknownKeyIsRefused) {
  UpWithTwoNodes();
  RawPeer peer;
  peer.Curve(transport::NewKeyPair(), server_key_);
  peer.Connect(addresses().endpoint);
  peer.Send(RegistrationAs("three"));
  ExpectPlacementsGoOn(3);
  EXPECT_TRUE(Until([&] { return Refused("unknown_key") >= 1; }));
  ExpectPlacementsGoOn(1);
  EXPECT_EQ(Metric(kConnections, "event", "admitted"), 3);
  ExpectNodesUntouched();
}

TEST_F(Strangers, AnotherNodesKeyDoesNotMakeItThatNode) {
  UpWithTwoNodes();
  RawPeer peer;
  const auto keys = transport::LoadKeyFile(cluster().layout().File("keys/one.key"));
  ASSERT_TRUE(keys.ok()) << keys.status();
  peer.Curve(*keys, server_key_);
  peer.Connect(addresses().endpoint);
  // The key is good and gets in. The name is not the key's, neither a node's that is up nor a new
  // one.
  for (int i = 0; i < 50; ++i) {
    peer.Send(RegistrationAs("two"));
    peer.Send(RegistrationAs("three"));
  }
  ExpectPlacementsGoOn(3);
  EXPECT_TRUE(Until([&] { return Refused("name_not_proven") == 100; }));
  ExpectPlacementsGoOn(1);
  ExpectNodesUntouched();
}

// Strangers in a thread of their own, wave after wave, while the test does something else.
class Waves {
 public:
  explicit Waves(std::vector<std::string> endpoints)
      : endpoints_(std::move(endpoints)), thread_([this] {
          do {
            Wave();
          } while (!enough_);
        }) {}
  ~Waves() { Stop(); }
  void Stop() {
    enough_ = true;
    if (thread_.joinable()) thread_.join();
  }
  uint64_t sent() const { return sent_; }  // bytes that went out at all; at any time
  // After Stop.
  uint64_t strangers() const { return strangers_; }  // at each port
  bool all_cut_off() const { return all_cut_off_; }

 private:
  void Wave() {
    boost::asio::io_context loop;
    std::vector<std::unique_ptr<Stranger>> wave;
    for (const std::string& bytes : garbage_) {
      for (const std::string& endpoint : endpoints_) {
        wave.push_back(std::make_unique<Stranger>(loop, endpoint));
        wave.back()->Send(bytes, 100 << 20);
      }
      ++strangers_;
    }
    loop.run();  // Ends when nobody has anything left to send or to read.
    for (const auto& stranger : wave) {
      all_cut_off_ = all_cut_off_ && stranger->cut_off();
      sent_ += stranger->sent();
    }
  }

  const std::vector<std::string> endpoints_;
  const std::vector<std::string> garbage_ = transport::Garbage();
  uint64_t strangers_ = 0;
  bool all_cut_off_ = true;
  std::atomic<uint64_t> sent_{0};
  std::atomic<bool> enough_{false};
  std::thread thread_;
};

TEST_F(Strangers, HundredMegabytesOfGarbageAreCutOff) {
  UpWithTwoNodes();
  const double accepted = Accepted(), refused = Refused("handshake");
  const double refused_by_gateway = RefusedByGateway();
  Waves waves({addresses().endpoint, addresses().gateway_endpoint});
  do {
    ExpectPlacementsGoOn(5);
  } while (waves.sent() < 100 << 20);
  waves.Stop();
  const auto strangers = static_cast<double>(waves.strangers());
  EXPECT_TRUE(waves.all_cut_off());
  EXPECT_LT(waves.sent(), waves.strangers() * (100 << 20));
  EXPECT_TRUE(Until([&] { return Refused("handshake") - refused == strangers; }));
  EXPECT_TRUE(Until([&] { return RefusedByGateway() - refused_by_gateway == strangers; }));
  EXPECT_EQ(Accepted() - accepted, strangers);
  EXPECT_EQ(Live(), 3) << "they, and nobody else, were cut off";
  ExpectNodesUntouched();
  std::cout << strangers << " strangers a port, " << (waves.sent() >> 20) << " MiB taken in all\n";
}

TEST_F(Strangers, FiveHundredHalfOpenConnectionsAreClosedAndCounted) {
  UpWithTwoNodes();
  const double accepted = Accepted(), refused = Refused("handshake");
  boost::asio::io_context loop;
  std::vector<std::unique_ptr<Stranger>> strangers;
  for (int i = 0; i < 500; ++i) {
    strangers.push_back(std::make_unique<Stranger>(loop, addresses().endpoint));
    // Silence, or a greeting and then silence.
    if (i % 2 == 0) strangers.back()->Send(transport::CurveGreeting(), 64);
  }
  std::thread reading([&] { loop.run(); });
  EXPECT_TRUE(Until([&] { return Accepted() - accepted == 500; }));
  ExpectPlacementsGoOn(3);
  // An agent that comes now finds room.
  KillAgent("two");
  StartAgent("two");
  EXPECT_TRUE(Until([&] { return Metric(kConnections, "event", "admitted") == 4; }));
  ExpectPlacementsGoOn(3);
  reading.join();  // The scheduler gives each ten seconds to say who it is.
  for (const auto& stranger : strangers) EXPECT_TRUE(stranger->cut_off());
  EXPECT_TRUE(Until([&] { return Refused("handshake") - refused == 500; }));
  EXPECT_TRUE(Until([&] { return Live() == 3; }));
  ExpectPlacementsGoOn(1);
}

}  // namespace
}  // namespace allot::testing
