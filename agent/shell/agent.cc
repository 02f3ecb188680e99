#include "agent/shell/agent.h"

#include <algorithm>
#include <deque>
#include <thread>

#include <unistd.h>

#include "agent/devices/inventory.h"
#include "agent/devices/parts.h"
#include "agent/devices/registry.h"
#include "agent/runtime/files.h"
#include "agent/shell/clock.h"
#include "agent/shell/fitness.h"
#include "agent/shell/gateway_links.h"
#include "agent/shell/gateway_memory.h"
#include "agent/shell/log_server.h"
#include "agent/shell/metrics.h"
#include "agent/shell/network.h"
#include "agent/shell/scheduler_link.h"
#include "agent/shell/work.h"
#include "common/asio/timer.h"
#include "common/auth/authorizer.h"
#include "common/base/address.h"
#include "common/base/logging.h"
#include "common/base/loopback.h"
#include "common/base/text.h"
#include "common/base/version.h"
#include "common/http/server.h"
#include "common/program/addresses.h"
#include "common/program/own_address.h"
#include "common/wire/codec.h"

namespace allot::agent {
namespace {

namespace asio = boost::asio;

constexpr auto kSweepEvery = std::chrono::minutes(1);
constexpr auto kLookEvery = std::chrono::seconds(1);  // for a disk that fills
constexpr auto kAddressLookEvery = std::chrono::seconds(5);
constexpr int kSilencesTold = 3;
constexpr int kSocketsMax = 64;  // a scheduler and some gateways, three sockets each

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;  // C++20 needs none; Clang 14 does

MilliCpu CpusOf(const std::vector<Device>& devices) {
  int64_t cores = 0;
  for (const Device& device : devices)
    if (device.kind == DeviceKind::kCpu && !device.emulated) cores += device.cores;
  // With the processors not offered as devices, work still runs on them.
  if (cores == 0) cores = std::max(1u, std::thread::hardware_concurrency());
  return cores * 1000;
}

Bytes MemoryOf(const std::vector<Device>& devices) {
  Bytes memory = 0;
  for (const Device& device : devices)
    if (device.kind == DeviceKind::kCpu && !device.emulated) memory += device.memory.value_or(0);
  if (memory == 0) memory = static_cast<Bytes>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  return memory;
}

std::vector<Device> DevicesOf(const std::vector<FoundDevice>& found) {
  std::vector<Device> devices;
  for (const FoundDevice& f : found) devices.push_back(f.device);
  return devices;
}

// For people, who read the first ones; a node with too many or too long ones is not registered.
std::vector<std::string> Shown(std::vector<std::string> warnings) {
  constexpr size_t kMost = 100, kLongest = 500;
  if (warnings.size() > kMost) {
    const size_t more = warnings.size() - kMost;
    warnings.resize(kMost);
    warnings.push_back(fmt::format("and {} more, in the agent's log", more));
  }
  for (std::string& warning : warnings)
    warning =
        ReplaceInvalidUtf8(warning.size() > kLongest ? warning.substr(0, kLongest) + "…" : warning);
  return warnings;
}

void Warn(const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) SPDLOG_WARN("{}", warning);
}

}  // namespace

class Agent::Impl {
 public:
  Impl(asio::io_context& loop, AgentOptions options)
      : loop_(loop),
        options_(std::move(options)),
        wakeup_(loop),
        telemetry_(loop),
        sweep_(loop),
        look_(loop),
        address_timer_(loop),
        traffic_(loop, [this](const ReplicaTraffic& traffic) { Feed(traffic); }) {}

  Status Start();
  const Core& core() const { return *core_; }
  std::string http_address() const { return http_->address(); }
  void ClearHealth() { inventory_->ClearHealth(); }

 private:
  Status Describe(const Confinement& confinement, const Separation& separation, NodeInfo* info);
  Status Listen();
  std::string Metrics(const std::string& address) const;
  void LookForAddress();
  void LookForNetwork();
  void WatchAddress();
  void Feed(Event event);
  void Perform(const Command& command);
  void Noted(const Note& note);
  void ArmWakeup();
  void SampleDevices();
  void Sweep();
  void SweepLogs();
  void LookAtNode();
  void Serve(http::Request request, const http::ResponderPtr& responder);
  std::string MetricsText();

  asio::io_context& loop_;
  const AgentOptions options_;
  const AgentClock clock_;
  AgentMetrics metrics_;
  Endpoints endpoints_;
  std::unique_ptr<StateFolder> folder_;
  std::unique_ptr<Fitness> fitness_;
  std::unique_ptr<Inventory> inventory_;
  std::unique_ptr<Core> core_;
  std::unique_ptr<transport::Context> context_;  // after it only what uses its sockets
  std::unique_ptr<Work> work_;
  std::unique_ptr<transport::RenewedKeys> renewed_;
  std::unique_ptr<GatewayLinks> gateways_;
  std::unique_ptr<SchedulerLink> scheduler_;
  std::unique_ptr<LogServer> logs_;
  std::unique_ptr<auth::Tokens> tokens_;  // null: /metrics asks for none
  std::unique_ptr<http::Server> http_;
  std::unique_ptr<program::AddressesFile> addresses_;

  int silences_ = 0;          // of the scheduler, since it was heard
  std::deque<Event> events_;  // those that arise while one is stepped
  bool stepping_ = false;
  Effects effects_;
  std::optional<Time> wakeup_at_;
  Timer wakeup_, telemetry_, sweep_, look_, address_timer_;
  TrafficMeter traffic_;
  std::string address_;                // as the core has it
  std::vector<Interface> interfaces_;  // of this host when it was last looked for our address
};

Status Agent::Impl::Describe(const Confinement& confinement, const Separation& separation,
                             NodeInfo* info) {
  std::shared_ptr<const Host> host = Host::Live();
  if (!options_.machine.empty()) {
    ASSIGN_OR_RETURN(host, Host::Recorded(options_.machine));
  }
  ASSIGN_OR_RETURN(endpoints_, ReadEndpoints(options_.devices, options_.catalogue));
  ASSIGN_OR_RETURN(auto vendors,
                   MakeVendors(options_.devices, options_.catalogue, host, &endpoints_));
  const HostIsolation isolation{.device_filter = confinement.abilities().devices,
                                .memory_limit = confinement.abilities().memory};
  inventory_ = std::make_unique<Inventory>(
      std::move(vendors), host,
      InventoryOptions{
          .composition = MakeComposition(options_.devices, options_.catalogue, isolation),
          .health = options_.health_rules});
  const Discovery discovery = inventory_->DiscoverAll();
  Warn(discovery.warnings);
  info->devices = DevicesOf(discovery.devices);
  info->groups = discovery.groups;
  info->warnings = Shown(discovery.warnings);
  info->losses = confinement.losses();
  for (std::string& loss : separation.losses()) info->losses.push_back(std::move(loss));
  for (const FoundDevice& found : discovery.devices)
    SPDLOG_INFO("device id={} kind={} model={} emulated={} isolation={} source=\"{}\"",
                found.device.id, ToString(found.device.kind), found.device.model,
                found.device.emulated, ToString(found.device.isolation), found.source);
  info->name = options_.name;
  info->instance = folder_->instance();
  info->version = kVersion;
  info->labels = options_.labels;
  // Where nobody wrote it down, and the scheduler's name is not known yet, it is found with the
  // link.
  info->address = options_.address;
  info->address_derived = options_.address.empty();
  info->task_leases = true;
  info->scratch_max = options_.scratch.bytes;
  for (const std::string& endpoint : options_.schedulers) {
    if (!info->address.empty()) break;
    if (const auto found = program::AddressTowards(endpoint); found.ok()) info->address = *found;
  }
  address_ = info->address;
  info->cpus = options_.offer_cpus.value_or(CpusOf(info->devices));
  info->memory = options_.offer_memory.value_or(MemoryOf(info->devices));
  return wire::CheckNodeInfo(*info);
}

Status Agent::Impl::Listen() {
  http::Server::Options options;
  options.listen = options_.http_listen;
  options.body_bytes_max = 64 << 10;
  options.connections_max = 100;
  options.connections_per_address_max = 50;
  options.answers_bytes_max = 8 << 20;
  if (!options_.metrics_tokens_file.empty()) {
    ASSIGN_OR_RETURN(tokens_, auth::Tokens::Load({.file = options_.metrics_tokens_file}));
  }
  options.tls = options_.tls;
  // Where none is asked for, one that is sent is nothing to us.
  options.plain_tokens = options_.plain_tokens || tokens_ == nullptr;
  const auto listen = [&]() -> Status {
    // With tokens there may be a proxy of another name in front, and a web page has none.
    options.loopback_names = tokens_ == nullptr && IsLoopbackAddress(options.listen);
    ASSIGN_OR_RETURN(
        http_, http::Server::Listen(loop_, options,
                                    [this](http::Request request, http::ResponderPtr responder) {
                                      Serve(std::move(request), responder);
                                    }));
    return absl::OkStatus();
  };
  if (!options.listen.empty()) {
    if (IsLoopbackAddress(options.listen) && !IsLoopbackHost(address_))
      SPDLOG_WARN(
          "http_listen is {}: a Prometheus on another machine does not find this node's metrics",
          options.listen);
    return listen();
  }
  if (IsLoopbackHost(address_)) {  // A local cluster: nobody else is to be reached.
    options.listen = "127.0.0.1:0";
    return listen();
  }
  // The port is one that people can open in a firewall; a second agent of a machine takes another.
  for (const std::string_view any : {"[::]:7402", "0.0.0.0:7402", "[::]:0", "0.0.0.0:0"}) {
    options.listen = any;
    const Status status = listen();
    if (status.ok() || any == "0.0.0.0:0") return status;
    SPDLOG_DEBUG("metrics: {}", MessageOf(status));
  }
  return absl::OkStatus();
}

std::string Agent::Impl::Metrics(const std::string& address) const {
  return WithTls(Advertised(http_->address(), options_.http_advertise, address),
                 options_.tls.has_value());
}

// Which of our addresses the scheduler is reached from, by the kernel's word: it changes when the
// machine gets another one, or another way there.
void Agent::Impl::LookForAddress() {
  if (!options_.address.empty() || scheduler_->dialled().empty()) return;
  const StatusOr<std::string> found = program::AddressTowards(scheduler_->dialled());
  if (!found.ok() || *found == address_)
    return;  // No way there just now: the old one may come back.
  if (!address_.empty())
    SPDLOG_WARN("this node's address is {} now, was {}; telling the scheduler", *found, address_);
  address_ = *found;
  LookForNetwork();
  Feed(AddressFound{address_, Metrics(address_)});
}

// What starts from now on is told the interface that has our address now. An address that somebody
// wrote down as a name may mean another one by now: it is looked up again, which may take a while,
// only when there is a reason to.
void Agent::Impl::LookForNetwork() {
  interfaces_ = Interfaces();
  work_->SetNetwork(CollectiveVariables(InterfaceOf(address_, interfaces_), interfaces_));
}

void Agent::Impl::WatchAddress() {
  address_timer_.After(kAddressLookEvery, [this] {
    LookForAddress();
    if (Interfaces() != interfaces_) LookForNetwork();
    WatchAddress();
  });
}

Status Agent::Impl::Start() {
  ASSIGN_OR_RETURN(folder_, StateFolder::Open(options_.state_dir, options_.boot_id_file));
  AgentStarted started;
  started.info.boot_id = folder_->boot_id();
  std::unique_ptr<Confinement> confinement =
      Confinement::Open(options_.isolation, folder_->instance());
  std::optional<int64_t> processes_max;
  if (!confinement->abilities().pids) processes_max = options_.isolation.pids_max;
  auto separation = std::make_unique<Separation>(options_.users, *folder_, processes_max);
  fitness_ = std::make_unique<Fitness>(*folder_, options_.supervisor, options_.disk_free_min,
                                       [s = separation.get()] { return s->refusal(); });
  (void)fitness_->Look();
  started.info.unfit = fitness_->unfit();
  Warn(fitness_->unfit());
  if (const std::string& base = confinement->abilities().held_by_another; !base.empty())
    return FailedPrecondition(
        "another agent runs with the state of state_dir {0} (it holds {1}): one of the two folders "
        "is a copy. Stop that agent, or remove everything in {0} to make this a node of its own",
        folder_->path(), base);
  RETURN_IF_ERROR(Describe(*confinement, *separation, &started.info));
  metrics_.SetDevices(options_.name, kVersion, started.info.devices);
  metrics_.SetEndpoints(endpoints_);
  RETURN_IF_ERROR(Listen());
  started.info.metrics_address = Metrics(started.info.address);

  EnvironmentBase environment;
  environment.devices = started.info.devices;
  environment.groups = started.info.groups;
  environment.join = [](const Leased& leased, const std::vector<DeviceGroup>& groups) {
    return JoinSet(leased, groups).environment;
  };
  environment.visible_variables = HidingVariables();
  environment.node_name = options_.name;
  if (const char* home = getenv("HOME"); home != nullptr) environment.home = home;
  ASSIGN_OR_RETURN(work_, Work::Create(loop_, *folder_, options_.supervisor, std::move(environment),
                                       std::move(confinement), std::move(separation),
                                       [this](Event event) { Feed(std::move(event)); }));
  work_->SetLogLimits(options_.log_max, options_.disk_free_min);
  work_->SetScratchLimit(options_.scratch, options_.scratch_tmpfs);
  work_->SetBootClock([this](Time at) { return clock_.BootNanos(at); });
  work_->OnNodeFault([this](const Status&) { fitness_->Doubt(); });
  LookForNetwork();
  work_->SetEndpoints(endpoints_);
  ASSIGN_OR_RETURN(context_,
                   transport::Context::Create({.allow_file = "", .sockets_max = kSocketsMax}));
  ASSIGN_OR_RETURN(renewed_,
                   transport::RenewedKeys::Load(folder_->path() + "/renewed.keys", options_.keys,
                                                options_.scheduler_public_key));
  gateways_ = std::make_unique<GatewayLinks>(
      loop_, *context_,
      GatewayLinks::Options{
          .node = options_.name,
          .keys = renewed_->own(),
          .endpoint_request_done =
              [this](const EndpointRequestDone& request) { metrics_.EndpointRequest(request); },
          .traffic = &traffic_});
  // Until the scheduler names them: it may be gone, and the replicas found here serve meanwhile.
  gateways_->SetGateways(RememberedGateways(folder_->path()).gateways);
  SchedulerLink::Handlers handlers;
  handlers.up = [this] {
    LookForAddress();
    LookForNetwork();
    Feed(LinkUp{});
  };
  handlers.down = [this](const std::string&) {
    logs_->DropReaders();
    Feed(LinkDown{});
  };
  handlers.said = [this](SchedulerMessage message, Incarnation incarnation) {
    silences_ = 0;
    Feed(SchedulerSaid{std::move(message), incarnation});
  };
  handlers.heard = [this] {
    silences_ = 0;
    Feed(SchedulerHeard{});
  };
  handlers.renewed = [this](const transport::KeyPair& now) { gateways_->SetKeys(now); };
  handlers.obeyed = [this] { return core_->incarnation(); };
  handlers.read_log = [this](const wire::ReadLog& question) { logs_->Read(question); };
  scheduler_ = std::make_unique<SchedulerLink>(
      loop_, *context_,
      SchedulerLink::Options{.endpoints = options_.schedulers,
                             .public_key = options_.scheduler_public_key,
                             .keys = options_.keys,
                             .renewed = renewed_.get()},
      std::move(handlers));
  logs_ = std::make_unique<LogServer>(
      loop_, *folder_, *work_, [this](wire::LogChunk chunk) { scheduler_->Say(std::move(chunk)); });

  started.boot = folder_->boot();
  // Jitter differs between nodes and between lives of one.
  const uint64_t seed = std::hash<std::string>{}(folder_->instance()) ^ folder_->boot();
  core_ = std::make_unique<Core>(CoreOptions{}, seed);
  Warn(work_->FindEarlier(&started, clock_.Now()));
  SPDLOG_INFO("started name={} boot={} devices={} tasks={} replicas={} http={}", options_.name,
              started.boot, started.info.devices.size(), started.tasks.size(),
              started.replicas.size(), http_->address());
  Feed(std::move(started));
  scheduler_->Dial();
  WatchAddress();
  SampleDevices();
  Sweep();
  LookAtNode();
  auto addresses = program::AddressesFile::Write(folder_->path(), {{"http", http_->address()}});
  if (addresses.ok()) {
    addresses_ = *std::move(addresses);
  } else if (fitness_->unfit().empty()) {
    return addresses.status();
  } else {  // Known, and no reason not to look after what runs.
    SPDLOG_WARN("{}", MessageOf(addresses.status()));
  }
  return absl::OkStatus();
}

// ---- the core -----------------------------------------------------------------------------------

void Agent::Impl::Feed(Event event) {
  events_.push_back(std::move(event));
  if (stepping_) return;
  stepping_ = true;
  while (!events_.empty()) {
    const Event next = std::move(events_.front());
    events_.pop_front();
    effects_.Clear();
    core_->Step(clock_.Now(), next, effects_);
    for (const Command& command : effects_.commands) Perform(command);
    for (const Note& note : effects_.notes) Noted(note);
  }
  stepping_ = false;
  ArmWakeup();
}

void Agent::Impl::Perform(const Command& command) {
  std::visit(
      Overloaded{
          [this](const SendToScheduler& c) { scheduler_->Say(c.message); },
          [this](const Reconnect&) { scheduler_->Dial(); },
          [this](const SetGateways& c) {
            // One that is not named may serve all the same: what is told empty is not remembered.
            if (!c.gateways.empty()) RememberGateways(folder_->path(), c);
            gateways_->SetGateways(c.gateways, c.keys);
          },
          [this](const ReplicaServing& c) { gateways_->SetServing(c, work_->RemoteOf(c.id)); },
          [this](const auto& c) { work_->Perform(c); },
      },
      command);
}

void Agent::Impl::Noted(const Note& note) {
  metrics_.Noted(note);
  if (const auto* stale = std::get_if<StaleCommandRefused>(&note))
    SPDLOG_INFO("refused a command of another epoch={}", stale->epoch.value());
  if (const auto* restarted = std::get_if<ReplicaRestarted>(&note))
    SPDLOG_WARN("restarting replica={} restarts={}", ToString(restarted->id), restarted->restarts);
  if (const auto* refused = std::get_if<RegistrationRefused>(&note))
    SPDLOG_ERROR("the scheduler refuses this node reason={} message=\"{}\"",
                 ToString(refused->reason), refused->message);
  if (std::holds_alternative<SchedulerSilent>(note)) {
    // Whom it does not answer although it is there, it does not hear: a name has one connection.
    if (++silences_ % kSilencesTold == 0 && scheduler_->up())
      SPDLOG_ERROR(
          "the scheduler has not answered {} times in a row; if it runs, look whether another "
          "agent "
          "is connected as \"{}\" (a copied state_dir, key_file or config): the scheduler hears "
          "the "
          "first only. Stop that one, or give this one a name, a key and a state_dir of its own",
          silences_, options_.name);
    else
      SPDLOG_WARN("the scheduler is silent; dialling anew");
  }
}

void Agent::Impl::ArmWakeup() {
  const std::optional<Time> next = core_->NextWakeup();
  // A timer that fires too early costs one idle tick; moving it at every event costs more.
  if (!next || (wakeup_at_ && *wakeup_at_ <= *next)) return;
  wakeup_at_ = next;
  wakeup_.After(std::max(*next - clock_.Now(), Duration{}), [this] {
    wakeup_at_.reset();
    Feed(ClockTicked{});
  });
}

// ---- devices, logs ------------------------------------------------------------------------------

void Agent::Impl::SampleDevices() {
  Inventory::Update update = inventory_->Poll(clock_.SinceStart());
  Warn(update.warnings);
  if (update.changed) {
    std::vector<Device> devices = DevicesOf(update.changed->devices);
    SPDLOG_WARN("devices have changed devices={}; registering anew", devices.size());
    metrics_.SetDevices(options_.name, kVersion, devices);
    work_->SetDevices(devices, update.changed->groups);
    Feed(DevicesChanged{std::move(devices), std::move(update.changed->groups),
                        Shown(std::move(update.changed->warnings))});
  }
  const Time now = clock_.Now();
  const Duration since_start = clock_.SinceStart();
  for (const Inventory::Measured& fresh : update.fresh)
    work_->Measured(now - (since_start - fresh.at), fresh.values);
  for (const auto& [deployment, joules] : work_->TakeReplicaJoules())
    metrics_.AddReplicaEnergy(deployment, joules);
  metrics_.SetTelemetry(update.telemetry);
  if (!update.telemetry.empty()) Feed(TelemetrySampled{std::move(update.telemetry)});
  telemetry_.After(options_.telemetry_every, [this] { SampleDevices(); });
}

void Agent::Impl::SweepLogs() {
  folder_->SweepLogs({.kept = options_.logs_kept,
                      .bytes_max = options_.log_max,
                      .free_wanted = fitness_->short_of_room() ? fitness_->room_wanted() : 0});
}

// A process can write a gigabyte in a second or two.
void Agent::Impl::LookAtNode() {
  if (fitness_->Look()) {
    for (const std::string& why : fitness_->unfit()) SPDLOG_WARN("can start nothing: {}", why);
    if (fitness_->unfit().empty()) SPDLOG_INFO("can start processes again");
    Feed(FitnessChanged{Shown(fitness_->unfit())});
  }
  if (fitness_->short_of_room() || work_->AnyLogAbove(options_.log_max)) SweepLogs();
  look_.After(kLookEvery, [this] { LookAtNode(); });
}

void Agent::Impl::Sweep() {
  SweepLogs();
  sweep_.After(kSweepEvery, [this] { Sweep(); });
}

// ---- HTTP ---------------------------------------------------------------------------------------

void Agent::Impl::Serve(http::Request request, const http::ResponderPtr& responder) {
  const bool read = request.method == "GET" || request.method == "HEAD";
  if (request.path == "/healthz" && read) {
    responder->Send({200, {}, "ok\n", "text/plain; charset=utf-8"});
  } else if (request.path == "/metrics" && read) {
    if (tokens_ != nullptr) {
      const auto who = tokens_->Authenticate(request.Header("authorization"), request.peer);
      if (!who.ok()) return responder->Send(http::ErrorResponse(who.status()));
      const Status may = auth::Decide(*who, auth::Action::kSee, {auth::Kind::kMetrics});
      if (!may.ok()) return responder->Send(http::ErrorResponse(may));
    }
    responder->Send({200, {}, MetricsText(), "text/plain; version=0.0.4; charset=utf-8"});
  } else {
    responder->Send(http::ErrorResponse(
        NotFound("{} {} is not here; an agent has GET /healthz and GET /metrics", request.method,
                 request.path)));
  }
}

std::string Agent::Impl::MetricsText() {
  const ProcessRuntime::Counters& processes = work_->counters();
  const SchedulerLink::Counters link = scheduler_->counters();
  const ForwardCounters& forwards = gateways_->counters();
  metrics_.Set({.spawned = processes.spawned,
                .spawn_failures = processes.spawn_failures,
                .processes_exited = processes.exited,
                .supervisors_killed = processes.supervisors_killed,
                .dials = link.dials,
                .envelopes_in = link.envelopes_in,
                .envelopes_out = link.envelopes_out,
                .bytes_in = link.bytes_in,
                .bytes_out = link.bytes_out,
                .refused_terms = link.refused_terms,
                .undecodable = link.undecodable,
                .gaps = link.gaps,
                .undelivered = link.undelivered,
                .forwarded = forwards.forwarded,
                .completed = forwards.completed,
                .failed = forwards.failed,
                .cancelled = forwards.cancelled,
                .http_turned = http::TurnedAway(*http_),
                .certificate = http_->tls()},
               {.tasks = work_->tasks_alive(),
                .replicas = work_->replicas_alive(),
                .gateways = gateways_->linked(),
                .forwards_in_flight = forwards.in_flight,
                .log_readers = logs_->waiting(),
                .scratch = work_->scratch_bytes(),
                .connected = scheduler_->up(),
                .registered = core_->registered()});
  metrics_.FollowEndpointLoads();
  return metrics_.Text();
}

// ---- Agent --------------------------------------------------------------------------------------

StatusOr<std::unique_ptr<Agent>> Agent::Start(asio::io_context& loop, AgentOptions options) {
  auto impl = std::make_unique<Impl>(loop, std::move(options));
  RETURN_IF_ERROR(impl->Start());
  return std::unique_ptr<Agent>(new Agent(std::move(impl)));
}
Agent::Agent(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Agent::~Agent() = default;
const Core& Agent::core() const { return impl_->core(); }
void Agent::ClearHealth() { impl_->ClearHealth(); }
std::string Agent::http_address() const { return impl_->http_address(); }

}  // namespace allot::agent
