#include "common/http/client.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <set>
#include <thread>

#include "gmock/gmock.h"
#include "tests/pace.h"
#include "tests/unit/http/harness.h"

namespace allot::http {
namespace {

using ::testing::HasSubstr;

std::set<int> OpenSockets() {
  std::set<int> sockets;
  for (int fd = 3; fd < 4096; ++fd) {
    struct stat info {};
    if (::fstat(fd, &info) == 0 && S_ISSOCK(info.st_mode)) sockets.insert(fd);
  }
  return sockets;
}

struct Result {
  int status = 0;
  Headers headers;
  std::string body;
  std::vector<std::string> pieces;
  std::optional<Status> done;

  Client::Callbacks Callbacks() {
    return {.head =
                [this](int code, Headers h) {
                  status = code;
                  headers = std::move(h);
                },
            .body =
                [this](std::string piece) {
                  body += piece;
                  pieces.push_back(std::move(piece));
                },
            .done = [this](Status s) { done = std::move(s); }};
  }
};

class HttpClient : public HttpTest {
 protected:
  void Dial() { client_ = std::make_unique<Client>(loop_, server_->address()); }
  std::unique_ptr<Client::Call> Start(Result& result, ClientRequest request) {
    return client_->Start(std::move(request), result.Callbacks());
  }
  bool Done(Result& result) {
    return Until([&] { return result.done.has_value(); });
  }
  std::unique_ptr<Client> client_;
};

TEST_F(HttpClient, SendsARequestAndKeepsTheConnection) {
  ServeEcho();
  Dial();
  for (int i = 0; i < 3; ++i) {
    Result result;
    auto call = Start(result, {.method = "POST",
                               .target = "/x?y=1",
                               .headers = {{"X-Tenant", "blue"}, {"Content-Length", "77"}},
                               .body = "hello"});
    ASSERT_TRUE(Done(result));
    EXPECT_TRUE(result.done->ok()) << *result.done;
    EXPECT_EQ(result.status, 200);
    EXPECT_EQ(result.body, "/x|hello");
    EXPECT_EQ(requests_.back().Header("x-tenant"), "blue");
    EXPECT_EQ(requests_.back().Header("host"), server_->address());
    EXPECT_EQ(server_->connections(), 1u);
  }
}

TEST_F(HttpClient, ProgramsWeStartInheritNoConnection) {
  const std::set<int> others = OpenSockets();
  ServeEcho();
  Dial();
  Result result;
  auto call = Start(result, {});
  ASSERT_TRUE(Done(result));
  std::set<int> ours = OpenSockets();
  for (int fd : others) ours.erase(fd);
  EXPECT_EQ(ours.size(), 3u);  // listening, accepted, dialled
  for (int fd : ours) EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0) << fd;
}

// A machine that lost its power says nothing, and neither does the log of a quiet task.
TEST_F(HttpClient, BothSidesAskWhetherASilentPeerIsStillThere) {
  const std::set<int> others = OpenSockets();
  ServeLater();
  Dial();
  Result result;
  auto call = Start(result, {});
  ASSERT_TRUE(Until([&] { return kept_.size() == 1; }));
  int connected = 0;
  for (int fd : OpenSockets()) {
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    if (others.contains(fd) || ::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0)
      continue;
    ++connected;
    const auto option = [fd](int level, int name) {
      int value = -1;
      socklen_t bytes = sizeof value;
      ::getsockopt(fd, level, name, &value, &bytes);
      return value;
    };
    EXPECT_EQ(option(SOL_SOCKET, SO_KEEPALIVE), 1);
    EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPIDLE), 30);
    EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPINTVL), 10);
    EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPCNT), 3);
  }
  EXPECT_EQ(connected, 2);
}

TEST_F(HttpClient, StreamsPiecesAsTheyCome) {
  ServeLater();
  Dial();
  Result result;
  auto call = Start(result, {});
  ASSERT_TRUE(Until([&] { return kept_.size() == 1; }));
  kept_[0]->StartStream(200, {{"X-A", "b"}}, "text/event-stream");
  ASSERT_TRUE(Until([&] { return result.status == 200; }));
  EXPECT_THAT(result.headers, testing::Contains(testing::Pair("x-a", "b")));
  for (size_t i = 0; i < 5; ++i) {
    kept_[0]->Write(fmt::format("piece {}", i));
    ASSERT_TRUE(Until([&] { return result.pieces.size() == i + 1; }));
    EXPECT_EQ(result.pieces[i], fmt::format("piece {}", i));
  }
  EXPECT_FALSE(result.done);
  kept_[0]->End();
  ASSERT_TRUE(Done(result));
  EXPECT_TRUE(result.done->ok());
}

TEST_F(HttpClient, CancelClosesTheConnectionAtOnce) {
  ServeLater();
  Dial();
  for (bool destroy : {true, false}) {
    Result result;
    auto call = Start(result, {});
    ASSERT_TRUE(Until([&] { return kept_.size() == 1; }));
    bool gone = false;
    kept_[0]->OnClientGone([&] { gone = true; });
    if (destroy) {
      call.reset();
    } else {
      call->Cancel();
    }
    EXPECT_TRUE(Until([&] { return gone; }));
    EXPECT_FALSE(result.done);
    kept_.clear();
  }
}

TEST_F(HttpClient, MayBeCancelledFromItsOwnCallbacks) {
  ServeEcho();
  Dial();
  std::unique_ptr<Client::Call> call;
  bool head = false, more = false;
  call = client_->Start({}, {.head =
                                 [&](int, Headers) {
                                   head = true;
                                   call.reset();
                                   client_.reset();
                                 },
                             .body = [&](std::string) { more = true; },
                             .done = [&](Status) { more = true; }});
  EXPECT_TRUE(Until([&] { return head; }));
  EXPECT_TRUE(Until([&] { return server_->connections() == 0; }));
  EXPECT_FALSE(more);
}

TEST_F(HttpClient, SaysWhyItCannotConnect) {
  ServeEcho();
  Dial();
  server_.reset();
  Result result;
  auto call = Start(result, {});
  ASSERT_TRUE(Done(result));
  EXPECT_EQ(result.done->code(), StatusCode::kUnavailable);
  EXPECT_THAT(MessageOf(*result.done), HasSubstr("connection refused"));
}

TEST_F(HttpClient, GivesUpOnASilentServer) {
  ServeLater();
  Dial();
  Result no_head;
  auto first = Start(no_head, {.timeout = std::chrono::milliseconds(30)});
  ASSERT_TRUE(Done(no_head));
  EXPECT_EQ(no_head.done->code(), StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(AtSomePace([&](std::chrono::milliseconds pace) {
    kept_.clear();
    Result no_more;
    auto second = Start(no_more, {.idle_timeout = pace});
    EXPECT_TRUE(Until([&] { return kept_.size() == 1; }));
    kept_[0]->StartStream(200, {}, "text/plain");
    kept_[0]->Write("a");
    EXPECT_TRUE(Done(no_more));
    EXPECT_EQ(no_more.done->code(), StatusCode::kDeadlineExceeded);
    return no_more.body == "a";
  }));
}

TEST_F(HttpClient, TellsATruncatedAnswerFromAWholeOne) {
  ServeLater();
  Dial();
  Result result;
  auto call = Start(result, {});
  ASSERT_TRUE(Until([&] { return kept_.size() == 1; }));
  kept_[0]->StartStream(200, {}, "text/plain");
  kept_[0]->Write("half");
  ASSERT_TRUE(Until([&] { return result.body == "half"; }));
  kept_[0]->Abort();
  ASSERT_TRUE(Done(result));
  EXPECT_EQ(result.done->code(), StatusCode::kUnavailable);
}

TEST_F(HttpClient, AsksAgainWhenAKeptConnectionTurnsOutClosed) {
  ServeEcho();
  Dial();
  Result first;
  auto call = Start(first, {});
  ASSERT_TRUE(Done(first));
  // The server goes and comes back on the same port; the pool has not heard of it.
  const std::string address = server_->address();
  server_.reset();
  auto server = Server::Listen(loop_, {.listen = address}, [](Request, ResponderPtr responder) {
    responder->Send(Response{.body = "second life"});
  });
  ASSERT_TRUE(server.ok()) << server.status();
  Result second;
  call = Start(second, {});
  ASSERT_TRUE(Done(second));
  EXPECT_TRUE(second.done->ok()) << *second.done;
  EXPECT_EQ(second.body, "second life");
}

// A server of fixed bytes, for answers ours would not give.
class CannedServer {
 public:
  CannedServer(boost::asio::io_context& loop, std::string answer, bool close)
      : acceptor_(loop, {boost::asio::ip::make_address("127.0.0.1"), 0}), socket_(loop) {
    acceptor_.async_accept(socket_, [this, answer, close](const boost::system::error_code&) {
      socket_.async_read_some(boost::asio::buffer(buffer_), [=, this](const auto&, size_t) {
        boost::asio::write(socket_, boost::asio::buffer(answer));
        if (close) socket_.close();
      });
    });
  }
  std::string address() const {
    return fmt::format("127.0.0.1:{}", acceptor_.local_endpoint().port());
  }

 private:
  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::ip::tcp::socket socket_;
  std::array<char, 4096> buffer_;
};

TEST_F(HttpClient, ReadsEveryKindOfBody) {
  struct Row {
    std::string answer;
    bool close;
    std::string method, body;
    bool ok;
  };
  const Row rows[] = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", false, "GET", "abc", true},
      {"HTTP/1.1 200 OK\r\n\r\nuntil the end", true, "GET", "until the end", true},
      {"HTTP/1.0 200 OK\r\n\r\n", true, "GET", "", true},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nT: "
       "1\r\n\r\n",
       false, "GET", "abc", true},
      {"HTTP/1.1 204 No Content\r\n\r\n", false, "GET", "", true},
      {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", false, "HEAD", "", true},
      {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nx", false,
       "POST", "x", true},
      {"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nabc", true, "GET", "abc", false},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", true, "GET", "ab",
       false},
      {"", true, "GET", "", false},
      {"HTTP/1.1 2", true, "GET", "", false},
      {"220 mail.example ESMTP\r\n", false, "GET", "", false},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.answer);
    CannedServer server(loop_, row.answer, row.close);
    Client client(loop_, server.address());
    Result result;
    auto call = client.Start({.method = row.method}, result.Callbacks());
    ASSERT_TRUE(Done(result));
    EXPECT_EQ(result.done->ok(), row.ok) << *result.done;
    EXPECT_EQ(result.body, row.body);
  }
}

TEST_F(HttpClient, ReadsAnAnswerThatComesBeforeTheRequestIsWritten) {
  ServeEcho({.body_bytes_max = 10});
  Dial();
  Result result;
  auto call = Start(result, {.method = "POST", .body = std::string(32 << 20, 'b')});
  ASSERT_TRUE(Done(result));
  EXPECT_EQ(result.status, 413);
}

// The blocking client has a loop of its own, so the server gets a thread.
class HttpBlockingClient : public HttpTest {
 protected:
  void RunServer() {
    thread_ = std::thread([this] { loop_.run(); });
  }
  ~HttpBlockingClient() override {
    if (thread_.joinable()) {
      loop_.stop();
      thread_.join();
    }
  }
  std::unique_ptr<BlockingClient> Make(std::string token = "") {
    auto client = BlockingClient::Create("http://" + server_->address(), std::move(token));
    EXPECT_TRUE(client.ok());
    return *std::move(client);
  }
  std::thread thread_;
};

TEST_F(HttpBlockingClient, FetchesWithItsToken) {
  ServeEcho();
  RunServer();
  auto client = Make("secret");
  for (int i = 0; i < 3; ++i) {
    auto response = client->Fetch({.method = "POST", .target = "/v1/jobs", .body = "{}"});
    ASSERT_TRUE(response.ok()) << response.status();
    EXPECT_EQ(response->status, 200);
    EXPECT_EQ(response->body, "/v1/jobs|{}");
    EXPECT_EQ(response->Header("content-type"), "text/plain");
  }
  client.reset();
  loop_.stop();
  thread_.join();
  EXPECT_EQ(requests_[0].Header("authorization"), "Bearer secret");
}

TEST_F(HttpBlockingClient, StreamsUntilToldToStop) {
  Serve([](Request request, ResponderPtr responder) {
    if (request.path == "/missing") return responder->Send(ErrorResponse(NotFound("no such job")));
    responder->StartStream(200, {}, "text/plain");
    for (int i = 0; i < 100; ++i) responder->Write("line\n");
    if (request.path == "/ends") responder->End();
  });
  RunServer();
  auto client = Make();
  std::string all;
  auto ended = client->Stream({.target = "/ends"}, [&](std::string_view piece) {
    all += piece;
    return true;
  });
  ASSERT_TRUE(ended.ok()) << ended.status();
  EXPECT_EQ(all.size(), 500u);
  int calls = 0;
  auto stopped = client->Stream({.target = "/stops"}, [&](std::string_view) {
    ++calls;
    return false;
  });
  ASSERT_TRUE(stopped.ok()) << stopped.status();
  EXPECT_EQ(calls, 1);
  auto missing = client->Stream({.target = "/missing"}, [&](std::string_view) { return true; });
  ASSERT_TRUE(missing.ok());
  EXPECT_EQ(missing->status, 404);
  EXPECT_THAT(missing->body, HasSubstr("no such job"));
}

TEST_F(HttpBlockingClient, SaysWhatToDo) {
  ServeEcho();
  auto client = Make();
  const std::string address = server_->address();
  server_.reset();
  auto response = client->Fetch({});
  EXPECT_EQ(MessageOf(response.status()),
            "cannot connect to http://" + address +
                ": connection refused; is the scheduler running, and is this its address?");
  for (const char* bad : {"", "127.0.0.1:1", "http://", "http://h:1/path", "https://h:1/path",
                          "http://h:x", "ftp://h:1"}) {
    EXPECT_EQ(BlockingClient::Create(bad, "").status().code(), StatusCode::kInvalidArgument) << bad;
  }
  for (const char* good :
       {"http://h:1", "http://h:1/", "http://[::1]:7401", "http://host", "https://h:1"}) {
    EXPECT_TRUE(BlockingClient::Create(good, "").ok()) << good;
  }
}

}  // namespace
}  // namespace allot::http
