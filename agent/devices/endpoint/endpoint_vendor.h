// Devices that answer at a URL and are not in this machine.
//
// They are declared, so they are always listed; whether one is ready is asked over HTTP: at the
// first discovery, then with every sample, all at once, on the vendor's thread, for three seconds
// at most. A device is ready until two answers in a row were bad, and unhealthy until two in a row
// were good; its health says why ("endpoint_unreachable", "endpoint_untrusted",
// "endpoint_timeout", "endpoint_status_503"). Nothing is taken for ready before it has answered.
//
// Telemetry is what requests tell: the share of the leased replica's concurrency that is in use.
// Nothing is known of power, temperature or memory, and nothing is said.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/devices/endpoint/endpoint.h"
#include "agent/devices/vendor.h"

namespace allot::agent {

class EndpointVendor : public Vendor {
 public:
  struct Options {
    bool probes = true;  // false for recorded machines: nobody is asked
    Duration timeout = std::chrono::seconds(3);
  };
  // `key`: what `devices.without` calls it.
  EndpointVendor(std::string key, Endpoints endpoints, Options options);
  ~EndpointVendor() override;

  std::string_view name() const override { return key_; }
  Discovery Discover(const Snapshot& machine) override;
  bool enriches() const override { return true; }
  void Enrich(Discovery* discovery) override;
  std::vector<DeviceTelemetry> Sample() override;
  bool changed() const override;
  bool may_hang() const override { return !watches_.empty(); }

 private:
  class Watch;
  void Ask();
  void List(Discovery* discovery);

  const std::string key_;
  const Options options_;
  boost::asio::io_context loop_{1};
  std::vector<std::unique_ptr<Watch>> watches_;
  bool asked_ = false;
};

}  // namespace allot::agent
