#include "examples/charlm/gang.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace charlm {
namespace {

constexpr auto kMeetWithin = std::chrono::seconds(60);
constexpr timeval kIntroduceWithin{2, 0};

[[noreturn]] void Fail(int code, const char* what) {
  std::fprintf(stderr, "charlm: %s: %s\n", what, std::strerror(errno));
  std::exit(code);
}

void SendAll(int fd, const void* data, size_t size) {
  const char* at = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t n = send(fd, at, size, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) Fail(75, "lost a peer while sending");
    at += n;
    size -= static_cast<size_t>(n);
  }
}

bool TryReceiveAll(int fd, void* data, size_t size) {
  char* at = static_cast<char*>(data);
  while (size > 0) {
    const ssize_t n = recv(fd, at, size, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    at += n;
    size -= static_cast<size_t>(n);
  }
  return true;
}

void ReceiveAll(int fd, void* data, size_t size) {
  if (!TryReceiveAll(fd, data, size)) Fail(75, "lost a peer while receiving");
}

// The rank at the other end; -1 if it does not say, soon. The port is open to everybody, and a
// scanner that connects and stays silent must not keep the gang from meeting.
int32_t RankOfPeer(int fd) {
  int32_t peer = -1;
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kIntroduceWithin, sizeof kIntroduceWithin);
  if (!TryReceiveAll(fd, &peer, sizeof peer)) return -1;
  const timeval none{};  // From now on a peer may compute for as long as it takes.
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof none);
  return peer;
}

addrinfo* Resolve(const std::string& host, int port, bool listen) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = listen ? AI_PASSIVE : 0;
  if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0 ||
      found == nullptr) {
    std::fprintf(stderr, "charlm: cannot resolve the main address %s\n", host.c_str());
    std::exit(1);
  }
  return found;
}

void NoDelay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace

Gang::Gang(int rank, int world_size, const std::string& main_address, int main_port)
    : rank_(rank), size_(world_size) {
  if (size_ == 1) return;
  const auto deadline = std::chrono::steady_clock::now() + kMeetWithin;
  auto left_ms = [&] {
    return static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                deadline - std::chrono::steady_clock::now())
                                .count());
  };
  addrinfo* address = Resolve(main_address, main_port, rank_ == 0);
  if (rank_ == 0) {
    const int listener = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, address->ai_addr, address->ai_addrlen) != 0 || listen(listener, size_) != 0)
      Fail(75, "cannot listen on the main address");
    peers_.assign(size_ - 1, -1);
    for (int met = 0; met < size_ - 1;) {
      pollfd waiting{listener, POLLIN, 0};
      if (left_ms() <= 0 || poll(&waiting, 1, left_ms()) <= 0) {
        errno = ETIMEDOUT;
        Fail(75, "not all ranks came");
      }
      const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) continue;
      const int32_t peer = RankOfPeer(fd);
      if (peer < 1 || peer >= size_ || peers_[peer - 1] != -1) {
        close(fd);
        continue;
      }
      NoDelay(fd);
      peers_[peer - 1] = fd;
      ++met;
    }
    close(listener);
  } else {
    for (;;) {
      const int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (connect(fd, address->ai_addr, address->ai_addrlen) == 0) {
        NoDelay(fd);
        const int32_t me = rank_;
        SendAll(fd, &me, sizeof me);
        peers_ = {fd};
        break;
      }
      close(fd);
      if (left_ms() <= 0) Fail(75, "cannot reach rank 0");
      poll(nullptr, 0, 50);
    }
  }
  freeaddrinfo(address);
}

Gang::~Gang() {
  for (int fd : peers_) close(fd);
}

void Gang::Sum(std::span<float> values) {
  if (size_ == 1) return;
  if (rank_ != 0) {
    SendAll(peers_[0], values.data(), values.size_bytes());
    ReceiveAll(peers_[0], values.data(), values.size_bytes());
    return;
  }
  received_.resize(values.size());
  for (int fd : peers_) {  // in order of rank, so that the sum is the same every time
    ReceiveAll(fd, received_.data(), values.size_bytes());
    for (size_t i = 0; i < values.size(); ++i) values[i] += received_[i];
  }
  for (int fd : peers_) SendAll(fd, values.data(), values.size_bytes());
}

void Gang::Broadcast(std::span<float> values) {
  if (size_ == 1) return;
  if (rank_ != 0) return ReceiveAll(peers_[0], values.data(), values.size_bytes());
  for (int fd : peers_) SendAll(fd, values.data(), values.size_bytes());
}

}  // namespace charlm
