#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include "client/local/addresses.h"
#include "client/local/cluster.h"
#include "client/local/files.h"
#include "client/local/processes.h"
#include "client/local/token.h"
#include "client/policy_file.h"
#include "client/tokens.h"
#include "common/auth/tokens.h"
#include "common/config/bind.h"
#include "common/proto/config.pb.h"
#include "gmock/gmock.h"
#include "tests/unit/client/temporary_folder.h"

namespace allot::client::local {
namespace {

using testing::HasSubstr;

TEST(AgentSpec, NamesItsDevicesFromTheCatalogue) {
  const auto spec = ParseAgentSpec("mixed=nvidia/l4:3+amd/mi300x");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->name, "mixed");
  EXPECT_FALSE(spec->host);
  ASSERT_EQ(spec->devices.size(), 2u);
  EXPECT_EQ(spec->devices[0].count, 3u);
  EXPECT_EQ(spec->devices[1].model, "amd/mi300x");
  EXPECT_EQ(spec->devices[1].count, 1u);
  EXPECT_TRUE(ParseAgentSpec("host")->host);
  EXPECT_TRUE(ParseAgentSpec("box=host")->host);
}

TEST(LocalOffer, WhatTheMachineHasIsOfferedOnce) {
  const std::vector<AgentSpec> agents = {*ParseAgentSpec("host"),
                                         *ParseAgentSpec("gpu=nvidia/l4:3"),
                                         *ParseAgentSpec("asic=groq/lpu-v1:2")};
  for (const uint32_t processors : {2U, 5U, 6U, 64U}) {
    for (const Bytes memory : {4 * kGiB, 512 * kGiB}) {
      const Machine machine{processors, memory};
      uint32_t cpus = 0;
      Bytes offered = 0;
      for (const AgentSpec& agent : agents) {
        const Offer offer = OfferOf(agent, agents, machine);
        cpus += offer.cpus.value_or(processors);
        offered += offer.memory;
        EXPECT_GE(offer.memory, kEmulatedMemoryMin);
      }
      EXPECT_EQ(offered, memory);
      EXPECT_EQ(SharesProcessors(agents, processors), processors >= 6);
      EXPECT_EQ(cpus, processors >= 6 ? processors : 3 * processors);
    }
  }
  EXPECT_EQ(OfferOf(agents[0], {agents[0]}, {8, kGiB}).memory, kGiB);
}

TEST(AgentSpec, WrongOnesAreRefusedWithWhatToWrite) {
  EXPECT_THAT(MessageOf(ParseAgentSpec("gpu=nvidia/l5").status()), HasSubstr("nvidia/l4"));
  EXPECT_THAT(MessageOf(ParseAgentSpec("gpu=nvidia/l4:0").status()), HasSubstr("count"));
  EXPECT_THAT(MessageOf(ParseAgentSpec("gpu=nvidia/l4:x").status()), HasSubstr("count"));
  EXPECT_THAT(MessageOf(ParseAgentSpec("Bad Name=host").status()), HasSubstr("a-z"));
  EXPECT_FALSE(ParseAgentSpec("gpu").ok());
  EXPECT_FALSE(ParseAgentSpec("").ok());
}

TEST(LocalCluster, ItsConfigsPassTheProgramsOwnChecks) {
  const TemporaryFolder folder;
  Cluster cluster(folder.path() + "/c", [](const std::string&) {});
  ASSERT_TRUE(cluster.Configure({}).ok());
  const Layout& layout = cluster.layout();
  config::Scheduler scheduler;
  Status status = config::LoadYamlFile(layout.SchedulerConfig(), &scheduler);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_TRUE(scheduler.local());
  EXPECT_EQ(scheduler.state_dir(), layout.SchedulerState());
  EXPECT_EQ(scheduler.tokens_file(), layout.File("tokens.yaml"));
  EXPECT_EQ(scheduler.auth(), "");
  const auto agents = layout.LoadAgents();
  ASSERT_TRUE(agents.ok()) << agents.status();
  EXPECT_EQ(agents->size(), 3u);
  for (const AgentSpec& spec : *agents) {
    config::Agent agent;
    status = config::LoadYamlFile(layout.AgentConfig(spec.name), &agent);
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(agent.name(), spec.name);
    EXPECT_EQ(agent.state_dir(), layout.NodeState(spec.name));
    EXPECT_EQ(agent.scheduler_public_key().size(), 40u);
    EXPECT_EQ(agent.devices().emulated_size(), spec.host ? 0 : 1);
  }
}

TEST(LocalCluster, ConfiguringTwiceKeepsItsKeys) {
  const TemporaryFolder folder;
  Cluster cluster(folder.path(), [](const std::string&) {});
  ASSERT_TRUE(cluster.Configure({}).ok());
  const auto before = ReadFile(cluster.layout().File("keys/scheduler.key"));
  ASSERT_TRUE(cluster.Configure({}).ok());
  EXPECT_EQ(*before, *ReadFile(cluster.layout().File("keys/scheduler.key")));
}

// Everybody on a machine reaches its loopback, so a file says who is the cluster's owner.
TEST(LocalCluster, ItsTokenIsItsOwnersAlone) {
  const TemporaryFolder folder;
  Cluster cluster(folder.path(), [](const std::string&) {});
  ASSERT_TRUE(cluster.Configure({}).ok());
  struct stat file {};
  ASSERT_EQ(stat(TokenFile(folder.path()).c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777u, 0600u);
  const std::string token = *cluster.Token();
  auto tokens = auth::Tokens::Load({.file = cluster.layout().File("tokens.yaml")});
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  const auto owner = (*tokens)->Authenticate("Bearer " + token);
  ASSERT_TRUE(owner.ok()) << owner.status();
  EXPECT_EQ(owner->name, "local");
  EXPECT_EQ(owner->role, auth::Role::kAdmin);
  EXPECT_FALSE((*tokens)->Authenticate("").ok());
  // It stays, and where one of the two files is lost both are made anew.
  ASSERT_TRUE(cluster.Configure({}).ok());
  EXPECT_EQ(*cluster.Token(), token);
  ASSERT_EQ(remove(cluster.layout().File("tokens.yaml").c_str()), 0);
  ASSERT_TRUE(cluster.Configure({}).ok());
  EXPECT_NE(*cluster.Token(), token);
  EXPECT_TRUE((*tokens)->Authenticate("Bearer " + *cluster.Token()).ok());
  EXPECT_FALSE((*tokens)->Authenticate("Bearer " + token).ok());
}

TEST(LocalCluster, ItsTokenGoesToItsOwnAddressOnly) {
  const TemporaryFolder folder;
  Cluster cluster(folder.path(), [](const std::string&) {});
  ASSERT_TRUE(cluster.Configure({}).ok());  // with the default ports, where nobody may listen
  const std::string token = *cluster.Token();
  EXPECT_EQ(*TokenFor(folder.path(), "http://127.0.0.1:7402"), "");
  EXPECT_EQ(*TokenFor(folder.path(), "http://head:7401"), "");
  EXPECT_EQ(*TokenFor(folder.path(), "http://127.0.0.1:7401.evil.example"), "");
  EXPECT_EQ(*TokenFor(folder.path() + "/nowhere", "http://127.0.0.1:7401"), "");
  const auto here = TokenFor(folder.path(), "http://localhost:7401/");
  EXPECT_EQ(here.value_or(token), token);  // An error: somebody else's program is there just now.
}

TEST(LocalCluster, ListenersAreTheirUsers) {
  const std::string table =
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout\n"
      "   0: 0100007F:1CE9 0100007F:9C40 01 00000000:00000000 00:00000000 00000000   999        0\n"
      "   1: 0100007F:1CE9 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0\n"
      "   2: 0100007F:1CEA 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0\n"
      "   3: 0100007F:1CEB 00000000:0000 0A 00000000:00000000 00:00000000";
  EXPECT_EQ(ListenerOf(table, 7401), 1000u);
  EXPECT_EQ(ListenerOf(table, 7402), 0u);
  EXPECT_EQ(ListenerOf(table, 7403), std::nullopt);
  EXPECT_EQ(ListenerOf(table, 7404), std::nullopt);
  EXPECT_EQ(ListenerOf("", 7401), std::nullopt);
}

// Two people's clusters on one machine, or two tests': the first gang of each has a port of its
// own.
TEST(LocalCluster, GangsOfTwoDoNotMeetAtOnePort) {
  const TemporaryFolder folder;
  const auto ports = [&](const std::string& name) {
    Cluster cluster(folder.path() + name, [](const std::string&) {});
    EXPECT_TRUE(cluster.Configure({}).ok());
    config::Scheduler scheduler;
    EXPECT_TRUE(config::LoadYamlFile(cluster.layout().SchedulerConfig(), &scheduler).ok());
    EXPECT_GE(scheduler.task_port_min(), 20'000u);
    EXPECT_EQ(scheduler.task_port_max(), scheduler.task_port_min() + 99);
    EXPECT_LE(scheduler.task_port_max(), 29'999u);
    return scheduler.task_port_min();
  };
  EXPECT_EQ(ports("/a"), ports("/a"));
  std::set<uint32_t> begin;
  for (int i = 0; i < 20; ++i) begin.insert(ports("/" + std::to_string(i)));
  EXPECT_GE(begin.size(), 18u);
}

TEST(LocalCluster, TwoAgentsOfOneNameAreRefused) {
  const TemporaryFolder folder;
  Cluster cluster(folder.path(), [](const std::string&) {});
  UpOptions options;
  options.agents = {{"a", true, {}}, {"a", true, {}}};
  EXPECT_EQ(cluster.Configure(options).code(), StatusCode::kInvalidArgument);
}

TEST(LocalProcesses, AMarkedProcessAndItsChildrenAreFoundAndStopped) {
  const TemporaryFolder folder;
  // The child clears its environment; a TERM is ignored by both.
  const auto pid = Start({.program = "/bin/sh",
                          .args = {"-c",
                                   "trap '' TERM; env -i /bin/sh -c \"trap '' TERM; echo up; "
                                   "read x < /dev/zero\""},
                          .log_file = folder.path() + "/log",
                          .marker = folder.path()});
  ASSERT_TRUE(pid.ok()) << pid.status();
  // Both run once the inner one has spoken; the log is the signal.
  for (StatusOr<std::string> log; (log = ReadFile(folder.path() + "/log")).ok() && log->empty();)
    ASSERT_TRUE(IsRunning(*pid));
  EXPECT_GE(FindProcesses(folder.path()).size(), 2u);
  EXPECT_TRUE(FindProcesses(folder.path() + "x").empty());
  StopProcesses(folder.path(), std::chrono::milliseconds(1));
  EXPECT_TRUE(FindProcesses(folder.path()).empty());
  EXPECT_FALSE(IsRunning(*pid));
}

TEST(LocalProcesses, AProgramThatCannotStartSaysWhy) {
  const TemporaryFolder folder;
  const auto pid = Start({.program = "/no/such/program",
                          .args = {},
                          .log_file = folder.path() + "/log",
                          .marker = folder.path()});
  EXPECT_THAT(MessageOf(pid.status()), HasSubstr("/no/such/program"));
}

TEST(Programs, ThatAreNotThereAreBuiltWhereThisOneWas) {
  const std::string preset =
      std::filesystem::path(ProgramFolder()).parent_path().filename().string();
  EXPECT_THAT(MessageOf(FindProgram("allot-never").status()),
              HasSubstr("`scripts/build.sh " + preset + " allot-never`"));
}

TEST(Addresses, AreAwaitedUntilTheProgramWroteThem) {
  const TemporaryFolder folder;
  // An old file of another process does not count.
  folder.Write("addresses.yaml", "pid: 1\nhttp: 127.0.0.1:1\n");
  const auto pid = Start({.program = "/bin/sh",
                          .args = {"-c", "cd " + folder.path() +
                                             " && echo \"pid: $$\nhttp: 127.0.0.1:7\" > t && "
                                             "mv t addresses.yaml; read x < /dev/zero"},
                          .log_file = folder.path() + "/log",
                          .marker = folder.path()});
  ASSERT_TRUE(pid.ok()) << pid.status();
  const auto addresses = WaitForAddresses(folder.path(), *pid, std::chrono::seconds(60));
  EXPECT_TRUE(addresses.ok()) << addresses.status();
  if (addresses.ok()) {
    EXPECT_EQ(addresses->http, "127.0.0.1:7");
  }
  StopProcesses(folder.path(), std::chrono::milliseconds(1));
}

TEST(Addresses, AProgramThatEndsBeforeIsNotWaitedFor) {
  const TemporaryFolder folder;
  const auto pid = Start({.program = "/bin/true",
                          .args = {},
                          .log_file = folder.path() + "/log",
                          .marker = folder.path()});
  ASSERT_TRUE(pid.ok());
  const auto addresses = WaitForAddresses(folder.path(), *pid, std::chrono::seconds(60));
  EXPECT_EQ(addresses.status().code(), StatusCode::kFailedPrecondition);
}

TEST(PolicyFile, ReadyMadePoliciesPassTheirOwnCheck) {
  EXPECT_GE(ReadyMadePolicies().size(), 4u);
  for (const ReadyMade& policy : ReadyMadePolicies()) {
    const auto checked = CheckPolicy({policy.name, policy.yaml});
    EXPECT_TRUE(checked.ok()) << checked.status();
    if (checked.ok()) {
      EXPECT_EQ(checked->name, policy.name);
    }
  }
}

TEST(PolicyFile, AnUnknownAlgorithmIsRefusedWithTheFilesName) {
  const auto checked = CheckPolicy(
      {"p.yaml", "name: p\nprices: {as_of: 2026-01-31}\nrouting: {algorithm: fastes}\n"});
  EXPECT_THAT(MessageOf(checked.status()), HasSubstr("p.yaml"));
  EXPECT_THAT(MessageOf(checked.status()), HasSubstr("fastest"));
}

TEST(Tokens, OnlyDigestsAreStoredAndNamesAreTakenOnce) {
  const TemporaryFolder folder;
  const std::string file = folder.path() + "/tokens.yaml";
  ASSERT_TRUE(AddToken(file, {"ada", "user", "research", auth::Sha256Hex("t1")}, false).ok());
  ASSERT_TRUE(AddToken(file, {"bob", "viewer", "", auth::Sha256Hex("t2")}, false).ok());
  EXPECT_EQ(AddToken(file, {"ada", "admin", "", auth::Sha256Hex("t3")}, false).code(),
            StatusCode::kAlreadyExists);
  ASSERT_TRUE(AddToken(file, {"ada", "admin", "", auth::Sha256Hex("t3")}, true).ok());
  EXPECT_EQ(AddToken(file, {"No Name", "admin", "", auth::Sha256Hex("x")}, false).code(),
            StatusCode::kInvalidArgument);
  const auto tokens = auth::Tokens::Load({.file = file});
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  EXPECT_FALSE((*tokens)->Authenticate("Bearer t1").ok());
  EXPECT_EQ((*tokens)->Authenticate("Bearer t2")->name, "bob");
  EXPECT_EQ((*tokens)->Authenticate("Bearer t3")->role, auth::Role::kAdmin);
}

}  // namespace
}  // namespace allot::client::local
