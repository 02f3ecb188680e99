// A message as the JSON that binding reads (bind.h): its fields under their own names, in order,
// what is not set left out.
//
// Protobuf's writer is not used: version 3.21 answers OK and leaves bytes that are not UTF-8 out,
// so another file, folder or program would be named than was meant.
#pragma once

#include <string>

#include "common/base/status.h"
#include "google/protobuf/message.h"

namespace allot::config {

// InvalidArgument: a text is not UTF-8; its path is named ("command[3]"). JSON cannot carry it.
StatusOr<std::string> ToJsonText(const google::protobuf::Message& message);

}  // namespace allot::config
