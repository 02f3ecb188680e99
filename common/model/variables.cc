#include "common/model/variables.h"

#include <atomic>
#include <cstdint>
#include <cstring>
#include <utility>

namespace allot {
namespace {

std::atomic<TextStore*> g_store{nullptr};

void Put(std::string_view text, std::string* out) {
  const auto size = static_cast<uint32_t>(text.size());
  out->append(reinterpret_cast<const char*>(&size), sizeof size);
  out->append(text);
}

std::string Take(std::string_view* text) {
  uint32_t size = 0;
  std::memcpy(&size, text->data(), sizeof size);
  text->remove_prefix(sizeof size);
  std::string out(text->substr(0, size));
  text->remove_prefix(size);
  return out;
}

}  // namespace

void Variables::KeepIn(TextStore* store) { g_store = store; }

Variables::Variables(Map variables) : here_(std::move(variables)) {
  for (const auto& [name, value] : here_) bytes_ += name.size() + value.size();
  TextStore* const store = g_store;
  if (store == nullptr || bytes_ <= kInMemoryMax) return;
  std::string text;
  text.reserve(bytes_ + 2 * sizeof(uint32_t) * here_.size());
  for (const auto& [name, value] : here_) {
    Put(name, &text);
    Put(value, &text);
  }
  kept_ = store->Keep(text);
  if (kept_ == nullptr) return;
  count_ = here_.size();
  here_.clear();
}

Variables::Map Variables::Get() const {
  if (kept_ == nullptr) return here_;
  const std::string text = kept_->Read();
  std::string_view rest = text;
  Map variables;
  while (!rest.empty()) {
    std::string name = Take(&rest);
    variables.emplace_hint(variables.end(), std::move(name), Take(&rest));
  }
  return variables;
}

bool Variables::operator==(const Variables& other) const {
  if (bytes_ != other.bytes_ || size() != other.size()) return false;
  if (kept_ == nullptr && other.kept_ == nullptr) return here_ == other.here_;
  return kept_ == other.kept_ || Get() == other.Get();
}

}  // namespace allot
