#include "common/auth/tokens.h"

#include "common/auth/uses.h"
#include "common/base/utc.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/log_kept.h"
#include "tests/unit/gateway/harness.h"

namespace allot::auth {
namespace {

using gateway::TempFolder;
using ::testing::HasSubstr;

std::string Entry(const std::string& name, const std::string& token, const std::string& role) {
  return "- {name: " + name + ", sha256: " + Sha256Hex(token) + ", role: " + role + "}\n";
}

TEST(Tokens, GiveThePrincipalOfTheirDigest) {
  TempFolder folder;
  folder.Write("t.yaml",
               "tokens:\n" + Entry("ann", "one", "viewer") + Entry("bob", "two", "admin"));
  auto tokens = Tokens::Load({.file = folder.File("t.yaml")});
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  EXPECT_EQ((*tokens)->Authenticate("Bearer one")->name, "ann");
  EXPECT_EQ((*tokens)->Authenticate("bearer   two ")->role, Role::kAdmin);
  for (const char* wrong :
       {"", "one", "Bearer", "Bearer ", "Bearer three", "Basic one", "Bearer onetwo"})
    EXPECT_EQ((*tokens)->Authenticate(wrong).status().code(), StatusCode::kUnauthenticated)
        << wrong;
}

TEST(Tokens, RolesIncludeTheOnesBelow) {
  EXPECT_TRUE(Require({"a", Role::kAdmin, ""}, Role::kUser).ok());
  EXPECT_TRUE(Require({"a", Role::kUser, ""}, Role::kUser).ok());
  const Status denied = Require({"a", Role::kViewer, ""}, Role::kUser);
  EXPECT_EQ(denied.code(), StatusCode::kPermissionDenied);
  EXPECT_THAT(MessageOf(denied), HasSubstr("needs user"));
}

TEST(Tokens, AreReadAgainWhenTheFileChanges) {
  TempFolder folder;
  folder.Write("t.yaml", "tokens:\n" + Entry("ann", "one", "viewer"));
  auto tokens = Tokens::Load({.file = folder.File("t.yaml")});
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  folder.Write("t.yaml", "tokens:\n" + Entry("ann", "one", "viewer") + Entry("bob", "two", "user"));
  EXPECT_TRUE((*tokens)->Authenticate("Bearer two").ok());
  // A broken file leaves the last good list in force and says so.
  folder.Write("t.yaml", "tokens: [{name: oops}]\n");
  EXPECT_TRUE((*tokens)->Authenticate("Bearer two").ok());
  EXPECT_FALSE((*tokens)->Reload().ok());
  folder.Write("t.yaml", "tokens:\n" + Entry("ann", "one", "viewer"));
  EXPECT_FALSE((*tokens)->Authenticate("Bearer two").ok());
  EXPECT_TRUE((*tokens)->Reload().ok());
}

TEST(Tokens, ABrokenEditIsLoggedOnceAndAMendedOneToo) {
  TempFolder folder;
  folder.Write("t.yaml", "tokens:\n" + Entry("ann", "one", "viewer"));
  auto tokens = Tokens::Load({.file = folder.File("t.yaml")});
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  LogKept log;
  folder.Write("t.yaml", "tokens: [{name: oops}]\n");
  for (int i = 0; i < 3; ++i) EXPECT_TRUE((*tokens)->Authenticate("Bearer one").ok());
  EXPECT_EQ(log.Count("the 1 tokens read before stay valid"), 1);
  folder.Write("t.yaml", "tokens: [{name: oops again}]\n");
  EXPECT_FALSE((*tokens)->Reload().ok());
  EXPECT_EQ(log.Count("stay valid"), 2);
  folder.Write("t.yaml", "tokens: []\n");
  EXPECT_FALSE((*tokens)->Authenticate("Bearer one").ok());
  EXPECT_EQ(log.Count("tokens read again"), 1);
}

TEST(Tokens, AnOpenClusterNeedsNone) {
  auto tokens = Tokens::Load({.open = true});
  ASSERT_TRUE(tokens.ok());
  EXPECT_EQ((*tokens)->Authenticate("")->role, Role::kAdmin);
  EXPECT_EQ((*tokens)->Authenticate("Bearer sk-whatever")->name, "local");
}

TEST(Tokens, AFileThatIsWrongIsAnErrorAtTheStart) {
  TempFolder folder;
  EXPECT_FALSE(Tokens::Load({}).ok());
  EXPECT_FALSE(Tokens::Load({.file = folder.File("missing")}).ok());
  folder.Write("t.yaml", "tokens: [{name: a, sha256: abc, role: user}]\n");
  EXPECT_THAT(MessageOf(Tokens::Load({.file = folder.File("t.yaml")}).status()),
              HasSubstr("sha256"));
  folder.Write("t.yaml", "tokens:\n" + Entry("a", "same", "user") + Entry("b", "same", "user"));
  EXPECT_FALSE(Tokens::Load({.file = folder.File("t.yaml")}).ok());
}

TEST(Tokens, NewOnesAreLongAndDifferent) {
  const auto one = NewToken(), two = NewToken();
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_EQ(one->size(), 6u + 43u);
  EXPECT_NE(*one, *two);
}

TEST(Tokens, DigestsAreSha256) {
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Loopback, IsTheOnlyPlaceForALocalCluster) {
  for (const char* good : {"127.0.0.1:0", "127.1.2.3:80", "[::1]:5", "localhost:1"})
    EXPECT_TRUE(CheckLoopback("listen", good).ok()) << good;
  for (const char* bad : {"0.0.0.0:0", "10.0.0.1:1", "127.evil.com:80", "[::]:1", "127.0.0.1", ""})
    EXPECT_FALSE(CheckLoopback("listen", bad).ok()) << bad;
}

TEST(Tokens, AnExpiredOneSaysSo) {
  TempFolder folder;
  folder.Write("t.yaml",
               "tokens:\n- {name: ann, sha256: " + Sha256Hex("one") +
                   ", role: user, expires: \"2027-01-31T18:00:00Z\"}\n- {name: bob, sha256: " +
                   Sha256Hex("two") + ", role: user, expires: 2027-02-05}\n");
  Time now = *ParseUtc("2027-01-31T17:59:59Z");
  auto tokens = Tokens::Load({.file = folder.File("t.yaml"), .now = [&] { return now; }});
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  EXPECT_EQ((*tokens)->Authenticate("Bearer one")->expires, ParseUtc("2027-01-31T18:00:00Z"));
  EXPECT_EQ((*tokens)->Expiring(std::chrono::hours(24)), 1u);
  EXPECT_EQ((*tokens)->Expiring(std::chrono::hours(7 * 24)), 2u);
  EXPECT_EQ((*tokens)->Expired(), 0u);
  now += std::chrono::seconds(1);
  const Status expired = (*tokens)->Authenticate("Bearer one").status();
  EXPECT_EQ(expired.code(), StatusCode::kUnauthenticated);
  EXPECT_EQ(MessageOf(expired),
            "the token \"ann\" expired on 2027-01-31T18:00:00Z; ask for a new one");
  EXPECT_EQ((*tokens)->Expired(), 1u);
  EXPECT_TRUE((*tokens)->Authenticate("Bearer two").ok());
}

TEST(Tokens, WhatOneBeganStandsAsLongAsItDoes) {
  TempFolder folder;
  Time now = *ParseUtc("2027-01-31T18:00:00Z");
  folder.Write("t.yaml", "tokens:\n" + Entry("ann", "one", "viewer") + "- {name: bob, sha256: " +
                             Sha256Hex("two") +
                             ", role: user, expires: \"2027-02-01T00:00:00Z\"}\n");
  auto tokens = Tokens::Load({.file = folder.File("t.yaml"), .now = [&] { return now; }});
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  EXPECT_TRUE((*tokens)->Standing("").ok());
  EXPECT_TRUE((*tokens)->Standing("Bearer one").ok());
  EXPECT_TRUE((*tokens)->Standing("Bearer two").ok());
  EXPECT_THAT((*tokens)->uses(), testing::IsEmpty()) << "it is no use of it";
  now += std::chrono::hours(6);
  EXPECT_THAT(MessageOf((*tokens)->Standing("Bearer two")), HasSubstr("expired"));
  folder.Write("t.yaml", "tokens:\n" + Entry("bob", "two", "user"));
  (void)(*tokens)->Reload();
  EXPECT_THAT(MessageOf((*tokens)->Standing("Bearer one")), HasSubstr("was removed"));
  EXPECT_TRUE((*tokens)->Standing("Bearer two").ok());
}

TEST(Tokens, OfAnOpenClusterExpireToo) {
  TempFolder folder;
  folder.Write("t.yaml", "tokens:\n- {name: ann, sha256: " + Sha256Hex("one") +
                             ", role: viewer, expires: 2001-01-01}\n");
  auto tokens = Tokens::Load({.file = folder.File("t.yaml"), .open = true});
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  EXPECT_FALSE((*tokens)->Authenticate("Bearer one").ok());
}

TEST(Tokens, HaveAScope) {
  TempFolder folder;
  const std::string head = "tokens:\n- {name: ci, sha256: " + Sha256Hex("one") + ", role: user, ";
  folder.Write("t.yaml", head + "only: [jobs, models], deployments: \"chat-*\"}\n");
  auto tokens = Tokens::Load({.file = folder.File("t.yaml")});
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  const Scope scope = (*tokens)->Authenticate("Bearer one")->scope;
  EXPECT_THAT(scope.only, ::testing::ElementsAre(Area::kJobs, Area::kModels));
  EXPECT_THAT(scope.deployments, ::testing::ElementsAre("chat-*"));
  for (const char* wrong : {"only: [job]}\n", "expires: tomorrow}\n", "expires: 2027-02-30}\n",
                            "deployments: [\"\"]}\n"}) {
    folder.Write("w.yaml", head + wrong);
    EXPECT_FALSE(Tokens::Load({.file = folder.File("w.yaml")}).ok()) << wrong;
  }
}

TEST(Tokens, KnowWhenEachWasUsedLast) {
  TempFolder folder;
  const std::string both =
      "tokens:\n" + Entry("ann", "one", "viewer") + Entry("bob", "two", "admin");
  folder.Write("t.yaml", both);
  Time now = FromMicros(1'000'000'000'000'000);
  auto tokens = Tokens::Load({.file = folder.File("t.yaml"), .now = [&] { return now; }});
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  EXPECT_TRUE((*tokens)->uses().empty());
  EXPECT_FALSE((*tokens)->Authenticate("Bearer three", "10.0.0.7:999").ok());
  EXPECT_TRUE((*tokens)->uses().empty());
  EXPECT_TRUE((*tokens)->Authenticate("Bearer one", "10.0.0.7:999").ok());
  const TokenUse first{"ann", Sha256Hex("one"), now, "10.0.0.7"};
  EXPECT_THAT((*tokens)->uses(), ::testing::ElementsAre(first));
  EXPECT_THAT((*tokens)->TakeUses(), ::testing::ElementsAre(first));
  EXPECT_TRUE((*tokens)->TakeUses().empty());
  // What others saw: the later counts, none is of the future, and whose token is not known is not.
  const TokenUse later{"ann", Sha256Hex("one"), now + std::chrono::seconds(5), "10.0.0.8"};
  now += std::chrono::seconds(9);
  (*tokens)->NoteUses({{"ann", Sha256Hex("one"), now - std::chrono::hours(1), "10.0.0.9"},
                       later,
                       {"eve", Sha256Hex("three"), now, "10.0.0.9"},
                       {"bob", Sha256Hex("two"), now + std::chrono::hours(1), "10.0.0.9"}});
  EXPECT_THAT((*tokens)->uses(), ::testing::UnorderedElementsAre(
                                     later, TokenUse{"bob", Sha256Hex("two"), now, "10.0.0.9"}));
  // They are kept beside the store, and those of tokens that are gone are forgotten.
  const std::string kept = folder.File("uses");
  ASSERT_TRUE(SaveUses(kept, (*tokens)->uses()).ok());
  folder.Write("t.yaml", "tokens:\n" + Entry("ann", "one", "viewer"));
  EXPECT_TRUE((*tokens)->Reload().ok());
  EXPECT_THAT((*tokens)->uses(), ::testing::ElementsAre(later));
  folder.Write("t.yaml", both);
  auto again = Tokens::Load({.file = folder.File("t.yaml"), .now = [&] { return now; }});
  (*again)->NoteUses(*LoadUses(kept));
  EXPECT_EQ((*again)->uses().size(), 2u);
}

TEST(Tokens, AFileOfUsesThatIsNoneSaysNothing) {
  TempFolder folder;
  EXPECT_TRUE(LoadUses(folder.File("none"))->empty());
  folder.Write("uses", "# a\nx\n" + std::string(64, 'a') + " 2027-01-01T00:00:00Z - \x1b[2J\n" +
                           std::string(64, 'b') + " yesterday - ann\n" + std::string(64, 'c') +
                           " 2027-01-01T00:00:00Z - ann");
  const auto uses = LoadUses(folder.File("uses"));
  ASSERT_TRUE(uses.ok());
  ASSERT_EQ(uses->size(), 1u);
  EXPECT_EQ(uses->front().sha256, std::string(64, 'c'));
}

}  // namespace
}  // namespace allot::auth
