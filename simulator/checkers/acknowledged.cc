#include "simulator/checkers/acknowledged.h"

namespace allot::simulator {

void Acknowledged::Replied(JobId job, const std::string& key) {
  if (!job.valid()) findings_.Add("acknowledged", "a submission was answered without a job");
  jobs_.insert(job);
  if (key.empty()) return;
  const auto [it, fresh] = keys_.try_emplace(key, job);
  if (!fresh && it->second != job)
    findings_.Add("acknowledged", "the key {} was answered with {} and with {}", key,
                  ToString(it->second), ToString(job));
}

void Acknowledged::CheckKept(const scheduler::ClusterState& state) {
  for (const JobId job : jobs_)
    if (state.FindJob(job) == nullptr)
      findings_.Add("acknowledged", "{} was acknowledged and is forgotten", ToString(job));
}

void Acknowledged::PutBack(const scheduler::ClusterState& state) {
  std::erase_if(jobs_, [&](JobId job) { return state.FindJob(job) == nullptr; });
  std::erase_if(keys_, [&](const auto& entry) { return state.FindJob(entry.second) == nullptr; });
}

}  // namespace allot::simulator
