// Boost.JSON, compiled once (json.cc). Include this, not <boost/json.hpp> with its src.hpp.
#pragma once

#include <boost/json.hpp>

namespace allot { namespace json = boost::json; }
