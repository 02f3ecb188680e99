#include "gateway/openai.h"

#include "common/base/status.h"
#include "gtest/gtest.h"

namespace allot::gateway {
namespace {

CompletionRequest Parsed(std::string_view body) {
  CompletionRequest request;
  ApiError error;
  EXPECT_TRUE(ParseCompletionRequest(body, &request, &error)) << error.message;
  return request;
}

std::string Refused(std::string_view body) {
  CompletionRequest request;
  ApiError error;
  EXPECT_FALSE(ParseCompletionRequest(body, &request, &error)) << body;
  EXPECT_EQ(error.status, 400);
  return error.message;
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
          {"role":"assistant","content":null}]})");
  EXPECT_EQ(request.prompt_tokens, 4u);
  EXPECT_EQ(request.output_tokens_max, 5u);
}

TEST(CompletionRequest, WhatIsOddIsNotKnownAndTheModelServersToJudge) {
  struct Row {
    const char* fields;
    uint32_t tokens;
    bool stream;
  };
  for (const Row& row :
       std::initializer_list<Row>{{R"("max_tokens":100.0)", 100, false},
                                  {R"("max_tokens":1e2)", 100, false},
                                  {R"("max_tokens":-1)", 0, false},
                                  {R"("max_tokens":99999999)", 0, false},
                                  {R"("max_tokens":1e999)", 0, false},
                                  {R"("max_tokens":0.5)", 0, false},
                                  {R"("max_tokens":"many")", 0, false},
                                  {R"("max_tokens":[7])", 0, false},
                                  {R"("max_tokens":{"max_tokens":7})", 0, false},
                                  {R"("max_tokens":7,"max_completion_tokens":null)", 7, false},
                                  {R"("temperature":NaN,"top_p":-Infinity)", 0, false},
                                  {R"("stream":1)", 0, true},
                                  {R"("stream":0)", 0, false},
                                  {R"("stream":"True")", 0, true},
                                  {R"("stream":"no")", 0, false},
                                  {R"("stream":{"stream":true})", 0, false},
                                  {R"("prompt":7)", 0, false},
                                  {R"("messages":{"content":"x"})", 0, false},
                                  {R"("messages":[])", 0, false},
                                  {R"("messages":["x",[[]],{}])", 0, false},
                                  {R"("text":"\ud800 \q")", 0, false}}) {
    const CompletionRequest request = Parsed(fmt::format(R"({{"model":"m",{}}})", row.fields));
    EXPECT_EQ(request.output_tokens_max, row.tokens) << row.fields;
    EXPECT_EQ(request.stream, row.stream) << row.fields;
  }
}

TEST(CompletionRequest, DepthIsNoMistake) {
  for (const size_t depth : {31u, 65u, 100'000u}) {
    std::string schema = std::string(depth, '[') + std::string(depth, ']');
    EXPECT_EQ(Parsed(R"({"model":"m","x":)" + schema + "}").model, "m");
    schema.clear();
    for (size_t i = 0; i < depth; ++i) schema += "{\"a\":";
    schema += "1" + std::string(depth, '}');
    EXPECT_EQ(Parsed(R"({"x":)" + schema + R"(,"model":"m"})").model, "m");
  }
}

TEST(CompletionRequest, TheModelIsTheOneTheModelServerReads) {
  EXPECT_EQ(Parsed(R"({"model":"a","model":"b"})").model, "b");
  EXPECT_EQ(Parsed(R"({"mod\u0065l":"a\u0062"})").model, "ab");
  EXPECT_EQ(Parsed(R"({"\u006D\u006f\u0064\u0065\u006c":"m","\n":1,"\u006dodel\u0065":2})").model,
            "m");
  EXPECT_EQ(Parsed(R"({"model":"first","mo\u0064el":"l\u0061st","\u016dodel":"other"})").model,
            "last");
  EXPECT_EQ(Parsed(R"({"x":{"model":"inner"},"model":"m"})").model, "m");
  EXPECT_EQ(Parsed("\xEF\xBB\xBF {\"model\" :\n\"m\"}\r\n").model, "m");
  EXPECT_EQ(Refused(R"({"model":"a","model":7})"), "you must provide a model parameter");
  EXPECT_EQ(Refused(R"({"model":["m"]})"), "you must provide a model parameter");
  EXPECT_EQ(Refused(R"({"model":""})"), "you must provide a model parameter");
  EXPECT_EQ(Refused("{\"model\":\"\xff\"}"), "you must provide a model parameter");
  EXPECT_EQ(Refused("{}"), "you must provide a model parameter");
}

TEST(CompletionRequest, SaysWhatIsNoObject) {
  for (const char* body :
       {"", " ", "[]", "7", "{", R"({"model")", R"({"model":)", R"({"model":"m)", R"({"model":"m")",
        R"({"model":"m"}{})", R"({"model" "m"})", R"({"model":"m",x:1})", R"({"model":"m","a":[1})",
        R"({"model":"m","a":what})", R"({"model":"m","a":"\)"})
    EXPECT_EQ(Refused(body).substr(0, 30), "the body is not a JSON object:") << body;
}

TEST(Usage, IsReadFromTheEnd) {
  const Usage usage =
      UsageOf(R"({"usage": {"prompt_tokens": 8, "completion_tokens": 42, "total_tokens": 50}})");
  EXPECT_EQ(usage.prompt_tokens, 8u);
  EXPECT_EQ(usage.completion_tokens, 42u);
  EXPECT_EQ(UsageOf(std::string(100'000, ' ') + R"({"completion_tokens":7})").completion_tokens,
            7u);
  EXPECT_EQ(UsageOf(R"({"completion_tokens":0})").completion_tokens, 0u);
  for (const char* silent : {R"({"choices":[]})", R"({"completion_tokens":null})",
                             R"({"completion_tokens":)", R"({"completion_tokens")"})
    EXPECT_EQ(UsageOf(silent).completion_tokens, std::nullopt) << silent;
}

TEST(Answers, NothingIsToldFromLittle) {
  for (const char* nothing : {"", " \r\n", "{}", " null\n", "[]", "\"\""})
    EXPECT_TRUE(IsNothing(nothing)) << nothing;
  for (const char* little : {"0", "{ }x", R"({"a":1})", "text"})
    EXPECT_FALSE(IsNothing(little)) << little;
}

TEST(Events, AreWholeOrNot) {
  EXPECT_EQ(WholeEvents(""), 0u);
  EXPECT_EQ(WholeEvents("data: 1\n"), 0u);
  EXPECT_EQ(WholeEvents("data: 1\n\n"), 9u);
  EXPECT_EQ(WholeEvents("data: 1\n\nda"), 9u);
  EXPECT_EQ(WholeEvents("data: 1\r\n\r\ndata: 2\r\n"), 11u);
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
  EXPECT_EQ(response.headers, (http::Headers{{"Retry-After", "2"}, {"X-Should-Retry", "true"}}));
}

TEST(ApiError, SaysWhetherItHelpsToSendTheRequestAgain) {
  const auto again = [](int status, std::optional<bool> said = {}) {
    ApiError error;
    error.status = status;
    error.again = said;
    return ToResponse(error).headers.back().second;
  };
  for (const int status : {400, 401, 403, 404, 405, 413, 415, 422, 431, 501, 504})
    EXPECT_EQ(again(status), "false") << status;
  for (const int status : {408, 409, 429, 500, 502, 503})
    EXPECT_EQ(again(status), "true") << status;
  EXPECT_EQ(again(502, false), "false");
}

TEST(OpenAi, AnErrorIsToldByWhatIsInIt) {
  const std::pair<const char*, bool> rows[] = {
      {R"({"error":{"message":"x"}})", true},
      {R"({"error":"x"})", true},
      {R"({"object":"error","error":{"code":500},"choices":[]})", true},
      {R"({"error":null,"choices":[{"text":""}]})", false},
      {R"({"error":{},"choices":[{"text":""}]})", false},
      {R"({"output":[{"type":"message"}],"error":{"code":"x"}})", false},
      {R"({"choices":[{"text":"say \"error\""}]})", false},
      {R"({"choices":[{"text":"{\"error\":1}"}]})", false},
      {R"([{"error":1}])", false},
      {"{\"error\":", false},
      {"", false}};
  for (const auto& [text, error] : rows) EXPECT_EQ(IsError(text), error) << text;
  EXPECT_FALSE(IsError(R"({"error":")" + std::string(70'000, 'x') + "\"}")) << "nobody reads that";
}

TEST(OpenAi, NoChoicesAreNothing) {
  EXPECT_TRUE(IsNothing(R"({"id":"x","choices": [ ],"usage":{"total_tokens":3}})"));
  EXPECT_FALSE(IsNothing(R"({"id":"x","choices":[{"text":""}]})"));
  EXPECT_FALSE(IsNothing(R"({"note":"\"choices\":[]"})"));
  EXPECT_FALSE(IsNothing(R"({"choices")"));
}

TEST(OpenAi, TheFirstDataOfAStreamIsWhole) {
  EXPECT_EQ(FirstData("data: {\"a\""), "");
  EXPECT_EQ(FirstData("data: {\"a\":1}\n"), "{\"a\":1}");
  EXPECT_EQ(FirstData(": here\r\n\r\nevent: x\r\ndata:1\r\n"), "1");
  EXPECT_EQ(FirstData("event: x\n\n"), "");
}

}  // namespace
}  // namespace allot::gateway
