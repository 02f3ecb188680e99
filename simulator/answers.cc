#include "simulator/answers.h"

#include "fmt/format.h"
#include "fmt/ranges.h"

namespace allot::simulator {
namespace {

std::string Text(const std::vector<scheduler::Reason>& reasons) {
  std::string text;
  for (const scheduler::Reason& r : reasons)
    text += fmt::format(" {} {} \"{}\"", ToString(r.reason), r.count, r.detail);
  return text;
}

std::string Text(const scheduler::JobExplanation& e) {
  std::string text = fmt::format("\n    explain {} {} never={} waited={}{}", ToString(e.job),
                                 ToString(e.phase), e.never, e.waited.count(), Text(e.reasons));
  for (const std::string& remedy : e.remedies) text += "\n      remedy " + remedy;
  for (const std::string& warning : e.warnings) text += "\n      warning " + warning;
  for (const auto& c : e.candidates)
    text += fmt::format("\n      candidate {} {} emulated={} {} {} {} {}", c.node, c.device_model,
                        c.emulated, ToString(c.isolation), c.price.micros_per_hour, c.score.micros,
                        c.verdict);
  return text;
}

std::string Text(const scheduler::Rollout& r) {
  return fmt::format("{} wanted={} placed={} ready={} older={}/{} ending={} {}", ToString(r.state),
                     r.wanted, r.placed, r.ready, r.older_ready, r.older, r.ending, r.message);
}

std::string Text(const TaskLaunch& l) {
  return fmt::format(
      "{} {} of {} {} {} in {} {} cpus={} memory={} devices={} main={}:{} peers={} "
      "grace={} runtime={}",
      l.job_name, l.tenant, l.world_size, l.command, l.environment, l.work_dir, l.checkpoint_dir,
      l.resources.cpus, l.resources.memory, l.device_ids, l.main_address, l.main_port,
      l.peer_addresses, l.grace.count(), static_cast<int>(l.runtime));
}

std::string Text(const ReplicaLaunch& l) {
  return fmt::format(
      "{} {} {} {} in {} cpus={} memory={} devices={} health={} {}us/{}us/{}us x{} "
      "grace={} concurrency={}",
      l.deployment, l.model, l.command, l.environment, l.work_dir, l.resources.cpus,
      l.resources.memory, l.device_ids, l.health.path, l.health.interval.count(),
      l.health.timeout.count(), l.health.start_timeout.count(), l.health.failures_max,
      l.grace.count(), l.concurrency);
}

std::string Text(const Objective& o) {
  const auto part = [](std::optional<Duration> d) { return d ? d->count() : -1; };
  return fmt::format("{}/{}/{}us p{:.4g}", part(o.ttft), part(o.per_token), part(o.end_to_end),
                     o.percentile);
}

std::string Text(const RouteTable& t) {
  std::string text = fmt::format("\n    table {} {} explore={:.6g} history={} value={}",
                                 t.policy_name, t.routing_algorithm, t.explore_ratio,
                                 t.history.count(), t.value_nanos_per_second);
  for (const RouteDeployment& d : t.deployments) {
    text +=
        fmt::format("\n      {} {} {} {} queue={} {}us created={}", d.name, d.model, d.tenant,
                    Text(d.objective), d.queue_max, d.queue_timeout.count(), ToMicros(d.created));
    for (const RouteReplica& r : d.replicas)
      text += fmt::format(
          "\n        {} {} {} {} emulated={} x{} concurrency={} {} {}mW ready={} "
          "unheard={}",
          ToString(r.id), r.node, ToString(r.kind), r.device_model, r.emulated, r.device_count,
          r.concurrency, r.price.micros_per_hour, r.power, r.ready, r.unheard);
  }
  return text;
}

struct DetailText {
  std::string operator()(const scheduler::SendToAgent& c) const {
    if (const auto* task = std::get_if<StartTask>(&c.message))
      return "\n    launch " + Text(task->launch);
    if (const auto* replica = std::get_if<StartReplica>(&c.message))
      return "\n    launch " + Text(replica->launch);
    if (const auto* stop = std::get_if<StopTask>(&c.message))
      return fmt::format("\n    grace {}", stop->grace.count());
    return "";
  }
  std::string operator()(const scheduler::SendRoutes& c) const { return Text(*c.table); }
  std::string operator()(const auto&) const { return ""; }
};

std::string Text(const router::RequestExplanation& e) {
  std::string text =
      fmt::format("\n      explain {} {} {} {} {} {} {}", e.deployment, e.policy,
                  ToMicros(e.arrived), e.outcome, e.reason ? ToString(*e.reason) : "-",
                  e.cost ? e.cost->micros : -1, e.energy.value_or(-1));
  for (const router::CandidateView& c : e.candidates)
    text += fmt::format(
        "\n        {} {} {} {} emulated={} {} {}/{} {}us of {} cost={} {} {}mW {}mJ "
        "within={} out={} {}us {}",
        ToString(c.replica), c.node, c.device_model, ToString(c.kind), c.emulated,
        c.price.micros_per_hour, c.in_flight, c.concurrency, c.predicted.count(), c.samples,
        c.predicted_cost.micros, c.predicted_cost_nanos, c.power, c.predicted_energy,
        c.within_objective, c.out_why, c.out_for.count(), c.verdict);
  return text;
}

}  // namespace

std::string Answers(const scheduler::Core& core, Time now) {
  const scheduler::ClusterState& state = core.state();
  std::string text = fmt::format("answers, state {:016x}", state.Fingerprint());
  for (const auto& [id, job] : state.jobs()) {
    if (job.phase == JobPhase::kFinished) continue;
    const auto why = core.ExplainJob(now, id);
    text += why.ok() ? Text(*why) : "\n    " + MessageOf(why.status());
  }
  for (const auto& [name, deployment] : state.deployments()) {
    text += fmt::format("\n    rollout {} {}", name, Text(core.RolloutOf(deployment)));
    const auto waits = core.ExplainDeployment(name);
    if (!waits.ok()) continue;
    for (const scheduler::ReplicaWait& wait : *waits)
      text +=
          fmt::format("\n      {} of group {} wait:{}", wait.count, wait.group, Text(wait.reasons));
  }
  return text;
}

std::string Details(const scheduler::Effects& effects) {
  std::string text;
  for (const auto& command : effects.commands) text += std::visit(DetailText{}, command);
  return text;
}

std::string Details(const router::Core& core, const router::Effects& effects) {
  std::string text;
  for (const router::RequestEnded& e : effects.ended) {
    text += fmt::format(
        "\n    bill {} {} {} {} {} emulated={} outcome={} {} {}+{} tokens {}/{}/{}us "
        "within={} cost={} {}mJ",
        ToString(e.id), e.deployment, e.tenant, e.device_model, ToString(e.kind), e.emulated,
        static_cast<int>(e.outcome), e.http_status, e.prompt_tokens, e.output_tokens,
        e.queued.count(), e.ttft.count(), e.end_to_end.count(), e.within_objective, e.cost.micros,
        e.energy);
    if (const auto why = core.Explain(e.id)) text += Text(*why);
  }
  for (const router::ReplicaPutOut& out : effects.put_out)
    text += fmt::format("\n    put out {} {} {} {} {}us", out.deployment, ToString(out.replica),
                        out.node, static_cast<int>(out.cause), out.time.count());
  for (const router::TriedElsewhere& again : effects.retries)
    text += fmt::format("\n    again {} {}", again.deployment, again.why);
  return text;
}

}  // namespace allot::simulator
