#include "agent/shell/endpoint_body.h"

#include <gtest/gtest.h>

#include "common/json/json.h"
#include "rapidcheck.h"

namespace allot::agent {
namespace {

TEST(WithModel, ChangesTheNameAndNothingElse) {
  struct Row {
    const char* before;
    const char* after;
  };
  const Row rows[] = {
      {R"({"model":"chat","prompt":"x"})", R"({"model":"there","prompt":"x"})"},
      {R"( { "n" : 1.0e+2 , "model" : "chat" } )", R"( { "n" : 1.0e+2 , "model" : "there" } )"},
      {R"({"a":{"model":"in"},"b":["model",{"model":1}],"model":"out"})",
       R"({"a":{"model":"in"},"b":["model",{"model":1}],"model":"there"})"},
      {R"({"prompt":"\"model\":\"no\"","model":"a\"b\\"})",
       R"({"prompt":"\"model\":\"no\"","model":"there"})"},
      {R"({"m\u006fdel":"chat"})", R"({"m\u006fdel":"there"})"},
      {R"({"model":"one","model":"two"})", R"({"model":"there","model":"there"})"},
      {R"({"seed":123456789012345678901234567890,"model":"chat","t":-0.10})",
       R"({"seed":123456789012345678901234567890,"model":"there","t":-0.10})"},
      {"{\"model\":\"\xc3\xa9\"}", R"({"model":"there"})"},
  };
  for (const Row& row : rows) EXPECT_EQ(WithModel(row.before, "there"), row.after);
  EXPECT_EQ(WithModel(R"({"model":"a"})", "meta/\"llama\"\n"), R"({"model":"meta/\"llama\"\n"})");
}

TEST(WithModel, LeavesAloneWhatIsNoRequest) {
  for (const char* body :
       {"", " ", "{}", "[]", "null", R"(["model"])", R"({"model":1})", R"({"model":null})",
        R"({"prompt":"x"})", R"({"model":"chat")", R"({"model":"chat)", R"({"model":)",
        R"({"model")", R"({"model" "chat"})", R"({"model":"chat"} trailing)",
        R"({"model":"chat",})", R"({model:"chat"})"}) {
    EXPECT_EQ(WithModel(body, "there"), body);
  }
}

// Anything else in the object stays as it was, in value and in order.
TEST(WithModel, TheRestIsEqualForAnyObject) {
  EXPECT_TRUE(rc::check([] {
    const auto text = rc::gen::container<std::string>(rc::gen::inRange<char>(' ', '~'));
    json::object object;
    for (const std::string& key : *rc::gen::container<std::vector<std::string>>(text)) {
      const int kind = *rc::gen::inRange(0, 4);
      if (kind == 0) object[key] = *rc::gen::arbitrary<int64_t>();
      if (kind == 1) object[key] = *text;
      if (kind == 2) object[key] = json::array{*text, json::object{{"model", *text}}};
      if (kind == 3) object[key] = json::object{{"model", json::array{*text}}, {*text, nullptr}};
    }
    object["model"] = *text;
    const std::string name = *text;
    const std::string after = WithModel(json::serialize(object), name);
    object["model"] = name;
    RC_ASSERT(after == json::serialize(object));
  }));
}

// Whatever a client sends, nothing is read past its end (sanitizers look) and it stays text.
TEST(WithModel, AnyBytesAreTakenAsTheyCome) {
  EXPECT_TRUE(rc::check([] {
    const std::string whole = R"({"a":[1,{"b":"c\"d"}],"model":"x","e":-1.5e3})";
    const size_t cut = *rc::gen::inRange<size_t>(0, whole.size());
    RC_ASSERT(WithModel(whole.substr(0, cut), "y") == whole.substr(0, cut));
    std::string broken = whole;
    broken[cut] = *rc::gen::arbitrary<char>();
    (void)WithModel(broken, "y");
  }));
}

std::optional<TokenUsage> UsageOf(const std::vector<std::string>& pieces) {
  UsageReader reader;
  for (const std::string& piece : pieces) reader.Add(piece);
  return reader.Find();
}

TEST(UsageReader, FindsWhatAnAnswerTells) {
  const std::string whole =
      R"({"choices":[{"text":"hi"}],"usage":{"prompt_tokens":7,"completion_tokens":42,"total_tokens":49}})";
  EXPECT_EQ(UsageOf({whole}), (TokenUsage{7, 42}));
  for (size_t cut = 0; cut <= whole.size(); ++cut)
    EXPECT_EQ(UsageOf({whole.substr(0, cut), whole.substr(cut)}), (TokenUsage{7, 42})) << cut;
  EXPECT_EQ(UsageOf({R"(data: {"choices":[],"usage":null})",
                     "\n\ndata: {\"usage\" : ", "{\"completion_tokens\": 3}}\n\ndata: [DONE]\n\n"}),
            (TokenUsage{0, 3}));
  EXPECT_EQ(UsageOf({R"({"usage":{"input_tokens":5,"output_tokens":6,"details":{"a":[1]}}})"}),
            (TokenUsage{5, 6}));
  EXPECT_EQ(UsageOf({R"({"usage":{"completion_tokens":1}} {"usage":{"completion_tokens":2}})"}),
            (TokenUsage{0, 2}))
      << "the last one counts";
}

TEST(UsageReader, TellsNothingWhereTheAnswerDoesNot) {
  EXPECT_EQ(UsageOf({}), std::nullopt);
  EXPECT_EQ(UsageOf({R"({"choices":[]})"}), std::nullopt);
  EXPECT_EQ(UsageOf({R"({"usage":null})"}), std::nullopt);
  EXPECT_EQ(UsageOf({R"({"usage":{"completion_tokens":4)"}), std::nullopt);
  EXPECT_EQ(UsageOf({R"({"text":"\"usage\":{\"completion_tokens\":9}"})"}), std::nullopt)
      << "a model that writes JSON is no answer's usage";
  EXPECT_EQ(UsageOf({R"({"usage":{"prompt_tokens":-1,"completion_tokens":"x"}})"}),
            (TokenUsage{0, 0}));
}

TEST(UsageReader, RemembersOnlyTheEnd) {
  std::vector<std::string> pieces(10'000, std::string(100, 'x'));
  pieces.emplace_back(R"("usage":{"prompt_tokens":1,"completion_tokens":2})");
  EXPECT_EQ(UsageOf(pieces), (TokenUsage{1, 2}));
  pieces.emplace_back(1 << 20, 'y');
  EXPECT_EQ(UsageOf(pieces), std::nullopt);
}

}  // namespace
}  // namespace allot::agent
