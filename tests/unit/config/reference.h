// docs/config.md, written from the descriptors of common/proto/config.proto.
#pragma once

#include <string>

namespace allot::config {

std::string Reference();

}  // namespace allot::config
