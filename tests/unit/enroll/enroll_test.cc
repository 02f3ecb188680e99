// The word that invites a machine, and what that machine then asks of a scheduler.
#include <cstdio>
#include <filesystem>

#include "common/enroll/exchange.h"
#include "common/enroll/serve.h"
#include "common/transport/keys.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace allot::enroll {
namespace {

using ::testing::HasSubstr;

InvitationWord Word() {
  const transport::KeyPair scheduler = transport::NewKeyPair(), carried = transport::NewKeyPair();
  return {"node-7",
          transport::Role::kAgent,
          {"tcp://10.0.0.1:7400", "tcp://[fd00::1]:7400"},
          scheduler.public_key,
          carried.secret_key};
}

TEST(Invitation, IsOneWordThatNoShellReads) {
  const InvitationWord word = Word();
  const std::string text = Spell(word);
  EXPECT_THAT(text, ::testing::MatchesRegex("allot1\\.[A-Za-z0-9_-]+"));
  const auto back = ParseInvitation(text);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(*back, word);
}

TEST(Invitation, HalfOfOneIsNone) {
  const std::string text = Spell(Word());
  for (size_t length = 0; length + 1 < text.size(); ++length)
    EXPECT_TRUE(absl::IsInvalidArgument(ParseInvitation(text.substr(0, length)).status()))
        << length;
  EXPECT_FALSE(ParseInvitation(text + "$").ok());
  EXPECT_FALSE(ParseInvitation("allot1." + std::string(100'000, 'A')).ok());
  EXPECT_FALSE(ParseInvitation("allot2." + text.substr(7)).ok());
}

TEST(Question, ArrivesAsItWasAsked) {
  for (const Wish wish : {Wish::kAdmitted, Wish::kEnroll}) {
    const Question question{wish, Word(), "/var/lib/x y/agent.key", std::chrono::seconds(20)};
    const auto back = ParseQuestion(ToText(question));
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(*back, question);
  }
}

TEST(Question, SoDoesWhatWasAnswered) {
  const Answer rows[] = {{false, {}}, {true, {}}, {true, {"tcp://a:1", "tcp://b:2"}}};
  for (const Answer& answer : rows) EXPECT_EQ(*ParseAnswer(ToText(answer)), answer);
  const Status error = PermissionDenied("\"no\"");
  EXPECT_EQ(ParseAnswer(ToText(StatusOr<Answer>(error))).status(), error);
}

TEST(Question, WhatIsNoneIsTold) {
  for (const char* text :
       {"", "allot-agent 0.1.0", "[]", "{}", R"({"ask":"enroll"})", R"({"ask":"all"})",
        R"({"ask":"enroll","invitation":"allot1.e30","key_file":"k","timeout_micros":1})"})
    EXPECT_TRUE(absl::IsInvalidArgument(ParseQuestion(text).status())) << text;
  for (const char* text : {"", "x", "[]", "{}", R"({"admitted":1})", R"({"error":7})"})
    EXPECT_TRUE(absl::IsInvalidArgument(ParseAnswer(text).status())) << text;
  // A code of a later build.
  EXPECT_EQ(ParseAnswer(R"({"error":{"code":99,"message":"m"}})").status(),
            Status(StatusCode::kUnknown, "m"));
}

// Text in, text out, as between two programs.
std::string Served(const std::string& in) {
  std::FILE *question = std::tmpfile(), *answer = std::tmpfile();
  std::fwrite(in.data(), 1, in.size(), question);
  std::rewind(question);
  EXPECT_EQ(Serve(question, answer), 0);
  std::string out(static_cast<size_t>(std::ftell(answer)), '\0');
  std::rewind(answer);
  EXPECT_EQ(std::fread(out.data(), 1, out.size(), answer), out.size());
  std::fclose(question);
  std::fclose(answer);
  return out;
}

TEST(Serving, SaysWhomItCouldNotReach) {
  const std::string key =
      (std::filesystem::temp_directory_path() / "allot-enroll-XXXXXX").string() + ".key";
  std::string name = key;
  const int file = mkstemps(name.data(), 4);
  ASSERT_GE(file, 0);
  std::filesystem::remove(name);
  ASSERT_TRUE(transport::SaveKeyFile(name, transport::NewKeyPair()).ok());
  InvitationWord word = Word();
  word.endpoints = {"tcp://127.0.0.1:1"};
  for (const Wish wish : {Wish::kAdmitted, Wish::kEnroll}) {
    const auto answer =
        ParseAnswer(Served(ToText(Question{wish, word, name, std::chrono::milliseconds(100)})));
    EXPECT_TRUE(absl::IsUnavailable(answer.status())) << answer.status();
    EXPECT_THAT(MessageOf(answer.status()), HasSubstr("no scheduler answers at tcp://127.0.0.1:1"));
  }
  std::filesystem::remove(name);
  EXPECT_TRUE(absl::IsNotFound(
      ParseAnswer(Served(ToText(Question{Wish::kEnroll, word, name, Duration(1)}))).status()));
}

TEST(Serving, AnswersWhatItDoesNotUnderstand) {
  EXPECT_TRUE(absl::IsInvalidArgument(ParseAnswer(Served("what?")).status()));
}

}  // namespace
}  // namespace allot::enroll
