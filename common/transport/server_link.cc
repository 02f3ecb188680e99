#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <utility>
#include <zmq.hpp>

#include "absl/container/flat_hash_map.h"
#include "absl/container/node_hash_map.h"
#include "common/base/check.h"
#include "common/base/logging.h"
#include "common/base/thread.h"
#include "common/base/token_bucket.h"
#include "common/transport/frames.h"
#include "common/transport/gate.h"
#include "common/transport/intake.h"
#include "common/transport/invitations.h"
#include "common/transport/link.h"
#include "common/transport/pump.h"
#include "common/transport/version.h"
#include "common/transport/zap.h"

namespace allot::transport {
namespace {

// In every libzmq since 4.2.3; the header names it only with the draft interface switched on.
constexpr int kZapEnforceDomain = 93;

// libzmq gives every peer that brings none a routing id of this shape.
bool IsOurRoutingId(std::string_view id) { return id.size() == 5 && id[0] == '\0'; }

// Work of a turn of the loop, in messages and kibibytes; then timers and HTTP have theirs.
constexpr uint64_t kTurnWork = 2'000;
constexpr size_t kTurnPeers = 16;
// What an envelope costs that is refused: whoever sends nothing else is heard five times a second.
constexpr int64_t kRefusalWork = 4'000;
// What arrives while a pause begins is charged as well, and a peer may mend its ways.
constexpr Duration kPauseMax = std::chrono::seconds(5);
constexpr Duration kPauseStep = std::chrono::milliseconds(100);
// libzmq may still have messages of a connection that is over.
constexpr Duration kKeptAfterEnd = std::chrono::seconds(30);

Duration Now() {
  return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch());
}

Gate::Options GateOptions(const ServerLink::Options& options) {
  Gate::Options gate{
      .endpoint = options.endpoint,
      .keys = options.keys,
      .handshake_ms_max = options.handshake_ms_max,
      .frame_bytes_max = std::min(options.heard_bytes_max, options.message_bytes_max)};
  if (options.metered) {
    gate.bytes_per_second = limits::kPeerBytesPerSecond.value;
    gate.bytes_burst = limits::kPeerBytesBurst.value;
    gate.frames_per_second = limits::kPeerFramesPerSecond.value;
    gate.frames_burst = limits::kPeerFramesBurst.value;
  }
  return gate;
}

}  // namespace

class ServerLink::Impl : public std::enable_shared_from_this<ServerLink::Impl> {
 public:
  Impl(Context& context, std::unique_ptr<Gate> gate, const Options& options, Handler handler)
      : context_(context),
        handler_(std::move(handler)),
        revoked_(options.revoked),
        message_bytes_max_(options.message_bytes_max),
        metered_(options.metered),
        gate_options_(GateOptions(options)),
        gate_(std::move(gate)),
        socket_(context.zmq(), zmq::socket_type::router) {
    SetCommonOptions(socket_, options.keys, options.message_bytes_max, options.queue_max,
                     /*ipv6=*/false);
    socket_.set(zmq::sockopt::curve_server, true);
    socket_.set(zmq::sockopt::zap_domain, ZapDomain(options.admit));
    // Without this a CURVE server whose ZAP handler is missing admits every key.
    const int enforce = 1;
    if (zmq_setsockopt(socket_.handle(), kZapEnforceDomain, &enforce, sizeof enforce) != 0) {
      throw zmq::error_t();
    }
    socket_.set(zmq::sockopt::router_mandatory, true);
    socket_.set(zmq::sockopt::handshake_ivl, static_cast<int>(options.handshake_ms_max));
    context_.CountSockets(1);  // Last: what throws above is not counted. Close takes it back.
  }

  // A listener keeps what the socket was set to when it was bound, its keys among that; so each key
  // has a listener of its own, and the gate sends each connection to the one it asks for. Throws
  // zmq::error_t.
  void Bind(int inner, const KeyPair& keys) {
    socket_.set(zmq::sockopt::curve_publickey, keys.public_key);
    socket_.set(zmq::sockopt::curve_secretkey, keys.secret_key);
    socket_.set(zmq::sockopt::use_fd, inner);
    try {
      // A word; the descriptor listens already.
      socket_.bind(fmt::format("ipc://allot-gate-{}", ++bound_));
    } catch (...) {
      ::close(inner);
      throw;
    }
  }

  Status AddKey(const KeyPair& keys) {
    const SignalsBlocked quiet;
    ASSIGN_OR_RETURN(const int inner, gate_->AddKey(keys));
    if (inner < 0) return absl::OkStatus();  // It is there.
    try {
      Bind(inner, keys);
      pump_->Poke();
      return absl::OkStatus();
    } catch (const zmq::error_t& error) {
      gate_->DropKey(keys.public_key);
      return Unavailable("cannot listen by another key: {}", error.what());
    }
  }
  void DropKey(const std::string& public_key) { gate_->DropKey(public_key); }

  // Throws zmq::error_t.
  void Start(boost::asio::io_context& loop, const KeyPair& keys) {
    Bind(gate_->TakeInner(), keys);
    const std::weak_ptr<Impl> weak = weak_from_this();
    pump_ = std::make_shared<SocketPump>(loop, socket_.get(zmq::sockopt::fd), [weak] {
      const auto self = weak.lock();
      return self != nullptr && self->Drain();
    });
    pump_->Start();
    gate_->Start();
  }

  void Close() {
    const SignalsBlocked quiet;  // Or libzmq says EINTR in the middle of it.
    closed_ = true;
    if (pump_) pump_->Stop();
    counters();  // what they are in the end
    gate_.reset();
    socket_.close();
    context_.CountSockets(-1);
  }

  bool Send(const std::string& peer, const wire::Envelope& envelope, Bodies bodies) {
    const SendResult result =
        SendFrames(socket_, &peer, envelope, std::move(bodies), message_bytes_max_, &counters_);
    pump_->Poke();
    return result == SendResult::kSent;
  }

  void Charge(const std::string& peer, int64_t work) {
    const auto found = senders_.find(peer);
    if (found != senders_.end()) Charge(found->second, work);
  }

  void Earn(const std::string& peer, int64_t work) {
    const auto found = senders_.find(peer);
    if (found != senders_.end()) found->second.of->work.GiveBack(work);
  }

  std::string endpoint() const { return gate_->endpoint(); }
  const GateCounters& gate() const { return gate_->counters(); }
  const LinkCounters& counters() {
    if (gate_ != nullptr) {
      const GateCounters& gate = gate_->counters();
      counters_.handshakes_failed = gate.handshakes_failed();
      counters_.too_long = gate.frames_too_long;
      counters_.disconnected = gate.disconnected;
      counters_.accepted = gate.accepted;
    }
    return counters_;
  }

 private:
  // Whoever proves a name, by how many connections ever: that is whose the budgets are.
  struct Named {
    explicit Named(const Gate::Options& options) : read(std::make_shared<Gate::Budget>(options)) {}
    std::deque<uint64_t> connections;  // the oldest first
    TokenBucket work{limits::kPeerWorkPerSecond, limits::kPeerWorkBurst};
    TokenBucket dials{limits::kPeerDialsPerSecond, limits::kPeerDialsBurst};
    std::shared_ptr<Gate::Budget> read;
    int senders = 0;
    Duration left{};  // when the last of them was forgotten
  };

  // One connection that has spoken.
  struct Sender {
    Gate::Arrival arrival;
    std::string name, public_key;
    Role role = Role::kAgent;
    Named* of = nullptr;
    Duration paused_until{};  // as the gate was told
    struct Waiting {
      Turns turns;
      uint64_t wire_bytes;
    };
    std::deque<Waiting> waiting;  // long envelopes, and what came after them
  };

  // Others on the loop have their turn after kTurnWork, others on this socket after a turn's
  // messages: libzmq takes envelopes from its connections in turn.
  bool Drain() {
    ForgetEnded();
    bool more = true;
    uint64_t work = 0;
    for (int i = 0; i < kBurst && work < kTurnWork; ++i) {
      Frames frames;
      const ReceiveResult result = ReceiveFrames(socket_, /*router=*/true, &frames, &counters_);
      more = result != ReceiveResult::kNothing;
      if (!more) break;
      work += 1 + (frames.wire_bytes >> 10);
      Take(frames, result == ReceiveResult::kGarbage, &work);
      if (closed_) return false;
    }
    for (size_t i = std::min(kTurnPeers, busy_.size()); i > 0; --i) {
      const std::string peer = std::move(busy_.front());
      busy_.pop_front();
      ServeTurn(peer);
      if (closed_) return false;
    }
    return more || !busy_.empty();
  }

  void Take(Frames& frames, bool garbage, uint64_t* work) {
    Incoming incoming;
    EnvelopeSize size;
    const uint64_t too_many = counters_.dropped_too_many;
    const Verdict verdict = garbage ? Verdict::kGarbage : Judge(frames, &incoming, &size);
    *work += size.messages + size.values / 64;
    const std::string peer = incoming.peer;
    const auto found = senders_.find(peer);
    Sender* const sender = found == senders_.end() ? nullptr : &found->second;
    if (counters_.dropped_too_many > too_many && sender != nullptr)
      spdlog::warn(
          "envelope refused peer={} ({}) bytes={}: at most {} messages and {} values are "
          "taken in one",
          sender->name, RoleName(sender->role), frames.envelope.size(),
          limits::kEnvelopeMessages.value, limits::kEnvelopeValues.value);
    if (verdict == Verdict::kGarbage) ++counters_.dropped_garbage;
    if (verdict == Verdict::kRevoked) {
      ++counters_.dropped_revoked;
      if (revoked_) revoked_(incoming.peer, incoming.name);
      if (closed_) return;
    }
    if (verdict == Verdict::kOtherVersion) {
      // An empty envelope of ours: so the other side knows why it is not heard, and says so too.
      // Those who dial answer none, so it ends there.
      ++counters_.dropped_version;
      SendFrames(socket_, &peer, wire::Envelope(), {}, message_bytes_max_, &counters_);
    }
    if (sender != nullptr) {
      if (verdict != Verdict::kHeard) Charge(*sender, kRefusalWork);
      if (metered_ || verdict != Verdict::kHeard)
        Charge(*sender,
               static_cast<int64_t>(size.messages + size.values / 16 + (frames.wire_bytes >> 10)));
    }
    if (verdict == Verdict::kHeard) {
      ++counters_.envelopes_in;
      if (sender != nullptr && (!sender->waiting.empty() || Turns::Needed(incoming.envelope))) {
        if (sender->waiting.empty()) busy_.push_back(peer);
        sender->waiting.push_back(
            {{std::move(incoming.envelope), std::move(incoming.bodies)}, frames.wire_bytes});
        return;  // It is taken when it has been handled.
      }
      handler_(std::move(incoming));
      if (closed_) return;
    }
    if (sender != nullptr) Took(sender->arrival, frames.wire_bytes);
  }

  void ServeTurn(const std::string& peer) {
    const auto found = senders_.find(peer);
    if (found == senders_.end()) return;
    Sender& sender = found->second;
    Sender::Waiting& first = sender.waiting.front();
    Incoming part{.peer = peer,
                  .name = sender.name,
                  .public_key = sender.public_key,
                  .address = sender.arrival.address,
                  .role = sender.role};
    if (!first.turns.Next(&part.envelope, &part.bodies)) {
      Took(sender.arrival, first.wire_bytes);
      sender.waiting.pop_front();
    }
    if (!sender.waiting.empty()) busy_.push_back(peer);
    handler_(std::move(part));
  }

  void Took(const Gate::Arrival& arrival, uint64_t bytes) {
    if (arrival.taken == nullptr) return;
    arrival.taken->bytes += bytes;
    if (arrival.taken->waiting.exchange(false)) gate_->Took(arrival.connection);
  }

  void Charge(Sender& sender, int64_t work) {
    const Duration now = Now();
    sender.of->work.Charge(now, work, kPauseMax);
    const Duration pause = sender.of->work.Until(now);
    // Not for each of a thousand messages that were on their way.
    if (pause == Duration(0) || sender.arrival.connection == 0 ||
        now + pause < sender.paused_until + kPauseStep)
      return;
    sender.paused_until = now + pause;
    gate_->Pause(sender.arrival.connection, pause);
  }

  // The connection that the message came over, as it was when it was first heard of.
  Sender& SenderOf(const std::string& peer, const UserId& id, zmq::message_t& envelope) {
    const auto [it, fresh] = senders_.try_emplace(peer);
    Sender& sender = it->second;
    if (!fresh) return sender;
    Named& of = names_.try_emplace(std::string(id.name), gate_options_).first->second;
    ++of.senders;
    sender.of = &of;
    sender.arrival =
        gate_->Heard(zmq_msg_get(envelope.handle(), ZMQ_SRCFD), of.read, of.dials.Take(Now()));
    sender.name = id.name;
    sender.public_key = id.public_key;
    sender.role = id.role;
    if (sender.arrival.connection == 0) {
      ended_.emplace_back(Now(), peer);  // It is over already.
      return sender;
    }
    peers_.emplace(sender.arrival.connection, peer);
    // Whoever dials anew leaves dead connections behind; whoever means harm leaves living ones.
    std::deque<uint64_t>& connections = of.connections;
    connections.push_back(sender.arrival.connection);
    if (static_cast<int64_t>(connections.size()) > limits::kConnectionsOfAPeer.value) {
      gate_->Close(connections.front());
      connections.pop_front();
      ++counters_.connections_over;
    }
    return sender;
  }

  void ForgetEnded() {
    const Duration now = Now();
    for (const uint64_t connection : gate_->TakeEnded()) {
      const auto found = peers_.find(connection);
      if (found == peers_.end()) continue;
      ended_.emplace_back(now, std::move(found->second));
      peers_.erase(found);
    }
    while (!ended_.empty() && ended_.front().first + kKeptAfterEnd <= now) {
      const auto found = senders_.find(ended_.front().second);
      ended_.pop_front();
      if (found == senders_.end()) continue;
      Named& of = *found->second.of;
      std::erase(of.connections, found->second.arrival.connection);
      if (--of.senders == 0) {
        of.left = now;
        left_.emplace_back(now, found->second.name);
      }
      senders_.erase(found);
    }
    // By then its budgets are what a new one's are.
    while (!left_.empty() && left_.front().first + kKeptAfterEnd <= now) {
      const auto found = names_.find(left_.front().second);
      if (found != names_.end() && found->second.senders == 0 &&
          found->second.left == left_.front().first)
        names_.erase(found);
      left_.pop_front();
    }
  }

  enum class Verdict { kHeard, kGarbage, kRevoked, kOtherVersion };

  Verdict Judge(Frames& frames, Incoming* incoming, EnvelopeSize* size) {
    const char* const user = zmq_msg_gets(frames.envelope.handle(), "User-Id");
    if (user == nullptr) return Verdict::kGarbage;
    const std::optional<UserId> id = ParseUserId(user);
    if (!id) return Verdict::kGarbage;
    incoming->peer = std::move(frames.peer);
    incoming->name = id->name;
    incoming->role = id->role;
    incoming->public_key = std::string(id->public_key);
    incoming->address = SenderOf(incoming->peer, *id, frames.envelope).arrival.address;
    if (!IsOurRoutingId(incoming->peer)) return Verdict::kGarbage;
    if (!StillAllowed(*id)) return Verdict::kRevoked;
    uint32_t other_version = 0;
    if (!ParseEnvelope(&frames, &incoming->envelope, &counters_, size, &other_version)) {
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
    if (found == allowed_->end() || found->second.name != id.name || found->second.role != id.role)
      return false;
    return found->second.public_key == id.public_key || WallClock() < found->second.retired_until;
  }

  Context& context_;
  const Handler handler_;
  const RevokedHandler revoked_;
  const int64_t message_bytes_max_;
  const bool metered_;
  const Gate::Options gate_options_;
  LinkCounters counters_;
  absl::node_hash_map<std::string, Sender> senders_;  // by routing id
  absl::flat_hash_map<uint64_t, std::string> peers_;  // routing ids, by connection
  absl::node_hash_map<std::string, Named> names_;
  std::deque<std::pair<Duration, std::string>> ended_;  // routing ids
  std::deque<std::pair<Duration, std::string>> left_;   // names
  std::deque<std::string> busy_;                        // routing ids with `waiting`
  uint64_t allowed_version_ = UINT64_MAX;
  std::shared_ptr<const ZapHandler::Peers> allowed_;
  bool closed_ = false;
  int bound_ = 0;  // listeners
  std::unique_ptr<Gate> gate_;
  zmq::socket_t socket_;
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
  ASSIGN_OR_RETURN(std::unique_ptr<Gate> gate, Gate::Open(GateOptions(options)));
  std::shared_ptr<Impl> impl;
  try {
    impl = std::make_shared<Impl>(context, std::move(gate), options, std::move(handler));
    impl->Start(loop, options.keys);
    return std::unique_ptr<ServerLink>(new ServerLink(impl));
  } catch (const zmq::error_t& error) {
    if (impl) impl->Close();
    return Unavailable("cannot listen on {}: {}", options.endpoint, error.what());
  }
}

std::string ServerLink::endpoint() const { return impl_->endpoint(); }
bool ServerLink::Send(const std::string& peer, const wire::Envelope& envelope, Bodies bodies) {
  return impl_->Send(peer, envelope, std::move(bodies));
}
Status ServerLink::AddKey(const KeyPair& keys) { return impl_->AddKey(keys); }
void ServerLink::DropKey(const std::string& public_key) { impl_->DropKey(public_key); }
void ServerLink::Charge(const std::string& peer, int64_t work) { impl_->Charge(peer, work); }
void ServerLink::Earn(const std::string& peer, int64_t work) { impl_->Earn(peer, work); }
const LinkCounters& ServerLink::counters() const { return impl_->counters(); }
const GateCounters& ServerLink::gate() const { return impl_->gate(); }

}  // namespace allot::transport
