// Keys are renewed while a job runs and a stream is open.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "common/http/client.h"
#include "common/json/json.h"
#include "common/transport/keys.h"
#include "tests/integration/cluster_fixture.h"
#include "tests/unit/transport/strangers.h"

namespace allot::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using transport::RawPeer;

class KeyRotation : public ClusterTest {
 protected:
  static constexpr int kEvents = 5'000;

  void UpWithWork() {
    Up({{"one", true, {}}});
    ClusterTest::Deploy("name: tiny\nmodel: tiny-words\ncommand: [" + Program("tiny_server") +
                            ", '{port}']\nresources: {cpus: 200m, memory: 64MiB}\n"
                            "health: {path: /health, interval: 100ms}\n"
                            "replicas: [{device: {kind: CPU}}]\n",
                        "tiny-words");
    ASSERT_EQ(::mkfifo((folder() + "/end").c_str(), 0600), 0);
    job_ = Ok({"submit", "--cpus", "100m", "--", "/bin/cat", folder() + "/end"});
    AwaitRunning(job_);
  }
  // A stream that is open while `change` happens; true: it came to its end, whole.
  bool StreamUnder(const std::function<void()>& change) {
    const auto client = *http::BlockingClient::Create(gateway_url(), token());
    http::ClientRequest request;
    request.method = "POST";
    request.target = "/v1/completions";
    request.headers = {{"Content-Type", "application/json"}};
    request.body = json::serialize(json::object{
        {"model", "tiny-words"}, {"prompt", "x"}, {"max_tokens", kEvents}, {"stream", true}});
    std::string text;
    bool changed = false;
    const auto answer = client->Stream(request, [&](std::string_view piece) {
      text += piece;
      if (!std::exchange(changed, true)) change();
      return true;
    });
    if (!answer.ok() || answer->status != 200) return false;
    int events = 0;
    for (size_t at = 0; (at = text.find("data: ", at)) != std::string::npos; ++at) ++events;
    return events == kEvents + 1 && text.ends_with("data: [DONE]\n\n");
  }
  void ExpectJobEndsWell() {
    std::ofstream(folder() + "/end") << "done\n";
    EXPECT_EQ(Allot({"wait", job_}).code, 0);
    EXPECT_THAT(Ok({"logs", job_}), HasSubstr("done"));
    EXPECT_EQ(Job(job_).attempt, 1);
  }
  std::string PublicKeyOf(const std::string& name) const {
    const auto peers = transport::LoadAllowFile(folder() + "/cluster/allow.yaml");
    if (!peers.ok()) return MessageOf(peers.status());
    for (const transport::AllowedPeer& peer : *peers)
      if (peer.name == name) return peer.public_key;
    return "";
  }
  // How many connections the scheduler has refused for their keys.
  double Refused(const std::string& reason) {
    const auto text = api().Fetch({.target = "/metrics"});
    const std::string row = "allotrope_link_refused_total{reason=\"" + reason + "\"} ";
    const size_t at = text.ok() ? text->find(row) : std::string::npos;
    return at == std::string::npos ? 0 : std::stod(text->substr(at + row.size()));
  }
  std::string job_;
};

TEST_F(KeyRotation, OfNodesAndGatewaysAreRenewedUnderAJobAndAStream) {
  UpWithWork();
  const std::string node = PublicKeyOf("one"), gateway = PublicKeyOf("gateway");
  EXPECT_TRUE(StreamUnder([&] {
    const std::string told = Ok({"keys", "rotate", "--all"});
    EXPECT_THAT(told, HasSubstr("one renewed"));
    EXPECT_THAT(told, HasSubstr("gateway renewed"));
  }));
  EXPECT_NE(PublicKeyOf("one"), node);
  EXPECT_NE(PublicKeyOf("gateway"), gateway);
  // The key before makes no connection any more.
  const auto old = transport::LoadKeyFile(cluster().layout().File("keys/one.key"));
  ASSERT_TRUE(old.ok()) << old.status();
  EXPECT_EQ(old->public_key, node);
  const double before = Refused("unknown_key");
  RawPeer peer;
  peer.Curve(*old, addresses().public_key);
  peer.Connect(addresses().endpoint);
  EXPECT_TRUE(Until([&] { return Refused("unknown_key") > before; }));
  // Whoever starts anew knows which key is his.
  KillAgent("one");
  StartAgent("one");
  KillScheduler();
  StartScheduler();
  EXPECT_TRUE(Until([&] { return StreamUnder([] {}); }));
  ExpectJobEndsWell();
  EXPECT_THAT(Read("cluster/scheduler/audit.jsonl"), HasSubstr("\"verb\":\"renew key\""));
}

TEST_F(KeyRotation, TheHeadsIsRenewedUnderAJobAndAStream) {
  UpWithWork();
  const std::string before = addresses().public_key;
  EXPECT_TRUE(StreamUnder([&] {
    EXPECT_THAT(Ok({"keys", "rotate", "--head"}), HasSubstr("head renewed"));
  }));
  const std::string file = cluster().layout().File("keys/scheduler.key");
  const std::string now = transport::LoadKeyFile(file)->public_key;
  EXPECT_NE(now, before);
  // Who knows the one before is served by it for a while, and told of the new one.
  KillAgent("one");
  std::filesystem::remove(cluster().layout().NodeState("one") + "/renewed.keys");
  StartAgent("one");
  EXPECT_TRUE(Until([&] {
    return std::filesystem::exists(cluster().layout().NodeState("one") + "/renewed.keys");
  }));
  // Its time is over.
  KillScheduler();
  ASSERT_TRUE(
      transport::ReplaceKeyFile(file, *transport::LoadKeyFile(file), FromMicros(1'000'000)).ok());
  StartScheduler();
  EXPECT_FALSE(std::filesystem::exists(file + ".old"));
  KillAgent("one");
  StartAgent("one");
  EXPECT_TRUE(Until([&] { return StreamUnder([] {}); }));
  ExpectJobEndsWell();
  const double handshakes = Refused("handshake");
  RawPeer peer;
  peer.Curve(transport::NewKeyPair(), before);
  peer.Connect(addresses().endpoint);
  EXPECT_TRUE(Until([&] { return Refused("handshake") > handshakes; }));
}

}  // namespace
}  // namespace allot::testing
