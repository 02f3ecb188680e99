// Keys of a server and of its peers are renewed while connections stay.
#include <sys/stat.h>

#include "common/transport/invitations.h"
#include "common/transport/renewed_keys.h"
#include "tests/unit/transport/harness.h"

namespace allot::transport {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(LinkTest, AServerIsKnownByTwoKeysOnOnePort) {
  Listen({}, /*echo=*/true);
  const KeyPair next = NewKeyPair();
  auto before = EnrolledPeer("n1");
  ASSERT_TRUE(Exchange(*before, 1));
  ASSERT_TRUE(server_->AddKey(next).ok());
  EXPECT_TRUE(server_->AddKey(next).ok()) << "again is fine";
  ASSERT_TRUE(Exchange(*before, 2)) << "a connection that is up stays";
  const auto dial = [&](const std::string& name, const std::string& server_key) {
    auto peer = std::make_unique<Peer>();
    Enroll(name, peer->keys);
    Dial(*peer, {.endpoint = server_->endpoint(), .server_public_key = server_key});
    return peer;
  };
  auto by_old = dial("n2", server_keys_.public_key), by_new = dial("n3", next.public_key);
  ASSERT_TRUE(Exchange(*by_old, 3));
  ASSERT_TRUE(Exchange(*by_new, 4));
  // A stranger's key is none of them.
  auto wrong = dial("n4", NewKeyPair().public_key);
  EXPECT_TRUE(Until([&] { return !wrong->disconnected.empty(); }));
  // One that was dropped proves nobody any more; what is connected stays.
  server_->DropKey(server_keys_.public_key);
  auto late = dial("n5", server_keys_.public_key);
  EXPECT_TRUE(Until([&] { return !late->disconnected.empty(); }));
  ASSERT_TRUE(Exchange(*before, 5));
  auto fresh = dial("n6", next.public_key);
  EXPECT_TRUE(Exchange(*fresh, 6));
}

TEST_F(LinkTest, AKeyThatWasRenewedKeepsItsConnectionsAndMakesNone) {
  Listen({}, /*echo=*/true);
  auto peer = EnrolledPeer("n1");
  ASSERT_TRUE(Exchange(*peer, 1));
  const KeyPair next = NewKeyPair();
  const Time until = WallClock() + std::chrono::hours(1);
  EXPECT_TRUE(absl::IsPermissionDenied(
      RenewPeerKey(allow_file_, "n1", NewKeyPair().public_key, next.public_key, until)));
  ASSERT_TRUE(RenewPeerKey(allow_file_, "n1", peer->keys.public_key, next.public_key, until).ok());
  EXPECT_TRUE(RenewPeerKey(allow_file_, "n1", peer->keys.public_key, next.public_key, until).ok())
      << "told twice";
  // Whoever dials makes the list be read.
  auto old = std::make_unique<Peer>();
  old->keys = peer->keys;
  Dial(*old);
  EXPECT_TRUE(Until([&] { return !old->disconnected.empty(); }));
  EXPECT_THAT(old->disconnected.front(), HasSubstr("refused our key"));
  ASSERT_TRUE(Exchange(*peer, 2));
  auto renewed = std::make_unique<Peer>();
  renewed->keys = next;
  Dial(*renewed);
  ASSERT_TRUE(Exchange(*renewed, 3));
  EXPECT_EQ(arrived_.back().name, "n1");
  EXPECT_EQ(arrived_.back().public_key, next.public_key);
  // Its time over, it is heard no more.
  std::vector<AllowedPeer> list = *LoadAllowFile(allow_file_);
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0].retired_key, peer->keys.public_key);
  list[0].retired_until = WallClock() - std::chrono::seconds(1);
  ASSERT_TRUE(SaveAllowFile(allow_file_, list).ok());
  EXPECT_TRUE(Until([&] {
    (void)peer->link->Send(Numbered(4));
    return server_->counters().dropped_revoked > 0;
  }));
}

class RenewedKeysTest : public ::testing::Test {
 protected:
  std::unique_ptr<RenewedKeys> Load() {
    auto keys = RenewedKeys::Load(folder_ / "renewed.keys", configured_, scheduler_);
    EXPECT_TRUE(keys.ok()) << keys.status();
    return keys.ok() ? *std::move(keys) : nullptr;
  }
  TemporaryFolder folder_;
  KeyPair configured_ = NewKeyPair();
  std::string scheduler_ = NewKeyPair().public_key;
};

TEST_F(RenewedKeysTest, AreOnDiskBeforeAnybodyHearsOfThem) {
  auto keys = Load();
  EXPECT_EQ(keys->own().public_key, configured_.public_key);
  EXPECT_FALSE(keys->DialBy(1).is_next);
  const std::string next = *keys->MakeNext();
  EXPECT_EQ(*keys->MakeNext(), next);
  // The word that it was taken may be lost: both are tried, in turns.
  keys = Load();
  EXPECT_EQ(keys->DialBy(0).own.public_key, configured_.public_key);
  EXPECT_EQ(keys->DialBy(1).own.public_key, next);
  EXPECT_EQ(keys->DialBy(2).own.public_key, configured_.public_key);
  ASSERT_TRUE(keys->TakeNext().ok());
  keys = Load();
  EXPECT_EQ(keys->own().public_key, next);
  EXPECT_EQ(*PublicKeyOf(keys->own().secret_key), next);
  struct stat info {};
  ASSERT_EQ(::stat((folder_ / "renewed.keys").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(RenewedKeysTest, OfTheSchedulerAreDialledTheNewestFirst) {
  auto keys = Load();
  const std::string next = NewKeyPair().public_key;
  EXPECT_FALSE(keys->SetSchedulerKeys({}).ok());
  EXPECT_FALSE(keys->SetSchedulerKeys({"short"}).ok());
  ASSERT_TRUE(keys->SetSchedulerKeys({scheduler_, next}).ok());
  keys = Load();
  EXPECT_EQ(keys->DialBy(0).scheduler, next);
  EXPECT_EQ(keys->DialBy(1).scheduler, scheduler_);
  ASSERT_TRUE(keys->SetSchedulerKeys({next}).ok());
  EXPECT_EQ(Load()->DialBy(1).scheduler, next);
}

TEST_F(RenewedKeysTest, GiveWayToAConfigThatNamesOthers) {
  auto keys = Load();
  ASSERT_TRUE(keys->MakeNext().ok());
  ASSERT_TRUE(keys->TakeNext().ok());
  ASSERT_TRUE(keys->SetSchedulerKeys({NewKeyPair().public_key}).ok());
  configured_ = NewKeyPair();
  scheduler_ = NewKeyPair().public_key;
  keys = Load();
  EXPECT_EQ(keys->own().public_key, configured_.public_key);
  EXPECT_THAT(keys->scheduler_keys(), ElementsAre(scheduler_));
}

TEST_F(RenewedKeysTest, WithoutAPlaceNothingIsRenewed) {
  auto keys = *RenewedKeys::Load("", configured_, scheduler_);
  EXPECT_FALSE(keys->MakeNext().ok());
  EXPECT_FALSE(keys->DialBy(1).is_next);
  std::vector<wire::Message> said;
  Renewal renewal(*keys, {.say = [&](wire::Message message) { said.push_back(message); },
                          .renewed = [](const KeyPair&) { FAIL(); }});
  wire::Message order;
  order.mutable_renew_key()->set_ticket(7);
  EXPECT_TRUE(renewal.Take(order));
  ASSERT_EQ(said.size(), 1u);
  EXPECT_EQ(said[0].new_key().ticket(), 7u);
  EXPECT_THAT(said[0].new_key().error(), HasSubstr("state_dir"));
  // An answer to what was not asked changes nothing.
  order.mutable_new_key_answer()->set_public_key(NewKeyPair().public_key);
  EXPECT_TRUE(renewal.Take(order));
  EXPECT_EQ(keys->own().public_key, configured_.public_key);
}

TEST_F(RenewedKeysTest, OneOfAnotherIsNotTaken) {
  auto keys = Load();
  int renewed = 0;
  std::vector<wire::Message> said;
  Renewal renewal(*keys, {.say = [&](wire::Message message) { said.push_back(message); },
                          .renewed = [&](const KeyPair&) { ++renewed; }});
  wire::Message message;
  message.mutable_renew_key()->set_ticket(7);
  EXPECT_TRUE(renewal.Take(message));
  const std::string next = said.at(0).new_key().public_key();
  message.mutable_new_key_answer()->set_public_key(NewKeyPair().public_key);
  EXPECT_TRUE(renewal.Take(message));
  EXPECT_EQ(renewed, 0);
  message.mutable_new_key_answer()->set_public_key(next);
  message.mutable_new_key_answer()->set_error("no");
  EXPECT_TRUE(renewal.Take(message));
  EXPECT_EQ(renewed, 0);
  message.mutable_new_key_answer()->clear_error();
  EXPECT_TRUE(renewal.Take(message));
  EXPECT_EQ(renewed, 1);
  EXPECT_EQ(keys->own().public_key, next);
  message.mutable_link_hello();
  EXPECT_FALSE(renewal.Take(message));
}

}  // namespace
}  // namespace allot::transport
