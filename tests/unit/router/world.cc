#include "tests/unit/router/world.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <sstream>

#include "common/base/check.h"
#include "common/base/units.h"

namespace allot::router {
namespace {

Duration ParseTime(const std::string& text) {
  char* unit = nullptr;
  const double number = std::strtod(text.c_str(), &unit);
  const std::string word = unit;
  const double micros = word == "us"   ? 1
                        : word == "ms" ? 1e3
                        : word == "s"  ? 1e6
                        : word == "m"  ? 60e6
                                       : 0;
  CHECK(micros > 0);
  return Duration(static_cast<int64_t>(number * micros + 0.5));
}

uint64_t NumberOf(const std::string& name) {  // "r17" → 17
  return std::strtoull(name.c_str() + 1, nullptr, 10);
}
RequestId RequestOf(const std::string& name) { return RequestId(NumberOf(name)); }
std::string NameOf(RequestId id) { return fmt::format("r{}", id.value()); }

std::string_view OutcomeName(RequestEnded::Outcome outcome) {
  switch (outcome) {
    case RequestEnded::Outcome::kOk:
      return "ok";
    case RequestEnded::Outcome::kClientError:
      return "client_error";
    case RequestEnded::Outcome::kUpstreamError:
      return "upstream_error";
    case RequestEnded::Outcome::kRejected:
      return "rejected";
    case RequestEnded::Outcome::kCancelled:
      return "cancelled";
    case RequestEnded::Outcome::kFailed:
      return "failed";
  }
  return "?";
}

std::string Describe(const Command& command) {
  if (const auto* f = std::get_if<Forward>(&command))
    return fmt::format("forward {} {}@{} {} predicted={}{}", NameOf(f->id), ToString(f->replica),
                       f->node, ToString(f->reason), FormatDuration(f->predicted),
                       f->tries > 1 ? fmt::format(" try={}", f->tries) : "");
  if (const auto* r = std::get_if<Reject>(&command))
    return fmt::format("reject {} {}{}: {}", NameOf(r->id), ToString(r->reason),
                       r->retry_after > Duration::zero()
                           ? fmt::format(" retry_after={}", FormatDuration(r->retry_after))
                           : "",
                       r->message) +
           (r->again ? "" : " (not again)");
  if (const auto* d = std::get_if<Deliver>(&command))
    return fmt::format("deliver {}{}", NameOf(d->id), d->blamed ? " (not again)" : "");
  const auto& c = std::get<CancelForward>(command);
  return fmt::format("cancel {} {}@{}", NameOf(c.id), ToString(c.replica), c.node);
}

std::string Describe(const RequestEnded& e) {
  std::string text = fmt::format("ended {} {} {}", NameOf(e.id), OutcomeName(e.outcome),
                                 e.device_model.empty() ? "-" : e.device_model);
  if (e.queued > Duration::zero()) text += " queued=" + FormatDuration(e.queued);
  if (e.ttft > Duration::zero()) text += " ttft=" + FormatDuration(e.ttft);
  text += " end_to_end=" + FormatDuration(e.end_to_end);
  text += fmt::format(" {} cost={}", e.within_objective ? "kept" : "missed", FormatCost(e.cost));
  return text;
}

}  // namespace

std::string Line::Option(const std::string& name, const std::string& otherwise) const {
  const auto found = options.find(name);
  return found == options.end() ? otherwise : found->second;
}

Line ParseLine(const std::string& text) {
  Line line;
  std::istringstream in(text.substr(0, text.find('#')));
  for (std::string word; in >> word;) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos) {
      line.words.push_back(word);
      line.options[word] = "";
    } else {
      line.options[word.substr(0, equals)] = word.substr(equals + 1);
    }
  }
  return line;
}

World::World() : core_(CoreOptions{}) {
  table_.term = Term(1);
  table_.policy_name = "test";
  table_.routing_algorithm = "cheapest_within_slo";
  table_.explore_ratio = 0;
}

std::string World::Run(const std::string& lines) {
  said_.clear();
  std::istringstream in(lines);
  for (std::string text; std::getline(in, text);) {
    const Line line = ParseLine(text);
    if (!line.words.empty()) Do(line);
  }
  return said_;
}

void World::Say(std::string text) {
  if (!quiet_) said_ += std::move(text) + "\n";
}

void World::Do(const Line& line) {
  const std::string& verb = line.words[0];
  const std::string name = line.words.size() > 1 ? line.words[1] : "";
  if (verb == "policy") {
    table_.routing_algorithm = name;
    table_.explore_ratio = std::stod(line.Option("explore", "0"));
    table_.history = ParseTime(line.Option("history", "60s"));
    table_.value_nanos_per_second =
        std::llround(std::stod(line.Option("value_usd_per_second", "0")) * 1e9);
  } else if (verb == "deployment") {
    Deployment(line);
  } else if (verb == "replica") {
    Replica(line);
  } else if (verb == "remove") {
    if (name[0] == 'r') {
      for (RouteDeployment& d : table_.deployments)
        std::erase_if(d.replicas,
                      [&](const RouteReplica& r) { return r.id.value() == NumberOf(name); });
    } else {
      const std::string gone = line.words[2];
      std::erase_if(table_.deployments, [&](const RouteDeployment& d) { return d.name == gone; });
    }
  } else if (verb == "routes") {
    Route();
  } else if (verb == "link") {
    for (size_t i = 1; i < line.words.size(); ++i) Step(NodeLinked{line.words[i]});
  } else if (verb == "unlink") {
    Step(NodeUnlinked{name});
  } else if (verb == "request") {
    Request(line);
  } else if (verb == "first") {
    Step(FirstByteReceived{RequestOf(name), line.Has("streamed")});
  } else if (verb == "done") {
    RequestCompleted e;
    e.http_status = std::stoi(line.Option("status", "200"));
    e.output_tokens = static_cast<uint32_t>(std::stoul(line.Option("tokens", "0")));
    e.nothing = line.Has("nothing");
    e.held = line.Has("held");
    if (line.Has("retry_after")) e.retry_after = ParseTime(line.Option("retry_after"));
    for (size_t i = 1; i < line.words.size(); ++i) {
      if (line.words[i] == "held" || line.words[i] == "nothing") continue;
      e.id = RequestOf(line.words[i]);
      Step(e);
    }
  } else if (verb == "fail") {
    RequestFailed e{RequestOf(name), line.Has("started"), line.Option("why", "connection refused")};
    if (line.Has("way")) e.fault = RequestFailed::Fault::kWay;
    if (line.Has("request")) e.fault = RequestFailed::Fault::kRequest;
    Step(e);
  } else if (verb == "gone") {
    Step(ClientGone{RequestOf(name)});
  } else if (verb == "advance") {
    Advance(ParseTime(name));
  } else if (verb == "traffic") {
    Traffic(line);
  } else if (verb == "explain") {
    Explain(line);
  } else if (verb == "predict") {
    Predict(line);
  } else {
    Say("unknown line: " + verb);
  }
}

RouteDeployment& World::DeploymentNamed(const std::string& name) {
  for (RouteDeployment& d : table_.deployments)
    if (d.name == name) return d;
  table_.deployments.emplace_back().name = name;
  std::sort(table_.deployments.begin(), table_.deployments.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return DeploymentNamed(name);
}

void World::Deployment(const Line& line) {
  RouteDeployment& d = DeploymentNamed(line.words[1]);
  d.model = line.Option("model", d.name);
  d.objective = Objective();
  if (line.Has("end_to_end")) d.objective.end_to_end = ParseTime(line.Option("end_to_end"));
  if (line.Has("ttft")) d.objective.ttft = ParseTime(line.Option("ttft"));
  if (line.Has("per_token")) d.objective.per_token = ParseTime(line.Option("per_token"));
  d.objective.percentile = std::stod(line.Option("percentile", "0.95"));
  d.queue_max = static_cast<uint32_t>(std::stoul(line.Option("queue", "64")));
  d.queue_timeout = ParseTime(line.Option("queue_timeout", "30s"));
  d.created = FromMicros(std::stoll(line.Option("created", "0")) * 1'000'000);
}

void World::Replica(const Line& line) {
  RouteReplica r;
  r.id = ReplicaId(NumberOf(line.words[1]));
  r.node = line.Option("node", "n" + std::to_string(r.id.value()));
  r.device_model = line.Option("device", "nvidia/h100");
  r.kind = ParseDeviceKind(line.Option("kind", "GPU")).value_or(DeviceKind::kGpu);
  r.emulated = line.Has("emulated");
  r.concurrency = static_cast<uint32_t>(std::stoul(line.Option("concurrency", "4")));
  r.price = PriceRate{static_cast<int64_t>(std::stod(line.Option("price", "1")) * 1e6 + 0.5)};
  r.ready = !line.Has("starting") && !line.Has("unheard");
  r.unheard = line.Has("unheard");
  auto& replicas = DeploymentNamed(line.Option("of")).replicas;
  std::erase_if(replicas, [&](const RouteReplica& old) { return old.id == r.id; });
  replicas.push_back(r);
  std::sort(replicas.begin(), replicas.end(),
            [](const auto& a, const auto& b) { return a.id < b.id; });
}

void World::Route() {
  ++table_.version;
  Step(RoutesReceived{std::make_shared<RouteTable>(table_)});
}

void World::Request(const Line& line) {
  for (size_t i = 1; i < line.words.size(); ++i) {
    if (line.words[i] == "stream") continue;
    RequestArrived e;
    e.id = RequestOf(line.words[i]);
    e.model = line.Option("model", table_.deployments.empty() ? "" : table_.deployments[0].model);
    e.priority = std::stoi(line.Option("priority", "0"));
    e.stream = line.Has("stream");
    if (line.Has("deadline")) e.deadline = now_ + ParseTime(line.Option("deadline"));
    open_.insert(e.id);
    Step(e);
  }
}

// Time passes; the core is woken when it asked to be.
void World::Advance(Duration time) {
  const Time end = now_ + time;
  while (const auto wake = core_.NextWakeup()) {
    if (*wake > end) break;
    now_ = std::max(now_, *wake);
    Step(ClockTicked{});
    if (core_.NextWakeup() == wake) Say("BROKEN: a timer that was due is still there");
  }
  now_ = end;
}

// What node N does with a request: N=20ms answers after so long; N=500@1ms with that status,
// N=empty@1ms with nothing, N=broken@1ms not at all, N=50%500@20ms with it every other time.
struct Habit {
  Duration takes{};
  int32_t status = 200;
  bool empty = false, broken = false;
  uint64_t percent = 100;  // of requests to which the status applies
};

Habit ParseHabit(const std::string& text) {
  Habit habit;
  const size_t at = text.find('@');
  if (at == std::string::npos) {
    habit.takes = ParseTime(text);
    return habit;
  }
  habit.takes = ParseTime(text.substr(at + 1));
  std::string what = text.substr(0, at);
  if (const size_t percent = what.find('%'); percent != std::string::npos) {
    habit.percent = std::stoull(what);
    what.erase(0, percent + 1);
  }
  habit.empty = what == "empty";
  habit.broken = what == "broken";
  if (!habit.empty && !habit.broken) habit.status = std::stoi(what);
  return habit;
}

// count=N requests, one every=… or clients=C that each send the next when they have their answer;
// nodes answer by their habits. Says how many went where and why, and how they ended.
void World::Traffic(const Line& line) {
  const auto count = std::stoull(line.Option("count", "1"));
  const auto clients = std::stoull(line.Option("clients", "0"));
  const Duration every = ParseTime(line.Option("every", "1s"));
  std::map<std::pair<Time, RequestId>, Forward> due;  // ends
  std::map<std::string, uint64_t> tally, nth;
  uint64_t kept = 0, ended = 0, sent = 0;
  const bool outcomes = line.Has("outcomes");
  const auto take = [&] {
    for (const Command& command : last_.commands) {
      if (const auto* f = std::get_if<Forward>(&command)) {
        ++tally[fmt::format("{}@{} {}", ToString(f->replica), f->node,
                            outcomes ? "forwarded" : ToString(f->reason))];
        due[{now_ + ParseHabit(line.Option(f->node, "10ms")).takes, f->id}] = *f;
      } else if (const auto* r = std::get_if<Reject>(&command)) {
        ++tally[fmt::format("rejected {}", ToString(r->reason))];
      }
    }
    for (const RequestEnded& e : last_.ended) {
      ++ended;
      kept += e.within_objective;
      if (outcomes) ++tally[fmt::format("ended {}", OutcomeName(e.outcome))];
    }
  };
  const auto end = [&](RequestId id, const Forward& forward) {
    const Habit habit = ParseHabit(line.Option(forward.node, "10ms"));
    const bool odd = nth[forward.node]++ * habit.percent % 100 < habit.percent;
    if (odd && habit.broken) return Step(RequestFailed{id, false, "connection refused"});
    RequestCompleted e{id};
    e.http_status = odd ? habit.status : 200;
    e.nothing = odd && habit.empty;
    e.output_tokens = e.nothing ? 0 : static_cast<uint32_t>(std::stoul(line.Option("tokens", "1")));
    e.held = e.http_status >= 300;
    Step(e);
  };
  quiet_ = true;
  Time next = now_;
  while (sent < count || !due.empty() || open_.size() > 0) {
    const bool may_send = sent < count && (clients == 0 || open_.size() < clients);
    const Time sends = clients == 0 ? next : now_;
    const auto wake = core_.NextWakeup();
    const Time ends = due.empty() ? kTimeMax : due.begin()->first.first;
    if (wake.has_value() && *wake <= ends && (!may_send || *wake <= sends)) {
      now_ = std::max(now_, *wake);
      Step(ClockTicked{});
    } else if (!due.empty() && (!may_send || ends <= sends)) {
      const auto [at, id] = due.begin()->first;
      const Forward forward = due.begin()->second;
      due.erase(due.begin());
      now_ = std::max(now_, at);
      if (!open_.contains(id)) continue;
      end(id, forward);
    } else if (may_send) {
      now_ = std::max(now_, sends);
      next += every;
      ++sent;
      RequestArrived e;
      e.id = RequestId(++last_traffic_);
      e.model = line.Option("model", table_.deployments[0].model);
      open_.insert(e.id);
      Step(e);
    } else {
      break;  // What was open before the traffic.
    }
    take();
  }
  quiet_ = false;
  for (const auto& [what, times] : tally) Say(fmt::format("{} x {}", times, what));
  Say(fmt::format("objective kept {} of {}", kept, ended));
}

void World::Explain(const Line& line) {
  const auto e = core_.Explain(RequestOf(line.words[1]));
  if (!e.has_value()) return Say("nothing is known of " + line.words[1]);
  Say(fmt::format("{} of {} under {}: {}{}", NameOf(e->id), e->deployment, e->policy, e->outcome,
                  e->reason.has_value() ? fmt::format(" ({})", ToString(*e->reason)) : ""));
  for (const CandidateView& c : e->candidates)
    Say(fmt::format("  {}@{} {}{} ${:.3f}/h {}/{} predicted={} samples={} cost={}n$ {} {}",
                    ToString(c.replica), c.node, c.device_model, c.emulated ? " (emulated)" : "",
                    c.price.dollars_per_hour(), c.in_flight, c.concurrency,
                    FormatDuration(c.predicted), c.samples, c.predicted_cost_nanos,
                    c.within_objective ? "within" : "outside", c.verdict));
}

void World::Predict(const Line& line) {
  for (const CandidateView& c : core_.Predictions(line.words[1]))
    Say(fmt::format("{} {} predicted={} samples={} {}", ToString(c.replica), c.device_model,
                    FormatDuration(c.predicted), c.samples, c.verdict));
}

void World::Step(const Event& event) {
  last_.Clear();
  core_.Step(now_, event, last_);
  Show(last_);
  CheckInvariants();
}

void World::Show(const Effects& effects) {
  for (const Command& command : effects.commands) Say(Describe(command));
  for (const ReplicaPutOut& out : effects.put_out)
    Say(fmt::format("out {} for {}: {}", ToString(out.replica), FormatDuration(out.time),
                    ToString(out.cause)));
  for (const RequestEnded& ended : effects.ended) {
    Say(Describe(ended));
    if (open_.erase(ended.id) == 0) Say("BROKEN: " + NameOf(ended.id) + " ended twice");
  }
}

void World::CheckInvariants() {
  for (const Command& command : last_.commands) {
    const auto* forward = std::get_if<Forward>(&command);
    if (forward == nullptr) continue;
    for (const RouteDeployment& d : core_.routes().deployments)
      for (const RouteReplica& r : d.replicas)
        if (r.id == forward->replica && core_.InFlight(r.id) > r.concurrency)
          said_ += "BROKEN: " + ToString(r.id) + " holds more than its concurrency\n";
  }
  for (const RouteDeployment& d : core_.routes().deployments)
    if (core_.Queued(d.name) > d.queue_max)
      said_ += "BROKEN: the queue of " + d.name + " is too long\n";
}

}  // namespace allot::router
