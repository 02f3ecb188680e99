// A Protobuf message as bytes that are the same for the same message, maps in the order of their
// keys. Not MessageDifferencer: to that, what is no number differs from itself.
#pragma once

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message.h>

#include <string>

#include "tests/fuzz/fuzz.h"

namespace allot::fuzz {

inline std::string Ordered(const google::protobuf::Message& message) {
  std::string bytes;
  google::protobuf::io::StringOutputStream out(&bytes);
  google::protobuf::io::CodedOutputStream coded(&out);
  coded.SetSerializationDeterministic(true);
  HOLDS(message.SerializeToCodedStream(&coded));
  coded.Trim();
  return bytes;
}

}  // namespace allot::fuzz
