#include "common/base/url.h"

#include <gtest/gtest.h>

namespace allot {
namespace {

TEST(Url, SaysWhoIsAskedAndHow) {
  struct Row {
    const char* text;
    Url url;
    const char* authority;
    const char* again;
  };
  const Row rows[] = {
      {"https://api.groq.com/openai",
       {true, "api.groq.com", 443, "/openai"},
       "api.groq.com",
       "https://api.groq.com/openai"},
      {"http://localhost:8000",
       {false, "localhost", 8000, ""},
       "localhost:8000",
       "http://localhost:8000"},
      {"http://10.0.0.7", {false, "10.0.0.7", 80, ""}, "10.0.0.7", "http://10.0.0.7"},
      {"https://[FD00::1]:8443/a/b/",
       {true, "fd00::1", 8443, "/a/b"},
       "[fd00::1]:8443",
       "https://[fd00::1]:8443/a/b"},
      {"https://[::1]", {true, "::1", 443, ""}, "[::1]", "https://[::1]"},
      {"https://API.Example.COM:443/",
       {true, "api.example.com", 443, ""},
       "api.example.com",
       "https://api.example.com"},
      {"https://host:80", {true, "host", 80, ""}, "host:80", "https://host:80"},
  };
  for (const Row& row : rows) {
    const StatusOr<Url> url = ParseUrl(row.text);
    ASSERT_TRUE(url.ok()) << url.status();
    EXPECT_EQ(*url, row.url) << row.text;
    EXPECT_EQ(url->Authority(), row.authority);
    EXPECT_EQ(ToString(*url), row.again);
    EXPECT_EQ(*ParseUrl(ToString(*url)), *url);
  }
}

TEST(Url, RefusesWhatNamesNoService) {
  for (const char* text : {"",
                           "host",
                           "host:80",
                           "ftp://host",
                           "http://",
                           "https:///path",
                           "http://:80",
                           "http://h:",
                           "http://h:0",
                           "http://h:65536",
                           "http://h:80x",
                           "http://h:-1",
                           "http://a b",
                           "http://h/a b",
                           "http://h/?q",
                           "http://h#f",
                           "http://u@h",
                           "http://u:p@h:80",
                           "http://[::1",
                           "http://[]",
                           "http://[::1]x",
                           "http://[host]",
                           "http://h\n",
                           "http://h/\x01",
                           "http://h\xc3\xa9",
                           "http://a:b:80"}) {
    EXPECT_EQ(ParseUrl(text).status().code(), StatusCode::kInvalidArgument) << text;
  }
}

TEST(Url, APasswordIsNotRepeatedInTheMessage) {
  const std::string message = MessageOf(ParseUrl("https://me:hunter2@host").status());
  EXPECT_EQ(message.find("hunter2"), std::string::npos) << message;
}

}  // namespace
}  // namespace allot
