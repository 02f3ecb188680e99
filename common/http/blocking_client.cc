#include "common/http/blocking_client.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "common/base/printable.h"
#include "common/base/url.h"
#include "common/http/lookup.h"
#include "common/http/parser.h"
#include "common/http/plain_tokens.h"
#include "common/http/text.h"
#include "common/http/tls_channel.h"

namespace allot::http {
namespace {

using Clock = std::chrono::steady_clock;

// A command line tool that is sent more than this is talking to the wrong server.
constexpr size_t kBodyMax = 256 << 20;
constexpr size_t kReadSize = 16 << 10;
constexpr size_t kHandshakeMax = 256 << 10;

StatusOr<Url> ParseBaseUrl(const std::string& text) {
  const StatusOr<Url> url = ParseUrl(text);
  if (!url.ok() || !url->path.empty())
    return InvalidArgument("address is \"{}\"; give http://HOST:PORT or https://HOST:PORT",
                           Shown(text, 200));
  return url;
}

// "connection refused": in the middle of our sentences.
std::string Reason(int error) {
  std::string text = std::generic_category().message(error);
  ToLower(&text);
  return text;
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  void Reset() { *this = Descriptor(-1); }

 private:
  int fd_;
};

// Ready, or 0 once `deadline` has passed. Signals (a stopped and continued process) do not count.
int Poll(int fd, short events, Clock::time_point deadline) {
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return 0;
    pollfd one{fd, events, 0};
    const int ready = ::poll(&one, 1, static_cast<int>(std::min<int64_t>(left, 3'600'000)));
    if (ready > 0) return one.revents;
    if (ready < 0 && errno != EINTR) return POLLERR;
  }
}

}  // namespace

std::string_view ClientResponse::Header(std::string_view lower_case_name) const {
  for (const auto& [name, value] : headers) {
    if (name == lower_case_name) return value;
  }
  return {};
}

class BlockingClient::Impl {
 public:
  Impl(Url url, std::string base_url, std::string token, ClientSecurity security)
      : url_(std::move(url)),
        host_port_(url_.Authority()),
        base_url_(std::move(base_url)),
        token_(std::move(token)),
        security_(std::move(security)) {}

  StatusOr<ClientResponse> Stream(ClientRequest request,
                                  const std::function<bool(std::string_view)>& piece) {
    if (!token_.empty()) request.headers.emplace_back("Authorization", "Bearer " + token_);
    const auto deadline = Clock::now() + request.timeout;
    const bool reused = socket_.get() >= 0;
    bool heard = false;
    if (!reused) RETURN_IF_ERROR(Connect(deadline));
    StatusOr<ClientResponse> response = Exchange(request, piece, deadline, &heard);
    if (!response.ok()) Disconnect();
    // The server may close an idle connection just as we use it again.
    if (reused && !heard && response.status().code() == StatusCode::kUnavailable) {
      RETURN_IF_ERROR(Connect(deadline));
      response = Exchange(request, piece, deadline, &heard);
      if (!response.ok()) Disconnect();
    }
    return response;
  }

 private:
  Status CannotConnect(std::string_view why) const {
    return Unavailable(
        "cannot connect to {}: {}; is the scheduler running, and is this its address?", base_url_,
        why);
  }

  void Disconnect() {
    tls_.reset();
    socket_.Reset();
  }

  Status Connect(Clock::time_point deadline) {
    Disconnect();
    RETURN_IF_ERROR(ConnectTcp(deadline));
    Status status = url_.secure ? ShakeHands(deadline) : CheckPlain();
    if (!status.ok()) Disconnect();
    return status;
  }

  // By the addresses that are connected, whatever the name was.
  Status CheckPlain() const {
    if (token_.empty() || security_.plain_tokens) return absl::OkStatus();
    const auto end = [&](auto get) -> std::string {
      sockaddr_storage address{};
      socklen_t size = sizeof address;
      char text[NI_MAXHOST];
      if (get(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
          ::getnameinfo(reinterpret_cast<sockaddr*>(&address), size, text, sizeof text, nullptr, 0,
                        NI_NUMERICHOST) != 0)
        return "";
      return text;
    };
    if (StaysOnThisMachine(end(::getsockname), end(::getpeername))) return absl::OkStatus();
    return PermissionDenied(
        "no token is sent to {}: it is another address than loopback, and plain HTTP can be read "
        "on "
        "the way.\n  Use https:// (`allot cluster init` and docs/deploy.md say how), or, where the "
        "network is trusted, --plain-tokens, ALLOT_PLAIN_TOKENS=1 or plain_tokens: true in "
        "client.yaml.",
        base_url_);
  }

  Status ShakeHands(Clock::time_point deadline) {
    if (security_.trust == nullptr) {
      ASSIGN_OR_RETURN(security_.trust, TlsTrust::Load(TlsTrust::Files()));
    }
    tls_.emplace(security_.trust->context(), socket_.get(), TlsChannel::Role::kClient,
                 kHandshakeMax);
    RETURN_IF_ERROR(TlsTrust::Expect(tls_->session(), url_.host));
    while (true) {
      switch (tls_->Handshake()) {
        case TlsChannel::Result::kDone:
          return absl::OkStatus();
        case TlsChannel::Result::kWantRead:
          if (Poll(socket_.get(), POLLIN, deadline) == 0)
            return DeadlineExceeded("cannot speak TLS with {}: no answer", base_url_);
          continue;
        case TlsChannel::Result::kWantWrite:
          if (Poll(socket_.get(), POLLOUT, deadline) == 0)
            return DeadlineExceeded("cannot speak TLS with {}: no answer", base_url_);
          continue;
        default:
          return TlsTrust::ExplainToPeople(tls_->session(), base_url_, tls_->reason());
      }
    }
  }

  Status ConnectTcp(Clock::time_point deadline) {
    const HostPort target{url_.host, url_.port};
    const StatusOr<std::vector<std::string>> addresses = Lookup(target.host);
    if (!addresses.ok()) return CannotConnect(MessageOf(addresses.status()));
    Status status;
    for (const std::string& address : *addresses) {
      addrinfo hints{}, *found = nullptr;
      hints.ai_socktype = SOCK_STREAM;
      hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
      if (const int error =
              ::getaddrinfo(address.c_str(), std::to_string(target.port).c_str(), &hints, &found);
          error != 0)
        return CannotConnect(::gai_strerror(error));
      status = ConnectTo(*found, deadline);
      ::freeaddrinfo(found);
      if (status.ok()) break;
    }
    return status;
  }

  Status ConnectTo(const addrinfo& target, Clock::time_point deadline) {
    Descriptor socket(
        ::socket(target.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
    if (socket.get() < 0) return CannotConnect(Reason(errno));
    if (::connect(socket.get(), target.ai_addr, target.ai_addrlen) != 0) {
      if (errno != EINPROGRESS) return CannotConnect(Reason(errno));
      if (Poll(socket.get(), POLLOUT, deadline) == 0)
        return DeadlineExceeded("cannot connect to {}: no answer", base_url_);
      int error = 0;
      socklen_t size = sizeof error;
      if (::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
      if (error != 0) return CannotConnect(Reason(error));
    }
    const int on = 1;
    (void)::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    KeepAlive(socket.get());
    socket_ = std::move(socket);
    return absl::OkStatus();
  }

  StatusOr<ClientResponse> Exchange(const ClientRequest& request,
                                    const std::function<bool(std::string_view)>& piece,
                                    Clock::time_point deadline, bool* heard) {
    std::string out = RequestHead(request, host_port_) + request.body;
    size_t sent = 0;
    ResponseParser parser(request.method == "HEAD");
    ClientResponse response;
    std::string pending;  // received and not yet parsed
    bool head_given = false;
    char buffer[kReadSize];
    while (true) {
      // Both at once: a server may answer, and close, before it has read a large body.
      const short events = sent < out.size() ? POLLIN | POLLOUT : POLLIN;
      const int ready = Poll(socket_.get(), events, deadline);
      if (ready == 0) return Silent(request, head_given);
      if ((ready & POLLOUT) != 0 && sent < out.size()) {
        const auto [n, broken] = Send(std::string_view(out).substr(sent));
        // What went wrong, and an answer sent early, shows when reading.
        sent = broken ? out.size() : sent + n;
      }
      if ((ready & ~POLLOUT) == 0) continue;
      const ssize_t got = Receive(buffer, sizeof buffer);
      if (got < 0 && errno == EAGAIN) continue;
      bool done = false;
      if (got <= 0) {
        if (got < 0 || !parser.FinishAtEof()) return Closed(head_given, *heard);
        done = true;
      } else {
        *heard = true;
        if (head_given) deadline = Clock::now() + request.idle_timeout;
        pending.append(buffer, static_cast<size_t>(got));
        size_t consumed = 0;
        const ResponseParser::Result result = parser.Feed(pending, &consumed);
        pending.erase(0, consumed);
        if (result == ResponseParser::Result::kMalformed)
          return Unavailable("{} did not answer in HTTP/1.1", host_port_);
        done = result == ResponseParser::Result::kDone;
      }
      if (!head_given && parser.head_done()) {
        head_given = true;
        deadline = Clock::now() + request.idle_timeout;
        response.status = parser.status();
        response.headers = parser.TakeHeaders();
      }
      const std::string body = parser.TakeBody();
      if (!body.empty()) {
        const bool good = response.status >= 200 && response.status < 300;
        if (piece && good) {
          if (!piece(body)) {
            Disconnect();
            return response;
          }
        } else {
          response.body += body;
          if (response.body.size() > kBodyMax)
            return ResourceExhausted("the answer of {} is over {}", base_url_,
                                     FormatBytes(kBodyMax));
        }
      }
      if (!done) continue;
      if (got <= 0 || sent < out.size() || !pending.empty() || !parser.keep_alive()) Disconnect();
      return response;
    }
  }

  Status Silent(const ClientRequest& request, bool head_given) const {
    if (head_given)
      return DeadlineExceeded("{} fell silent for {} in the middle of its answer", host_port_,
                              FormatDuration(request.idle_timeout));
    return DeadlineExceeded("{} did not answer within {}", host_port_,
                            FormatDuration(request.timeout));
  }

  // How much went out; and whether no more ever will.
  std::pair<size_t, bool> Send(std::string_view text) {
    if (!tls_.has_value()) {
      const ssize_t n = ::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL);
      return {n > 0 ? static_cast<size_t>(n) : 0, n < 0 && errno != EAGAIN && errno != EINTR};
    }
    size_t taken = 0;
    const TlsChannel::Result result = tls_->Write({&text, 1}, &taken);
    return {taken, result == TlsChannel::Result::kFailed || result == TlsChannel::Result::kEnd};
  }

  // As recv(2): 0 at the end, -1 and EAGAIN where there is nothing yet. Over TLS a connection that
  // is cut is no end: nobody on the way can pass off half an answer as a whole one.
  ssize_t Receive(char* to, size_t room) {
    if (!tls_.has_value()) {
      const ssize_t got = ::recv(socket_.get(), to, room, 0);
      if (got < 0 && errno == EINTR) errno = EAGAIN;
      return got;
    }
    size_t got = 0;
    switch (tls_->Read(to, room, &got)) {
      case TlsChannel::Result::kDone:
        return static_cast<ssize_t>(got);
      case TlsChannel::Result::kEnd:
        return 0;
      case TlsChannel::Result::kFailed:
        errno = ECONNRESET;
        return -1;
      default:
        errno = EAGAIN;
        return -1;
    }
  }

  Status Closed(bool head_given, bool heard) const {
    // Of TLS 1.3 a client is done with its handshake before the server has looked at its
    // certificate: what that thinks of it comes in place of an answer.
    if (tls_.has_value() && !heard && tls_->reason().find("alert") != std::string::npos)
      return TlsTrust::ExplainToPeople(tls_->session(), base_url_, tls_->reason());
    return Unavailable("{} closed the connection {}", host_port_,
                       head_given ? "before the answer was complete" : "before it answered");
  }

  const Url url_;
  const std::string host_port_, base_url_, token_;
  ClientSecurity security_;
  Descriptor socket_{-1};
  std::optional<TlsChannel> tls_;
};

BlockingClient::BlockingClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
BlockingClient::~BlockingClient() = default;

StatusOr<std::unique_ptr<BlockingClient>> BlockingClient::Create(const std::string& base_url,
                                                                 std::string bearer_token,
                                                                 ClientSecurity security) {
  ASSIGN_OR_RETURN(Url url, ParseBaseUrl(base_url));
  return std::unique_ptr<BlockingClient>(new BlockingClient(std::make_unique<Impl>(
      std::move(url), base_url, std::move(bearer_token), std::move(security))));
}

StatusOr<ClientResponse> BlockingClient::Fetch(const ClientRequest& request) {
  return impl_->Stream(request, nullptr);
}

StatusOr<ClientResponse> BlockingClient::Stream(
    const ClientRequest& request, const std::function<bool(std::string_view piece)>& piece) {
  return impl_->Stream(request, piece);
}

}  // namespace allot::http
