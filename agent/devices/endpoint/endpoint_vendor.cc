#include "agent/devices/endpoint/endpoint_vendor.h"

#include <algorithm>

namespace allot::agent {
namespace {

constexpr int kInARow = 2;
constexpr size_t kAnswerBytesMax = 1 << 20;  // More of a list of models is not waited for.

std::string HealthOf(const Status& status) {
  switch (status.code()) {
    case StatusCode::kPermissionDenied:
      return "endpoint_untrusted";
    case StatusCode::kDeadlineExceeded:
      return "endpoint_timeout";
    default:
      return "endpoint_unreachable";
  }
}

}  // namespace

// One endpoint: what it answered last, and what is made of it.
class EndpointVendor::Watch {
 public:
  Watch(std::shared_ptr<const Endpoint> e, boost::asio::io_context& loop)
      : endpoint(std::move(e)), client_(endpoint->Connect(loop, 1)) {}

  void Ask(Duration timeout) {
    if (endpoint->token) {
      const Status status = endpoint->token->Refresh();
      if (!status.ok() && !std::exchange(token_stale_, true))
        warnings.push_back(fmt::format("endpoint {}: {}; the token it held before is used on",
                                       endpoint->name, MessageOf(status)));
      if (status.ok()) token_stale_ = false;
    }
    status_ = 0;
    bytes_ = 0;
    error_ = absl::OkStatus();
    over_ = false;
    call_ = client_->Start(endpoint->HealthQuestion(timeout),
                           {.head = [this](int status, http::Headers) { status_ = status; },
                            .body =
                                [this](const std::string& piece) {
                                  bytes_ += piece.size();
                                  if (bytes_ <= kAnswerBytesMax) return;
                                  call_->Cancel();
                                  over_ = true;
                                },
                            .done =
                                [this](Status status) {
                                  error_ = std::move(status);
                                  over_ = true;
                                }});
  }
  bool over() const { return over_; }

  // After the asking: an answer that began counts by its status, whatever became of its rest.
  void Judge() {
    const bool late = !over_;
    call_.reset();
    over_ = true;
    std::string now, why;
    if (status_ >= 200 && status_ < 300) {
      // Good.
    } else if (status_ != 0) {
      now = fmt::format("endpoint_status_{}", status_);
      why = fmt::format("{} answers {}", endpoint->health_path, status_);
    } else if (late) {
      now = "endpoint_timeout";
      why = "it did not answer in time";
    } else {
      now = HealthOf(error_);
      why = MessageOf(error_);
    }
    // The first answer counts at once: there is nothing to hold on to. Later it takes two in a row
    // to turn; which of several bad things it was matters only once it is not ready any more.
    const bool alike = health.empty() ? !now.empty() && !latest_.empty() : now == latest_;
    in_a_row_ = alike ? in_a_row_ + 1 : 1;
    latest_ = now;
    if (judged_ && (now == health || in_a_row_ < kInARow)) return;
    if (!now.empty() || judged_) {
      const std::string at =
          fmt::format("endpoint {} at {}", endpoint->name, ToString(endpoint->url));
      warnings.push_back(now.empty() ? at + " answers again"
                                     : fmt::format("{}: {}: {}", at, now, why));
    }
    judged_ = true;
    health = now;
  }

  const std::shared_ptr<const Endpoint> endpoint;
  std::string health = "endpoint_not_asked";  // empty: ready
  std::string told_health;                    // at the last discovery
  std::vector<std::string> warnings;

 private:
  const std::unique_ptr<http::Client> client_;
  std::unique_ptr<http::Client::Call> call_;
  int status_ = 0;
  size_t bytes_ = 0;
  Status error_;
  bool over_ = true, judged_ = false, token_stale_ = false;
  std::string latest_;  // the last answer, however it was judged
  int in_a_row_ = 0;    // how often it was the same
};

EndpointVendor::EndpointVendor(std::string key, Endpoints endpoints, Options options)
    : key_(std::move(key)), options_(options) {
  for (auto& endpoint : endpoints) {
    watches_.push_back(std::make_unique<Watch>(std::move(endpoint), loop_));
    Watch& watch = *watches_.back();
    watch.warnings = watch.endpoint->warnings;
  }
}

EndpointVendor::~EndpointVendor() {
  watches_.clear();
  loop_.restart();
  loop_.poll();  // What was closed still has its last handlers to run.
}

void EndpointVendor::Ask() {
  for (auto& watch : watches_) watch->Ask(options_.timeout);
  // A server that sends a byte now and then would hold us for ever.
  const auto deadline = std::chrono::steady_clock::now() + options_.timeout;
  const auto all_over = [this] {
    return std::all_of(watches_.begin(), watches_.end(), [](const auto& w) { return w->over(); });
  };
  loop_.restart();
  while (!all_over() && std::chrono::steady_clock::now() < deadline) loop_.run_one_until(deadline);
  for (auto& watch : watches_) watch->Judge();
  loop_.restart();
  loop_.poll();
  asked_ = true;
}

Discovery EndpointVendor::Discover(const Snapshot&) {
  Discovery discovery;
  List(&discovery);
  return discovery;
}

void EndpointVendor::Enrich(Discovery* discovery) {
  if (asked_ || !options_.probes) return;  // Sampling keeps it up to date.
  Ask();
  std::vector<std::string> warnings = std::move(discovery->warnings);
  *discovery = {};
  discovery->warnings = std::move(warnings);
  List(discovery);
}

void EndpointVendor::List(Discovery* discovery) {
  for (auto& watch : watches_) {
    const Endpoint& endpoint = *watch->endpoint;
    watch->told_health = watch->health;
    for (const std::string& id : endpoint.devices) {
      FoundDevice found;
      found.name = endpoint.model;
      found.source = "config; catalogue";
      found.family = "endpoint";
      Device& device = found.device;
      device.id = id;
      device.kind = endpoint.kind;
      device.vendor = endpoint.vendor;
      device.model = endpoint.model;
      device.memory = endpoint.memory;
      device.isolation = Isolation::kShared;  // Nobody keeps another process from the URL.
      device.configured = true;
      device.endpoint = ToString(endpoint.url);
      device.price = endpoint.price;
      if (endpoint.devices.size() > 1) device.parent = endpoint.name;
      if (!watch->health.empty()) {
        device.state = DeviceState::kUnhealthy;
        device.health = {watch->health};
      }
      found.Tell("model", "config");
      found.Tell("endpoint", "config");
      if (device.memory) {
        found.memory_source = "table";
        found.Tell("memory_bytes", "catalogue");
      }
      if (device.price) found.Tell("price", "config");
      if (asked_)
        found.Tell("state", fmt::format("GET {}{}", endpoint.url.path, endpoint.health_path));
      discovery->devices.push_back(std::move(found));
    }
    std::move(watch->warnings.begin(), watch->warnings.end(),
              std::back_inserter(discovery->warnings));
    watch->warnings.clear();
  }
}

bool EndpointVendor::changed() const {
  return std::any_of(watches_.begin(), watches_.end(), [](const auto& watch) {
    return watch->health != watch->told_health || !watch->warnings.empty();
  });
}

std::vector<DeviceTelemetry> EndpointVendor::Sample() {
  if (options_.probes) Ask();
  std::vector<DeviceTelemetry> samples;
  for (const auto& watch : watches_) {
    const Endpoint& endpoint = *watch->endpoint;
    for (size_t i = 0; i < endpoint.devices.size(); ++i) {
      const EndpointLoad& load = *endpoint.loads[i];
      const uint32_t concurrency = load.concurrency.load();
      if (concurrency == 0) continue;  // A task may be using it; nobody would know.
      DeviceTelemetry& sample = samples.emplace_back();
      sample.id = endpoint.devices[i];
      sample.utilization_ratio =
          std::min(1.0, static_cast<double>(load.in_flight.load()) / concurrency);
    }
  }
  return samples;
}

}  // namespace allot::agent
