// One listening context with its allow list, dialling peers, strangers; all on one loop.
#pragma once

#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "common/transport/link.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/transport/strangers.h"

namespace allot::transport {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "allot-test-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

// An envelope that carries a number, and can be told from another.
inline wire::Envelope Numbered(uint64_t sequence) {
  wire::Envelope envelope;
  envelope.set_sequence(sequence);
  envelope.add_messages()->mutable_link_hello()->set_node("hello");
  return envelope;
}

// A dialling peer and all it has heard.
struct Peer {
  KeyPair keys = NewKeyPair();
  std::vector<ClientLink::Incoming> heard;
  int connected = 0;
  std::vector<std::string> disconnected;
  std::function<void(const ClientLink::Incoming&)> on_message;
  std::unique_ptr<ClientLink> link;
};

class LinkTest : public ::testing::Test {
 protected:
  LinkTest() {
    auto context = Context::Create({.allow_file = allow_file_, .sockets_max = 4096});
    EXPECT_TRUE(context.ok()) << context.status();
    context_ = *std::move(context);
  }
  ~LinkTest() override { server_.reset(); }

  void Enroll(const std::string& name, const KeyPair& keys, Role role = Role::kAgent) {
    const Status s =
        EnrollPeer(allow_file_, {.name = name, .public_key = keys.public_key, .role = role}, false);
    ASSERT_TRUE(s.ok()) << s;
  }

  // `echo`: answers every message with its own sequence and bodies.
  void Listen(ServerLink::Options options = {}, bool echo = false) {
    options.endpoint = "tcp://127.0.0.1:0";
    options.keys = server_keys_;
    auto server =
        ServerLink::Listen(*context_, loop_, options, [this, echo](ServerLink::Incoming m) {
          if (echo) server_->Send(m.peer, Numbered(m.envelope.sequence()), m.bodies);
          arrived_.push_back(std::move(m));
        });
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  void Dial(Peer& peer, ClientLink::Options options = {}) {
    if (options.endpoint.empty()) options.endpoint = server_->endpoint();
    if (options.server_public_key.empty()) options.server_public_key = server_keys_.public_key;
    options.keys = peer.keys;
    auto link = ClientLink::Dial(
        *context_, loop_, options,
        {.message =
             [&peer](ClientLink::Incoming message) {
               peer.heard.push_back(std::move(message));
               if (peer.on_message) peer.on_message(peer.heard.back());
             },
         .connected = [&peer] { ++peer.connected; },
         .disconnected =
             [&peer](std::string why) { peer.disconnected.push_back(std::move(why)); }});
    ASSERT_TRUE(link.ok()) << link.status();
    peer.link = *std::move(link);
  }
  std::unique_ptr<Peer> EnrolledPeer(const std::string& name, Role role = Role::kAgent) {
    auto peer = std::make_unique<Peer>();
    Enroll(name, peer->keys, role);
    Dial(*peer);
    return peer;
  }

  // Runs the loop until `condition` holds. The deadline only ends a test that hangs.
  bool Until(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(120);
    loop_.restart();
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) {
        ADD_FAILURE() << "the condition did not come true";
        return false;
      }
      loop_.run_one_for(std::chrono::milliseconds(100));
    }
    return true;
  }
  bool UntilRefused(Peer& peer) {
    return Until([&] { return !peer.disconnected.empty(); });
  }
  // The peer exchanges `count` more messages with an echoing server, one at a time.
  bool Exchange(Peer& peer, size_t count) {
    const size_t goal = peer.heard.size() + count;
    peer.on_message = [&peer, goal](const ClientLink::Incoming&) {
      if (peer.heard.size() < goal) peer.link->Send(Numbered(peer.heard.size()));
    };
    peer.link->Send(Numbered(peer.heard.size()));
    return Until([&] { return peer.heard.size() >= goal; });
  }

  TemporaryFolder folder_;
  const std::string allow_file_ = folder_ / "allow.yaml";
  const KeyPair server_keys_ = NewKeyPair();
  boost::asio::io_context loop_;
  std::unique_ptr<Context> context_;
  std::unique_ptr<ServerLink> server_;
  std::vector<ServerLink::Incoming> arrived_;
};

}  // namespace allot::transport
