// The real charlm-server, asked over HTTP.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <ctime>
#include <memory>
#include <string>

#include "common/http/client.h"
#include "common/json/json.h"
#include "examples/charlm/checkpoint.h"
#include "gtest/gtest.h"
#include "tests/unit/charlm/folder.h"

namespace charlm {
namespace {

namespace http = allot::http;
namespace json = boost::json;

class RunningServer {
 public:
  explicit RunningServer(const std::string& checkpoint) {
    int output[2];
    EXPECT_EQ(pipe(output), 0);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(output[1], STDOUT_FILENO);
      close(output[0]);
      close(output[1]);
      execl(CHARLM_SERVER, CHARLM_SERVER, "--checkpoint", checkpoint.c_str(), "--port", "0",
            nullptr);
      _exit(127);
    }
    close(output[1]);
    std::string line;  // "serving charlm, step 1, on http://127.0.0.1:41233"
    for (char c = 0; read(output[0], &c, 1) == 1 && c != '\n';) line += c;
    close(output[0]);
    const size_t url = line.find("http://");
    if (url == std::string::npos) return;
    client_ = std::move(http::BlockingClient::Create(line.substr(url), "")).value();
  }
  ~RunningServer() {
    kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
  }
  bool up() const { return client_ != nullptr; }

  http::ClientResponse Complete(const std::string& seed) {
    const auto answer = client_->Fetch(
        {.method = "POST",
         .target = "/v1/completions",
         .body = R"({"prompt": "ab", "max_tokens": 32, "temperature": 1, "seed": )" + seed + "}"});
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.ok() ? *answer : http::ClientResponse{};
  }

 private:
  pid_t pid_ = -1;
  std::unique_ptr<http::BlockingClient> client_;
};

class CharlmServer : public testing::Test {
 protected:
  CharlmServer() {
    Checkpoint checkpoint;
    checkpoint.step = 1;
    checkpoint.characters = "abcdefgh";
    Model model(Alphabet::FromCharacters(checkpoint.characters).size());
    model.Initialize(1);
    checkpoint.parameters.assign(model.parameters().begin(), model.parameters().end());
    checkpoint.first.assign(checkpoint.parameters.size(), 0);
    checkpoint.second = checkpoint.first;
    EXPECT_TRUE(SaveCheckpoint(folder_.path(), checkpoint));
  }
  static json::object Parsed(const http::ClientResponse& answer) {
    EXPECT_EQ(answer.status, 200) << answer.body;
    return json::parse(answer.body).as_object();
  }
  static std::string TextOf(const json::object& answer) {
    return json::value_to<std::string>(answer.at("choices").at(0).at("text"));
  }
  Folder folder_;
};

TEST_F(CharlmServer, AnyIntegerIsASeedAndNothingElseIs) {
  RunningServer server(folder_.path());
  ASSERT_TRUE(server.up());
  const auto text = [&](const std::string& seed) { return TextOf(Parsed(server.Complete(seed))); };
  EXPECT_EQ(text("-1"), text("-1"));
  EXPECT_EQ(text("-1"), text("18446744073709551615"));  // The same 64 bits.
  EXPECT_NE(text("-1"), text("-2"));
  EXPECT_NE(text("9007199254740993"), text("9007199254740992"));  // One double, two seeds.
  for (const char* seed : {"1.5", "-1e300", "\"7\"", "99999999999999999999"})
    EXPECT_EQ(server.Complete(seed).status, 400) << seed;
}

TEST_F(CharlmServer, ReplicasOfOneModelNeverGiveTheSameId) {
  RunningServer one(folder_.path()), other(folder_.path());
  ASSERT_TRUE(one.up() && other.up());
  const auto id = [](RunningServer& server) {
    return json::value_to<std::string>(Parsed(server.Complete("1")).at("id"));
  };
  EXPECT_EQ(id(one).rfind("cmpl-", 0), 0u);
  const std::string second = id(one);
  EXPECT_NE(second, id(one));
  EXPECT_NE(id(one).substr(0, 21), id(other).substr(0, 21));  // What is before the number.
}

TEST_F(CharlmServer, CreatedIsWhenItWasAsked) {
  RunningServer server(folder_.path());
  ASSERT_TRUE(server.up());
  const std::time_t started = std::time(nullptr);
  std::time_t before = started, after = started;
  int64_t created = 0;
  do {  // Until the clock tells the two apart.
    before = std::time(nullptr);
    created = Parsed(server.Complete("1")).at("created").as_int64();
    after = std::time(nullptr);
  } while (before == started);
  EXPECT_GE(created, before);
  EXPECT_LE(created, after);
}

}  // namespace
}  // namespace charlm
