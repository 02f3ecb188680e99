#include "scheduler/shell/waiters.h"

#include <utility>
#include <vector>

namespace allot::scheduler {

ReplyToken Waiters::Expect(http::ResponderPtr responder, RenderReply render) {
  expected_.emplace(++last_token_, Expected{std::move(responder), std::move(render), unsent_});
  return last_token_;
}

Pipeline::Action Waiters::PrepareReply(const Reply& reply) {
  const auto it = expected_.find(reply.token);
  if (it == expected_.end()) return {};
  Expected expected = std::move(it->second);
  expected_.erase(it);
  return [responder = std::move(expected.responder), unsent = std::move(expected.unsent),
          response = reply.status.ok() ? expected.render(reply)
                                       : http::ErrorResponse(reply.status)]() mutable {
    unsent.reset();
    responder->Send(std::move(response));
  };
}

size_t Waiters::waiting(const std::string& sender) const {
  const auto it = of_sender_.find(sender);
  return it == of_sender_.end() ? 0 : it->second;
}

void Waiters::Left(const Waiter& waiter) {
  --waiting_;
  if (const auto of = of_sender_.find(waiter.sender); --of->second == 0) of_sender_.erase(of);
}

void Waiters::UntilEnd(JobId job, std::string sender, http::ResponderPtr responder,
                       Duration timeout, RenderJob render) {
  auto waiter = std::make_shared<Waiter>();
  ++of_sender_[sender];
  waiter->sender = std::move(sender);
  waiter->responder = std::move(responder);
  waiter->render = std::move(render);
  waiter->timer = std::make_unique<Timer>(loop_);
  jobs_[job].push_back(waiter);
  ++waiting_;
  // The waiter owns what holds these callbacks, so they hold it weakly.
  const std::weak_ptr<Waiter> weak = waiter;
  waiter->timer->After(timeout, [this, job, weak] {
    const auto waiter = weak.lock();
    if (waiter == nullptr || !Forget(job, waiter.get())) return;
    pipeline_.WhenDurable([responder = waiter->responder, response = waiter->render()]() mutable {
      responder->Send(std::move(response));
    });
  });
  waiter->responder->OnClientGone([this, job, weak] {
    if (const auto waiter = weak.lock()) Forget(job, waiter.get());
  });
}

bool Waiters::Forget(JobId job, const Waiter* waiter) {
  const auto it = jobs_.find(job);
  if (it == jobs_.end()) return false;
  const size_t found = std::erase_if(it->second, [&](const auto& w) { return w.get() == waiter; });
  if (found != 0) Left(*waiter);
  if (it->second.empty()) jobs_.erase(it);
  return found != 0;
}

Pipeline::Action Waiters::PrepareJobEnded(JobId job) {
  const auto it = jobs_.find(job);
  if (it == jobs_.end()) return {};
  std::vector<std::shared_ptr<Waiter>> ended = std::move(it->second);
  jobs_.erase(it);
  for (const auto& waiter : ended) Left(*waiter);
  std::vector<http::Response> responses;
  for (const auto& waiter : ended) {
    waiter->timer->Stop();
    responses.push_back(waiter->render());
  }
  return [ended = std::move(ended), responses = std::move(responses)]() mutable {
    for (size_t i = 0; i < ended.size(); ++i) ended[i]->responder->Send(std::move(responses[i]));
  };
}

}  // namespace allot::scheduler
