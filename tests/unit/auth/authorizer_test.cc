// Who may do what to what, as a table: one row for each role and binding, one column for each verb.
#include "common/auth/authorizer.h"

#include <map>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace allot::auth {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr Kind kKinds[] = {Kind::kJob,    Kind::kDeployment, Kind::kRequest, Kind::kModel,
                           Kind::kNode,   Kind::kPolicy,     Kind::kShare,   Kind::kCluster,
                           Kind::kMetrics, Kind::kTargets,   Kind::kStore,   Kind::kKeys};
constexpr Action kActions[] = {Action::kSee, Action::kChange, Action::kPrioritize};

// '+' allowed, '-' denied, '.' hidden.
char Verdict(const Principal& principal, Action action, const Resource& resource) {
  const Status status = Decide(principal, action, resource);
  if (status.ok()) return '+';
  return absl::IsNotFound(status) ? '.' : '-';
}

TEST(Authorizer, IsThisTable) {
  // Of tenant b's things and, where a kind belongs to no tenant, of the cluster's.
  const auto row = [](Role role, std::string tenant) {
    std::string text;
    for (const Kind kind : kKinds) {
      const bool owned = kind == Kind::kJob || kind == Kind::kDeployment ||
                         kind == Kind::kRequest || kind == Kind::kModel || kind == Kind::kShare;
      for (const Action action : kActions)
        text += Verdict({"t", role, tenant}, action, {kind, owned ? "b" : "", "it"});
      text += ' ';
    }
    return text;
  };
  // Each: see, change, prioritize.
  //                                 job dep req mod nod pol sha clu met tgt sto key
  EXPECT_EQ(row(Role::kViewer, ""),  "+-- +-- +-- +-- +-- +-- +-- +-- +-- +-- --- --- ");
  EXPECT_EQ(row(Role::kUser, ""),    "++- ++- +++ +-- +-- +-- +-- +-- +-- +-- --- --- ");
  EXPECT_EQ(row(Role::kAdmin, ""),   "++- ++- +++ +-- ++- ++- +-- +-- +-- +-- ++- ++- ");
  EXPECT_EQ(row(Role::kViewer, "b"), "+-- +-- +-- +-- +-- +-- +-- +-- --- +-- --- --- ");
  EXPECT_EQ(row(Role::kUser, "b"),   "++- ++- +++ +-- +-- +-- +-- +-- --- +-- --- --- ");
  EXPECT_EQ(row(Role::kAdmin, "b"),  "++- ++- +++ +-- +-- +-- +-- +-- --- +-- --- --- ");
  EXPECT_EQ(row(Role::kViewer, "a"), "..- ..- .-- +-- +-- +-- .-- +-- --- +-- --- --- ");
  EXPECT_EQ(row(Role::kUser, "a"),   "..- ..- .+- +-- +-- +-- .-- +-- --- +-- --- --- ");
  EXPECT_EQ(row(Role::kAdmin, "a"),  "..- ..- .+- +-- +-- +-- .-- +-- --- +-- --- --- ");
}

TEST(Authorizer, ATokenIsForItsAreas) {
  // What an administrator with such a token may see, of each kind.
  const auto row = [](std::vector<Area> only) {
    std::string text;
    for (const Kind kind : kKinds)
      text += Verdict({"t", Role::kAdmin, "", {.only = only}}, Action::kSee, {kind, "b", "it"});
    return text;
  };
  //                                    jdrmnpscmtsk
  EXPECT_EQ(row({}),                   "++++++++++++");
  EXPECT_EQ(row({Area::kModels}),      "--++--------");
  EXPECT_EQ(row({Area::kJobs}),        "+-----------");
  EXPECT_EQ(row({Area::kDeployments}), "-+----------");
  EXPECT_EQ(row({Area::kCluster}),     "----++++--++");
  EXPECT_EQ(row({Area::kMetrics}),     "--------++--");
  EXPECT_EQ(row({Area::kModels, Area::kJobs}), "+-++--------");
  EXPECT_THAT(
      std::string(Decide({"ci", Role::kUser, "", {.only = {Area::kJobs, Area::kModels}}},
                         Action::kSee, {Kind::kNode})
                      .message()),
      HasSubstr("is for jobs and models only; this needs one that is for cluster"));
}

TEST(Authorizer, OtherDeploymentsAreNotThereForATokenOfSome) {
  const Principal some{"bot", Role::kUser, "", {.deployments = {"chat-*", "embed"}}};
  for (const Kind kind : {Kind::kDeployment, Kind::kRequest, Kind::kModel}) {
    EXPECT_TRUE(Sees(some, {kind, "b", "it", "chat-small"}));
    EXPECT_TRUE(Sees(some, {kind, "b", "it", "embed"}));
    EXPECT_FALSE(Sees(some, {kind, "b", "it", "rank"}));
  }
  EXPECT_EQ(Verdict(some, Action::kChange, {Kind::kDeployment, "b", "it", "rank"}), '.');
  EXPECT_EQ(Verdict(some, Action::kPrioritize, {Kind::kRequest, "b", "it", "rank"}), '.');
  EXPECT_EQ(Verdict(some, Action::kChange, {Kind::kDeployment, "b", "it", "embed"}), '+');
  EXPECT_TRUE(Sees(some, {Kind::kJob, "b", "job-1"}));
}

TEST(Authorizer, WhatIsHiddenIsToldLikeWhatIsNotThere) {
  const Status hidden = Decide({"eve", Role::kUser, "a"}, Action::kChange,
                               {Kind::kJob, "b", "job-17"});
  EXPECT_TRUE(absl::IsNotFound(hidden));
  EXPECT_EQ(hidden.message(), "there is no job-17");
  EXPECT_FALSE(Sees({"eve", Role::kAdmin, "a"}, {Kind::kJob, "b"}));
  EXPECT_TRUE(Sees({"ann", Role::kViewer, "b"}, {Kind::kJob, "b"}));
}

TEST(Authorizer, ADenialSaysWhatItWouldTake) {
  EXPECT_THAT(std::string(Decide({"ann", Role::kViewer, ""}, Action::kChange, {Kind::kPolicy})
                              .message()),
              HasSubstr("has role viewer; this needs admin"));
  EXPECT_THAT(std::string(Decide({"ann", Role::kAdmin, "a"}, Action::kChange, {Kind::kNode, "", "n1"})
                              .message()),
              HasSubstr("n1 is about all tenants"));
  EXPECT_THAT(std::string(Decide({"ann", Role::kUser, "a"}, Action::kPrioritize,
                                 {Kind::kRequest, "b", "a request of \"chat\""})
                              .message()),
              HasSubstr("is for tenant b"));
}

}  // namespace
}  // namespace allot::auth
