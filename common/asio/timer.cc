#include "common/asio/timer.h"

#include <utility>

namespace allot {

void Timer::After(Duration time, std::function<void()> call) {
  timer_.expires_after(time);
  timer_.async_wait([last = std::weak_ptr(turn_), turn = ++*turn_,
                     call = std::move(call)](const boost::system::error_code& error) {
    const std::shared_ptr<uint64_t> now = last.lock();
    if (!error && now != nullptr && *now == turn) call();
  });
}

void Timer::Stop() {
  ++*turn_;
  timer_.cancel();
}

}  // namespace allot
