#include "common/transport/context.h"

#include <algorithm>
#include <utility>
#include <zmq.hpp>

#include "common/base/check.h"
#include "common/base/thread.h"
#include "common/transport/zap.h"

namespace allot::transport {

class Context::Impl {
 public:
  explicit Impl(const Options& options) : zmq_(options.io_threads, options.sockets_max) {}
  ~Impl() {
    // A socket still open would make zmq_ctx_term wait for ever: our own mistake, so say it.
    CHECK(sockets_ == 0);
    const SignalsBlocked quiet;  // Or libzmq says EINTR in the middle of it.
    zmq_.shutdown();             // Wakes the ZAP thread, which ends.
    zap_.reset();
  }

  zmq::context_t zmq_;
  ZapCounters counters_;
  std::unique_ptr<ZapHandler> zap_;
  std::atomic<int> sockets_{0};
};

Context::Context(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Context::~Context() = default;

StatusOr<std::unique_ptr<Context>> Context::Create(Options options) {
  if (options.io_threads < 1 || options.sockets_max < 4) {
    return InvalidArgument("a ZeroMQ context needs an I/O thread and room for a few sockets");
  }
  const SignalsBlocked quiet;  // Or libzmq says EINTR in the middle of it.
  try {
    auto impl = std::make_unique<Impl>(options);
    if (!options.allow_file.empty() || options.learns) {
      ASSIGN_OR_RETURN(impl->zap_,
                       ZapHandler::Start(impl->zmq_, options.allow_file, &impl->counters_));
    }
    return std::unique_ptr<Context>(new Context(std::move(impl)));
  } catch (const zmq::error_t& error) {
    return ResourceExhausted("cannot create a ZeroMQ context: {}", error.what());
  }
}

const ZapCounters& Context::zap() const { return impl_->counters_; }
Status Context::allow_list_status() const {
  if (impl_->zap_ == nullptr) return FailedPrecondition("this context has no allow list");
  return impl_->zap_->list_status();
}
void Context::SetLearned(std::vector<AllowedPeer> peers) {
  CHECK(impl_->zap_ != nullptr);
  impl_->zap_->SetLearned(std::move(peers));
}
std::vector<AllowedPeer> Context::AllowedPeers() const {
  std::vector<AllowedPeer> out;
  if (impl_->zap_ == nullptr) return out;
  const auto peers = impl_->zap_->peers();
  for (const auto& [key, peer] : *peers)
    if (peer.role != Role::kInvited && key == peer.public_key) out.push_back(peer);
  return out;
}
uint64_t Context::allow_list_version() const {
  return impl_->zap_ == nullptr ? 0 : impl_->zap_->peers_version();
}
zmq::context_t& Context::zmq() const { return impl_->zmq_; }
const ZapHandler* Context::allow_list() const { return impl_->zap_.get(); }
void Context::CountSockets(int delta) { impl_->sockets_ += delta; }

}  // namespace allot::transport
