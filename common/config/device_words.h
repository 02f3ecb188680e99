// The short forms of a DeviceRequest, on the command line and wherever a file may say it at length:
//   gpu   gpu:2   gpu:h100:2   nvidia/h100-sxm-80g:2   kind=gpu,count=2,min_memory=40GiB
// Thread-safe.
#pragma once

#include <string_view>

#include "common/base/status.h"
#include "common/proto/config.pb.h"

namespace allot::config {

// Errors say what is wrong with the text, not where it stands. Values are as checked as those of a
// file: words, ranges and units, not yet what only makes sense together (convert.h).
Status ReadDeviceWords(std::string_view text, DeviceRequest* out);

}  // namespace allot::config
