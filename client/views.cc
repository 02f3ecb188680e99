#include "client/views.h"

#include <map>
#include <sstream>
#include <utility>

#include "common/base/printable.h"
#include "common/json/json.h"

namespace allot::client {
namespace {

// Reads one JSON object leniently: a field of another type than ours counts as absent. Texts are
// made fit for a line of a terminal here, where all of them come in, so that no command can forget
// it.
class Fields {
 public:
  explicit Fields(const json::object& object) : object_(object) {}

  std::string Text(std::string_view key) const { return OneLine(Raw(key)); }
  // As it came: for what is written to a file, or shown line by line.
  std::string Raw(std::string_view key) const {
    const json::value* v = Find(key);
    if (v == nullptr || !v->is_string()) return "";
    return std::string(v->get_string().data(), v->get_string().size());
  }
  std::optional<double> Number(std::string_view key) const {
    const json::value* v = Find(key);
    if (v == nullptr || !v->is_number()) return std::nullopt;
    return v->to_number<double>();
  }
  std::optional<int64_t> Integer(std::string_view key) const {
    const json::value* v = Find(key);
    if (v == nullptr) return std::nullopt;
    if (v->is_int64()) return v->get_int64();
    if (v->is_uint64()) return static_cast<int64_t>(v->get_uint64());
    if (v->is_double()) return static_cast<int64_t>(v->get_double());
    return std::nullopt;
  }
  int64_t Count(std::string_view key) const { return Integer(key).value_or(0); }
  bool Flag(std::string_view key) const {
    const json::value* v = Find(key);
    return v != nullptr && v->is_bool() && v->get_bool();
  }
  bool Has(std::string_view key) const { return Find(key) != nullptr; }
  Fields Object(std::string_view key) const {
    static const json::object kNone;
    const json::value* v = Find(key);
    return Fields(v != nullptr && v->is_object() ? v->get_object() : kNone);
  }
  template <class T>
  std::vector<T> List(std::string_view key, T (*parse)(const Fields&)) const {
    std::vector<T> out;
    const json::value* v = Find(key);
    if (v == nullptr || !v->is_array()) return out;
    for (const json::value& item : v->get_array())
      if (item.is_object()) out.push_back(parse(Fields(item.get_object())));
    return out;
  }
  std::vector<std::pair<std::string, double>> Numbers() const {
    std::vector<std::pair<std::string, double>> out;
    for (const auto& [key, value] : object_)
      if (value.is_number())
        out.emplace_back(OneLine({key.data(), key.size()}), value.to_number<double>());
    return out;
  }
  std::vector<std::string> Texts(std::string_view key) const {
    std::vector<std::string> out;
    const json::value* v = Find(key);
    if (v == nullptr || !v->is_array()) return out;
    for (const json::value& item : v->get_array())
      if (item.is_string())
        out.push_back(OneLine({item.get_string().data(), item.get_string().size()}));
    return out;
  }

 private:
  const json::value* Find(std::string_view key) const {
    return object_.if_contains(json::string_view(key.data(), key.size()));
  }
  const json::object& object_;
};

DeviceRef DeviceRefOf(const Fields& f) {
  return {f.Text("id"), f.Text("model"), f.Text("kind"), f.Flag("emulated"), f.Text("isolation")};
}

TaskView TaskOf(const Fields& f) {
  TaskView t;
  t.rank = f.Count("rank");
  t.pid = f.Count("pid");
  t.node = f.Text("node");
  t.phase = f.Text("phase");
  t.message = f.Text("message");
  t.devices = f.List("devices", DeviceRefOf);
  t.code = f.Integer("code");
  t.signal = f.Integer("signal");
  const Fields progress = f.Object("progress");
  t.step = progress.Integer("step");
  t.total = progress.Integer("total");
  t.loss = progress.Number("loss");
  return t;
}

JobView JobOf(const Fields& f) {
  JobView j;
  j.id = f.Text("id");
  j.name = f.Text("name");
  j.tenant = f.Text("tenant");
  j.user = f.Text("user");
  j.phase = f.Text("phase");
  j.outcome = f.Text("outcome");
  j.message = f.Text("message");
  j.submitted = f.Text("submitted");
  j.placed = f.Text("placed");
  j.finished = f.Text("finished");
  j.code = f.Integer("code");
  j.attempt = f.Count("attempt");
  j.tasks_total = f.Count("tasks_total");
  j.priority = f.Count("priority");
  j.waited_seconds = f.Number("waited_seconds");
  j.ran_seconds = f.Number("ran_seconds");
  j.price_usd_per_hour = f.Number("price_usd_per_hour");
  j.cost_usd = f.Number("cost_usd");
  j.energy_joules = f.Number("energy_joules");
  j.energy_source = f.Text("energy_source");
  j.emulated = f.Flag("emulated");
  j.at_most_one = f.Flag("at_most_one");
  j.scratch_max_bytes = f.Count("scratch_max_bytes");
  j.command = f.Texts("command");
  j.spec_bytes_dropped = f.Count("spec_bytes_dropped");
  j.tasks = f.List("tasks", TaskOf);
  return j;
}

std::optional<QuarantineView> QuarantineOf(const Fields& f) {
  if (!f.Has("quarantine")) return std::nullopt;
  const Fields q = f.Object("quarantine");
  QuarantineView view;
  view.by = q.Text("by");
  view.since = q.Text("since");
  view.until = q.Text("until");
  view.why = q.Text("why");
  view.probation = q.Flag("probation");
  view.strikes = q.Count("strikes");
  view.until_seconds = q.Number("until_seconds");
  return view;
}

std::optional<ForeignView> ForeignOf(const Fields& f) {
  if (!f.Has("foreign")) return std::nullopt;
  const Fields foreign = f.Object("foreign");
  return ForeignView{foreign.Text("incarnation"), foreign.Text("at"), foreign.Count("tasks"),
                     foreign.Count("replicas")};
}

NodeView NodeOf(const Fields& f) {
  NodeView n;
  n.name = f.Text("name");
  n.address = f.Text("address");
  n.version = f.Text("version");
  n.alive = f.Flag("alive");
  n.draining = f.Flag("draining");
  n.emulated = f.Flag("emulated");
  n.epoch = f.Count("epoch");
  n.cpus_total = f.Number("cpus_total");
  n.cpus_free = f.Number("cpus_free");
  n.last_heard_seconds = f.Number("last_heard_seconds");
  n.memory_total_bytes = f.Integer("memory_total_bytes");
  n.memory_free_bytes = f.Integer("memory_free_bytes");
  n.devices_total = f.Count("devices_total");
  n.devices_free = f.Count("devices_free");
  n.devices_quarantined = f.Count("devices_quarantined");
  n.quarantine = QuarantineOf(f);
  n.foreign = ForeignOf(f);
  n.losses = f.Texts("losses");
  n.warnings = f.Texts("warnings");
  n.unfit = f.Texts("unfit");
  n.unreached_by = f.Texts("unreached_by");
  n.tasks = f.Count("tasks");
  n.replicas = f.Count("replicas");
  n.isolation = f.Text("isolation");
  return n;
}

DeviceView DeviceOf(const Fields& f) {
  DeviceView d;
  d.node = f.Text("node");
  d.id = f.Text("id");
  d.kind = f.Text("kind");
  d.vendor = f.Text("vendor");
  d.model = f.Text("model");
  d.state = f.Text("state");
  d.used_by = f.Text("used_by");
  d.health = f.Texts("health");
  d.quarantine = QuarantineOf(f);
  d.emulated = f.Flag("emulated");
  d.memory_bytes = f.Integer("memory_bytes");
  d.memory_used_bytes = f.Integer("memory_used_bytes");
  d.price_usd_per_hour = f.Number("price_usd_per_hour");
  d.power_watts = f.Number("power_watts");
  d.temperature_celsius = f.Number("temperature_celsius");
  d.utilization_ratio = f.Number("utilization_ratio");
  d.power_max_watts = f.Number("power_max_watts");
  d.isolation = f.Text("isolation");
  d.source = f.Text("source");
  d.parent = f.Text("parent");
  d.uuid = f.Text("uuid");
  d.endpoint = f.Text("endpoint");
  return d;
}

Reason ReasonOf(const Fields& f) { return {f.Text("reason"), f.Text("detail"), f.Count("count")}; }

ReplicaView ReplicaOf(const Fields& f) {
  ReplicaView r;
  r.id = f.Text("id");
  r.node = f.Text("node");
  r.phase = f.Text("phase");
  r.message = f.Text("message");
  r.unreached_by = f.Texts("unreached_by");
  r.group = f.Count("group");
  r.generation = f.Count("generation");
  r.restarts = f.Count("restarts");
  r.pid = f.Count("pid");
  r.devices = f.List("devices", DeviceRefOf);
  r.price_usd_per_hour = f.Number("price_usd_per_hour");
  return r;
}

WaitingGroup WaitingOf(const Fields& f) {
  return {f.Count("group"), f.Count("count"), f.List("reasons", ReasonOf)};
}

DeploymentView DeploymentOf(const Fields& f) {
  DeploymentView d;
  d.name = f.Text("name");
  d.tenant = f.Text("tenant");
  d.model = f.Text("model");
  d.generation = f.Count("generation");
  d.wanted = f.Count("wanted");
  d.state = f.Text("state");
  d.message = f.Text("message");
  d.stopping = f.Flag("stopping");
  const Fields objective = f.Object("objective");
  d.ttft_seconds = objective.Number("ttft_seconds");
  d.per_token_seconds = objective.Number("per_token_seconds");
  d.end_to_end_seconds = objective.Number("end_to_end_seconds");
  d.percentile = objective.Number("percentile");
  d.replicas = f.List("replicas", ReplicaOf);
  // Counted here, for the number that a scheduler of the build before gives mixes generations.
  for (const ReplicaView& r : d.replicas) {
    const bool current = r.generation == d.generation;
    const bool ending = r.phase == "stopping" || r.phase == "draining";
    d.older += current ? 0 : 1;
    d.ready += current && r.phase == "ready" ? 1 : 0;
    d.ending += current && ending ? 1 : 0;
  }
  d.waiting = f.List("waiting", WaitingOf);
  return d;
}

std::optional<CertificateView> CertificateOf(const Fields& f) {
  const std::optional<double> seconds = f.Number("expires_seconds");
  if (!seconds) return std::nullopt;
  return CertificateView{*seconds, f.Flag("stale")};
}

GatewayRef GatewayOf(const Fields& f) {
  return {f.Text("name"), f.Text("http_address"), CertificateOf(f.Object("certificate"))};
}

TroubleView TroubleOf(const Fields& f) { return {f.Text("peer"), f.Text("why")}; }

JobCandidate JobCandidateOf(const Fields& f) {
  JobCandidate c;
  c.node = f.Text("node");
  c.device_model = f.Text("device_model");
  c.isolation = f.Text("isolation");
  c.verdict = f.Text("verdict");
  c.emulated = f.Flag("emulated");
  c.price_usd_per_hour = f.Number("price_usd_per_hour");
  c.score_usd = f.Number("score_usd");
  return c;
}

RequestCandidate RequestCandidateOf(const Fields& f) {
  RequestCandidate c;
  c.replica = f.Text("replica");
  c.node = f.Text("node");
  c.device_model = f.Text("device_model");
  c.kind = f.Text("kind");
  c.verdict = f.Text("verdict");
  c.emulated = f.Flag("emulated");
  c.within_objective = f.Flag("within_objective");
  c.in_flight = f.Count("in_flight");
  c.concurrency = f.Count("concurrency");
  c.samples = f.Count("samples");
  c.price_usd_per_hour = f.Number("price_usd_per_hour");
  c.predicted_seconds = f.Number("predicted_seconds");
  c.predicted_cost_usd = f.Number("predicted_cost_usd");
  c.predicted_energy_joules = f.Number("predicted_energy_joules");
  return c;
}

GatewayDeployment GatewayDeploymentOf(const Fields& f) {
  return {f.Text("name"), f.Count("queued"), f.Count("in_flight"),
          f.List("predictions", RequestCandidateOf)};
}

PowerView PowerOf(const Fields& f) {
  PowerView p;
  p.name = f.Text("name");
  p.rack = f.Text("rack");
  p.alive = f.Flag("alive");
  p.nodes = f.Count("nodes");
  p.devices = f.Count("devices");
  p.devices_unknown = f.Count("devices_unknown");
  p.devices_measured = f.Count("devices_measured");
  p.leased_watts = f.Number("leased_watts");
  p.cap_watts = f.Number("cap_watts");
  p.measured_watts = f.Number("measured_watts");
  return p;
}

constexpr int64_t kApiVersion = 1;

StatusOr<json::value> Document(std::string_view body) {
  json::error_code error;
  json::value document = json::parse(json::string_view(body.data(), body.size()), error);
  if (error || !document.is_object())
    return Internal("the answer is not JSON ({}…); is the address that of an Allotrope scheduler?",
                    body.substr(0, 60));
  // Fields are only added within a version; another one means other things by the same names.
  const json::value* version = document.get_object().if_contains("version");
  if (version != nullptr && version->is_int64() && version->get_int64() != kApiVersion)
    return FailedPrecondition(
        "the other side answers in version {} of the API, this allot reads {}: upgrade {}",
        version->get_int64(), kApiVersion,
        version->get_int64() > kApiVersion ? "this allot" : "that one");
  return document;
}

StatusOr<json::value> Part(std::string_view body, std::string_view key) {
  ASSIGN_OR_RETURN(json::value document, Document(body));
  const json::value* part =
      document.get_object().if_contains(json::string_view(key.data(), key.size()));
  if (part == nullptr) return Internal("the answer has no \"{}\": {}…", key, body.substr(0, 60));
  return *part;
}

template <class T>
StatusOr<T> ParseOne(std::string_view body, std::string_view key, T (*parse)(const Fields&)) {
  ASSIGN_OR_RETURN(const json::value part, Part(body, key));
  if (!part.is_object()) return Internal("\"{}\" in the answer is not an object", key);
  return parse(Fields(part.get_object()));
}

template <class T>
StatusOr<std::vector<T>> ParseMany(std::string_view body, std::string_view key,
                                   T (*parse)(const Fields&)) {
  ASSIGN_OR_RETURN(const json::value document, Document(body));
  const Fields fields(document.get_object());
  return fields.List(key, parse);
}

}  // namespace

StatusOr<JobView> ParseJob(std::string_view body) { return ParseOne(body, "job", JobOf); }

StatusOr<JobPage> ParseJobs(std::string_view body) {
  ASSIGN_OR_RETURN(const json::value document, Document(body));
  const Fields fields(document.get_object());
  return JobPage{fields.List("jobs", JobOf), fields.Text("next")};
}

StatusOr<std::vector<NodeView>> ParseNodes(std::string_view body) {
  return ParseMany(body, "nodes", NodeOf);
}
StatusOr<NodeView> ParseNode(std::string_view body) { return ParseOne(body, "node", NodeOf); }
StatusOr<DeviceView> ParseDevice(std::string_view body) {
  return ParseOne(body, "device", DeviceOf);
}
StatusOr<std::vector<DeviceView>> ParseDevices(std::string_view body) {
  return ParseMany(body, "devices", DeviceOf);
}
StatusOr<std::vector<DeploymentView>> ParseDeployments(std::string_view body) {
  return ParseMany(body, "deployments", DeploymentOf);
}
StatusOr<DeploymentView> ParseDeployment(std::string_view body) {
  return ParseOne(body, "deployment", DeploymentOf);
}

StatusOr<ClusterView> ParseCluster(std::string_view body) {
  ASSIGN_OR_RETURN(const json::value document, Document(body));
  const Fields f(document.get_object());
  ClusterView c;
  c.name = f.Text("name");
  c.program_version = f.Text("program_version");
  c.started = f.Text("started");
  c.policy = f.Text("policy");
  c.term = f.Count("term");
  c.certificate = CertificateOf(f.Object("certificate"));
  c.gateways = f.List("gateways", GatewayOf);
  c.troubles = f.List("troubles", TroubleOf);
  c.token = f.Object("you").Text("name");
  c.token_expires = f.Object("you").Text("expires");
  c.tokens_expiring = f.Object("tokens").Count("expiring");
  c.tokens_expired = f.Object("tokens").Count("expired");
  const Fields nodes = f.Object("nodes");
  c.nodes_alive = nodes.Count("alive");
  c.nodes_lost = nodes.Count("lost");
  c.nodes_draining = nodes.Count("draining");
  const Fields jobs = f.Object("jobs");
  c.jobs_pending = jobs.Count("pending");
  c.jobs_running = jobs.Count("running");
  c.jobs_stopping = jobs.Count("stopping");
  c.jobs_finished = jobs.Count("finished");
  c.deployments = f.Count("deployments");
  c.replicas = f.Count("replicas");
  return c;
}

StatusOr<JobExplanation> ParseJobExplanation(std::string_view body) {
  ASSIGN_OR_RETURN(const json::value document, Document(body));
  const Fields f(document.get_object());
  JobExplanation e;
  e.job = f.Text("job");
  e.phase = f.Text("phase");
  e.never = f.Flag("never");
  e.waited_seconds = f.Number("waited_seconds");
  e.reasons = f.List("reasons", ReasonOf);
  e.remedies = f.Texts("remedies");
  e.warnings = f.Texts("warnings");
  e.candidates = f.List("candidates", JobCandidateOf);
  return e;
}

StatusOr<RequestExplanation> ParseRequestExplanation(std::string_view body) {
  ASSIGN_OR_RETURN(const json::value part, Part(body, "request"));
  if (!part.is_object()) return Internal("\"request\" in the answer is not an object");
  const Fields f(part.get_object());
  RequestExplanation e;
  e.id = f.Text("id");
  e.deployment = f.Text("deployment");
  e.policy = f.Text("policy");
  e.arrived = f.Text("arrived");
  e.outcome = f.Text("outcome");
  e.reason = f.Text("reason");
  e.candidates = f.List("candidates", RequestCandidateOf);
  e.cost_usd = f.Number("cost_usd");
  e.energy_joules = f.Number("energy_joules");
  e.energy_source = f.Text("energy_source");
  return e;
}

StatusOr<std::vector<GatewayDeployment>> ParseGatewayDeployments(std::string_view body) {
  return ParseMany(body, "deployments", GatewayDeploymentOf);
}

StatusOr<std::vector<std::string>> ParseModels(std::string_view body) {
  ASSIGN_OR_RETURN(const json::value document, Document(body));
  const Fields fields(document.get_object());
  if (!fields.Has("data")) return Internal("the answer lists no models: {}…", body.substr(0, 60));
  return fields.List<std::string>("data", [](const Fields& f) { return f.Text("id"); });
}

StatusOr<PolicyView> ParsePolicy(std::string_view body) {
  ASSIGN_OR_RETURN(const json::value document, Document(body));
  const Fields f(document.get_object());
  const Fields p = f.Object("policy");
  // An algorithm comes as its name, or as an object that holds it with its knobs.
  const auto algorithm = [&](std::string_view key) {
    const std::string name = p.Text(key);
    return name.empty() ? p.Object(key).Text("algorithm") : name;
  };
  PolicyView view{p.Text("name"),         p.Text("description"), algorithm("queue"),
                  algorithm("placement"), algorithm("routing"),  f.Raw("yaml")};
  const Fields power = p.Object("power");
  view.cluster_watts = power.Number("cluster_watts");
  view.rack_watts = power.Number("rack_watts");
  view.node_watts = power.Number("node_watts");
  view.racks_watts = power.Object("racks").Numbers();
  view.nodes_watts = power.Object("nodes").Numbers();
  return view;
}

StatusOr<PowerPage> ParsePower(std::string_view body) {
  ASSIGN_OR_RETURN(const json::value document, Document(body));
  const Fields f(document.get_object());
  PowerPage page{PowerOf(f.Object("cluster")), f.List("racks", PowerOf), f.List("nodes", PowerOf)};
  page.cluster.name = "cluster";
  return page;
}

namespace {

// A server's message may have lines of its own. They are set in, so that none of them can pass for
// a line of this program's, and they come to an end.
std::string MessageOfServer(std::string_view text) {
  constexpr size_t kBytesMax = 8'192, kLinesMax = 40;
  std::string out;
  size_t lines = 0;
  std::istringstream in(std::string(text.substr(0, kBytesMax)));
  for (std::string line; std::getline(in, line);) {
    if (++lines > kLinesMax) break;
    if (lines > 1) out += line.starts_with("  ") ? "\n" : "\n  ";
    out += OneLine(line);
  }
  if (text.size() > kBytesMax || lines > kLinesMax) out += "...";
  return out;
}

}  // namespace

Status StatusOfAnswer(int http_status, std::string_view body) {
  static const auto& codes = *new std::map<std::string, StatusCode>{
      {"invalid_argument", StatusCode::kInvalidArgument},
      {"unauthenticated", StatusCode::kUnauthenticated},
      {"permission_denied", StatusCode::kPermissionDenied},
      {"not_found", StatusCode::kNotFound},
      {"already_exists", StatusCode::kAlreadyExists},
      {"failed_precondition", StatusCode::kFailedPrecondition},
      {"resource_exhausted", StatusCode::kResourceExhausted},
      {"unavailable", StatusCode::kUnavailable},
      {"deadline_exceeded", StatusCode::kDeadlineExceeded}};
  static const auto& by_http = *new std::map<int, StatusCode>{
      {400, StatusCode::kInvalidArgument},  {401, StatusCode::kUnauthenticated},
      {403, StatusCode::kPermissionDenied}, {404, StatusCode::kNotFound},
      {409, StatusCode::kAlreadyExists},    {412, StatusCode::kFailedPrecondition},
      {413, StatusCode::kInvalidArgument},  {429, StatusCode::kResourceExhausted},
      {503, StatusCode::kUnavailable},      {504, StatusCode::kDeadlineExceeded}};
  if (http_status >= 200 && http_status < 300) return absl::OkStatus();
  const auto http = by_http.find(http_status);
  StatusCode code = http == by_http.end() ? StatusCode::kInternal : http->second;
  std::string message = fmt::format("HTTP {}", http_status);
  json::error_code error;
  const json::value document = json::parse(json::string_view(body.data(), body.size()), error);
  if (!error && document.is_object()) {
    const Fields fields(document.get_object());
    const Fields inner = fields.Object("error");
    if (const auto it = codes.find(inner.Text("code")); it != codes.end()) code = it->second;
    if (const std::string text = inner.Raw("message"); !text.empty())
      message = MessageOfServer(text);
  }
  return Status(code, message);
}

}  // namespace allot::client
