#include "agent/runtime/people.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gmock/gmock.h"
#include "tests/unit/agent_runtime/machine.h"

namespace allot::agent {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr uint64_t kAll = ~uint64_t{0};
const Powers kRoot{.change_user = true, .mount = true, .why = ""};

class PeopleTest : public testing::Test {
 protected:
  People::Options Apart() const {
    People::Options options;
    options.separation = People::Separation::kAuto;
    return options;
  }
  People Make(const People::Options& options, const Powers& powers = kRoot) const {
    return {options, folder_.path() + "/users", powers, folder_.path() + "/no-uid-map"};
  }
  TemporaryFolder folder_;
};

TEST_F(PeopleTest, EachTenantHasIdsOfItsOwnThatNeverChange) {
  People first = Make(Apart());
  const Person a = *first.Of("a", "");
  const Person b = *first.Of("b", "");
  EXPECT_NE(a.uid, b.uid);
  EXPECT_EQ(a.uid, a.gid);
  EXPECT_GE(a.uid, 2'000'000'000u);
  EXPECT_LT(a.uid, 2'100'000'000u);
  EXPECT_EQ(a.name, "a");
  EXPECT_THAT(a.groups, IsEmpty());
  EXPECT_EQ(*first.Of("a", "whatever"), a);
  // The next agent on this folder, even one whose range is another.
  People::Options other = Apart();
  other.range_from = 5'000;
  other.range_count = 10;
  People next = Make(other);
  EXPECT_EQ(*next.Of("a", ""), a);
  EXPECT_EQ(next.Of("c", "")->uid / 10, 500u);
}

TEST_F(PeopleTest, TheIdsOfATenantAreTheSameOnEveryNode) {
  TemporaryFolder elsewhere;
  People here = Make(Apart());
  People there(Apart(), elsewhere.path() + "/users", kRoot, "");
  (void)there.Of("first there", "");
  EXPECT_EQ(here.Of("physics", "")->uid, there.Of("physics", "")->uid);
  // As other builds have it: a change here would leave everybody's files to somebody else.
  EXPECT_EQ(here.Of("physics", "")->uid, 2'065'362'690u);
}

TEST_F(PeopleTest, NoTwoTenantsAreOne) {
  People::Options narrow = Apart();
  narrow.range_from = 7'000;
  narrow.range_count = 3;
  People people = Make(narrow);
  std::set<uint32_t> uids;
  for (const char* tenant : {"a", "b", "c"}) uids.insert(people.Of(tenant, "")->uid);
  EXPECT_THAT(uids, ElementsAre(7'000u, 7'001u, 7'002u));
  const auto fourth = people.Of("d", "");
  EXPECT_EQ(fourth.status().code(), StatusCode::kUnavailable);
  EXPECT_THAT(MessageOf(fourth.status()), HasSubstr("given out"));
  // Nor where the agent starts anew in between.
  EXPECT_EQ(Make(narrow).Of("b", "")->uid, people.Of("b", "")->uid);
}

TEST_F(PeopleTest, ATokenWinsOverItsTenantAndADefaultOverTheRange) {
  People::Options options = Apart();
  options.tenants = {{"research", "games"}};
  options.tokens = {{"ada", "daemon"}};
  People people = Make(options);
  EXPECT_EQ(people.Of("research", "")->name, "games");
  EXPECT_EQ(people.Of("research", "bob")->uid, getpwnam("games")->pw_uid);
  EXPECT_EQ(people.Of("research", "ada")->uid, getpwnam("daemon")->pw_uid);
  EXPECT_EQ(people.Of("research", "ada")->home, getpwnam("daemon")->pw_dir);
  EXPECT_GE(people.Of("other", "")->uid, 2'000'000'000u);
  options.default_user = "nobody";
  EXPECT_EQ(Make(options).Of("other", "")->name, "nobody");
  EXPECT_EQ(Make(options).Of("other", "")->gid, getpwnam("nobody")->pw_gid);
}

TEST_F(PeopleTest, NobodyIsRootAndNobodyIsInRootsGroup) {
  People::Options options = Apart();
  options.tenants = {{"a", "root"}, {"b", "no-such-user-here"}, {"c", "games"}};
  options.groups = {"no-such-group-here"};
  People people = Make(options);
  EXPECT_THAT(MessageOf(people.Of("a", "").status()), HasSubstr("root"));
  EXPECT_THAT(MessageOf(people.Of("b", "").status()), HasSubstr("no user \"no-such-user-here\""));
  EXPECT_THAT(MessageOf(people.Of("c", "").status()), HasSubstr("no group"));
  options.groups = {"daemon"};
  const Person person = *Make(options).Of("c", "");
  EXPECT_THAT(person.groups, Contains(1u));
  EXPECT_THAT(person.groups, Not(Contains(0u)));
}

TEST_F(PeopleTest, NamesThatWouldForgeALineAreRefused) {
  People people = Make(Apart());
  EXPECT_FALSE(people.Of("a\n4711 b", "").ok());
  EXPECT_FALSE(people.Of(std::string(257, 'a'), "").ok());
  EXPECT_TRUE(people.Of("b", "").ok());
  EXPECT_EQ(ReadText(folder_.path() + "/users").find("4711"), std::string::npos);
}

TEST_F(PeopleTest, AFileThatCannotBeReadGivesNobodyAnothersIds) {
  WriteText(folder_.path() + "/users", "2000000001 a\nwhat is this\n");
  People people = Make(Apart());
  const auto b = people.Of("b", "");
  EXPECT_THAT(MessageOf(b.status()), HasSubstr("UID TENANT"));
  WriteText(folder_.path() + "/users", "2000000001 a\n");
  EXPECT_EQ(people.Of("a", "")->uid, 2'000'000'001u);
}

TEST_F(PeopleTest, WhoMayNotChangeUsersSaysSoAndRefusesWhereItMatters) {
  const Powers some = PowersOf(1000, 0);
  EXPECT_FALSE(some.change_user);
  EXPECT_EQ(some.why, "the agent is not root (uid 1000)");
  People::Options options = Apart();
  const People people = Make(options, some);
  EXPECT_FALSE(people.apart());
  EXPECT_THAT(people.losses(), ElementsAre(HasSubstr("the agent is not root (uid 1000)")));
  EXPECT_EQ(people.refusal(), "");
  options.separation = People::Separation::kRequired;
  EXPECT_THAT(Make(options, some).refusal(), HasSubstr("must be kept apart"));
  EXPECT_EQ(Make(options).refusal(), "");
  options.separation = People::Separation::kOff;
  EXPECT_FALSE(Make(options).apart());
  EXPECT_THAT(Make(options).losses(), ElementsAre(HasSubstr("users.separation is off")));
  EXPECT_THAT(Make(Apart()).losses(), IsEmpty());
}

TEST_F(PeopleTest, RootWithoutItsRightsAndWithoutTheIdsIsNotEnough) {
  EXPECT_TRUE(PowersOf(0, kAll).change_user);
  EXPECT_TRUE(PowersOf(0, kAll).mount);
  EXPECT_FALSE(PowersOf(0, kAll & ~(uint64_t{1} << 21)).mount);
  EXPECT_TRUE(PowersOf(0, kAll & ~(uint64_t{1} << 21)).change_user);
  for (const int each : {0, 1, 3, 5, 6, 7, 8}) {
    const Powers less = PowersOf(0, kAll & ~(uint64_t{1} << each));
    EXPECT_FALSE(less.change_user) << each;
    EXPECT_THAT(less.why, HasSubstr("has not the capabilities"));
  }
  // A container that knows 65,536 users only.
  WriteText(folder_.path() + "/uid_map", "         0     100000      65536\n");
  const People people(Apart(), folder_.path() + "/users", kRoot, folder_.path() + "/uid_map");
  EXPECT_FALSE(people.apart());
  EXPECT_THAT(people.losses(), ElementsAre(HasSubstr("2000000000-2099999999")));
  People::Options within = Apart();
  within.range_from = 10'000;
  within.range_count = 50'000;
  EXPECT_TRUE(
      People(within, folder_.path() + "/users", kRoot, folder_.path() + "/uid_map").apart());
}

TEST_F(PeopleTest, CapabilitiesHaveTheirKernelsNumbers) {
  EXPECT_EQ(CapabilityOf("CAP_CHOWN"), 0);
  EXPECT_EQ(CapabilityOf("CAP_IPC_LOCK"), 14);
  EXPECT_EQ(CapabilityOf("sys_ptrace"), 19);
  EXPECT_EQ(CapabilityOf("cap_checkpoint_restore"), 40);
  EXPECT_EQ(CapabilityOf("CAP_EVERYTHING"), std::nullopt);
}

TEST_F(PeopleTest, AFolderThatChangesHandsTakesNobodyElsesFilesAlong) {
  ASSERT_EQ(geteuid(), 0u) << "files can only be given away by root: run this test as root";
  const std::string job = folder_.path() + "/job-1", other = folder_.path() + "/others";
  std::filesystem::create_directories(job + "/step-1/deep");
  WriteText(job + "/step-1/deep/weights", "w");
  WriteText(other, "theirs");
  std::filesystem::create_symlink(other, job + "/link");
  std::filesystem::create_symlink("/etc", job + "/folder-link");
  std::filesystem::create_hard_link(other, job + "/hard");
  ASSERT_TRUE(GiveFolder(job, 4'242, 4'343).ok());
  const auto owner = [](const std::string& path) {
    struct stat info {};
    return lstat(path.c_str(), &info) == 0 ? info.st_uid : ~0u;
  };
  EXPECT_EQ(owner(job), 4'242u);
  EXPECT_EQ(owner(job + "/step-1/deep/weights"), 4'242u);
  EXPECT_EQ(owner(job + "/link"), 4'242u);  // the link itself
  EXPECT_EQ(owner(other), 0u);
  EXPECT_EQ(owner("/etc"), 0u);
  EXPECT_EQ(owner("/etc/passwd"), 0u);
  // The folder itself is no link either.
  std::filesystem::create_symlink("/etc", folder_.path() + "/job-2");
  EXPECT_FALSE(GiveFolder(folder_.path() + "/job-2", 4'242, 4'343).ok());
  EXPECT_EQ(owner("/etc"), 0u);
}

}  // namespace
}  // namespace allot::agent
