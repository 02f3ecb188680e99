// Who may do what to what, as a table: one row for each role and binding, one column for each verb.
#include "common/auth/authorizer.h"

#include <map>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace allot::auth {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr Kind kKinds[] = {Kind::kJob,    Kind::kDeployment, Kind::kRequest, Kind::kNode,
                           Kind::kPolicy, Kind::kCluster,    Kind::kMetrics, Kind::kStore};
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
      const bool owned = kind == Kind::kJob || kind == Kind::kDeployment || kind == Kind::kRequest;
      for (const Action action : kActions)
        text += Verdict({"t", role, tenant}, action, {kind, owned ? "b" : "", "it"});
      text += ' ';
    }
    return text;
  };
  //                                 job dep req nod pol clu met sto    each: see, change, prioritize
  EXPECT_EQ(row(Role::kViewer, ""),  "+-- +-- +-- +-- +-- +-- +-- --- ");
  EXPECT_EQ(row(Role::kUser, ""),    "++- ++- +++ +-- +-- +-- +-- --- ");
  EXPECT_EQ(row(Role::kAdmin, ""),   "++- ++- +++ ++- ++- +-- +-- ++- ");
  EXPECT_EQ(row(Role::kViewer, "b"), "+-- +-- +-- +-- +-- +-- --- --- ");
  EXPECT_EQ(row(Role::kUser, "b"),   "++- ++- +++ +-- +-- +-- --- --- ");
  EXPECT_EQ(row(Role::kAdmin, "b"),  "++- ++- +++ +-- +-- +-- --- --- ");
  EXPECT_EQ(row(Role::kViewer, "a"), "..- ..- .-- +-- +-- +-- --- --- ");
  EXPECT_EQ(row(Role::kUser, "a"),   "..- ..- .+- +-- +-- +-- --- --- ");
  EXPECT_EQ(row(Role::kAdmin, "a"),  "..- ..- .+- +-- +-- +-- --- --- ");
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
