// Header lines of a message, in order.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace allot::http {

using Headers = std::vector<std::pair<std::string, std::string>>;

}  // namespace allot::http
