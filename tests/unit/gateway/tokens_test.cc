#include "common/auth/tokens.h"

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

}  // namespace
}  // namespace allot::auth
