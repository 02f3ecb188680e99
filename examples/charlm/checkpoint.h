// Checkpoints: one file a step, written beside and renamed, so that a reader sees a whole one or
// none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "examples/charlm/model.h"

namespace charlm {

struct Checkpoint {
  int64_t step = 0;
  std::string characters;                        // the alphabet
  std::vector<float> parameters, first, second;  // the model, and Adam's two moments
};

// Keeps the newest two. False with a message on standard error if the folder cannot be written.
bool SaveCheckpoint(const std::string& folder, const Checkpoint& checkpoint);
// The newest whole one; damaged files are passed over with a message.
std::optional<Checkpoint> LoadNewestCheckpoint(const std::string& folder);

}  // namespace charlm
