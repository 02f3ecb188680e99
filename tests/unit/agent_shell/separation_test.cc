// What of a host's cgroups is told to people, and who opens a device file. That people are apart
// is shown by tests/people, with real users.
#include "agent/shell/separation.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include <fstream>

#include "agent/shell/confinement.h"
#include "agent/shell/options.h"
#include "gmock/gmock.h"
#include "tests/unit/agent_runtime/machine.h"

namespace allot::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(Joined, WhatV1AddsIsNoLossOfV2s) {
  CgroupAbilities v2, v1;
  v2.groups = v2.kill = v2.devices = true;
  v2.losses = {"cpu limits: /x has no cpu controller", "memory limits: /x has no memory controller",
               "pids limits: /x has no pids controller"};
  v1.groups = v1.memory = v1.pids = true;
  v1.losses = {"cpu limits: another agent holds /y"};
  const CgroupAbilities all = Joined(v2, v1);
  EXPECT_TRUE(all.groups && all.kill && all.devices && all.memory && all.pids);
  EXPECT_FALSE(all.cpu);
  EXPECT_THAT(all.losses,
              ElementsAre("cpu limits: /x has no cpu controller; another agent holds /y"));
}

TEST(Joined, WithoutV2EachThingThatIsStillMissingIsNamed) {
  CgroupAbilities v2, v1;
  v2.losses = {"device filters, limits and whole-group kill: this host has no cgroup v2"};
  EXPECT_THAT(Joined(v2, v1).losses, ElementsAre(v2.losses[0])) << "one cause, one line";
  v1.losses = {"cpu limits: cannot make /cpu/x: Permission denied",
               "memory limits: cannot make /memory/x: Permission denied"};
  EXPECT_THAT(Joined(v2, v1).losses,
              ElementsAre(v2.losses[0] + "; cannot make /cpu/x: Permission denied"));
  v1.losses.clear();
  v1.groups = v1.memory = v1.pids = v1.cpu = v1.kill = true;
  EXPECT_THAT(Joined(v2, v1).losses, ElementsAre("device filters: this host has no cgroup v2"));
  v1.devices = true;
  EXPECT_THAT(Joined(v2, v1).losses, IsEmpty());
}

// Whatever carries the groups here, v2 or v1: who is in them ends, and the groups go.
TEST(ConfinementTest, WhatIsKilledIsAllThatIsInItsGroups) {
  ASSERT_EQ(geteuid(), 0u) << "only root makes groups: run this test as root";
  const auto confinement =
      Confinement::Open({}, fmt::format("{:032x}", static_cast<unsigned>(getpid())));
  if (!confinement->abilities().kill) return;
  auto place = confinement->Enter("job-1.0.1", {}, {}, {});
  ASSERT_TRUE(place.ok()) << place.status();
  const pid_t child = fork();
  if (child == 0)
    for (;;) pause();
  const std::string pid = fmt::format("{}", child);
  for (const std::string& procs : place->join) std::ofstream(procs) << pid;
  if (place->group.valid()) {
    const Fd procs(openat(place->group.get(), "cgroup.procs", O_WRONLY | O_CLOEXEC));
    ASSERT_TRUE(WriteAll(procs.get(), pid, "cgroup.procs").ok());
  }
  confinement->Kill("job-1.0.1");
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  confinement->Leave("job-1.0.1");
  confinement->LeaveAllBut({});
}

TEST(GroupsOfLease, AreThoseThatOpenADeviceAndNeverRoots) {
  ASSERT_EQ(geteuid(), 0u) << "files can only be given away by root: run this test as root";
  TemporaryFolder folder;
  const auto make = [&](const std::string& name, gid_t group, mode_t mode) {
    const std::string path = folder.path() + "/" + name;
    std::ofstream(path) << "";
    EXPECT_EQ(chown(path.c_str(), 0, group), 0);
    EXPECT_EQ(chmod(path.c_str(), mode), 0);
    return path;
  };
  Device gpu;
  gpu.id = "gpu-0";
  gpu.nodes = {make("render", 109, 0660), make("everybody", 44, 0666), make("roots", 0, 0660),
               make("read", 45, 0640), make("video", 44, 0660)};
  Device other;
  other.id = "gpu-1";
  other.nodes = {make("other", 110, 0660)};
  EXPECT_THAT(GroupsOfLease({gpu, other}, {"gpu-0"}), ElementsAre(44u, 109u));
  EXPECT_THAT(GroupsOfLease({gpu, other}, {}), IsEmpty());
}

TEST(Separation, AStateFolderThatUsersCannotReachIsARefusal) {
  ASSERT_EQ(geteuid(), 0u) << "run this test as root";
  TemporaryFolder folder;  // 0700, as mkdtemp makes it
  const auto state = StateFolder::Open(folder.path() + "/state");
  ASSERT_TRUE(state.ok());
  Separation::Options options;
  EXPECT_EQ(Separation(options, **state, std::nullopt).refusal(), "");
  options.people.separation = People::Separation::kAuto;
  EXPECT_THAT(Separation(options, **state, std::nullopt).refusal(),
              HasSubstr(folder.path() + " is closed to the users that tasks run as"));
  ASSERT_EQ(chmod(folder.path().c_str(), 0711), 0);
  EXPECT_EQ(Separation(options, **state, std::nullopt).refusal(), "");
}

TEST(Separation, TokensOfLeasedEndpointsAreCopiedToWhoMayUseThem) {
  ASSERT_EQ(geteuid(), 0u) << "run this test as root";
  TemporaryFolder folder;
  const auto state = StateFolder::Open(folder.path() + "/state");
  ASSERT_TRUE(state.ok());
  std::ofstream(folder.path() + "/token") << "bearer";
  std::ofstream(folder.path() + "/other") << "not leased";
  EnvironmentBase node;
  node.endpoint_token_files = {{"groq-0", folder.path() + "/token"},
                               {"groq-1", folder.path() + "/other"}};
  Separation::Options options;
  ProcessFiles files{.scratch = "/scratch"};
  ProcessSpec spec;
  // Where nobody changes users the file itself is the task's to read.
  ASSERT_TRUE(Separation(options, **state, std::nullopt)
                  .Apply({"a", ""}, node, {"groq-0"}, &files, &spec)
                  .ok());
  EXPECT_FALSE(spec.as.has_value());
  EXPECT_THAT(spec.files, IsEmpty());
  options.people.separation = People::Separation::kAuto;
  Separation apart(options, **state, 77);
  ASSERT_TRUE(apart.Apply({"a", ""}, node, {"groq-0"}, &files, &spec).ok());
  ASSERT_TRUE(spec.as.has_value());
  EXPECT_THAT(spec.files, ElementsAre(std::pair<std::string, std::string>(".allot-endpoint-token-0",
                                                                          "bearer")));
  EXPECT_EQ(files.endpoint_token_files.at("groq-0"), "/scratch/.allot-endpoint-token-0");
  EXPECT_EQ(files.endpoint_token_files.size(), 1u);
  EXPECT_EQ(files.user, "a");
  EXPECT_EQ(files.home, fmt::format("{}/homes/{}", (*state)->path(), spec.as->uid));
  struct stat home {};
  ASSERT_EQ(stat(files.home.c_str(), &home), 0);
  EXPECT_EQ(home.st_uid, spec.as->uid);
  EXPECT_EQ(home.st_mode & 0777, 0700u);
  // No cgroup counts its processes, so its user's are counted.
  bool counted = false;
  for (const ProcessLimit& limit : spec.limits)
    counted |= limit.resource == RLIMIT_NPROC && limit.hard == 77;
  EXPECT_TRUE(counted);
}

class UsersOfAConfig : public testing::Test {
 protected:
  UsersOfAConfig() {
    const transport::KeyPair keys = transport::NewKeyPair();
    config_.set_name("n1");
    config_.set_state_dir(folder_.path() + "/state");
    config_.add_scheduler("tcp://127.0.0.1:1");
    config_.set_scheduler_public_key(keys.public_key);
    config_.set_key_file(folder_.path() + "/agent.key");
    EXPECT_TRUE(transport::SaveKeyFile(config_.key_file(), keys).ok());
  }
  StatusOr<Separation::Options> Read() const {
    const StatusOr<AgentOptions> options = ToAgentOptions(config_);
    if (!options.ok()) return options.status();
    return options->users;
  }
  std::string Refused() const { return MessageOf(Read().status()); }
  static std::optional<uint64_t> LimitOf(const Separation::Options& options, int resource) {
    for (const ProcessLimit& limit : options.limits)
      if (limit.resource == resource && limit.soft == limit.hard) return limit.soft;
    return std::nullopt;
  }
  TemporaryFolder folder_;
  config::Agent config_;
};

TEST_F(UsersOfAConfig, ScratchInMemorySaysHowLarge) {
  config_.mutable_isolation()->set_scratch_tmpfs(true);
  EXPECT_THAT(Refused(), HasSubstr("isolation.scratch_max is left out"));
  config_.mutable_isolation()->set_scratch_max("1GiB");
  if (geteuid() == 0) {
    EXPECT_TRUE(Read().ok()) << Refused();
  } else {
    EXPECT_THAT(Refused(), HasSubstr("takes an agent that is root"));
  }
}

TEST_F(UsersOfAConfig, KeepPeopleApartUnlessToldOtherwise) {
  const auto options = Read();
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->people.separation, People::Separation::kAuto);
  EXPECT_EQ(options->umask, 027u);
  EXPECT_EQ(options->capabilities, 0u);
  EXPECT_TRUE(options->private_tmp);
  EXPECT_EQ(LimitOf(*options, RLIMIT_CORE), 0u);
  EXPECT_EQ(LimitOf(*options, RLIMIT_MEMLOCK), ~uint64_t{0});
  EXPECT_EQ(LimitOf(*options, RLIMIT_NOFILE), std::nullopt);
  config_.mutable_users()->set_separation("off");
  EXPECT_EQ(Read()->people.separation, People::Separation::kOff);
  EXPECT_THAT(Read()->limits, IsEmpty()) << "as it was before there were any";
  config_.mutable_users()->set_separation("required");
  EXPECT_EQ(Read()->people.separation, People::Separation::kRequired);
}

TEST_F(UsersOfAConfig, AreTakenWhole) {
  config::AgentUsers& users = *config_.mutable_users();
  (*users.mutable_tenants())["a"] = "ada";
  (*users.mutable_tokens())["t"] = "bob";
  users.set_default_user("worker");
  users.mutable_range()->set_from(300'000);
  users.mutable_range()->set_count(50);
  users.add_groups("video");
  users.add_capabilities("CAP_IPC_LOCK");
  users.add_capabilities("net_raw");
  users.set_umask("077");
  users.set_private_tmp(false);
  users.mutable_limits()->set_core("1GiB");
  users.mutable_limits()->set_files(65'536);
  users.mutable_limits()->set_processes(77);
  users.mutable_limits()->set_memlock("64MiB");
  const auto options = Read();
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->people.tenants.at("a"), "ada");
  EXPECT_EQ(options->people.tokens.at("t"), "bob");
  EXPECT_EQ(options->people.default_user, "worker");
  EXPECT_EQ(options->people.range_from, 300'000u);
  EXPECT_EQ(options->people.range_count, 50u);
  EXPECT_THAT(options->people.groups, ElementsAre("video"));
  EXPECT_EQ(options->capabilities, (uint64_t{1} << 14) | (uint64_t{1} << 13));
  EXPECT_EQ(options->umask, 077u);
  EXPECT_FALSE(options->private_tmp);
  EXPECT_EQ(LimitOf(*options, RLIMIT_CORE), uint64_t{1} << 30);
  EXPECT_EQ(LimitOf(*options, RLIMIT_NOFILE), 65'536u);
  EXPECT_EQ(LimitOf(*options, RLIMIT_NPROC), 77u);
  EXPECT_EQ(LimitOf(*options, RLIMIT_MEMLOCK), uint64_t{64} << 20);
}

TEST_F(UsersOfAConfig, WhatIsWrongIsNamed) {
  config::AgentUsers& users = *config_.mutable_users();
  users.add_capabilities("CAP_FLY");
  EXPECT_THAT(Refused(), HasSubstr("users.capabilities: there is no \"CAP_FLY\""));
  users.clear_capabilities();
  users.set_umask("89");
  EXPECT_THAT(Refused(), HasSubstr("users.umask"));
  users.set_umask("022");
  users.mutable_limits()->set_core("much");
  EXPECT_THAT(Refused(), HasSubstr("users.limits.core"));
  users.clear_limits();
  users.mutable_range()->set_from(4'294'000'000);
  EXPECT_THAT(Refused(), HasSubstr("users.range"));
}

TEST(Separation, WhatIsBelowTmpIsSeenByItsName) {
  EXPECT_TRUE(BelowTmp("/tmp") && BelowTmp("/tmp/x") && BelowTmp("/var/tmp/x"));
  EXPECT_FALSE(BelowTmp("/tmpfs") || BelowTmp("/srv/tmp") || BelowTmp("") || BelowTmp("/var"));
}

}  // namespace
}  // namespace allot::agent
