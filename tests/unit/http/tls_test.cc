// The client over TLS. The server is the one of these tests behind a TLS front; the certificates
// are made by the test and trusted by nobody else.
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "common/http/client.h"
#include "gmock/gmock.h"
#include "tests/tls/front.h"
#include "tests/unit/http/harness.h"

namespace allot::http {
namespace {

using ::testing::HasSubstr;

class HttpTls : public HttpTest {
 protected:
  HttpTls() {
    std::string pattern = std::filesystem::temp_directory_path() / "allot-tls-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    ca_file_ = folder_ + "/ca.pem";
    std::ofstream(ca_file_) << authority_.certificate();
  }
  ~HttpTls() override {
    call_.reset();
    client_.reset();
    front_.reset();
    std::filesystem::remove_all(folder_);
  }
  void Front(const testing::Certificate& certificate) {
    front_ = std::make_unique<testing::TlsFront>(loop_, certificate, server_->address());
  }
  void Dial(const std::string& host, const std::string& ca_file) {
    const auto url = ParseUrl(fmt::format("https://{}:{}", host, front_->port()));
    ASSERT_TRUE(url.ok()) << url.status();
    auto trust = TlsTrust::Load(ca_file);
    ASSERT_TRUE(trust.ok()) << trust.status();
    client_ = std::make_unique<Client>(loop_, *url, *std::move(trust), 4);
  }
  void Start(ClientRequest request) {
    status_ = 0;
    body_.clear();
    done_.reset();
    call_ = client_->Start(std::move(request),
                           {.head = [this](int status, Headers) { status_ = status; },
                            .body = [this](const std::string& piece) { body_ += piece; },
                            .done = [this](Status status) { done_ = std::move(status); }});
  }
  bool Done() {
    return Until([this] { return done_.has_value(); });
  }

  const testing::Authority authority_{"a test's authority"};
  const testing::Certificate good_ = authority_.Issue({"DNS:localhost", "IP:127.0.0.1"});
  std::string folder_, ca_file_;
  std::unique_ptr<testing::TlsFront> front_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<Client::Call> call_;
  int status_ = 0;
  std::string body_;
  std::optional<Status> done_;
};

TEST_F(HttpTls, AsksByNameAndByAddressAndKeepsTheConnection) {
  ServeEcho();
  Front(good_);
  for (const char* host : {"127.0.0.1", "localhost"}) {
    const int before = front_->handshakes();
    Dial(host, ca_file_);
    for (int i = 0; i < 3; ++i) {
      Start({.method = "POST", .target = "/x", .body = std::string(100'000, 'b')});
      ASSERT_TRUE(Done());
      EXPECT_TRUE(done_->ok()) << *done_;
      EXPECT_EQ(status_, 200);
      EXPECT_EQ(body_.size(), 100'003u);
      EXPECT_EQ(requests_.back().Header("host"), fmt::format("{}:{}", host, front_->port()));
    }
    EXPECT_EQ(front_->handshakes(), before + 1) << "three requests, one connection";
  }
}

TEST_F(HttpTls, TellsNobodyElseAnything) {
  ServeEcho();
  const testing::Authority stranger("somebody else");
  const struct {
    const char* what;
    testing::Certificate certificate;
    const char* why;
  } rows[] = {
      {"another name", authority_.Issue({"DNS:example.com", "IP:127.0.0.2"}), "mismatch"},
      {"another authority", stranger.Issue({"DNS:localhost", "IP:127.0.0.1"}), "unable to get"},
      {"out of date", authority_.Issue({"DNS:localhost", "IP:127.0.0.1"}, true), "expired"},
      {"no name that counts", authority_.Issue({"email:root@localhost"}), "mismatch"},
  };
  for (const auto& row : rows) {
    for (const char* host : {"127.0.0.1", "localhost"}) {
      SCOPED_TRACE(fmt::format("{} for {}", row.what, host));
      Front(row.certificate);
      Dial(host, ca_file_);
      Start({.method = "POST", .headers = {{"Authorization", "Bearer secret"}}, .body = "secret"});
      ASSERT_TRUE(Done());
      EXPECT_EQ(done_->code(), StatusCode::kPermissionDenied) << *done_;
      EXPECT_THAT(MessageOf(*done_), HasSubstr(row.why));
      EXPECT_EQ(status_, 0);
    }
  }
  EXPECT_TRUE(requests_.empty());
}

TEST_F(HttpTls, TheSystemsStoreDoesNotKnowATestsAuthority) {
  ServeEcho();
  Front(good_);
  Dial("localhost", "");
  Start({});
  ASSERT_TRUE(Done());
  EXPECT_EQ(done_->code(), StatusCode::kPermissionDenied) << *done_;
}

TEST_F(HttpTls, AServerInTheClearIsNoServerOverTls) {
  ServeEcho();
  const auto url = ParseUrl("https://" + server_->address());
  client_ = std::make_unique<Client>(loop_, *url, *TlsTrust::Load(ca_file_));
  Start({});
  ASSERT_TRUE(Done());
  EXPECT_EQ(done_->code(), StatusCode::kUnavailable) << *done_;
  EXPECT_THAT(MessageOf(*done_), HasSubstr("cannot speak TLS with 127.0.0.1"));
}

TEST_F(HttpTls, StreamsPieceByPieceAndACancelIsHeardAtOnce) {
  ServeLater();
  Front(good_);
  Dial("localhost", ca_file_);
  Start({.target = "/stream"});
  ASSERT_TRUE(Until([&] { return !kept_.empty(); }));
  bool gone = false;
  kept_[0]->OnClientGone([&] { gone = true; });
  kept_[0]->StartStream(200, {}, "text/event-stream");
  for (const char* piece : {"one", "two", "three"}) {
    const size_t before = body_.size();
    kept_[0]->Write(piece);
    ASSERT_TRUE(Until([&] { return body_.size() > before; }));
  }
  EXPECT_EQ(body_, "onetwothree");
  EXPECT_FALSE(done_.has_value());
  call_->Cancel();
  EXPECT_TRUE(Until([&] { return gone; }));
  EXPECT_FALSE(done_.has_value());
}

// An answer without length ends with its connection. Over TLS whoever cuts the wire must not be
// able to pass off the first half of it as all there is.
TEST_F(HttpTls, ACutConnectionIsNoEndOfAnAnswer) {
  for (const bool cut : {false, true}) {
    boost::asio::ip::tcp::acceptor acceptor(loop_, {boost::asio::ip::address_v4::loopback(), 0});
    front_ = std::make_unique<testing::TlsFront>(
        loop_, good_, fmt::format("127.0.0.1:{}", acceptor.local_endpoint().port()));
    front_->CutOff(cut);
    boost::asio::ip::tcp::socket socket(loop_);
    const std::string answer = "HTTP/1.1 200 OK\r\n\r\nall there is";
    acceptor.async_accept(socket, [&](boost::system::error_code error) {
      ASSERT_FALSE(error);
      boost::asio::async_write(socket, boost::asio::buffer(answer), [&](auto, size_t) {
        boost::system::error_code ignored;
        socket.shutdown(boost::asio::ip::tcp::socket::shutdown_send, ignored);
      });
    });
    Dial("localhost", ca_file_);
    Start({});
    ASSERT_TRUE(Done());
    EXPECT_EQ(body_, "all there is");
    EXPECT_EQ(done_->ok(), !cut) << *done_;
  }
}

TEST_F(HttpTls, AFileThatHoldsNoCertificateIsSaidSo) {
  const std::string empty = folder_ + "/empty.pem";
  std::ofstream(empty) << "nothing\n";
  for (const std::string& file : {empty, folder_ + "/missing.pem"}) {
    const Status status = TlsTrust::Load(file).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(MessageOf(status), HasSubstr(file));
  }
}

}  // namespace
}  // namespace allot::http
