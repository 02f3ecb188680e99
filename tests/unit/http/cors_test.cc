#include "common/http/cors.h"

#include <gmock/gmock.h>

#include "common/http/server.h"
#include "tests/unit/http/harness.h"

namespace allot::http {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;

constexpr char kMethods[] = "GET, POST";

Request From(const std::string& origin) {
  Request request{.method = "GET"};
  if (!origin.empty()) request.headers.emplace_back("origin", origin);
  return request;
}

TEST(Cors, SaysNothingToPagesThatAreNotNamed) {
  EXPECT_THAT(CorsHeaders({}, From("https://a.example"), kMethods), IsEmpty());
  EXPECT_THAT(CorsHeaders({"*"}, From(""), kMethods), IsEmpty());
  for (const char* origin : {"https://b.example", "http://a.example", "https://a.example:444",
                             "https://a.example.evil", "null"})
    EXPECT_THAT(CorsHeaders({"https://a.example"}, From(origin), kMethods), IsEmpty()) << origin;
}

TEST(Cors, NamesThePageOrAll) {
  EXPECT_THAT(
      CorsHeaders({"https://b.example", "https://a.example"}, From("https://a.example"), kMethods),
      ElementsAre(Pair("Access-Control-Allow-Origin", "https://a.example"),
                  Pair("Access-Control-Expose-Headers", "*"), Pair("Vary", "Origin")));
  EXPECT_THAT(CorsHeaders({"*"}, From("https://a.example"), kMethods),
              ElementsAre(Pair("Access-Control-Allow-Origin", "*"),
                          Pair("Access-Control-Expose-Headers", "*")));
}

TEST(Cors, APreflightIsToldWhatMayBeSent) {
  Request request = From("https://a.example");
  request.method = "OPTIONS";
  request.headers.emplace_back("access-control-request-method", "POST");
  request.headers.emplace_back("access-control-request-headers", "authorization, content-type");
  EXPECT_THAT(CorsHeaders({"*"}, request, kMethods),
              ElementsAre(Pair("Access-Control-Allow-Origin", "*"),
                          Pair("Access-Control-Expose-Headers", "*"),
                          Pair("Access-Control-Allow-Methods", "GET, POST"),
                          Pair("Access-Control-Max-Age", "600"),
                          Pair("Access-Control-Allow-Headers", "authorization, content-type")));
  request.headers.back().second = "a:b";  // no list of names
  EXPECT_THAT(CorsHeaders({"*"}, request, kMethods),
              Not(Contains(Pair("Access-Control-Allow-Headers", ::testing::_))));
}

TEST(Cors, OriginsAreCheckedAsTheyAreConfigured) {
  for (const char* good : {"*", "https://chat.example.com", "http://localhost:3000",
                           "http://[::1]:8080", "app://obsidian.md", "chrome-extension://abcdef"})
    EXPECT_TRUE(CheckOrigin(good).ok()) << good;
  for (const char* bad : {"", "chat.example.com", "https://", "https://a.example/", "https://*.a",
                          "https://A.example", "https://a b", "://a", "https://a,https://b"})
    EXPECT_FALSE(CheckOrigin(bad).ok()) << bad;
}

class CorsServer : public HttpTest {};

// What the model server says of pages is not for ours; answers of the server's own are readable.
TEST_F(CorsServer, SpeaksToPagesInEveryAnswer) {
  Server::Options options;
  options.cors_origins = {"https://a.example"};
  options.body_bytes_max = 10;
  Serve(
      [](Request, const ResponderPtr& responder) {
        responder->Send(Response{.headers = {{"access-control-allow-origin", "https://other"}}});
      },
      std::move(options));
  const std::string head = "Host: x\r\nOrigin: https://a.example\r\n";
  for (const auto& [request, status] : std::vector<std::pair<std::string, std::string>>{
           {"GET / HTTP/1.1\r\n" + head + "\r\n", "200"},
           {"OPTIONS / HTTP/1.1\r\n" + head + "Access-Control-Request-Method: POST\r\n\r\n", "204"},
           {"TRACE / HTTP/1.1\r\n" + head + "\r\n", "405"},
           {"POST / HTTP/1.1\r\n" + head + "Content-Length: 11\r\n\r\n", "413"}}) {
    auto client = Connect();
    client->Send(request);
    client->Await("\r\n\r\n");
    EXPECT_THAT(client->received(), ::testing::StartsWith("HTTP/1.1 " + status));
    EXPECT_EQ(client->Count("llow-Origin: "), 1) << client->received();
    EXPECT_THAT(client->received(),
                HasSubstr("Access-Control-Allow-Origin: https://a.example\r\n"));
  }
  auto client = Connect();
  client->Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  client->Await("\r\n\r\n");
  EXPECT_THAT(client->received(), Not(HasSubstr("Access-Control")));
}

}  // namespace
}  // namespace allot::http
