// Who may enrol, once, until when; and whom a listener learns to admit.
#include "common/transport/invitations.h"

#include <sys/stat.h>

#include <fstream>

#include "tests/unit/transport/harness.h"

namespace allot::transport {
namespace {

using ::testing::HasSubstr;

constexpr Duration kHour = std::chrono::hours(1);

class Invitations : public LinkTest {
 protected:
  Invitations() { EXPECT_TRUE(SaveAllowFile(allow_file_, {}).ok()); }

  // The keys that the invitation carries.
  KeyPair Invited(const std::string& name, Role role = Role::kAgent, Duration good_for = kHour) {
    KeyPair keys = NewKeyPair();
    const Status done =
        Invite(allow_file_, {name, keys.public_key, role, now_ + good_for}, now_, false);
    EXPECT_TRUE(done.ok()) << done;
    return keys;
  }
  Status Accept(const std::string& name, const KeyPair& keys, Role role = Role::kAgent) {
    return AcceptInvitation(allow_file_, {name, keys.public_key, role}, now_);
  }
  std::string Enrolled(const std::string& name) {
    const auto peers = LoadAllowFile(allow_file_);
    EXPECT_TRUE(peers.ok()) << peers.status();
    for (const AllowedPeer& peer : *peers)
      if (peer.name == name) return peer.public_key;
    return "";
  }
  Time now_ = WallClock();
};

TEST_F(Invitations, AreGoodOnce) {
  Invited("n1");
  const KeyPair own = NewKeyPair(), thief = NewKeyPair();
  EXPECT_EQ(Enrolled("n1"), "");
  ASSERT_TRUE(Accept("n1", own).ok());
  EXPECT_EQ(Enrolled("n1"), own.public_key);
  EXPECT_TRUE(absl::IsNotFound(Accept("n1", thief)));
  EXPECT_EQ(Enrolled("n1"), own.public_key);
  EXPECT_TRUE(LoadInvitations(InvitationsFile(allow_file_))->empty());
}

TEST_F(Invitations, AreForOneNameAndRole) {
  Invited("n1");
  EXPECT_TRUE(absl::IsNotFound(Accept("n2", NewKeyPair())));
  EXPECT_TRUE(absl::IsNotFound(Accept("n1", NewKeyPair(), Role::kGateway)));
  EXPECT_TRUE(Accept("n1", NewKeyPair()).ok());
}

TEST_F(Invitations, ExpireAtTheirTime) {
  Invited("n1");
  now_ += kHour;
  EXPECT_TRUE(absl::IsDeadlineExceeded(Accept("n1", NewKeyPair())));
  now_ -= std::chrono::milliseconds(1);
  EXPECT_TRUE(Accept("n1", NewKeyPair()).ok());
}

TEST_F(Invitations, AreNotTheKeyOfThePeer) {
  const KeyPair carried = Invited("n1");
  EXPECT_TRUE(absl::IsInvalidArgument(Accept("n1", carried)));
  EXPECT_TRUE(Accept("n1", NewKeyPair()).ok());
}

TEST_F(Invitations, TheLastOneForANameCounts) {
  const KeyPair first = Invited("n1"), second = Invited("n1");
  const auto list = LoadInvitations(InvitationsFile(allow_file_));
  ASSERT_EQ(list->size(), 1u);
  EXPECT_EQ(list->front().public_key, second.public_key);
  EXPECT_TRUE(Uninvite(allow_file_, "n1").ok());
  EXPECT_TRUE(absl::IsNotFound(Uninvite(allow_file_, "n1")));
  EXPECT_TRUE(absl::IsNotFound(Accept("n1", NewKeyPair())));
}

TEST_F(Invitations, TakeNobodysPlaceUnasked) {
  Enroll("n1", NewKeyPair());
  Enroll("g1", NewKeyPair(), Role::kGateway);
  const Invitation again{"n1", NewKeyPair().public_key, Role::kAgent, now_ + kHour};
  EXPECT_TRUE(absl::IsAlreadyExists(Invite(allow_file_, again, now_, false)));
  EXPECT_TRUE(Invite(allow_file_, again, now_, true).ok());
  const Invitation other{"g1", NewKeyPair().public_key, Role::kAgent, now_ + kHour};
  EXPECT_TRUE(absl::IsAlreadyExists(Invite(allow_file_, other, now_, true)));
  const Invitation bad{"No Name", NewKeyPair().public_key, Role::kAgent, now_ + kHour};
  EXPECT_TRUE(absl::IsInvalidArgument(Invite(allow_file_, bad, now_, true)));
}

TEST_F(Invitations, AFileThatEverybodyMayWriteInvitesNobody) {
  Invited("n1");
  ASSERT_EQ(::chmod(InvitationsFile(allow_file_).c_str(), 0666), 0);
  EXPECT_TRUE(absl::IsPermissionDenied(LoadInvitations(InvitationsFile(allow_file_)).status()));
  EXPECT_FALSE(Accept("n1", NewKeyPair()).ok());
}

TEST_F(Invitations, NamesOfInvitedPeersAreNobodyElses) {
  const Invitation one{"n1", NewKeyPair().public_key, Role::kGateway, now_};
  EXPECT_EQ(InvitedName(one), "gateway/n1");
  EXPECT_EQ(ParseInvitedName("gateway/n1")->role, Role::kGateway);
  EXPECT_EQ(ParseInvitedName("agent/a.b")->name, "a.b");
  EXPECT_FALSE(ParseInvitedName("n1").has_value());
  EXPECT_FALSE(ParseInvitedName("king/n1").has_value());
}

// ---- on a link ----------------------------------------------------------------------------------

TEST_F(Invitations, ComeInOnlyWhereTheyAreExpected) {
  Listen({.admit = {Role::kAgent}});
  Peer peer;
  peer.keys = Invited("n1");
  Dial(peer);
  EXPECT_TRUE(UntilRefused(peer));
  Listen({.admit = {Role::kAgent, Role::kInvited}});
  Peer invited;
  invited.keys = peer.keys;
  Dial(invited);
  invited.link->Send(Numbered(1));
  ASSERT_TRUE(Until([&] { return !arrived_.empty(); }));
  EXPECT_EQ(arrived_[0].role, Role::kInvited);
  EXPECT_EQ(arrived_[0].name, "agent/n1");
  EXPECT_EQ(arrived_[0].address, "127.0.0.1");
  // Its own key takes its place; the invitation's is a stranger's then.
  ASSERT_TRUE(Accept("n1", NewKeyPair()).ok());
  Peer late;
  late.keys = peer.keys;
  Dial(late);
  EXPECT_TRUE(UntilRefused(late));
}

TEST_F(Invitations, TooOldOnesAreStrangers) {
  Listen({.admit = {Role::kInvited}});
  now_ -= 2 * kHour;
  Peer peer;
  peer.keys = Invited("n1");
  Dial(peer);
  EXPECT_TRUE(UntilRefused(peer));
  EXPECT_EQ(context_->zap().refused_unknown_key, 1u);
}

TEST_F(Invitations, AreNotAmongTheAllowed) {
  Listen({.admit = {Role::kInvited}});
  Enroll("n2", NewKeyPair());
  Peer peer;
  peer.keys = Invited("n1");
  Dial(peer);
  ASSERT_TRUE(Until([&] { return peer.connected == 1; }));
  const std::vector<AllowedPeer> allowed = context_->AllowedPeers();
  ASSERT_EQ(allowed.size(), 1u);
  EXPECT_EQ(allowed[0].name, "n2");
}

TEST_F(Invitations, LearnedPeersAreAdmittedBesideTheList) {
  Listen();
  Peer learned, listed, same_name;
  Enroll("n1", listed.keys);
  context_->SetLearned({{"n2", learned.keys.public_key, Role::kAgent},
                        {"n1", same_name.keys.public_key, Role::kAgent}});
  for (Peer* peer : {&learned, &listed}) {
    Dial(*peer);
    peer->link->Send(Numbered(1));
  }
  ASSERT_TRUE(Until([&] { return arrived_.size() == 2; }));
  Dial(same_name);  // The list's own n1 counts.
  EXPECT_TRUE(UntilRefused(same_name));

  // Whoever is not learned any more is heard no more, on the connection that is up.
  context_->SetLearned({});
  learned.link->Send(Numbered(2));
  listed.link->Send(Numbered(2));
  ASSERT_TRUE(Until([&] { return server_->counters().dropped_revoked == 1; }));
  ASSERT_TRUE(Until([&] { return arrived_.size() == 3; }));
  EXPECT_EQ(arrived_[2].name, "n1");
}

TEST(LearnedOnly, AContextWithoutAListAdmitsWhomItLearns) {
  auto context = *Context::Create({.learns = true});
  EXPECT_TRUE(context->AllowedPeers().empty());
  const uint64_t before = context->allow_list_version();
  context->SetLearned({{"n1", NewKeyPair().public_key, Role::kAgent}});
  EXPECT_EQ(context->AllowedPeers().size(), 1u);
  EXPECT_GT(context->allow_list_version(), before);
}

}  // namespace
}  // namespace allot::transport
