#include <cerrno>
#include <utility>
#include <zmq.hpp>

#include "common/base/address.h"
#include "common/base/check.h"
#include "common/base/thread.h"
#include "common/transport/frames.h"
#include "common/transport/ledger.h"
#include "common/transport/link.h"
#include "common/transport/monitor.h"
#include "common/transport/pump.h"
#include "common/transport/version.h"
#include "common/transport/zap.h"

namespace allot::transport {
namespace {

// Thousands of agents dial at once after a restart; the kernel cuts this to its somaxconn.
constexpr int kBacklog = 8192;

// In every libzmq since 4.2.3; the header names it only with the draft interface switched on.
constexpr int kZapEnforceDomain = 93;

// libzmq gives every peer that brings none a routing id of this shape.
bool IsOurRoutingId(std::string_view id) { return id.size() == 5 && id[0] == '\0'; }

int DescriptorOf(zmq::message_t& message) { return zmq_msg_get(message.handle(), ZMQ_SRCFD); }

std::string BindError(const std::string& endpoint, int error) {
  switch (error) {
    case EADDRINUSE:
      return fmt::format("{} is in use; stop what listens there or choose another port", endpoint);
    case EADDRNOTAVAIL:
    case ENODEV:
      return fmt::format("{} is not an address of this machine", endpoint);
    case EACCES:
      return fmt::format("{}: permission denied; ports below 1024 need privileges", endpoint);
    default:
      return fmt::format("cannot listen on {}: {}", endpoint, zmq_strerror(error));
  }
}

}  // namespace

class ServerLink::Impl : public std::enable_shared_from_this<ServerLink::Impl> {
 public:
  Impl(Context& context, const Options& options, Handler handler)
      : context_(context),
        handler_(std::move(handler)),
        revoked_(options.revoked),
        message_bytes_max_(options.message_bytes_max),
        socket_(context.zmq(), zmq::socket_type::router) {
    SetCommonOptions(socket_, options.keys, options.message_bytes_max, options.queue_max,
                     options.endpoint.find('[') != std::string::npos);
    socket_.set(zmq::sockopt::curve_server, true);
    socket_.set(zmq::sockopt::zap_domain, ZapDomain(options.admit));
    // Without this a CURVE server whose ZAP handler is missing admits every key.
    const int enforce = 1;
    if (zmq_setsockopt(socket_.handle(), kZapEnforceDomain, &enforce, sizeof enforce) != 0) {
      throw zmq::error_t();
    }
    socket_.set(zmq::sockopt::router_mandatory, true);
    socket_.set(zmq::sockopt::handshake_ivl, options.handshake_ms_max);
    socket_.set(zmq::sockopt::backlog, kBacklog);
    context_.CountSockets(1);  // Last: what throws above is not counted. Close takes it back.
  }

  // Throws zmq::error_t.
  void Start(boost::asio::io_context& loop, const std::string& endpoint) {
    const std::weak_ptr<Impl> weak = weak_from_this();
    monitor_ = std::make_unique<SocketMonitor>(context_.zmq(), socket_, loop, [weak] {
      if (const auto self = weak.lock()) self->DrainMonitor();
      return false;
    });
    if (zmq_bind(socket_.handle(), endpoint.c_str()) != 0) {
      bind_error_ = zmq_errno();
      // Telling the monitor may have overwritten errno; the event has the real one.
      MonitorEvent event;
      while (monitor_->Next(&event)) {
        if (event.kind == ZMQ_EVENT_BIND_FAILED) bind_error_ = static_cast<int>(event.value);
      }
      throw zmq::error_t();
    }
    endpoint_ = socket_.get(zmq::sockopt::last_endpoint);
    pump_ = std::make_shared<SocketPump>(loop, socket_.get(zmq::sockopt::fd), [weak] {
      const auto self = weak.lock();
      return self != nullptr && self->Drain();
    });
    monitor_->Start();
    pump_->Start();
  }

  void Close() {
    const SignalsBlocked quiet;  // Or libzmq says EINTR in the middle of it.
    closed_ = true;
    if (pump_) pump_->Stop();
    monitor_.reset();
    socket_.close();
    context_.CountSockets(-1);
  }

  bool Send(const std::string& peer, const wire::Envelope& envelope, Bodies bodies) {
    const SendResult result =
        SendFrames(socket_, &peer, envelope, std::move(bodies), message_bytes_max_, &counters_);
    pump_->Poke();
    return result == SendResult::kSent;
  }

  const std::string& endpoint() const { return endpoint_; }
  int bind_error() const { return bind_error_; }  // errno, 0 if it was bound
  const LinkCounters& counters() const { return counters_; }

 private:
  void DrainMonitor() {
    MonitorEvent event;
    while (monitor_->Next(&event)) {
      switch (event.kind) {
        case ZMQ_EVENT_ACCEPTED:
          ledger_.Accepted(static_cast<int>(event.value));
          break;
        case ZMQ_EVENT_DISCONNECTED:
          ledger_.Disconnected(static_cast<int>(event.value));
          break;
        case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
          ledger_.HandshakeSucceeded();
          break;
        case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
        case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
          ledger_.HandshakeFailed();
          break;
        default:
          break;
      }
    }
    counters_.accepted = ledger_.accepted();
    counters_.disconnected = ledger_.disconnected();
    counters_.handshakes_failed = ledger_.handshakes_failed();
  }

  bool Drain() {
    DrainMonitor();  // First: the ledger must know of a connection before it speaks.
    for (int i = 0; i < kBurst; ++i) {
      Frames frames;
      const ReceiveResult result = ReceiveFrames(socket_, /*router=*/true, &frames, &counters_);
      if (result == ReceiveResult::kNothing) return false;
      Incoming incoming;
      const Verdict verdict =
          result == ReceiveResult::kGarbage ? Verdict::kGarbage : Judge(frames, &incoming);
      if (verdict == Verdict::kGarbage) ++counters_.dropped_garbage;
      if (verdict == Verdict::kRevoked) {
        ++counters_.dropped_revoked;
        if (revoked_) revoked_(incoming.peer, incoming.name);
        if (closed_) return false;
      }
      if (verdict == Verdict::kOtherVersion) {
        // An empty envelope of ours: so the other side knows why it is not heard, and says so too.
        // Those who dial answer none, so it ends there.
        ++counters_.dropped_version;
        SendFrames(socket_, &incoming.peer, wire::Envelope(), {}, message_bytes_max_, &counters_);
      }
      if (verdict != Verdict::kHeard) continue;
      ++counters_.envelopes_in;
      handler_(std::move(incoming));
      if (closed_) return false;
    }
    return true;
  }

  enum class Verdict { kHeard, kGarbage, kRevoked, kOtherVersion };

  Verdict Judge(Frames& frames, Incoming* incoming) {
    ledger_.Spoke(DescriptorOf(frames.envelope));
    if (!IsOurRoutingId(frames.peer)) return Verdict::kGarbage;
    const char* const user = zmq_msg_gets(frames.envelope.handle(), "User-Id");
    if (user == nullptr) return Verdict::kGarbage;
    const std::optional<UserId> id = ParseUserId(user);
    if (!id) return Verdict::kGarbage;
    incoming->peer = std::move(frames.peer);
    incoming->name = id->name;
    incoming->role = id->role;
    if (const char* from = zmq_msg_gets(frames.envelope.handle(), "Peer-Address"))
      incoming->address = PlainHost(from);
    if (!StillAllowed(*id)) return Verdict::kRevoked;
    uint32_t other_version = 0;
    if (!ParseEnvelope(&frames, &incoming->envelope, &counters_, &other_version)) {
      if (other_version == 0) return Verdict::kGarbage;
      NoteOtherVersion(fmt::format("{} ({})", id->name, RoleName(id->role)), other_version);
      return Verdict::kOtherVersion;
    }
    incoming->bodies = std::move(frames.bodies);
    return Verdict::kHeard;
  }

  bool StillAllowed(const UserId& id) {
    const ZapHandler& list = *context_.allow_list();
    if (const uint64_t version = list.peers_version(); version != allowed_version_) {
      allowed_version_ = version;
      allowed_ = list.peers();
    }
    const auto found =
        allowed_->find(absl::string_view(id.public_key.data(), id.public_key.size()));
    return found != allowed_->end() && found->second.name == id.name &&
           found->second.role == id.role;
  }

  Context& context_;
  const Handler handler_;
  const RevokedHandler revoked_;
  const int64_t message_bytes_max_;
  std::string endpoint_;
  LinkCounters counters_;
  ConnectionLedger ledger_;
  uint64_t allowed_version_ = UINT64_MAX;
  std::shared_ptr<const ZapHandler::Peers> allowed_;
  bool closed_ = false;
  int bind_error_ = 0;
  zmq::socket_t socket_;
  std::unique_ptr<SocketMonitor> monitor_;
  std::shared_ptr<SocketPump> pump_;
};

ServerLink::ServerLink(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
ServerLink::~ServerLink() { impl_->Close(); }

StatusOr<std::unique_ptr<ServerLink>> ServerLink::Listen(Context& context,
                                                         boost::asio::io_context& loop,
                                                         Options options, Handler handler) {
  CHECK(context.allow_list() != nullptr);  // A context that only dials was made to listen.
  CHECK(handler != nullptr && !options.admit.empty());
  RETURN_IF_ERROR(CheckCommonOptions(options.endpoint, options.keys));
  const SignalsBlocked quiet;  // Or libzmq says EINTR in the middle of it.
  std::shared_ptr<Impl> impl;
  try {
    impl = std::make_shared<Impl>(context, options, std::move(handler));
    impl->Start(loop, options.endpoint);
    return std::unique_ptr<ServerLink>(new ServerLink(impl));
  } catch (const zmq::error_t& error) {
    const int cause = impl && impl->bind_error() != 0 ? impl->bind_error() : error.num();
    if (impl) impl->Close();
    return Unavailable("{}", BindError(options.endpoint, cause));
  }
}

std::string ServerLink::endpoint() const { return impl_->endpoint(); }
bool ServerLink::Send(const std::string& peer, const wire::Envelope& envelope, Bodies bodies) {
  return impl_->Send(peer, envelope, std::move(bodies));
}
const LinkCounters& ServerLink::counters() const { return impl_->counters(); }

}  // namespace allot::transport
