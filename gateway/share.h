// What one of many takes of something they have in common; given back when it goes.
#pragma once

#include <cstdint>
#include <utility>

namespace allot::gateway {

class Share {
 public:
  Share() = default;
  explicit Share(uint64_t* all) : all_(all) {}
  Share(Share&& other) noexcept
      : all_(std::exchange(other.all_, nullptr)), mine_(std::exchange(other.mine_, 0)) {}
  Share& operator=(Share&& other) noexcept {
    Set(0);
    all_ = std::exchange(other.all_, nullptr);
    mine_ = std::exchange(other.mine_, 0);
    return *this;
  }
  ~Share() { Set(0); }

  void Set(uint64_t mine) {
    if (all_ != nullptr) *all_ += mine - mine_;
    mine_ = mine;
  }

 private:
  uint64_t* all_ = nullptr;
  uint64_t mine_ = 0;
};

}  // namespace allot::gateway
