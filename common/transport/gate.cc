#include "common/transport/gate.h"

#include "common/transport/gate_impl.h"

namespace allot::transport {

GateCounters::Counts GateCounters::strangers() const {
  return {{"not_curve", not_curve},   {"too_long", too_long}, {"too_slow", too_slow},
          {"pushed_out", pushed_out}, {"refused", refused},   {"left", left},
          {"files", files},           {"silent", silent}};
}

GateCounters::Counts GateCounters::throttled() const {
  return {{"handshakes", throttled_handshakes},
          {"bytes", throttled_bytes},
          {"frames", throttled_frames},
          {"work", throttled_work},
          {"window", throttled_window}};
}

Gate::Budget::Budget(const Options& options) {
  if (options.bytes_per_second > 0) bytes.emplace(options.bytes_per_second, options.bytes_burst);
  if (options.frames_per_second > 0)
    frames.emplace(options.frames_per_second, options.frames_burst);
}

Gate::Gate(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Gate::~Gate() = default;

StatusOr<std::unique_ptr<Gate>> Gate::Open(const Options& options) {
  auto impl = std::make_unique<Impl>(options);
  RETURN_IF_ERROR(impl->Open());
  return std::unique_ptr<Gate>(new Gate(std::move(impl)));
}

std::string Gate::endpoint() const { return impl_->endpoint(); }
const GateCounters& Gate::counters() const { return impl_->counters(); }
int Gate::TakeInner() { return impl_->TakeInner(); }
StatusOr<int> Gate::AddKey(const KeyPair& keys) { return impl_->AddKey(keys); }
void Gate::DropKey(const std::string& public_key) { impl_->DropKey(public_key); }
void Gate::Start() { impl_->Start(); }
Gate::Arrival Gate::Heard(int fd, std::shared_ptr<Budget> budget, bool dialled_rarely) {
  return impl_->Heard(fd, std::move(budget), dialled_rarely);
}
void Gate::Took(uint64_t connection) { impl_->Took(connection); }
void Gate::Pause(uint64_t connection, Duration time) { impl_->Order(connection, time, false); }
void Gate::Close(uint64_t connection) { impl_->Order(connection, {}, true); }
std::vector<uint64_t> Gate::TakeEnded() { return impl_->TakeEnded(); }

}  // namespace allot::transport
