// Meta MTIA, in Meta's own data centres only: endpoints only.
#pragma once

#include "agent/devices/endpoint/endpoint_vendor.h"

namespace allot::agent {

class MtiaVendor : public EndpointVendor {
 public:
  static constexpr const char* kKey = "meta";
  MtiaVendor(Endpoints endpoints, Options options)
      : EndpointVendor(kKey, std::move(endpoints), options) {}
};

}  // namespace allot::agent
