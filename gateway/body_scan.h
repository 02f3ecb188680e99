// What the gateway has to know of a request's body, read in one pass.
//
// The body goes on to the model server byte for byte, and what is right in it is the server's to
// judge: here only the name of the model is needed, and the rest is for predictions. So a field of
// an odd type or value is one that is not known, and JSON that readers of Python's kind take (NaN)
// is taken. No recursion and no document: the depth of the body costs a bit a level.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace allot::gateway {

struct BodyFacts {
  std::optional<std::string> model;  // the last one said, as usual; absent: none, or not a text
  bool stream = false;
  uint32_t output_tokens_max = 0;  // 0: not known
  size_t text_bytes = 0;           // of the prompt, or of the messages
};

// False fills `why`: the body is not a JSON object, or it breaks off.
bool ScanBody(std::string_view body, BodyFacts* facts, std::string* why);

}  // namespace allot::gateway
