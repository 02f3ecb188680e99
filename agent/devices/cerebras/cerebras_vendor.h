// Cerebras wafer-scale systems (CS-3), served by Cerebras or by a rack of one's own: endpoints
// only.
#pragma once

#include "agent/devices/endpoint/endpoint_vendor.h"

namespace allot::agent {

class CerebrasVendor : public EndpointVendor {
 public:
  static constexpr const char* kKey = "cerebras";
  CerebrasVendor(Endpoints endpoints, Options options)
      : EndpointVendor(kKey, std::move(endpoints), options) {}
};

}  // namespace allot::agent
