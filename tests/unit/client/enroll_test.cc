// The files of a head and what people are told about them; joining itself is in tests/deploy.
#include <sys/stat.h>

#include <filesystem>
#include <sstream>

#include "client/enroll/authority.h"
#include "client/enroll/head.h"
#include "client/enroll/join.h"
#include "client/local/files.h"
#include "common/auth/tokens.h"
#include "common/base/loopback.h"
#include "common/config/convert.h"
#include "common/http/tls_identity.h"
#include "common/proto/config.pb.h"
#include "common/transport/invitations.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/client/temporary_folder.h"

namespace allot::client {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class HeadTest : public ::testing::Test {
 protected:
  StatusOr<InitResult> Init(const InitOptions& options = {.listen = "10.0.0.5"}) {
    return InitCluster(Places::Find(folder_.path() + "/head"), options);
  }
  static unsigned ModeOf(const std::string& path) {
    struct stat info {};
    EXPECT_EQ(stat(path.c_str(), &info), 0) << path;
    return info.st_mode & 0777;
  }
  Head Loaded() { return *Head::Load(Places::Find(folder_.path() + "/head"), ""); }
  TemporaryFolder folder_;
};

TEST_F(HeadTest, HasAConfigThatItsSchedulerTakes) {
  const auto made = Init();
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_TRUE(made->fresh);
  EXPECT_THAT(made->endpoints, ElementsAre("tcp://10.0.0.5:7400"));
  EXPECT_EQ(made->api, "https://10.0.0.5:7401");
  EXPECT_EQ(made->gateway, "https://10.0.0.5:7411");
  const auto config = config::LoadChecked<config::Scheduler>(made->config);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_FALSE(config->local());
  EXPECT_EQ(config->listen(), "tcp://10.0.0.5:7400");
  EXPECT_EQ(config->gateway().advertise(), "tcp://10.0.0.5:7410");
  for (const std::string& secret :
       {config->key_file(), config->tokens_file(), made->admin_token_file})
    EXPECT_EQ(ModeOf(secret), 0600u) << secret;
  const auto tokens = auth::Tokens::Load({.file = config->tokens_file()});
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  std::string token = *local::ReadFile(made->admin_token_file);
  token.pop_back();
  EXPECT_EQ((*tokens)->Authenticate("Bearer " + token)->role, auth::Role::kAdmin);
}

TEST_F(HeadTest, HasAnAuthorityAndACertificateForItsNames) {
  const auto made =
      Init({.listen = "10.0.0.5", .advertise = "head.example", .names = {"front.example"}});
  ASSERT_TRUE(made.ok()) << made.status();
  const auto config = *config::LoadChecked<config::Scheduler>(made->config);
  const std::string file = config.tls().certificate(), head = folder_.path() + "/head";
  EXPECT_EQ(made->authority_file, head + "/ca.crt");
  EXPECT_EQ(ModeOf(file), 0600u);
  EXPECT_EQ(ModeOf(head + "/ca.key"), 0600u);
  EXPECT_EQ(ModeOf(head + "/ca.crt"), 0644u);
  const auto facts = FactsOf(*local::ReadFile(file), *local::ReadFile(head + "/ca.crt"));
  ASSERT_TRUE(facts.ok()) << facts.status();
  for (const char* name : {"head.example", "front.example", "localhost", "127.0.0.1", "::1"})
    EXPECT_THAT(facts->names, ::testing::Contains(name));
  EXPECT_FALSE(config.plain_tokens());
  EXPECT_THAT(*local::ReadFile(made->client_file),
              AllOf(HasSubstr("https://head.example:7401"), HasSubstr("ca_file: ca.crt")));
  EXPECT_THAT(*local::ReadFile(file),
              ::testing::Not(HasSubstr(*local::ReadFile(head + "/ca.key"))));
  EXPECT_TRUE(http::TlsIdentity::Load({file}).ok());
  EXPECT_EQ(http::PrivateAuthorityOf(file), *local::ReadFile(head + "/ca.crt"));
}

TEST_F(HeadTest, OnLoopbackOrToldSoItSpeaksPlainHttp) {
  const auto local = Init({.listen = "127.0.0.1"});
  ASSERT_TRUE(local.ok()) << local.status();
  EXPECT_EQ(local->api, "http://127.0.0.1:7401");
  EXPECT_EQ(local->authority_file, "");
  EXPECT_FALSE(config::LoadChecked<config::Scheduler>(local->config)->plain_tokens());
  const auto told = InitCluster(Places::Find(folder_.path() + "/told"),
                                {.listen = "10.0.0.5", .plain_http = true});
  ASSERT_TRUE(told.ok()) << told.status();
  EXPECT_EQ(told->api, "http://10.0.0.5:7401");
  EXPECT_TRUE(config::LoadChecked<config::Scheduler>(told->config)->plain_tokens());
  EXPECT_THAT(*local::ReadFile(told->client_file), HasSubstr("plain_tokens: true"));
}

TEST_F(HeadTest, ARenewedCertificateIsForTheSameNamesAndMore) {
  const auto made = Init({.listen = "10.0.0.5", .advertise = "head.example"});
  ASSERT_TRUE(made.ok()) << made.status();
  const Places places = Places::Find(folder_.path() + "/head");
  const std::string file = Loaded().certificate_file, before = *local::ReadFile(file),
                    authority = *local::ReadFile(made->authority_file);
  const auto renewed = RenewCertificate(places, Loaded(), {"also.example", "10.0.0.9"});
  ASSERT_TRUE(renewed.ok()) << renewed.status();
  EXPECT_TRUE(renewed->in_config);
  EXPECT_EQ(renewed->certificate_file, file);
  EXPECT_NE(*local::ReadFile(file), before);
  EXPECT_EQ(*local::ReadFile(made->authority_file), authority) << "nobody has to be told anew";
  const auto facts = FactsOf(*local::ReadFile(file), authority);
  ASSERT_TRUE(facts.ok()) << facts.status();
  for (const char* name : {"head.example", "localhost", "also.example", "10.0.0.9"})
    EXPECT_THAT(facts->names, ::testing::Contains(name));
  EXPECT_TRUE(
      absl::IsInvalidArgument(RenewCertificate(places, Loaded(), {"DNS:a,IP:1.2.3.4"}).status()))
      << "one word is one name";
  // Somebody else's is not replaced.
  ASSERT_TRUE(local::WriteFile(file, *IssueCertificate(*NewAuthority("x"), {"head"}), 0600).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(RenewCertificate(places, Loaded(), {}).status()));
}

TEST_F(HeadTest, AHeadThatSpokePlainHttpGetsACertificateAndIsToldWhereItGoes) {
  ASSERT_TRUE(Init({.listen = "10.0.0.5", .plain_http = true}).ok());
  const Places places = Places::Find(folder_.path() + "/head");
  EXPECT_TRUE(absl::IsNotFound(CertificateFor(places, {"gw-1"}).status()));
  const auto made = RenewCertificate(places, Loaded(), {});
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_FALSE(made->in_config);
  EXPECT_TRUE(http::TlsIdentity::Load({made->certificate_file}).ok());
  const auto gateway = CertificateFor(places, {"gw-1", "10.0.0.7"});
  ASSERT_TRUE(gateway.ok()) << gateway.status();
  EXPECT_THAT(FactsOf(*gateway, *local::ReadFile(made->authority_file))->names,
              ElementsAre("gw-1", "10.0.0.7"));
}

TEST(Authority, SignsForNoLongerThanItLivesItself) {
  const auto authority = NewAuthority("a cluster");
  ASSERT_TRUE(authority.ok()) << authority.status();
  const auto issued = IssueCertificate(*authority, {"head"}, std::chrono::hours(24 * 36500));
  ASSERT_TRUE(issued.ok()) << issued.status();
  EXPECT_EQ(FactsOf(*issued, authority->certificate)->good_until,
            FactsOf(authority->certificate, authority->certificate)->good_until);
  EXPECT_TRUE(absl::IsInvalidArgument(IssueCertificate(*authority, {}).status()));
  const auto other = NewAuthority("another");
  EXPECT_TRUE(absl::IsInvalidArgument(
      IssueCertificate({authority->certificate, other->key}, {"head"}).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(FactsOf(*issued, other->certificate).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(OnlyCertificate("nonsense").status()));
  EXPECT_EQ(*OnlyCertificate(authority->certificate + authority->key), authority->certificate);
}

TEST_F(HeadTest, ListensEverywhereAndTellsOneAddress) {
  const auto made = Init({});
  ASSERT_TRUE(made.ok()) << made.status();
  const auto config = *config::LoadChecked<config::Scheduler>(made->config);
  EXPECT_THAT(config.listen(), ::testing::AnyOf("tcp://0.0.0.0:7400", "tcp://[::]:7400"));
  ASSERT_EQ(made->endpoints.size(), 1u);
  EXPECT_THAT(made->endpoints[0], ::testing::Not(HasSubstr("0.0.0.0")));
}

TEST_F(HeadTest, RefusesToTellWhatMeansNothing) {
  for (const char* host : {"0.0.0.0", "::", "127.0.0.1", "localhost", "head:7400"}) {
    const auto made = Init({.advertise = host});
    EXPECT_TRUE(absl::IsInvalidArgument(made.status())) << host << " " << made.status();
    EXPECT_FALSE(local::Exists(folder_.path() + "/head")) << host;
  }
  EXPECT_TRUE(absl::IsInvalidArgument(Init({.listen = "10.0.0.5:65530"}).status()));
  const auto v6 = Init({.listen = "[fd00::5]:8000", .advertise = "head.example"});
  ASSERT_TRUE(v6.ok()) << v6.status();
  EXPECT_THAT(v6->endpoints, ElementsAre("tcp://head.example:8000"));
  EXPECT_EQ(v6->api, "https://head.example:8001");
  EXPECT_EQ(config::LoadChecked<config::Scheduler>(v6->config)->http_listen(), "[fd00::5]:8001");
}

TEST_F(HeadTest, AgainKeepsWhatIsThere) {
  const auto first = Init();
  const std::string token = *local::ReadFile(first->admin_token_file);
  const auto again = Init({});
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_FALSE(again->fresh);
  EXPECT_EQ(again->public_key, first->public_key);
  EXPECT_EQ(again->endpoints, first->endpoints);
  EXPECT_EQ(*local::ReadFile(again->admin_token_file), token);
  EXPECT_TRUE(absl::IsAlreadyExists(Init({.listen = "10.0.0.6"}).status()));
}

TEST_F(HeadTest, LeavesNothingBehindWhereItFails) {
  const std::string head = folder_.path() + "/head";
  ASSERT_TRUE(local::MakeFolder(head + "/state/scheduler").ok());
  ASSERT_TRUE(local::WriteFile(head + "/state/scheduler/tokens.yaml", "nonsense", 0600).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(Init().status()));
  EXPECT_FALSE(local::Exists(head + "/scheduler.yaml"));
  EXPECT_FALSE(local::Exists(head + "/state/scheduler/scheduler.key"));
  EXPECT_FALSE(local::Exists(head + "/state/scheduler/allow.yaml"));
  EXPECT_TRUE(local::Exists(head + "/state/scheduler/tokens.yaml"));  // not ours
}

TEST_F(HeadTest, InvitesAndTakesAway) {
  ASSERT_TRUE(Init().ok());
  const Head head = Loaded();
  const auto word =
      InvitePeer(head, "node-7", transport::Role::kAgent, std::chrono::hours(1), false);
  ASSERT_TRUE(word.ok()) << word.status();
  EXPECT_EQ(word->endpoints, head.endpoints);
  EXPECT_EQ(word->scheduler_public_key, head.public_key);
  const auto list = *transport::LoadInvitations(transport::InvitationsFile(head.allow_file));
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0].public_key, *transport::PublicKeyOf(word->secret_key));
  EXPECT_TRUE(absl::IsInvalidArgument(
      InvitePeer(head, "No Name", transport::Role::kAgent, std::chrono::hours(1), false).status()));

  EXPECT_TRUE(RemovePeer(head, "node-7", transport::Role::kAgent).ok());
  EXPECT_TRUE(absl::IsNotFound(RemovePeer(head, "node-7", transport::Role::kAgent)));
  ASSERT_TRUE(transport::EnrollPeer(
                  head.allow_file,
                  {"gw", transport::NewKeyPair().public_key, transport::Role::kGateway}, false)
                  .ok());
  EXPECT_THAT(MessageOf(RemovePeer(head, "gw", transport::Role::kAgent)),
              HasSubstr("allot gateway remove gw"));
  EXPECT_TRUE(RemovePeer(head, "gw", transport::Role::kGateway).ok());
}

TEST_F(HeadTest, GivesTokensAndTakesThemBack) {
  ASSERT_TRUE(Init().ok());
  const std::string file = Loaded().tokens_file;
  const auto token = AddUserToken(file, {"ada", "user", "red"}, false);
  ASSERT_TRUE(token.ok()) << token.status();
  EXPECT_TRUE(absl::IsAlreadyExists(AddUserToken(file, {"ada", "user"}, false).status()));
  EXPECT_EQ((*auth::Tokens::Load({.file = file}))->Authenticate("Bearer " + *token)->tenant, "red");
  EXPECT_TRUE(RemoveUserToken(file, "ada").ok());
  EXPECT_TRUE(absl::IsNotFound(RemoveUserToken(file, "ada")));
  EXPECT_FALSE((*auth::Tokens::Load({.file = file}))->Authenticate("Bearer " + *token).ok());
}

TEST_F(HeadTest, SaysThatThisIsNoHead) {
  EXPECT_THAT(MessageOf(Head::Load(Places::Find(folder_.path() + "/nowhere"), "").status()),
              HasSubstr("allot cluster init"));
}

// Where no package has brought the units, the same are written.
TEST(Units, AreThoseOfThePackages) {
  ASSERT_EQ(PackagedUnits().size(), 3u);
  for (const PackagedUnit& packaged : PackagedUnits()) {
    const std::string config = "/etc/allotrope/" + packaged.program.substr(6) + ".yaml";
    const std::string path = "/opt/allotrope/bin/" + packaged.program;
    const std::string text = UnitText({packaged.program, config}, path, true);
    EXPECT_THAT(text, HasSubstr("\nExecStart=" + path + " --config " + config + "\n"));
    EXPECT_THAT(text, ::testing::Not(HasSubstr("@CMAKE")));
    std::istringstream lines(packaged.text);
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("ExecStart=") || line == "@HARDENING@") continue;
      EXPECT_THAT(text, HasSubstr("\n" + line + "\n"));
    }
    if (packaged.program == "allot-agent") {
      EXPECT_THAT(text, HasSubstr("\nOOMPolicy=continue\n"));
      EXPECT_THAT(text, HasSubstr("\nTasksMax=infinity\n"));
    } else {
      EXPECT_THAT(text, HasSubstr(Hardening()));
    }
  }
}

TEST(Units, FitTheMachine) {
  const Unit unit{"allot-gateway", "/etc/allotrope/gateway.yaml"};
  EXPECT_THAT(UnitText(unit, "/usr/bin/allot-gateway", true), HasSubstr("\nUser=allotrope\n"));
  const std::string text = UnitText(unit, "/home/ada/bin/allot-gateway", false);
  EXPECT_THAT(text, ::testing::Not(HasSubstr("\nUser=")));
  EXPECT_THAT(text, ::testing::Not(HasSubstr("\nProtectHome="))) << "it stands there itself";
  EXPECT_THAT(text, HasSubstr("\nPrivateTmp=yes\n"));
}

// A machine that joins; the scheduler's answers are the test's.
class Joining : public ::testing::Test {
 protected:
  static enroll::InvitationWord Word(transport::Role role = transport::Role::kAgent) {
    const transport::KeyPair scheduler = transport::NewKeyPair(), carried = transport::NewKeyPair();
    return {"node-7", role, {"tcp://10.0.0.1:7400"}, scheduler.public_key, carried.secret_key};
  }
  StatusOr<JoinResult> Joined(const enroll::InvitationWord& word, const JoinOptions& options = {}) {
    return Join(Places::Find(home_), word, options,
                [this](const enroll::Question& question) -> StatusOr<enroll::Answer> {
                  asked_.push_back(question.wish);
                  EXPECT_TRUE(local::Exists(question.key_file));
                  return question.wish == enroll::Wish::kEnroll ? enrolled_ : admitted_;
                });
  }
  std::vector<enroll::Wish> Asked() { return std::exchange(asked_, {}); }

  TemporaryFolder folder_;
  const std::string home_ = folder_.path() + "/node";
  StatusOr<enroll::Answer> enrolled_ = enroll::Answer{true, {"tcp://head:7400"}};
  StatusOr<enroll::Answer> admitted_ = enroll::Answer{true, {}};
  std::vector<enroll::Wish> asked_;
};

TEST_F(Joining, WritesAConfigThatItsProgramTakes) {
  const auto agent = Joined(Word(), {.labels = {{"rack", "7"}}, .emulated = {"nvidia/h100:2"}});
  ASSERT_TRUE(agent.ok()) << agent.status();
  EXPECT_TRUE(agent->fresh);
  EXPECT_EQ(agent->unit.program, "allot-agent");
  const auto written = config::LoadChecked<config::Agent>(agent->config);
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_THAT(written->scheduler(), ElementsAre("tcp://head:7400"));
  EXPECT_EQ(written->devices().emulated(0).count(), 2u);
  const auto gateway = Joined(Word(transport::Role::kGateway));
  ASSERT_TRUE(gateway.ok()) << gateway.status();
  EXPECT_EQ(gateway->unit.program, "allot-gateway");
  EXPECT_TRUE(config::LoadChecked<config::Gateway>(gateway->config).ok());
}

TEST_F(Joining, BringsWhomToBelieveAndWhatToShow) {
  const AuthorityPair authority = *NewAuthority("a cluster");
  enrolled_ = enroll::Answer{true, {"tcp://head:7400"}, authority.certificate};
  const std::string file = folder_.path() + "/gw-1.pem",
                    shown = *IssueCertificate(authority, {"gw-1"});
  ASSERT_TRUE(local::WriteFile(file, shown, 0600).ok());
  const auto gateway = Joined(Word(transport::Role::kGateway), {.certificate = file});
  ASSERT_TRUE(gateway.ok()) << gateway.status();
  EXPECT_EQ(*local::ReadFile(home_ + "/ca.crt"), authority.certificate);
  const auto config = *config::LoadChecked<config::Gateway>(gateway->config);
  EXPECT_EQ(config.tls().certificate(), home_ + "/state/gateway/tls.pem");
  EXPECT_EQ(*local::ReadFile(config.tls().certificate()), shown);
  EXPECT_TRUE(http::TlsIdentity::Load({config.tls().certificate()}).ok());
}

TEST_F(Joining, TakesNothingElseForAnAuthority) {
  enrolled_ = enroll::Answer{true, {"tcp://head:7400"}, "-----BEGIN NONSENSE-----"};
  EXPECT_TRUE(absl::IsInvalidArgument(Joined(Word()).status()));
  EXPECT_FALSE(local::Exists(home_ + "/ca.crt"));
}

TEST_F(Joining, AgainIsFine) {
  const enroll::InvitationWord word = Word();
  ASSERT_TRUE(Joined(word).ok());
  EXPECT_THAT(Asked(), ElementsAre(enroll::Wish::kEnroll));
  enrolled_ = PermissionDenied("used");
  const auto again = Joined(word);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_FALSE(again->fresh);
  EXPECT_THAT(Asked(), ElementsAre(enroll::Wish::kAdmitted)) << "the invitation is not needed";
  // It was taken off the list since: the used invitation lets it in no more.
  admitted_ = enroll::Answer{};
  EXPECT_TRUE(absl::IsPermissionDenied(Joined(word).status()));
}

TEST_F(Joining, FinishesWhatWasCutShortAfterTheInvitationWasUsed) {
  const enroll::InvitationWord word = Word();
  ASSERT_TRUE(Joined(word).ok());
  std::filesystem::remove(home_ + "/agent.yaml");
  enrolled_ = PermissionDenied("used");
  const auto joined = Joined(word);
  ASSERT_TRUE(joined.ok()) << joined.status();
  EXPECT_TRUE(local::Exists(joined->config));
}

TEST_F(Joining, IsOfOneClusterUnlessToldOtherwise) {
  ASSERT_TRUE(Joined(Word()).ok());
  const enroll::InvitationWord other = Word();
  EXPECT_TRUE(absl::IsAlreadyExists(Joined(other).status()));
  EXPECT_TRUE(Joined(other, {.replace = true}).ok());
  EXPECT_TRUE(local::Exists(home_ + "/state/agent/agent.key.replaced"));
}

TEST_F(Joining, LeavesNothingBehindWhereNoSchedulerAnswers) {
  for (const Status& why : {Unavailable("no scheduler answers"), PermissionDenied("used"),
                            absl::CancelledError("interrupted")}) {
    enrolled_ = why;
    EXPECT_EQ(Joined(Word()).status(), why);
    EXPECT_FALSE(local::Exists(home_)) << why;
  }
}

}  // namespace
}  // namespace allot::client
