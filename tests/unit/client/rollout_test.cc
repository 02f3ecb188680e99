// `allot deploy --wait` tells the truth: reached only when the replicas of what was deployed are
// ready and no others are left.
#include "client/rollout.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace allot::client {
namespace {

struct Row {
  const char* about;
  StatusOr<DeploymentView> answer;
  const char* says;  // the news of one not reached; "!" and the error; "" where it is reached
};

ReplicaView Replica(const char* id, int64_t generation, const char* phase,
                    const char* message = "") {
  ReplicaView r;
  r.id = id;
  r.node = "n1";
  r.generation = generation;
  r.phase = phase;
  r.message = message;
  return r;
}

// Generation 2 of "a" was deployed. Counts and state as the scheduler derives them; `state` left
// out is an answer of the build before, which does not tell.
DeploymentView View(const char* state, int64_t wanted, int64_t ready, int64_t older = 0,
                    int64_t ending = 0, const char* message = "") {
  DeploymentView d;
  d.name = "a";
  d.generation = 2;
  d.state = state;
  d.wanted = wanted;
  d.ready = ready;
  d.older = older;
  d.ending = ending;
  d.message = message;
  return d;
}

DeploymentView Stopping() {
  DeploymentView d = View("stopping", 0, 0, 0, 1);
  d.stopping = true;
  return d;
}

DeploymentView Newer() {
  DeploymentView d = View("ready", 1, 1);
  d.generation = 3;
  return d;
}

DeploymentView NoRoom() {
  DeploymentView d = View("", 2, 1);
  d.waiting.push_back(
      {0, 1, {{"devices_busy", "2 nodes with nvidia/h100*, fewer than 1 free", 2}}});
  return d;
}

DeploymentView Old(std::vector<ReplicaView> replicas, int64_t wanted) {
  DeploymentView d = View("", wanted, 0);
  for (const ReplicaView& r : replicas) {
    if (r.generation != d.generation) ++d.older;
    if (r.generation == d.generation && r.phase == "ready") ++d.ready;
    if (r.generation == d.generation && r.phase == "stopping") ++d.ending;
  }
  d.replicas = std::move(replicas);
  return d;
}

TEST(Rollout, TellsTheTruth) {
  const Row rows[] = {
      {"good update, done", View("ready", 2, 2), ""},
      {"good update, the new one is up and the old one drains", View("updating", 1, 1, 1, 1),
       "1 of 1 replicas ready, 1 of before still there"},
      {"crash loop beside one that serves",
       View("updating", 1, 0, 1, 0, "replica-9 on n1 is unhealthy: exited with code 8"),
       "0 of 1 replicas ready, 1 of before still there; replica-9 on n1 is unhealthy: exited with "
       "code 8"},
      {"no room", NoRoom(),
       "1 of 2 replicas ready; 1 wait: devices_busy 2 nodes with nvidia/h100*, fewer than 1 free"},
      {"slow start", View("starting", 1, 0, 0, 0, "replica-9 on n1 is starting: /health: refused"),
       "0 of 1 replicas ready; replica-9 on n1 is starting: /health: refused"},
      {"scale to 0, one still ends", View("updating", 0, 0, 0, 1),
       "0 of 0 replicas ready, 1 ending"},
      {"scale to 0, done", View("ready", 0, 0), ""},
      {"undeploy meanwhile", Stopping(), "!a was undeployed meanwhile"},
      {"undeploy meanwhile, gone", NotFound("there is no deployment"),
       "!it was undeployed meanwhile"},
      {"newer deploy meanwhile", Newer(), "!a was deployed anew by somebody else meanwhile"},
      {"scheduler restart meanwhile: away", Unavailable("connection refused"), ""},
      {"scheduler restart meanwhile: nothing heard of replicas yet", View("starting", 1, 0),
       "0 of 1 replicas ready"},
      {"price cap", View("starting", 1, 0, 0, 0, "1 of group 0 wait: 2 nodes dearer than the cap"),
       "0 of 1 replicas ready; 1 of group 0 wait: 2 nodes dearer than the cap"},
      {"model taken", AlreadyExists("the model \"m\" is served by deployment \"b\""),
       "!the model \"m\" is served by deployment \"b\""},
      {"the build before: an old one serves, the new one fails",
       Old({Replica("replica-1", 1, "ready"),
            Replica("replica-9", 2, "unhealthy", "exited with code 8")},
           1),
       "0 of 1 replicas ready, 1 of before still there; replica-9 on n1 is unhealthy: exited with "
       "code 8"},
      {"the build before: done", Old({Replica("replica-9", 2, "ready")}, 1), ""},
  };
  for (const Row& row : rows) {
    const StatusOr<Rollout> rollout = RolloutOf(row.answer, 2);
    const std::string says = row.says;
    if (says.starts_with("!")) {
      ASSERT_FALSE(rollout.ok()) << row.about;
      EXPECT_EQ("!" + MessageOf(rollout.status()), says) << row.about;
      continue;
    }
    ASSERT_TRUE(rollout.ok()) << row.about << ": " << MessageOf(rollout.status());
    const bool away = !row.answer.ok();
    EXPECT_EQ(rollout->reached, says.empty() && !away) << row.about;
    EXPECT_EQ(rollout->reached ? "" : rollout->news, says) << row.about;
  }
}

}  // namespace
}  // namespace allot::client
