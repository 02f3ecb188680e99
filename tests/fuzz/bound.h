// What must hold of any document that people write, in YAML and JSON alike.
#pragma once

#include <memory>

#include "google/protobuf/message.h"
#include "tests/fuzz/fuzz.h"

namespace allot::fuzz {

// The messages of config.proto that are read from a file or a body: 0 to kKinds - 1.
inline constexpr int kKinds = 10;
std::unique_ptr<google::protobuf::Message> NewDocument(int kind);

// Of a document that was refused: where and what, a line each, ten at most, and nothing is left of
// it.
void HoldsOfRefused(const Status& status, std::string_view file,
                    const google::protobuf::Message& out);
// Of one that was accepted: it is told in JSON that binds to the same, and what it becomes (a job,
// a policy …) can be stored and read again.
void HoldsOfBound(const google::protobuf::Message& bound);

}  // namespace allot::fuzz
