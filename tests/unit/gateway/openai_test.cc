#include "gateway/openai.h"

#include "gtest/gtest.h"

namespace allot::gateway {
namespace {

CompletionRequest Parsed(std::string_view body, Endpoint endpoint = Endpoint::kCompletions) {
  CompletionRequest request;
  ApiError error;
  EXPECT_TRUE(ParseCompletionRequest(body, endpoint, &request, &error)) << error.message;
  return request;
}

TEST(CompletionRequest, ReadsAsMuchAsItNeeds) {
  const CompletionRequest request =
      Parsed(R"({"model":"m","prompt":"12345678","stream":true,"max_tokens":7,"n":{"a":[null]}})");
  EXPECT_EQ(request.model, "m");
  EXPECT_TRUE(request.stream);
  EXPECT_EQ(request.output_tokens_max, 7u);
  EXPECT_EQ(request.prompt_tokens, 3u);  // 8 bytes / 4 + 1
}

TEST(CompletionRequest, TakesWhatClientsSendForNothing) {
  const CompletionRequest request =
      Parsed(R"({"model":"m","prompt":[1,2,3],"stream":null,"max_tokens":null})");
  EXPECT_FALSE(request.stream);
  EXPECT_EQ(request.prompt_tokens, 4u);  // three tokens of four bytes
}

TEST(CompletionRequest, CountsTheTextOfMessagesAndTheirParts) {
  const CompletionRequest request = Parsed(
      R"({"model":"m","max_completion_tokens":5,"messages":[{"role":"system","content":"1234"},
          {"role":"user","content":[{"type":"text","text":"12345678"},{"type":"image_url","image_url":{}}]},
          {"role":"assistant","content":null}]})",
      Endpoint::kChatCompletions);
  EXPECT_EQ(request.prompt_tokens, 4u);
  EXPECT_EQ(request.output_tokens_max, 5u);
}

TEST(CompletionTokens, AreReadFromTheUsageAtTheEnd) {
  EXPECT_EQ(CompletionTokens(R"({"usage": {"completion_tokens": 42, "total_tokens": 50}})"), 42u);
  EXPECT_EQ(CompletionTokens(std::string(100'000, ' ') + R"({"completion_tokens":7})"), 7u);
  EXPECT_EQ(CompletionTokens(R"({"choices":[]})"), 0u);
  EXPECT_EQ(CompletionTokens(R"({"completion_tokens":null})"), 0u);
  EXPECT_EQ(CompletionTokens(R"({"completion_tokens")"), 0u);
}

TEST(EventCounter, CountsDataEventsHoweverTheyAreCut) {
  const std::string stream =
      ": a comment\ndata: {\"a\":1}\n\nevent: x\ndata:{\"b\":2}\r\n\r\ndata: {\"data: \":3}\n\n"
      "data: [DONE]\n\n";
  for (size_t cut = 1; cut < stream.size(); ++cut) {
    EventCounter counter;
    for (size_t at = 0; at < stream.size(); at += cut)
      counter.Feed(std::string_view(stream).substr(at, cut));
    EXPECT_EQ(counter.events(), 3u) << cut;
  }
}

TEST(ApiError, RetryAfterIsWholeSecondsAndNeverEarly) {
  ApiError error;
  error.status = 429;
  error.retry_after = std::chrono::milliseconds(1100);
  const http::Response response = ToResponse(error);
  ASSERT_EQ(response.headers.size(), 1u);
  EXPECT_EQ(response.headers[0], (std::pair<std::string, std::string>("Retry-After", "2")));
}

}  // namespace
}  // namespace allot::gateway
