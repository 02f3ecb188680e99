// The route table: every route of docs/api.md once, with who may call it, what handles it and what
// the OpenAPI document says about it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/auth/authorizer.h"
#include "scheduler/shell/api/services.h"

namespace allot::scheduler {

// What a caller must at least be let do to call a route at all (common/auth/authorizer.h); whose
// the thing is that it is about, the handler decides.
struct Right {
  auth::Kind kind = auth::Kind::kCluster;
  auth::Action action = auth::Action::kSee;
};

struct Parameter {
  std::string_view name, type, help;
};

struct Route {
  std::string_view method, path;         // "/v1/jobs/{id}"
  std::optional<Right> right = Right();  // none: anybody may, without a token
  void (*handle)(Services&, Call&) = nullptr;
  std::string_view summary;
  std::string_view body = "";    // schema of the request's body, "" for none
  std::string_view answer = "";  // schema of the JSON answer, "" for text
  std::vector<Parameter> query = {};
  // Of routes with a body: reads it, before `handle`, on any thread. Touches the call alone, and of
  // that what is not its responder.
  Status (*read)(Call&) = nullptr;
};

const std::vector<Route>& Routes();

struct Match {
  const Route* route = nullptr;
  std::vector<std::string> args;
  std::string allowed;  // where only the method is wrong: the right ones, "GET, DELETE"
};
Match FindRoute(std::string_view method, std::string_view path);

// Handlers, by file. Each answers the call exactly once, now or later.
namespace api {
Status ReadJob(Call&);         // jobs.cc
Status ReadDeployment(Call&);  // deployments.cc
Status ReadPolicy(Call&);      // policy.cc

void SubmitJob(Services&, Call&);  // jobs.cc
void ListJobs(Services&, Call&);
void GetJob(Services&, Call&);
void CancelJob(Services&, Call&);
void WaitForJob(Services&, Call&);
void ExplainJob(Services&, Call&);
void JobLogs(Services&, Call&);  // logs.cc
void ReplicaLogs(Services&, Call&);
void PutDeployment(Services&, Call&);  // deployments.cc
void ListDeployments(Services&, Call&);
void GetDeployment(Services&, Call&);
void DeleteDeployment(Services&, Call&);
void ListNodes(Services&, Call&);  // nodes.cc
void ListDevices(Services&, Call&);
void DrainNode(Services&, Call&);
void UndrainNode(Services&, Call&);
void GetPolicy(Services&, Call&);  // policy.cc
void PutPolicy(Services&, Call&);
void CheckPolicy(Services&, Call&);
void Health(Services&, Call&);  // cluster.cc
void GetMetrics(Services&, Call&);
void GetOpenApi(Services&, Call&);
void GetCluster(Services&, Call&);
void GetPower(Services&, Call&);
void PrometheusTargets(Services&, Call&);
void GetKeys(Services&, Call&);  // keys.cc
void RotateKeys(Services&, Call&);
}  // namespace api

}  // namespace allot::scheduler
