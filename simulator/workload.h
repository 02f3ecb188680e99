// The people: they submit, cancel, deploy, drain, switch policies and send requests, and insist
// until they are answered. Once the faults heal they clean up and wait.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "simulator/scheduler_host.h"
#include "simulator/world.h"

namespace allot::simulator {

class Workload {
 public:
  explicit Workload(World& world);
  void Start();
  // No new work; what cannot end by itself is cancelled, deployments are deleted after a while.
  void Finish();
  bool Answered() const { return asking_ == 0; }

 private:
  struct Submitted {
    JobId job;
    scheduler::JobSpecPtr spec;
  };
  using Make = std::function<scheduler::Event(scheduler::ReplyToken)>;
  void Insist(Make make, SchedulerHost::Answer answer);
  void Try(const std::shared_ptr<struct Question>& question);
  void ActOnce();
  void Submit();
  void Cancel(JobId job);
  void ApplyDeployment();
  void DeleteDeployment(const std::string& name);
  void Drain(const std::string& node, bool drain);
  void TakeDevice(const std::string& node, const std::string& device, bool in_service);
  void SwitchPolicy();
  void Request();
  void RequestsOnce();

  World& world_;
  Duration pace_{}, request_pace_{};
  uint64_t jobs_max_ = 0, jobs_ = 0;
  uint64_t deployments_ = 0;
  bool finishing_ = false;
  int asking_ = 0;
  bool kinds_ = false;  // of work, and of people: several
  std::map<JobId, scheduler::JobSpecPtr> submitted_;
  std::set<std::string> deployed_;
};

}  // namespace allot::simulator
