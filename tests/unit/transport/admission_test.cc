// Who gets in: the allow list, its roles, its changes.
#include <sys/stat.h>

#include <fstream>

#include "common/transport/zap.h"
#include "tests/unit/transport/harness.h"

namespace allot::transport {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Admission : public LinkTest {
 protected:
  // Dials anew with the same key until it is known whether it gets in.
  bool GetsIn(const KeyPair& keys) {
    Peer peer;
    peer.keys = keys;
    Dial(peer);
    peer.link->Send(Numbered(1));
    EXPECT_TRUE(Until([&] { return !peer.heard.empty() || !peer.disconnected.empty(); }));
    return !peer.heard.empty();
  }
};

TEST_F(Admission, UnknownKeyIsRefusedAndCounted) {
  Listen();
  Enroll("n1", NewKeyPair());
  Peer stranger;
  Dial(stranger);
  stranger.link->Send(Numbered(1));
  ASSERT_TRUE(UntilRefused(stranger));
  EXPECT_THAT(stranger.disconnected, ElementsAre(HasSubstr("refused our key (400)")));
  EXPECT_EQ(stranger.connected, 0);
  EXPECT_EQ(context_->zap().refused_unknown_key, 1u);
  EXPECT_EQ(context_->zap().admitted, 0u);
  EXPECT_TRUE(Until([&] { return server_->counters().disconnected == 1; }));
  EXPECT_EQ(server_->counters().handshakes_failed, 1u);
  EXPECT_TRUE(arrived_.empty());
}

TEST_F(Admission, KeyOfARoleThatMayNotDialHereIsRefused) {
  Listen({.admit = {Role::kAgent}});
  Peer gateway;
  Enroll("g1", gateway.keys, Role::kGateway);
  Dial(gateway);
  ASSERT_TRUE(UntilRefused(gateway));
  EXPECT_EQ(context_->zap().refused_role, 1u);
  auto agent = EnrolledPeer("n1");
  agent->link->Send(Numbered(1));
  EXPECT_TRUE(Until([&] { return arrived_.size() == 1; }));
}

TEST_F(Admission, ServersOfOneContextAdmitTheirOwnRoles) {
  Listen({.admit = {Role::kAgent}});
  std::vector<ServerLink::Incoming> arrived;
  auto other = ServerLink::Listen(
      *context_, loop_,
      {.endpoint = "tcp://127.0.0.1:0", .keys = server_keys_, .admit = {Role::kGateway}},
      [&](ServerLink::Incoming message) { arrived.push_back(std::move(message)); });
  ASSERT_TRUE(other.ok());
  Peer gateway, refused;
  Enroll("g1", gateway.keys, Role::kGateway);
  Dial(gateway, {.endpoint = (*other)->endpoint()});
  gateway.link->Send(Numbered(1));
  ASSERT_TRUE(Until([&] { return arrived.size() == 1; }));
  EXPECT_EQ(arrived[0].name, "g1");
  EXPECT_EQ(arrived[0].role, Role::kGateway);
  refused.keys = gateway.keys;
  Dial(refused);
  EXPECT_TRUE(UntilRefused(refused));
}

TEST_F(Admission, WrongServerKeyGetsNowhere) {
  Listen();
  Peer peer;
  Enroll("n1", peer.keys);
  Dial(peer, {.server_public_key = NewKeyPair().public_key});
  ASSERT_TRUE(UntilRefused(peer));
  EXPECT_EQ(peer.connected, 0);
  EXPECT_TRUE(Until([&] { return server_->counters().handshakes_failed == 1; }));
}

TEST_F(Admission, ListEditedAtRunTimeCounts) {
  Listen({}, /*echo=*/true);
  const KeyPair n1 = NewKeyPair(), n2 = NewKeyPair();
  Enroll("n1", n1);
  EXPECT_TRUE(GetsIn(n1));
  EXPECT_FALSE(GetsIn(n2));
  Enroll("n2", n2);
  EXPECT_TRUE(GetsIn(n2));
  ASSERT_TRUE(RevokePeer(allow_file_, "n1").ok());
  EXPECT_FALSE(GetsIn(n1));
  EXPECT_TRUE(GetsIn(n2));
}

TEST_F(Admission, ARevokedPeerIsHeardNoMoreOnTheConnectionItHas) {
  std::vector<std::string> revoked;
  Listen({.revoked = [&](const std::string&, const std::string& name) { revoked.push_back(name); }},
         /*echo=*/true);
  auto one = EnrolledPeer("n1"), other = EnrolledPeer("n2");
  ASSERT_TRUE(Exchange(*one, 1) && Exchange(*other, 1));
  ASSERT_TRUE(RevokePeer(allow_file_, "n1").ok());
  // Nobody dials; the list is read all the same.
  ASSERT_TRUE(Until([&] {
    one->link->Send(Numbered(7));
    return server_->counters().dropped_revoked > 0;
  }));
  EXPECT_EQ(revoked.at(0), "n1");
  const size_t heard = arrived_.size();
  one->link->Send(Numbered(8));
  ASSERT_TRUE(Exchange(*other, 3));
  EXPECT_EQ(arrived_.size(), heard + 3);
  // A new key under the same name: who holds the old one is still a stranger.
  Enroll("n1", NewKeyPair());
  EXPECT_FALSE(GetsIn(one->keys));
  const uint64_t dropped = server_->counters().dropped_revoked;
  one->link->Send(Numbered(9));
  EXPECT_TRUE(Until([&] { return server_->counters().dropped_revoked > dropped; }));
}

TEST_F(Admission, ABrokenListCutsNobodyOff) {
  Listen({}, /*echo=*/true);
  auto peer = EnrolledPeer("n1");
  ASSERT_TRUE(Exchange(*peer, 1));
  std::ofstream(allow_file_, std::ios::app) << "nonsense: [\n";
  EXPECT_FALSE(GetsIn(peer->keys));
  EXPECT_TRUE(Exchange(*peer, 3));
  EXPECT_EQ(server_->counters().dropped_revoked, 0u);
}

TEST_F(Admission, ListThatCannotBeReadAdmitsNobody) {
  Listen({}, /*echo=*/true);
  EXPECT_FALSE(context_->allow_list_status().ok());  // There is none yet.
  const KeyPair keys = NewKeyPair();
  EXPECT_FALSE(GetsIn(keys));
  EXPECT_EQ(context_->zap().refused_no_list, 1u);
  Enroll("n1", keys);
  EXPECT_TRUE(GetsIn(keys));
  EXPECT_TRUE(context_->allow_list_status().ok());

  const auto good = LoadAllowFile(allow_file_);
  ASSERT_TRUE(good.ok());
  std::ofstream(allow_file_, std::ios::app) << "nonsense: [\n";
  EXPECT_FALSE(GetsIn(keys));
  EXPECT_FALSE(context_->allow_list_status().ok());
  ASSERT_TRUE(SaveAllowFile(allow_file_, *good).ok());
  EXPECT_TRUE(GetsIn(keys));
  ::chmod(allow_file_.c_str(), 0666);  // Now anybody could write himself into it.
  EXPECT_FALSE(GetsIn(keys));
  ::chmod(allow_file_.c_str(), 0644);
  EXPECT_TRUE(GetsIn(keys));
  std::filesystem::remove(allow_file_);
  EXPECT_FALSE(GetsIn(keys));
  EXPECT_EQ(context_->zap().refused_no_list, 4u);
}

TEST_F(Admission, RefusedPeerIsToldWhenTheListIsBroken) {
  Listen();
  Peer peer;
  Dial(peer);
  ASSERT_TRUE(UntilRefused(peer));
  EXPECT_THAT(peer.disconnected, ElementsAre(HasSubstr("allow list cannot be read")));
}

TEST(ZapDomain, NamesTheRolesItAdmits) {
  const std::string domain = ZapDomain({Role::kAgent, Role::kGateway});
  EXPECT_EQ(domain, "agent,gateway");
  EXPECT_TRUE(DomainAdmits(domain, Role::kAgent));
  EXPECT_TRUE(DomainAdmits(domain, Role::kGateway));
  EXPECT_FALSE(DomainAdmits(domain, Role::kScheduler));
  EXPECT_FALSE(DomainAdmits("", Role::kAgent));
  EXPECT_FALSE(DomainAdmits("agents", Role::kAgent));
}

TEST(UserId, ComesBackAsRoleNameAndKey) {
  const std::string text = FormatUserId({"g1", "k:e:y", Role::kGateway});
  const auto id = ParseUserId(text);
  ASSERT_TRUE(id);
  EXPECT_EQ(id->role, Role::kGateway);
  EXPECT_EQ(id->name, "g1");
  EXPECT_EQ(id->public_key, "k:e:y");
  for (const char* bad :
       {"", "n1", "agent:", "agent:n1", "agent:n1:", "agent::k", ":n1:k", "king:n1:k"})
    EXPECT_FALSE(ParseUserId(bad)) << bad;
}

}  // namespace
}  // namespace allot::transport
