#include "agent/runtime/model_server.h"

#include <cerrno>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <boost/asio/post.hpp>

#include "agent/runtime/files.h"

namespace allot::agent {

StatusOr<uint16_t> FreeLoopbackPort() {
  const Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (!fd.valid() || bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
    return ErrnoStatus(errno, "cannot find a free port at 127.0.0.1");
  return ntohs(address.sin_port);
}

struct HealthProber::Target {
  std::unique_ptr<http::Client> client;
  uint16_t port = 0;
  std::unique_ptr<http::Client::Call> call;
  int status = 0;
  uint64_t number = 0;  // of the probe; an older one's answer is nobody's
};

HealthProber::HealthProber(boost::asio::io_context& loop) : loop_(loop) {}
HealthProber::~HealthProber() = default;

void HealthProber::Probe(const ProcessId& id, uint16_t port, const HealthCheck& health, Done done) {
  std::shared_ptr<Target>& target = targets_[id];
  if (!target) target = std::make_shared<Target>();
  target->call.reset();
  if (!target->client || target->port != port) {
    target->client = std::make_unique<http::Client>(loop_, fmt::format("127.0.0.1:{}", port), 1);
    target->port = port;
  }
  http::ClientRequest question;
  question.target = health.path;
  question.timeout = question.idle_timeout = health.timeout;
  Ask(target, std::move(question), std::move(done));
}

void HealthProber::Probe(const ProcessId& id, const Connect& connect, http::ClientRequest question,
                         Done done) {
  std::shared_ptr<Target>& target = targets_[id];
  if (!target) target = std::make_shared<Target>();
  target->call.reset();
  if (!target->client) target->client = connect(loop_);
  Ask(target, std::move(question), std::move(done));
}

void HealthProber::Ask(const std::shared_ptr<Target>& target, http::ClientRequest question,
                       Done done) {
  target->status = 0;
  const uint64_t number = ++target->number;
  http::Client::Callbacks callbacks;
  const std::weak_ptr<Target> weak = target;
  callbacks.head = [weak, number](int status, http::Headers) {
    if (const auto alive = weak.lock(); alive && alive->number == number) alive->status = status;
  };
  callbacks.body = [](std::string) {};
  callbacks.done = [weak, number, done = std::move(done), path = question.target,
                    loop = &loop_](Status result) {
    const auto alive = weak.lock();
    if (!alive || alive->number != number) return;
    const int status = alive->status;
    // The call cannot be destroyed from inside its own callback.
    boost::asio::post(*loop, [weak, number] {
      if (const auto later = weak.lock(); later && later->number == number) later->call.reset();
    });
    if (!result.ok()) return done(false, fmt::format("{}: {}", path, MessageOf(result)));
    if (status < 200 || status > 299)
      return done(false, fmt::format("{} answers {}", path, status));
    done(true, "");
  };
  target->call = target->client->Start(std::move(question), std::move(callbacks));
}

void HealthProber::Forget(const ProcessId& id) { targets_.erase(id); }

}  // namespace allot::agent
