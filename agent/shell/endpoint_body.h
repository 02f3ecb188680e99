// What is read from, and changed in, the bodies that pass between clients and endpoints. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace allot::agent {

// `body` with every "model" of its outermost object being `model`, and every other byte as it came:
// numbers and their order are the client's own business. What is not a JSON object, or names no
// model as a text, comes back unchanged.
std::string WithModel(std::string body, std::string_view model);

struct TokenUsage {
  uint64_t input = 0, output = 0;
  bool operator==(const TokenUsage&) const = default;
};

// Finds "usage" in an answer of OpenAI's shape, whole or streamed, as it passes. Remembers the end
// of it only, which is where usage stands: a stream tells it in its last events, a whole answer
// after its choices.
class UsageReader {
 public:
  void Add(std::string_view piece);
  // Of what has passed; the last one counts. Absent if the answer tells none.
  std::optional<TokenUsage> Find() const;

 private:
  std::string tail_;
};

}  // namespace allot::agent
