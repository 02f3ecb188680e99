// Accelerators behind a URL, as the agent's config declares them (devices.endpoints): all that the
// node's programs need to know to watch one, to serve through it and to tell what it does.
//
// Tokens stay in this process: they are neither part of Device, nor logged, nor written anywhere.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/base/url.h"
#include "common/catalogue/catalogue.h"
#include "common/http/client.h"
#include "common/http/tls.h"
#include "common/model/device.h"
#include "common/proto/config.pb.h"

namespace allot::agent {

// A bearer token in a file, which is read again when it has changed: secrets are rotated under
// programs that run.
class TokenFile {
 public:
  static StatusOr<std::shared_ptr<TokenFile>> Open(const std::string& path);
  const std::string& path() const { return path_; }
  std::string Get() const;  // any thread; touches no disk
  // Looks at the file. What it says that cannot be used changes nothing and is an error.
  Status Refresh();

 private:
  explicit TokenFile(std::string path) : path_(std::move(path)) {}
  const std::string path_;
  mutable std::mutex mutex_;
  std::string token_;
};

// What requests through one device are doing now. Written by the loop, read by the vendor's thread.
struct EndpointLoad {
  std::atomic<uint32_t> in_flight{0};
  std::atomic<uint32_t> concurrency{0};  // of the replica that serves through it; 0: none does
};

struct Endpoint {
  std::string name;
  std::string model, vendor;  // of the catalogue
  DeviceKind kind = DeviceKind::kAsic;
  std::optional<Bytes> memory;
  Url url;
  std::shared_ptr<const http::TlsTrust> trust;  // https
  std::optional<PriceRate> price;               // of each device
  std::shared_ptr<TokenFile> token;             // null: none is needed
  std::string health_path;                      // after url.path
  std::string remote_model;                     // empty: as the client asked
  std::vector<std::string> warnings;            // for the log, once
  // One device for each replica or task that may use it at once: "name", or "name/0", "name/1", …
  std::vector<std::string> devices;
  std::vector<std::shared_ptr<EndpointLoad>> loads;  // of each device

  std::unique_ptr<http::Client> Connect(boost::asio::io_context& loop, size_t idle_max) const;
  // "Is it there?": answered with 2xx if it is.
  http::ClientRequest HealthQuestion(Duration timeout) const;
};
using Endpoints = std::vector<std::shared_ptr<const Endpoint>>;

// InvalidArgument names the endpoint, and what is wrong with its model or one of its files.
StatusOr<Endpoints> ReadEndpoints(const config::AgentDevices& devices, const Catalogue& catalogue);

// What a process or replica has of endpoints: the one behind the devices that it leased.
struct EndpointLease {
  std::shared_ptr<const Endpoint> endpoint;
  std::vector<std::string> devices;
  std::vector<std::shared_ptr<EndpointLoad>> loads;
};

// The endpoints of a node by the ids of their devices.
class EndpointDirectory {
 public:
  EndpointDirectory() = default;
  explicit EndpointDirectory(const Endpoints& endpoints);

  std::shared_ptr<const Endpoint> Find(const std::string& device) const;  // null: no endpoint's
  // For a replica. Null: none of the devices is an endpoint's, so it is a process here. A replica
  // is served from one place: an endpoint together with another, or with a device of the machine,
  // is an error.
  StatusOr<std::shared_ptr<const EndpointLease>> Lease(
      const std::vector<std::string>& devices) const;

 private:
  struct Slot {
    std::shared_ptr<const Endpoint> endpoint;
    std::shared_ptr<EndpointLoad> load;
  };
  std::map<std::string, Slot> slots_;
};

}  // namespace allot::agent
