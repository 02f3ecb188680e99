#include "simulator/workload.h"

#include <array>

#include "fmt/format.h"
#include "simulator/cluster_maker.h"
#include "simulator/gateway_host.h"
#include "simulator/node_host.h"

namespace allot::simulator {

struct Question {
  std::function<scheduler::Event(scheduler::ReplyToken)> make;
  SchedulerHost::Answer answer;
  bool answered = false;
};

Workload::Workload(World& world) : world_(world) {
  pace_ = world_.Between(20ms, 600ms);
  request_pace_ = world_.Between(200ms, 3s);
  kinds_ = world_.rng.OneIn(3);
  jobs_max_ = (20 + world_.rng.Below(100)) * std::max<uint64_t>(1, world_.events_planned() / 2'000);
}

void Workload::Start() {
  SwitchPolicy();
  world_.loop.After(pace_, [this] { ActOnce(); });
  world_.loop.After(request_pace_, [this] { RequestsOnce(); });
}

// Asks again until there is an answer; a person does not know whether the scheduler died before or
// after it did as asked.
void Workload::Insist(Make make, SchedulerHost::Answer answer) {
  auto question = std::make_shared<Question>();
  question->make = std::move(make);
  question->answer = std::move(answer);
  ++asking_;
  Try(question);
}

void Workload::Try(const std::shared_ptr<Question>& question) {
  if (question->answered) return;
  world_.scheduler->Ask(question->make, [this, question](const scheduler::Reply& reply) {
    if (question->answered) return;
    question->answered = true;
    --asking_;
    question->answer(reply);
  });
  world_.loop.After(world_.Between(1s, 4s), [this, question] { Try(question); });
}

void Workload::ActOnce() {
  if (finishing_) return;
  world_.loop.After(world_.Between(Duration(0), pace_ * 2), [this] { ActOnce(); });
  const uint64_t dice = world_.rng.Below(100);
  if (dice < 70) return Submit();
  if (dice < 80) {
    if (submitted_.empty()) return;
    auto it = submitted_.begin();
    std::advance(it, static_cast<ptrdiff_t>(world_.rng.Below(submitted_.size())));
    return Cancel(it->first);
  }
  if (dice < 88) return ApplyDeployment();
  if (dice < 91) {
    if (!deployed_.empty()) DeleteDeployment(*deployed_.begin());
    return;
  }
  if (dice < 95) {
    const NodeHost& node = *world_.nodes[world_.rng.Below(world_.nodes.size())];
    if (world_.rng.OneIn(2)) return Drain(node.name(), world_.rng.OneIn(2));
    const auto& devices = node.info().devices;
    // One draw a statement: compilers differ in which argument they work out first.
    const bool in_service = world_.rng.OneIn(2);
    return TakeDevice(node.name(), devices[world_.rng.Below(devices.size())].id, in_service);
  }
  SwitchPolicy();
}

void Workload::SwitchPolicy() {
  auto policy = std::make_shared<const Policy>(MakePolicy(world_.rng));
  Insist([=](auto token) { return scheduler::PolicyApplied{token, policy}; }, [](const auto&) {});
}

// A node that has not registered yet, or lacks the device now, refuses; people take that as answer.
void Workload::TakeDevice(const std::string& node, const std::string& device, bool in_service) {
  Insist(
      [=](auto token) {
        return scheduler::DeviceServiceRequested{token, node, device, in_service, "olga"};
      },
      [](const auto&) {});
}

void Workload::Submit() {
  if (jobs_ >= jobs_max_) return;
  const uint64_t number = ++jobs_;
  auto spec = std::make_shared<const JobSpec>(MakeJob(world_.rng, number, kinds_, world_.leases));
  // Without a key a lost answer cannot be asked for again.
  const std::string key = world_.rng.OneIn(4) ? "" : fmt::format("key-{}", number);
  // Several people, and programs that say nobody's name.
  std::string user = "user";
  if (kinds_) user = std::array<const char*, 4>{"ada", "ada", "ben", ""}[world_.rng.Below(4)];
  const auto make = [spec, user, key](auto token) {
    return scheduler::JobSubmitted{token, spec, user, key};
  };
  const auto answer = [this, spec, key](const scheduler::Reply& reply) {
    if (!reply.status.ok()) return;
    world_.acknowledged.Replied(reply.job, key);
    submitted_[reply.job] = spec;
  };
  if (key.empty()) {
    world_.scheduler->Ask(make, answer);
  } else {
    Insist(make, answer);
  }
}

void Workload::Cancel(JobId job) {
  Insist(
      [=](auto token) {
        return scheduler::JobCancelRequested{token, job, "user"};
      },
      [this, job](const scheduler::Reply& reply) {
        if (reply.status.ok()) world_.job_ledger.CancelAcknowledged(job);
      });
}

void Workload::ApplyDeployment() {
  const uint64_t number = world_.rng.Below(3);
  auto spec = std::make_shared<const DeploymentSpec>(MakeDeployment(world_.rng, number));
  Insist(
      [=](auto token) {
        return scheduler::DeploymentApplied{token, spec};
      },
      [this, spec](const scheduler::Reply& reply) {
        if (reply.status.ok()) deployed_.insert(spec->name);
      });
}

void Workload::DeleteDeployment(const std::string& name) {
  Insist(
      [=](auto token) {
        return scheduler::DeploymentDeleteRequested{token, name};
      },
      [this, name](const auto&) { deployed_.erase(name); });
}

void Workload::Drain(const std::string& node, bool drain) {
  Insist(
      [=](auto token) {
        return scheduler::NodeDrainRequested{token, node, drain};
      },
      [](const auto&) {});
}

void Workload::RequestsOnce() {
  if (finishing_) return;
  world_.loop.After(world_.Between(Duration(0), request_pace_ * 2), [this] { RequestsOnce(); });
  Request();
}

void Workload::Request() {
  const std::string model =
      world_.rng.OneIn(50) ? "nobody" : fmt::format("m{}", world_.rng.Below(3));
  std::optional<Duration> deadline;
  if (world_.rng.OneIn(3)) deadline = world_.Between(10ms, 2s);
  const bool stream = world_.rng.OneIn(2);
  const auto priority = static_cast<int32_t>(world_.rng.Below(2));
  world_.gateway->Arrive(model, deadline, priority, stream);
}

void Workload::Finish() {
  finishing_ = true;
  // In half of the runs the caps are lifted, which must wake what they held back; in the others
  // what they leave room for must still get its turn.
  if (world_.rng.OneIn(2)) {
    Policy policy = MakePolicy(world_.rng);
    policy.power = {};
    auto lifted = std::make_shared<const Policy>(std::move(policy));
    Insist([=](auto token) { return scheduler::PolicyApplied{token, lifted}; }, [](const auto&) {});
  }
  std::vector<const NodeInfo*> nodes;
  for (const auto& node : world_.nodes) nodes.push_back(&node->info());
  // Answers to what was asked before may still come, so this waits a little.
  world_.loop.After(20s, [this, nodes] {
    // Also jobs whose answer was lost: the scheduler has them, whoever asked. Noted first, for what
    // is asked changes the state.
    const scheduler::ClusterState& state = world_.scheduler->core().state();
    std::vector<JobId> hopeless;
    for (const auto& [id, job] : state.jobs())
      if (!EndsByItself(*job.spec) || !FitsEmptyCluster(*job.spec, nodes, *state.policy()))
        hopeless.push_back(id);
    std::vector<std::string> deployed;
    for (const auto& [name, deployment] : state.deployments()) deployed.push_back(name);
    // What jobs have failed on comes back by itself; an operator's word needs another.
    std::vector<std::pair<std::string, std::string>> taken;
    for (const scheduler::NodeState& node : state.nodes()) {
      for (const auto& [device, held] : node.quarantines) {
        if (held.strikes == 0) taken.emplace_back(node.info->name, device);
      }
    }
    for (const auto& node : world_.nodes) Drain(node->name(), false);
    for (const auto& [node, device] : taken) TakeDevice(node, device, true);
    for (const JobId id : hopeless) Cancel(id);
    for (const std::string& name : deployed) DeleteDeployment(name);
  });
}

}  // namespace allot::simulator
