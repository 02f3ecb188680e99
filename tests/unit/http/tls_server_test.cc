// The server over TLS: real sockets, certificates made by the test.
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "common/base/thread.h"
#include "common/http/blocking_client.h"
#include "common/http/plain_tokens.h"
#include "common/http/tls_door.h"
#include "gmock/gmock.h"
#include "tests/tls/authority.h"
#include "tests/unit/http/harness.h"

namespace allot::http {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// ---- what is decided without a socket -----------------------------------------------------------

TEST(PlainTokens, TravelBetweenLoopbackAddressesOnly) {
  const struct {
    const char *here, *there;
    bool stays;
  } rows[] = {
      {"127.0.0.1", "127.0.0.1", true},
      {"127.0.0.1", "127.9.8.7", true},
      {"::1", "::1", true},
      {"::ffff:127.0.0.1", "::ffff:127.0.0.1", true},
      {"10.0.0.5", "10.0.0.5", false},   // our own address is one that others have too, by NAT
      {"127.0.0.1", "10.0.0.5", false},  // forwarded
      {"10.0.0.5", "127.0.0.1", false},
      {"::ffff:10.0.0.5", "::ffff:127.0.0.1", false},
      {"::ffff:127.0.0.1", "::ffff:10.0.0.5", false},
      {"fe80::1", "fe80::1", false},
      {"0.0.0.0", "127.0.0.1", false},
      {"128.0.0.1", "127.0.0.1", false},
      {"::", "::1", false},
      {"localhost", "127.0.0.1", false},  // no address
      {"", "127.0.0.1", false},
      {"", "", false},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(StaysOnThisMachine(row.here, row.there), row.stays) << row.here << " " << row.there;
    EXPECT_EQ(StaysOnThisMachine(row.there, row.here), row.stays) << row.here << " " << row.there;
  }
}

class Door : public ::testing::Test {
 protected:
  static TlsDoor::Address At(const char* text) { return boost::asio::ip::make_address(text); }
  TlsDoor::Who Guest(size_t n) { return &guests_.at(n); }
  std::array<char, 64> guests_{};
  TlsDoor door_{{.handshakes_max = 4, .of_address_max = 3, .rate = TokenBucket(2, 2)}};
};

TEST_F(Door, WhoHasMostHandshakesUnderWayGoesForOneOfAnother) {
  EXPECT_EQ(door_.Enter(Guest(0), At("10.0.0.1")), std::nullopt);
  EXPECT_EQ(door_.Enter(Guest(1), At("10.0.0.2")), std::nullopt);
  EXPECT_EQ(door_.Enter(Guest(2), At("10.0.0.2")), std::nullopt);
  EXPECT_EQ(door_.Enter(Guest(3), At("10.0.0.2")), std::nullopt);
  EXPECT_EQ(door_.under_way(), 4u);
  EXPECT_EQ(door_.Enter(Guest(4), At("10.0.0.3")), Guest(1)) << "the oldest of who has most";
  door_.Leave(Guest(1), At("10.0.0.2"));
  EXPECT_EQ(door_.under_way(), 4u);
}

TEST_F(Door, AnAddressPushesOutItsOwnFirst) {
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(door_.Enter(Guest(i), At("10.0.0.2")), std::nullopt);
  EXPECT_EQ(door_.Enter(Guest(3), At("10.0.0.2")), Guest(0)) << "with room for others";
}

TEST_F(Door, HandshakesThatLeadNowhereAreSlow) {
  const TlsDoor::Address one = At("10.0.0.1"), other = At("10.0.0.2");
  EXPECT_TRUE(door_.Begin(one, 0s));
  EXPECT_TRUE(door_.Begin(one, 0s));
  EXPECT_FALSE(door_.Begin(one, 0s));
  EXPECT_TRUE(door_.Begin(other, 0s)) << "each address has its own";
  EXPECT_FALSE(door_.Begin(one, 400ms));
  EXPECT_TRUE(door_.Begin(one, 500ms));
  door_.LetIn(one);
  EXPECT_TRUE(door_.Begin(one, 500ms)) << "who was let in has cost nothing";
}

// ---- over sockets -------------------------------------------------------------------------------

class HttpTlsServer : public HttpTest {
 protected:
  HttpTlsServer() {
    std::string pattern = std::filesystem::temp_directory_path() / "allot-tls-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    Write("ca.pem", authority_.certificate());
    Write("server.pem", good_.certificate);
    Write("server.key", good_.key);
  }
  ~HttpTlsServer() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& text) {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path + ".new") << text;
    std::filesystem::rename(path + ".new", path);
    return path;
  }
  Server::Options Secure() const {
    Server::Options options;
    options.tls = TlsFiles{folder_ + "/server.pem", folder_ + "/server.key"};
    return options;
  }
  std::string Url(const char* host = "127.0.0.1") const {
    return fmt::format("https://{}{}", host,
                       server_->address().substr(server_->address().rfind(':')));
  }
  ClientSecurity Trusting(const std::string& certificate = "") const {
    const auto trust =
        TlsTrust::Load({.authorities = {folder_ + "/ca.pem"}, .certificate = certificate});
    EXPECT_TRUE(trust.ok()) << trust.status();
    return {.trust = *trust};
  }
  std::unique_ptr<BlockingClient> Client(ClientSecurity security, const std::string& url,
                                         const std::string& token = "") {
    auto client = BlockingClient::Create(url, token, std::move(security));
    EXPECT_TRUE(client.ok()) << client.status();
    return *std::move(client);
  }
  // Runs `ask` on a thread of its own, the server's loop on this one.
  template <class Ask>
  auto Beside(Ask ask) {
    auto answer = std::async(std::launch::async, std::move(ask));
    Until([&] { return answer.wait_for(std::chrono::seconds(0)) == std::future_status::ready; });
    return answer.get();
  }
  StatusOr<ClientResponse> Get(const std::string& url, ClientSecurity security,
                               const std::string& token = "") {
    return Beside([&] { return Client(security, url, token)->Fetch({.target = "/x"}); });
  }
  uint64_t turned(Turned why) const { return server_->turned(why); }

  // A handshake by OpenSSL's own client of a version; the alert or "ok".
  std::string ShakeHandsAs(int version) {
    return Beside([&]() -> std::string {
      SSL_CTX* context = SSL_CTX_new(TLS_client_method());
      SSL_CTX_set_security_level(context, 0);  // else it would not even offer what is old
      SSL_CTX_set_min_proto_version(context, version);
      SSL_CTX_set_max_proto_version(context, version);
      SSL* session = SSL_new(context);
      const int fd = socket(AF_INET, SOCK_STREAM, 0);
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_port = htons(static_cast<uint16_t>(
          std::stoi(server_->address().substr(server_->address().rfind(':') + 1))));
      to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
      SSL_set_fd(session, fd);
      const bool done = SSL_connect(session) == 1;
      const std::string said = done ? SSL_get_version(session) : "refused";
      SSL_free(session);
      SSL_CTX_free(context);
      close(fd);
      return said;
    });
  }

  const testing::Authority authority_{"a test's authority"};
  const testing::Certificate good_ = authority_.Issue({"DNS:localhost", "IP:127.0.0.1"});
  std::string folder_;
};

TEST_F(HttpTlsServer, AnswersByNameAndAddressAndKeepsTheConnection) {
  ServeEcho(Secure());
  for (const char* host : {"127.0.0.1", "localhost"}) {
    const auto client = Client(Trusting(), Url(host), "a token");
    for (int i = 0; i < 3; ++i) {
      const auto answer = Beside([&] {
        return client->Fetch({.method = "POST", .target = "/x", .body = std::string(300'000, 'b')});
      });
      ASSERT_TRUE(answer.ok()) << answer.status();
      EXPECT_EQ(answer->status, 200);
      EXPECT_EQ(answer->body, "/x|" + std::string(300'000, 'b'));
      EXPECT_EQ(server_->connections(), 1u);
    }
  }
  ASSERT_TRUE(server_->tls().has_value());
  EXPECT_GT(server_->tls()->expires, time(nullptr));
  EXPECT_FALSE(server_->tls()->stale);
}

TEST_F(HttpTlsServer, StreamsAnswersAndEndsThemWithAWord) {
  Serve(
      [](const Request&, const ResponderPtr& responder) {
        responder->StartStream(200, {}, "text/plain");
        for (int i = 0; i < 200; ++i) responder->Write(std::string(5'000, 'a' + i % 26));
        responder->End();
      },
      Secure());
  const auto client = Client(Trusting(), Url());
  std::string body;
  const auto answer = Beside([&] {
    return client->Stream({.target = "/"}, [&](std::string_view piece) {
      body += piece;
      return true;
    });
  });
  ASSERT_TRUE(answer.ok()) << answer.status();
  ASSERT_EQ(body.size(), 1'000'000u);
  for (size_t i = 0; i < body.size(); i += 5'000) EXPECT_EQ(body[i], 'a' + (i / 5'000) % 26);
}

TEST_F(HttpTlsServer, SpeaksNothingOlderThanTls12) {
  ServeEcho(Secure());
  EXPECT_EQ(ShakeHandsAs(TLS1_1_VERSION), "refused");
  EXPECT_EQ(ShakeHandsAs(TLS1_VERSION), "refused");
  EXPECT_EQ(turned(Turned::kHandshake), 2u);
  EXPECT_EQ(ShakeHandsAs(TLS1_2_VERSION), "TLSv1.2");
  EXPECT_EQ(ShakeHandsAs(TLS1_3_VERSION), "TLSv1.3");
}

TEST_F(HttpTlsServer, TellsWhoSpeaksPlainHttp) {
  ServeEcho(Secure());
  const auto plain = Connect();
  plain->Send("GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(plain->Await("use https://"));
  EXPECT_THAT(plain->received(), StartsWith("HTTP/1.1 400"));
  EXPECT_TRUE(plain->AwaitEnd());
  EXPECT_TRUE(requests_.empty());
  EXPECT_EQ(turned(Turned::kHandshake), 1u);
}

TEST_F(HttpTlsServer, WhoIsNotBelievedIsNamedAndToldWhatToDo) {
  const testing::Authority stranger{"somebody else"};
  ServeEcho(Secure());
  Write("ca.pem", stranger.certificate());
  auto answer = Get(Url(), Trusting());
  EXPECT_EQ(answer.status().code(), StatusCode::kPermissionDenied);
  EXPECT_THAT(answer.status().message(),
              AllOf(HasSubstr("is not trusted"), HasSubstr("--ca FILE")));

  Write("ca.pem", authority_.certificate());
  const testing::Certificate other = authority_.Issue({"DNS:head.example", "IP:10.0.0.5"});
  Write("server.key", other.key);
  Write("server.pem", other.certificate);
  answer = Get(Url(), Trusting());
  EXPECT_EQ(answer.status().code(), StatusCode::kPermissionDenied);
  EXPECT_THAT(answer.status().message(),
              AllOf(HasSubstr("It is for head.example, 10.0.0.5"), HasSubstr("renew NAME")));

  const testing::Certificate old = authority_.Issue({"IP:127.0.0.1"}, /*expired=*/true);
  Write("server.key", old.key);
  Write("server.pem", old.certificate);
  answer = Get(Url(), Trusting());
  EXPECT_EQ(answer.status().code(), StatusCode::kPermissionDenied);
  EXPECT_THAT(answer.status().message(),
              AllOf(HasSubstr("expired"), HasSubstr("It was good until 2"),
                    HasSubstr("allot cluster renew")));
  EXPECT_TRUE(requests_.empty());
}

TEST_F(HttpTlsServer, TakesUpNewFilesAndKeepsWhoIsConnected) {
  ServeEcho(Secure());
  const auto before = Client(Trusting(), Url());
  ASSERT_TRUE(Beside([&] { return before->Fetch({.target = "/1"}); }).ok());

  const testing::Authority next{"the next authority"};
  const testing::Certificate renewed = next.Issue({"IP:127.0.0.1"});
  Write("server.key", renewed.key);
  Write("server.pem", renewed.certificate);
  EXPECT_EQ(Get(Url(), Trusting()).status().code(), StatusCode::kPermissionDenied)
      << "it is shown from the next connection on";
  const auto same = Beside([&] { return before->Fetch({.target = "/2"}); });
  ASSERT_TRUE(same.ok()) << same.status();
  EXPECT_EQ(same->body, "/2|");
  EXPECT_EQ(server_->connections(), 1u) << "the first connection has gone on";
  Write("ca.pem", next.certificate());
  EXPECT_TRUE(Get(Url(), Trusting()).ok());
}

TEST_F(HttpTlsServer, BrokenFilesLeaveTheCertificateBefore) {
  ServeEcho(Secure());
  const time_t expires = server_->tls()->expires;
  const testing::Certificate other = authority_.Issue({"IP:127.0.0.1"});
  const std::pair<const char*, std::string> broken[] = {
      {"server.pem", "no certificate\n"},
      {"server.pem", ""},
      {"server.pem", good_.certificate.substr(0, good_.certificate.size() / 2)},
      {"server.key", other.key},  // of another certificate
      {"server.key", "nonsense"},
  };
  for (const auto& [name, text] : broken) {
    Write(name, text);
    EXPECT_TRUE(server_->tls()->stale) << name << ": " << text.substr(0, 20);
    EXPECT_EQ(server_->tls()->expires, expires);
    EXPECT_TRUE(Get(Url(), Trusting()).ok()) << "the one before is shown";
    Write("server.pem", good_.certificate);
    Write("server.key", good_.key);
    EXPECT_FALSE(server_->tls()->stale);
  }
  std::filesystem::remove(folder_ + "/server.pem");
  EXPECT_TRUE(server_->tls()->stale);
  EXPECT_TRUE(Get(Url(), Trusting()).ok());
}

TEST_F(HttpTlsServer, BrokenFilesAtTheStartAreAnError) {
  const auto listen = [&](TlsFiles files) {
    return MessageOf(
        Server::Listen(loop_, {.listen = "127.0.0.1:0", .tls = std::move(files)}, nullptr)
            .status());
  };
  const std::string certificate = folder_ + "/server.pem", key = folder_ + "/server.key";
  EXPECT_THAT(listen({folder_ + "/none.pem", key}), HasSubstr("none.pem holds no certificate"));
  EXPECT_THAT(listen({certificate, folder_ + "/none.key"}), HasSubstr("none.key holds no key"));
  EXPECT_THAT(listen({certificate}), HasSubstr("server.pem holds no key"));
  EXPECT_THAT(listen({certificate, key, folder_ + "/none.pem"}), HasSubstr("none.pem"));
  const std::string other = Write("other.key", authority_.Issue({"IP:127.0.0.1"}).key);
  EXPECT_THAT(listen({certificate, other}), HasSubstr("is not that of the certificate"));
  // Both in one file.
  const std::string both = Write("both.pem", good_.certificate + good_.key);
  EXPECT_EQ(listen({both}), "");
}

TEST_F(HttpTlsServer, AsksForCertificatesOfClients) {
  const testing::Authority people{"an authority of people"}, strangers{"of strangers"};
  Server::Options options = Secure();
  options.tls->client_ca = Write("people.pem", people.certificate());
  ServeEcho(options);
  const testing::Certificate ada = people.Issue({"DNS:ada"}), eve = strangers.Issue({"DNS:eve"});

  const auto none = Get(Url(), Trusting());
  ASSERT_FALSE(none.ok());
  EXPECT_THAT(none.status().message(), HasSubstr("--certificate FILE"));
  const auto wrong = Get(Url(), Trusting(Write("eve.pem", eve.certificate + eve.key)));
  ASSERT_FALSE(wrong.ok());
  EXPECT_TRUE(requests_.empty());
  EXPECT_EQ(turned(Turned::kHandshake), 2u);
  const auto good = Get(Url(), Trusting(Write("ada.pem", ada.certificate + ada.key)));
  ASSERT_TRUE(good.ok()) << good.status();
  EXPECT_EQ(good->status, 200);
}

TEST_F(HttpTlsServer, SlowStrangersHoldAFewPlacesForAWhile) {
  Server::Options options = Secure();
  options.tls_handshakes_max = 8;
  options.tls_handshakes_per_address_max = 4;
  ServeEcho(options);
  const auto from = [&](const char* address) {
    auto client = std::make_unique<RawClient>(loop_, server_->address(), address);
    client->Send("\x16\x03\x01");  // what a handshake begins with, and no more
    return client;
  };
  std::vector<std::unique_ptr<RawClient>> slow;
  for (int i = 0; i < 20; ++i) {
    slow.push_back(from("127.0.0.2"));
    slow.push_back(from("127.0.0.3"));
  }
  ASSERT_TRUE(Until([&] { return turned(Turned::kHandshakes) == 32; }));
  EXPECT_EQ(server_->connections(), 8u);
  ASSERT_TRUE(slow.front()->AwaitEnd()) << "the oldest were pushed out";
  EXPECT_FALSE(slow.back()->ended());
  const auto good = Get(Url(), Trusting());
  EXPECT_TRUE(good.ok()) << good.status() << ": whoever comes from elsewhere is let in";
  EXPECT_EQ(turned(Turned::kHandshakes), 33u);
}

TEST_F(HttpTlsServer, AHandshakeHasItsTime) {
  Server::Options options = Secure();
  options.tls_handshake_timeout = 50ms;
  options.idle_timeout = 80ms;  // how often is looked
  ServeEcho(options);
  const auto silent = Connect(), slow = Connect();
  slow->Send("\x16\x03\x01");
  ASSERT_TRUE(silent->AwaitEnd());
  ASSERT_TRUE(slow->AwaitEnd());
  EXPECT_EQ(turned(Turned::kSlowHandshake), 2u);
  EXPECT_EQ(silent->received(), "");
}

TEST_F(HttpTlsServer, HandshakesThatLeadNowhereWaitTheirTurn) {
  Server::Options options = Secure();
  options.idle_timeout = 80ms;  // how often is looked
  options.tls_handshake_rate = TokenBucket(1, 1);
  Serve(
      [this](Request request, ResponderPtr responder) {
        requests_.push_back(request);
        responder->Send({.status = request.path == "/good" ? 200 : 401});
      },
      options);
  const auto get = [&](const std::string& target) {
    return Beside([&] { return Client(Trusting(), Url())->Fetch({.target = target}); });
  };
  // Who is let in costs nothing.
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(get("/good").ok());
  ASSERT_EQ(get("/bad")->status, 401);
  // The next waits, and is served.
  const auto waits = get("/bad");
  ASSERT_TRUE(waits.ok()) << waits.status();
  EXPECT_EQ(requests_.size(), 7u);
}

TEST_F(HttpTlsServer, AHandshakeHasItsLength) {
  ServeEcho(Secure());
  const auto client = Connect();
  // A certificate's worth of nothing: a handshake message that says it is 100,000 bytes long.
  std::string record("\x16\x03\x01\x40\x00\x01\x01\x86\xa0\x03\x03", 11);
  record += std::string(0x4000 - 6, 'x');
  for (int i = 0; i < 8; ++i) {
    client->Send(record);
    record = std::string("\x16\x03\x01\x40\x00", 5) + std::string(0x4000, 'x');
  }
  ASSERT_TRUE(client->AwaitEnd());
  EXPECT_EQ(turned(Turned::kHandshake), 1u);
}

TEST_F(HttpTlsServer, WhoDoesNotReadIsCutOffAsInTheClear) {
  Server::Options options = Secure();
  options.idle_timeout = 80ms;
  options.write_timeout = 50ms;
  Serve(
      [](const Request&, const ResponderPtr& responder) {
        responder->Send({.body = std::string(32 << 20, 'x'), .content_type = "text/plain"});
      },
      options);
  // Asks, and reads nothing until the server has had enough.
  std::promise<void> enough;
  auto asked = std::async(std::launch::async, [&, wait = enough.get_future().share()] {
    return Client(Trusting(), Url())->Stream({.target = "/"}, [&](std::string_view) {
      wait.wait();
      return true;
    });
  });
  ASSERT_TRUE(Until([&] { return turned(Turned::kSlowReader) == 1; }));
  EXPECT_EQ(server_->answers_bytes(), 0u) << "nothing is held for who has gone";
  enough.set_value();
  Until([&] { return asked.wait_for(std::chrono::seconds(0)) == std::future_status::ready; });
  EXPECT_FALSE(asked.get().ok()) << "half an answer is not passed off as a whole one";
}

TEST_F(HttpTlsServer, ConnectionsOverTheirNumberAreClosedWithoutAHandshake) {
  Server::Options options = Secure();
  options.connections_max = 1;
  ServeEcho(options);
  const auto first = Client(Trusting(), Url());
  ASSERT_TRUE(Beside([&] { return first->Fetch({.target = "/1"}); }).ok());
  EXPECT_EQ(Get(Url(), Trusting()).status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(turned(Turned::kConnections), 1u);
  EXPECT_EQ(Beside([&] { return first->Fetch({.target = "/2"}); })->body, "/2|");
}

// ---- tokens in the clear ------------------------------------------------------------------------

// An address of this machine that is not loopback; every machine that runs tests with a network of
// any kind has one.
std::string OtherAddress() {
  ifaddrs* all = nullptr;
  std::string found;
  if (getifaddrs(&all) != 0) return found;
  for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET) continue;
    const auto* in = reinterpret_cast<const sockaddr_in*>(one->ifa_addr);
    if ((ntohl(in->sin_addr.s_addr) >> 24) == 127) continue;
    char text[INET_ADDRSTRLEN];
    found = inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
    break;
  }
  freeifaddrs(all);
  return found;
}

class HttpPlainTokens : public HttpTlsServer {
 protected:
  // On an address that is not loopback.
  void ServeElsewhere(Server::Options options) {
    const std::string address = OtherAddress();
    ASSERT_NE(address, "") << "this machine has no address but loopback; give it one: "
                              "`ip link add d0 type dummy; ip addr add 192.0.2.1/32 dev d0`";
    options.listen = address + ":0";
    auto server = Server::Listen(loop_, options, [this](Request request, ResponderPtr responder) {
      requests_.push_back(std::move(request));
      responder->Send({.body = "{}"});
    });
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
};

TEST_F(HttpPlainTokens, AreRefusedFromOffLoopback) {
  ServeElsewhere({.plain_tokens = false});
  const std::string url = "http://" + server_->address();
  const auto refused = Get(url, {.plain_tokens = true}, "a token");
  ASSERT_TRUE(refused.ok()) << refused.status();
  EXPECT_EQ(refused->status, 403);
  EXPECT_THAT(refused->body, AllOf(HasSubstr("https://"), HasSubstr("plain_tokens")));
  EXPECT_TRUE(requests_.empty());
  EXPECT_EQ(turned(Turned::kPlainToken), 1u);
  const auto without = Get(url, {});
  ASSERT_TRUE(without.ok());
  EXPECT_EQ(without->status, 200) << "what asks for no token is served";
  // What a header says of it is not believed.
  const auto told = Beside([&] {
    return Client({.plain_tokens = true}, url, "a token")
        ->Fetch({.target = "/x",
                 .headers = {{"X-Forwarded-Proto", "https"},
                             {"X-Forwarded-For", "127.0.0.1"},
                             {"Forwarded", "for=127.0.0.1;proto=https"}}});
  });
  EXPECT_EQ(told->status, 403);
}

TEST_F(HttpPlainTokens, AreRefusedBeforeABodyIsRead) {
  ServeElsewhere({.plain_tokens = false});
  const auto refused = Beside([&] {
    return Client({.plain_tokens = true}, "http://" + server_->address(), "a token")
        ->Fetch({.method = "POST", .target = "/x", .body = std::string(3 << 20, 'b')});
  });
  ASSERT_TRUE(refused.ok()) << refused.status();
  EXPECT_EQ(refused->status, 403);
  EXPECT_TRUE(requests_.empty());
}

TEST_F(HttpPlainTokens, AreTakenWhereTheConfigSaysSo) {
  ServeElsewhere({.plain_tokens = true});
  EXPECT_EQ(Get("http://" + server_->address(), {.plain_tokens = true}, "a token")->status, 200);
}

TEST_F(HttpPlainTokens, AreTakenOnLoopback) {
  ServeEcho({.plain_tokens = false});
  EXPECT_EQ(Get("http://" + server_->address(), {}, "a token")->status, 200);
}

TEST_F(HttpPlainTokens, AreTakenOverTls) {
  const testing::Certificate here = authority_.Issue({"IP:" + OtherAddress()});
  Write("server.key", here.key);
  Write("server.pem", here.certificate);
  Server::Options options = Secure();
  options.plain_tokens = false;
  ServeElsewhere(options);
  const auto answer = Get("https://" + server_->address(), Trusting(), "a token");
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->status, 200);
}

TEST_F(HttpPlainTokens, AreNotEvenSent) {
  ServeElsewhere({});
  const auto answer = Get("http://" + server_->address(), {}, "a token");
  EXPECT_EQ(answer.status().code(), StatusCode::kPermissionDenied);
  EXPECT_THAT(answer.status().message(), AllOf(HasSubstr("https://"), HasSubstr("--plain-tokens")));
  EXPECT_TRUE(requests_.empty());
}

}  // namespace
}  // namespace allot::http
