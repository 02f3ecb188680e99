// The scheduler's HTTP API as typed, blocking calls (docs/api.md).
//
// One connection, one thread. Every answer carries the parsed view and the body as it came, so
// that `--json` prints exactly what the server said. Errors are those of the server, with the
// address added; what cannot be reached is Unavailable.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/patience.h"
#include "client/views.h"
#include "common/base/status.h"
#include "common/base/units.h"
#include "common/http/blocking_client.h"

namespace allot::client {

template <class T>
struct Answer {
  T view;
  std::string body;
};

struct Endpoint {
  std::string url;                              // "http://127.0.0.1:7401", "https://head:7401"
  std::string token;                            // bearer token; empty for none
  Duration timeout = std::chrono::seconds(30);  // of one answer, beyond what a wait asks for
  // For how long it may be away (patience.h) before a call gives up; 0: the first failure counts.
  Duration patience = Duration(0);
  http::ClientSecurity security = {};
};

struct Call {
  std::string method = "GET";
  std::string target;
  std::string body = {};
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::optional<Duration> timeout = {};  // else the endpoint's
  Deadline deadline = {};                // no trying again beyond it
  // Asked once where the scheduler is away: an error of its own is the answer, and nobody waits.
  std::function<Status()> unanswered = {};
};

struct JobQuery {
  std::string phase, tenant, before;
  int limit = 100;
};

struct LogQuery {
  std::string id;  // job-17 or replica-3
  int64_t task = 0, attempt = 0, offset = 0;
  bool follow = false;
};

class Api {
 public:
  static StatusOr<std::unique_ptr<Api>> Connect(Endpoint endpoint);
  ~Api();
  const std::string& url() const;
  const Endpoint& endpoint() const;

  // Any route; answers outside 2xx are errors. A scheduler that is away is waited for, so every
  // call here may be sent more than once, and each is one that may be. `in_doubt`: an earlier one
  // may have been taken without our hearing of it.
  StatusOr<std::string> Fetch(const Call& call, bool* in_doubt = nullptr);

  StatusOr<Answer<ClusterView>> Cluster();
  // `spec_json`: a Job. Sent with an idempotency key (a new one if `key` is empty), so a lost
  // connection or a silent scheduler is tried again without fear of a second job. If in the end
  // nobody can tell whether there is a job, the error says so and names the key. `unanswered`: as
  // in Call.
  StatusOr<Answer<JobView>> Submit(const std::string& spec_json, std::string key = "",
                                   std::function<Status()> unanswered = {});
  StatusOr<Answer<JobPage>> Jobs(const JobQuery& query);
  StatusOr<Answer<JobView>> Job(const std::string& id);
  StatusOr<Answer<JobView>> Cancel(const std::string& id);
  // Returns when the job is finished or `timeout` has passed, whichever is first. A scheduler that
  // is away is not waited for beyond `deadline`.
  StatusOr<Answer<JobView>> Wait(const std::string& id, Duration timeout,
                                 Deadline deadline = std::nullopt);
  StatusOr<Answer<JobExplanation>> ExplainJob(const std::string& id);
  // Log bytes go to `piece` as they arrive; it returns false to stop. Never repeated: the caller
  // knows from which byte on.
  Status Logs(const LogQuery& query, const std::function<bool(std::string_view)>& piece);

  StatusOr<Answer<DeploymentView>> Deploy(const std::string& name, const std::string& spec_json);
  StatusOr<Answer<std::vector<DeploymentView>>> Deployments();
  StatusOr<Answer<DeploymentView>> Deployment(const std::string& name);
  StatusOr<std::string> Undeploy(const std::string& name);

  StatusOr<Answer<std::vector<NodeView>>> Nodes();
  StatusOr<Answer<std::vector<DeviceView>>> Devices();
  StatusOr<Answer<NodeView>> Drain(const std::string& node, bool drain);
  // One device of it. One that the node does not list any more can be given back, too; then the
  // view is empty.
  StatusOr<Answer<DeviceView>> DrainDevice(const std::string& node, const std::string& device,
                                           bool drain);

  StatusOr<Answer<PolicyView>> Policy();
  StatusOr<Answer<PowerPage>> Power();
  StatusOr<std::string> ApplyPolicy(const std::string& yaml);

  // These three speak to a gateway.
  StatusOr<std::vector<std::string>> Models();  // names that clients may ask for
  StatusOr<Answer<RequestExplanation>> ExplainRequest(const std::string& id);
  StatusOr<Answer<std::vector<GatewayDeployment>>> GatewayDeployments();

 private:
  class Impl;
  explicit Api(std::unique_ptr<Impl> impl);
  StatusOr<std::string> FetchOnce(const Call& call);
  template <class T>
  StatusOr<Answer<T>> Typed(const Call& call, StatusOr<T> (*parse)(std::string_view));
  std::unique_ptr<Impl> impl_;
};

std::string UrlEncode(std::string_view text);

}  // namespace allot::client
