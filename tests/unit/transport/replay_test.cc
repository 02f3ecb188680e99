// What somebody on the way has recorded opens nothing.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "common/base/address.h"
#include "tests/unit/transport/harness.h"

namespace allot::transport {
namespace {

int Connect(const std::string& endpoint) {
  const auto address = ParseAddress(endpoint);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(std::stoi(address->port)));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  return fd;
}

// Passes the bytes of one connection on, both ways, and keeps those of the client.
class Recorder {
 public:
  explicit Recorder(std::string to) : to_(std::move(to)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<const sockaddr*>(&any), sizeof any), 0);
    EXPECT_EQ(::listen(listener_, 1), 0);
    socklen_t size = sizeof any;
    EXPECT_EQ(::getsockname(listener_, reinterpret_cast<sockaddr*>(&any), &size), 0);
    endpoint_ = fmt::format("tcp://127.0.0.1:{}", ntohs(any.sin_port));
    thread_ = std::thread([this] { Run(); });
  }
  ~Recorder() { ::close(listener_); }
  const std::string& endpoint() const { return endpoint_; }
  // Once the connection has ended.
  const std::string& Recorded() {
    thread_.join();
    return recorded_;
  }

 private:
  void Run() {
    const int client = ::accept(listener_, nullptr, nullptr), server = Connect(to_);
    char buffer[4096];
    for (bool open = true; open;) {
      pollfd fds[2] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
      ::poll(fds, 2, -1);
      for (int i = 0; i < 2 && open; ++i) {
        if (fds[i].revents == 0) continue;
        const ssize_t got = ::read(fds[i].fd, buffer, sizeof buffer);
        open = got > 0 && ::write(fds[1 - i].fd, buffer, static_cast<size_t>(got)) == got;
        if (open && i == 0) recorded_.append(buffer, static_cast<size_t>(got));
      }
    }
    ::close(client);
    ::close(server);
  }

  const std::string to_;
  int listener_ = -1;
  std::string endpoint_, recorded_;
  std::thread thread_;
};

TEST_F(LinkTest, ARecordedConnectionOpensNothing) {
  Listen({}, /*echo=*/true);
  Recorder between(server_->endpoint());
  auto peer = std::make_unique<Peer>();
  Enroll("n1", peer->keys);
  Dial(*peer, {.endpoint = between.endpoint()});
  ASSERT_TRUE(Exchange(*peer, 3));
  peer->link.reset();
  ASSERT_TRUE(Until([&] { return server_->counters().disconnected == 1; }));
  const std::string recorded = between.Recorded();
  ASSERT_GT(recorded.size(), 500u);
  const size_t heard = arrived_.size();
  const int fd = Connect(server_->endpoint());
  ASSERT_EQ(::write(fd, recorded.data(), recorded.size()), static_cast<ssize_t>(recorded.size()));
  EXPECT_TRUE(Until([&] { return server_->counters().handshakes_failed > 0; }));
  EXPECT_EQ(arrived_.size(), heard);
  EXPECT_EQ(context_->zap().admitted, 1u);
  ::close(fd);
}

}  // namespace
}  // namespace allot::transport
