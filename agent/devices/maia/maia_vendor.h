// Microsoft Maia, in Azure only: endpoints only.
#pragma once

#include "agent/devices/endpoint/endpoint_vendor.h"

namespace allot::agent {

class MaiaVendor : public EndpointVendor {
 public:
  static constexpr const char* kKey = "microsoft";
  MaiaVendor(Endpoints endpoints, Options options)
      : EndpointVendor(kKey, std::move(endpoints), options) {}
};

}  // namespace allot::agent
