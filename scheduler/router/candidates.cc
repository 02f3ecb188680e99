#include "scheduler/router/candidates.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace allot::router {
namespace {

constexpr Duration kUnbounded = Duration::max();
// With nothing promised and nothing known, any number does: only prices differ then.
constexpr Duration kBlindGuess = std::chrono::milliseconds(100);

bool MissesTwice(Duration predicted, const std::optional<Duration>& promised) {
  return promised.has_value() && predicted > 2 * *promised;
}

bool FarOutside(const Prediction& p, const Objective& objective, bool stream) {
  if (p.samples == 0) return false;
  if (MissesTwice(p.end_to_end.Idle(), objective.end_to_end)) return true;
  return stream && (MissesTwice(p.ttft.Idle(), objective.ttft) ||
                    MissesTwice(p.per_token.Idle(), objective.per_token));
}

// Nano-dollars, rounded; one multiplication of doubles is the same on every machine.
int64_t CostNanos(const Slot& slot, Duration time) {
  const double nanos = slot.nanos_per_microsecond * static_cast<double>(time.count());
  return nanos >= 9e18 ? std::numeric_limits<int64_t>::max() : static_cast<int64_t>(nanos + 0.5);
}

}  // namespace

void Candidates::Build(Time now, Deployment& deployment, const Request* request) {
  now_ = now;
  deployment_ = &deployment;
  request_ = request;
  Predict();
  SetBudgets();
  deployment.panic = Panic();
  views_.clear();
  views_.reserve(deployment.slots.size());
  for (uint32_t i = 0; i < deployment.slots.size(); ++i) {
    const Slot& slot = deployment.slots[i];
    if (StandingOf(slot) != Standing::kCandidate) continue;
    const Rating rating = Rate(slot, slot.in_flight);
    policies::ReplicaView& view = views_.emplace_back();
    view.index = i;
    view.in_flight = slot.in_flight;
    view.concurrency = slot.concurrency;
    view.price = slot.price;
    view.predicted = rating.predicted;
    view.predicted_ttft = rating.ttft;
    view.expected = rating.expected;
    view.within_objective = rating.within;
    view.far_outside = slot.group->far_outside;
    view.samples = slot.group->prediction.samples;
    view.cost_nanos = rating.cost_nanos;
  }
}

// One look at each estimate per decision. A device never observed is taken to be as fast as the
// fastest known one of the deployment: optimistic, so that it is tried, and with 0 samples, so
// that policies know it for a guess.
void Candidates::Predict() {
  const Objective& objective = deployment_->objective;
  const bool stream = request_ == nullptr || request_->stream;
  Duration best = kUnbounded, best_mean = kUnbounded;
  for (const auto& group : deployment_->groups) {
    group->prediction = group->estimate.Predict(now_);
    group->far_outside = FarOutside(group->prediction, objective, stream);
    if (group->prediction.samples == 0) continue;
    best = std::min(best, group->prediction.end_to_end.Idle());
    best_mean = std::min(best_mean, group->prediction.mean.Idle());
  }
  if (best == kUnbounded)
    best = best_mean = objective.end_to_end.has_value() ? *objective.end_to_end / 2
                       : objective.ttft.has_value()     ? *objective.ttft / 2
                                                        : kBlindGuess;
  for (const auto& group : deployment_->groups) {
    if (group->prediction.samples > 0) continue;
    group->prediction.end_to_end = {best.count(), 0};
    group->prediction.mean = {best_mean.count(), 0};
  }
}

void Candidates::SetBudgets() {
  const Objective& objective = deployment_->objective;
  const Duration waited = request_ == nullptr ? Duration::zero() : now_ - request_->arrived;
  const bool stream = request_ == nullptr || request_->stream;
  const bool deadline = request_ != nullptr && request_->deadline.has_value();
  deadline_left_ = deadline ? *request_->deadline - now_ : kUnbounded;
  end_to_end_left_ = deadline_left_;
  if (objective.end_to_end.has_value())
    end_to_end_left_ = std::min(end_to_end_left_, *objective.end_to_end - waited);
  ttft_left_ = stream && objective.ttft.has_value() ? *objective.ttft - waited : kUnbounded;
  per_token_left_ = stream ? objective.per_token.value_or(kUnbounded) : kUnbounded;
}

// Better a replica that is out than no answer: it may have come to itself, and if not, its own
// words tell the client more than ours.
bool Candidates::Panic() const {
  return std::none_of(deployment_->slots.begin(), deployment_->slots.end(),
                      [this](const Slot& slot) {
                        return slot.available() && slot.replica->conduct.MayServe(now_);
                      });
}

Standing Candidates::StandingOf(const Slot& slot) const {
  if (!slot.ready) return Standing::kNotReady;
  if (!slot.linked) return Standing::kNotLinked;
  if (request_ != nullptr && request_->HasTried(slot.replica->facts.id)) return Standing::kTried;
  if (const Conduct& conduct = slot.replica->conduct; !deployment_->panic) {
    if (conduct.Out(now_)) return Standing::kOut;
    if (!conduct.MayServe(now_)) return Standing::kOnTrial;
  }
  return slot.in_flight < slot.concurrency ? Standing::kCandidate : Standing::kFull;
}

bool Candidates::Fits(const DeviceGroup& group, Duration end_to_end, Duration ttft,
                      Duration per_token) const {
  if (group.prediction.samples == 0) return true;
  return end_to_end <= end_to_end_left_ && ttft <= ttft_left_ && per_token <= per_token_left_;
}

Candidates::Rating Candidates::Rate(const Slot& slot, uint32_t others) const {
  const Prediction& p = slot.group->prediction;
  const Load load = LoadOf(others, slot.concurrency);
  Rating rating;
  rating.predicted = p.end_to_end.At(load);
  rating.ttft = p.ttft.At(load);
  rating.expected = p.mean.At(load);
  rating.cost_nanos = CostNanos(slot, rating.expected);
  rating.within = Fits(*slot.group, rating.predicted, rating.ttft, p.per_token.At(load));
  return rating;
}

bool Candidates::WorthWaiting() const {
  double rate = 0;  // ends per microsecond
  Duration least = kUnbounded, least_ttft = kUnbounded;
  for (const Slot& slot : deployment_->slots) {
    if (StandingOf(slot) != Standing::kFull || slot.group->prediction.samples == 0) continue;
    const Rating rating = Rate(slot, slot.concurrency - 1);
    if (!rating.within) continue;
    rate += slot.concurrency / static_cast<double>(std::max<int64_t>(rating.expected.count(), 1));
    least = std::min(least, rating.predicted);
    least_ttft = std::min(least_ttft, rating.ttft);
  }
  if (rate <= 0) return false;
  const Duration wait(static_cast<int64_t>(1 / rate));
  return wait <= end_to_end_left_ - least && wait <= ttft_left_ - least_ttft;
}

bool Candidates::DeadlineOutOfReach() const {
  if (deadline_left_ == kUnbounded) return false;
  if (deadline_left_ <= Duration::zero()) return true;
  Duration least = kUnbounded;
  for (const Slot& slot : deployment_->slots)
    if (slot.available()) least = std::min(least, slot.group->prediction.least);
  return deadline_left_ < least;
}

int64_t Candidates::DrainPerKilosecond() const {
  double rate = 0;  // ends per microsecond
  for (const Slot& slot : deployment_->slots) {
    if (!slot.available()) continue;
    if (!deployment_->panic && slot.replica->conduct.troubled()) continue;
    const Prediction& p = slot.group->prediction;
    const Duration full = p.mean.At(LoadOf(slot.concurrency - 1, slot.concurrency));
    rate += slot.concurrency / static_cast<double>(std::max<int64_t>(full.count(), 1));
  }
  return static_cast<int64_t>(std::min(rate * 1e9, 9e18));
}

bool Candidates::AnyUntried() const {
  return std::any_of(deployment_->slots.begin(), deployment_->slots.end(),
                     [this](const Slot& slot) {
                       const Standing standing = StandingOf(slot);
                       return standing == Standing::kCandidate || standing == Standing::kFull;
                     });
}

ConsideredReplica Candidates::Consider(const Slot& slot) const {
  const Rating rating = Rate(slot, slot.in_flight);
  ConsideredReplica out;
  out.id = slot.replica->facts.id;
  out.price = slot.price;
  out.power = slot.replica->facts.power;
  out.predicted = rating.predicted;
  out.cost_nanos = rating.cost_nanos;
  out.in_flight = slot.in_flight;
  out.concurrency = slot.concurrency;
  out.samples = slot.group->prediction.samples;
  out.within_objective = rating.within;
  out.standing = StandingOf(slot);
  out.out_cause = slot.replica->conduct.cause();
  return out;
}

void Candidates::Describe(int64_t chosen, std::vector<ConsideredReplica>* out) const {
  const std::vector<Slot>& slots = deployment_->slots;
  out->clear();
  if (slots.size() <= ExplanationLog::kConsideredMax) {
    for (const Slot& slot : slots) out->push_back(Consider(slot));
    if (chosen >= 0) (*out)[static_cast<size_t>(chosen)].chosen = true;
    return;
  }
  if (chosen >= 0) {
    out->push_back(Consider(slots[static_cast<size_t>(chosen)]));
    out->back().chosen = true;
  }
  for (const auto& group : deployment_->groups) group->best = nullptr;
  for (const Slot& slot : slots) {
    if (&slot - slots.data() == chosen) continue;
    const Slot*& best = slot.group->best;
    const auto rank = [](const Slot& s) { return std::pair(!s.has_room(), s.in_flight); };
    if (best == nullptr || rank(slot) < rank(*best)) best = &slot;
  }
  for (const auto& group : deployment_->groups)
    if (group->best != nullptr && out->size() < ExplanationLog::kConsideredMax)
      out->push_back(Consider(*group->best));
}

CandidateView Candidates::Show(const Slot& slot) const {
  const Rating rating = Rate(slot, slot.in_flight);
  const RouteReplica& facts = slot.replica->facts;
  CandidateView view;
  view.replica = facts.id;
  view.node = facts.node;
  view.device_model = facts.device_model;
  view.kind = facts.kind;
  view.emulated = facts.emulated;
  view.price = facts.price;
  view.power = facts.power;
  view.predicted_energy = EnergyOf(facts.power, rating.predicted) / slot.concurrency;
  view.in_flight = slot.in_flight;
  view.concurrency = slot.concurrency;
  view.predicted = rating.predicted;
  view.samples = slot.group->prediction.samples;
  view.predicted_cost_nanos = rating.cost_nanos;
  view.predicted_cost = Cost{(rating.cost_nanos + 500) / 1000};
  view.within_objective = rating.within;
  view.verdict = WhyNot(StandingOf(slot), slot.replica->conduct.cause());
  if (view.verdict.empty()) view.verdict = rating.within ? "available" : "too slow";
  if (const Conduct& conduct = slot.replica->conduct; conduct.troubled()) {
    view.out_why = ToString(conduct.cause());
    view.out_for = std::max(conduct.until() - now_, Duration::zero());
  }
  return view;
}

}  // namespace allot::router
