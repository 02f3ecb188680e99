#include "agent/runtime/environment.h"

#include <gtest/gtest.h>

#include "agent/runtime/progress.h"
#include "machine.h"

namespace allot::agent {
namespace {

Device Gpu(std::string id, std::string value, bool emulated) {
  Device device;
  device.id = std::move(id);
  device.kind = DeviceKind::kGpu;
  device.vendor = "nvidia";
  device.model = "nvidia/h100-sxm-80g";
  device.visible_variable = "CUDA_VISIBLE_DEVICES";
  device.visible_value = std::move(value);
  device.emulated = emulated;
  return device;
}

TaskLaunch Launch() {
  TaskLaunch launch;
  launch.job_name = "train";
  launch.tenant = "vision";
  launch.world_size = 4;
  launch.main_address = "10.0.0.7";
  launch.main_port = 29500;
  launch.peer_addresses = {"10.0.0.7", "10.0.0.7", "10.0.0.8", "10.0.0.8"};
  launch.resources.cpus = 2500;
  return launch;
}

const ProcessFiles kFiles{"/s", "/c/job-17", "/s/p", "/s/n"};

TEST(TaskEnvironment, CollectivesUseTheNodesNetworkUnlessTheJobSaysOtherwise) {
  EnvironmentBase base;
  base.network = {{"GLOO_SOCKET_IFNAME", "eth1"}, {"NCCL_SOCKET_IFNAME", "eth1"}};
  TaskLaunch launch = Launch();
  launch.environment = {{"NCCL_SOCKET_IFNAME", "ib0"}};
  const Environment env =
      TaskEnvironment(base, TaskKey{{JobId(17), 2}, Attempt(3)}, launch, kFiles);
  EXPECT_EQ(env.at("GLOO_SOCKET_IFNAME"), "eth1");
  EXPECT_EQ(env.at("NCCL_SOCKET_IFNAME"), "ib0");
  EXPECT_EQ(ReplicaEnvironment(base, ReplicaId(1), {}, 80, kFiles).at("GLOO_SOCKET_IFNAME"),
            "eth1");
}

TEST(TaskEnvironment, TellsRankWorldAndPeersAsTorchrunDoes) {
  const Environment env =
      TaskEnvironment({}, TaskKey{{JobId(17), 2}, Attempt(3)}, Launch(), kFiles);
  const Environment expected = {{"RANK", "2"},
                                {"LOCAL_RANK", "0"},
                                {"WORLD_SIZE", "4"},
                                {"LOCAL_WORLD_SIZE", "1"},
                                {"GROUP_RANK", "2"},
                                {"GROUP_WORLD_SIZE", "4"},
                                {"ROLE_RANK", "2"},
                                {"ROLE_WORLD_SIZE", "4"},
                                {"MASTER_ADDR", "10.0.0.7"},
                                {"MASTER_PORT", "29500"},
                                {"TORCHELASTIC_RUN_ID", "job-17"},
                                {"TORCHELASTIC_RESTART_COUNT", "2"},
                                {"ALLOT_JOB_ID", "job-17"},
                                {"ALLOT_JOB_NAME", "train"},
                                {"ALLOT_TENANT", "vision"},
                                {"ALLOT_TASK_RANK", "2"},
                                {"ALLOT_WORLD_SIZE", "4"},
                                {"ALLOT_ATTEMPT", "3"},
                                {"ALLOT_MAIN_ADDRESS", "10.0.0.7"},
                                {"ALLOT_MAIN_PORT", "29500"},
                                {"ALLOT_PEERS", "10.0.0.7,10.0.0.7,10.0.0.8,10.0.0.8"},
                                {"ALLOT_DEVICE_IDS", ""},
                                {"ALLOT_DEVICE_MODELS", ""},
                                {"ALLOT_DEVICE_KIND", "CPU"},
                                {"ALLOT_EMULATED", "0"},
                                {"ALLOT_CHECKPOINT_DIR", "/c/job-17"},
                                {"ALLOT_PROGRESS_FILE", "/s/p"},
                                {"ALLOT_PREEMPTION_NOTICE_FILE", "/s/n"},
                                {"ALLOT_NODE", ""},
                                {"ALLOT_SCRATCH_DIR", "/s"},
                                {"OMP_NUM_THREADS", "2"},
                                {"CUDA_VISIBLE_DEVICES", ""},
                                {"LANG", "C.UTF-8"},
                                {"HOME", "/"},
                                {"TMPDIR", "/s"},
                                {"PATH", EnvironmentBase{}.path}};
  EXPECT_EQ(env, expected);
}

TEST(TaskEnvironment, TheUserMaySetDefaultsButNotWhatTheTaskIs) {
  TaskLaunch launch = Launch();
  launch.environment = {{"OMP_NUM_THREADS", "9"},
                        {"PATH", "/opt"},
                        {"RANK", "77"},
                        {"CUDA_VISIBLE_DEVICES", "0,1,2,3"},
                        {"MINE", "yes"}};
  const Environment env = TaskEnvironment({}, TaskKey{{JobId(1), 0}, Attempt(1)}, launch, kFiles);
  EXPECT_EQ(env.at("OMP_NUM_THREADS"), "9");
  EXPECT_EQ(env.at("PATH"), "/opt");
  EXPECT_EQ(env.at("MINE"), "yes");
  EXPECT_EQ(env.at("RANK"), "0");
  EXPECT_EQ(env.at("CUDA_VISIBLE_DEVICES"), "");
}

TEST(TaskEnvironment, ShowsTheLeasedDevicesOnly) {
  EnvironmentBase base;
  base.devices = {Gpu("0000:01:00.0", "GPU-a", false), Gpu("0000:02:00.0", "GPU-b", false),
                  Gpu("0000:03:00.0", "GPU-c", false)};
  TaskLaunch launch = Launch();
  launch.device_ids = {"0000:01:00.0", "0000:03:00.0"};
  const Environment env = TaskEnvironment(base, TaskKey{{JobId(1), 0}, Attempt(1)}, launch, kFiles);
  EXPECT_EQ(env.at("CUDA_VISIBLE_DEVICES"), "GPU-a,GPU-c");
  EXPECT_EQ(env.at("ALLOT_DEVICE_IDS"), "0000:01:00.0,0000:03:00.0");
  EXPECT_EQ(env.at("ALLOT_DEVICE_MODELS"), "nvidia/h100-sxm-80g,nvidia/h100-sxm-80g");
  EXPECT_EQ(env.at("ALLOT_DEVICE_KIND"), "GPU");
  EXPECT_EQ(env.at("ALLOT_EMULATED"), "0");
}

TEST(TaskEnvironment, AnEmulatedDeviceNeverOpensARealOne) {
  EnvironmentBase base;
  base.devices = {Gpu("emu0", "0", true)};
  TaskLaunch launch = Launch();
  launch.device_ids = {"emu0"};
  const TaskKey key{{JobId(1), 0}, Attempt(1)};
  EXPECT_EQ(TaskEnvironment(base, key, launch, kFiles).at("CUDA_VISIBLE_DEVICES"), "0");
  EXPECT_EQ(TaskEnvironment(base, key, launch, kFiles).at("ALLOT_EMULATED"), "1");
  base.devices.push_back(Gpu("0000:01:00.0", "GPU-a", false));
  EXPECT_EQ(TaskEnvironment(base, key, launch, kFiles).at("CUDA_VISIBLE_DEVICES"), "");
}

TEST(TaskEnvironment, SharesOfOneDeviceShowItOnce) {
  EnvironmentBase base;
  base.devices = {Gpu("g0/s0", "GPU-a", false), Gpu("g0/s1", "GPU-a", false),
                  Gpu("g1/s0", "GPU-b", false)};
  TaskLaunch launch = Launch();
  launch.device_ids = {"g0/s0", "g0/s1", "g1/s0"};
  const Environment env = TaskEnvironment(base, TaskKey{{JobId(1), 0}, Attempt(1)}, launch, kFiles);
  EXPECT_EQ(env.at("CUDA_VISIBLE_DEVICES"), "GPU-a,GPU-b");
  EXPECT_EQ(env.at("ALLOT_DEVICE_IDS"), "g0/s0,g0/s1,g1/s0");
}

TEST(TaskEnvironment, DevicesBringVariablesAndTheSetHasTheLastWord) {
  EnvironmentBase base;
  base.devices = {Gpu("a", "0", false), Gpu("b", "1", false), Gpu("c", "2", false)};
  base.groups = {{"ring", {"a", "b"}, ""}};
  base.devices[0].environment = {{"LIMIT", "1"}, {"PIPE", "/p"}};
  base.devices[2].environment = {{"NEIGHBOUR", "1"}};
  size_t leased = 0, groups = 0;
  base.join = [&](const std::vector<const Device*>& of, const std::vector<DeviceGroup>& all) {
    leased = of.size();
    groups = all.size();
    return Environment{{"LIMIT", "2"}, {"CUDA_VISIBLE_DEVICES", "0-1"}};
  };
  TaskLaunch launch = Launch();
  launch.device_ids = {"a", "b"};
  launch.environment = {{"PIPE", "mine"}};
  const Environment env = TaskEnvironment(base, TaskKey{{JobId(1), 0}, Attempt(1)}, launch, kFiles);
  EXPECT_EQ(leased, 2u);
  EXPECT_EQ(groups, 1u);
  EXPECT_EQ(env.at("LIMIT"), "2");
  EXPECT_EQ(env.at("PIPE"), "/p");
  EXPECT_EQ(env.at("CUDA_VISIBLE_DEVICES"), "0-1");
  EXPECT_FALSE(env.contains("NEIGHBOUR"));
}

TEST(TaskEnvironment, TellsWhereLeasedEndpointsAnswerAndNeverTheirTokens) {
  const auto endpoint = [](std::string id, std::string url) {
    Device device;
    device.id = std::move(id);
    device.kind = DeviceKind::kAsic;
    device.endpoint = std::move(url);
    return device;
  };
  EnvironmentBase base;
  base.devices = {endpoint("a/0", "https://a"), endpoint("a/1", "https://a"),
                  endpoint("b", "http://b"), Gpu("g0", "GPU-0", false)};
  base.endpoint_token_files = {{"a/0", "/etc/a.token"}, {"a/1", "/etc/a.token"}};
  TaskLaunch launch = Launch();
  launch.environment["ALLOT_ENDPOINT_URL"] = "https://mine";
  const auto with = [&](std::vector<std::string> ids) {
    launch.device_ids = std::move(ids);
    const Environment env =
        TaskEnvironment(base, TaskKey{{JobId(1), 0}, Attempt(1)}, launch, kFiles);
    const auto file = env.find("ALLOT_ENDPOINT_TOKEN_FILE");
    return env.at("ALLOT_ENDPOINT_URL") + " " + (file == env.end() ? "none" : file->second);
  };
  EXPECT_EQ(with({"a/1"}), "https://a /etc/a.token");
  EXPECT_EQ(with({"a/0", "a/1"}), "https://a /etc/a.token") << "one place, said once";
  EXPECT_EQ(with({"b"}), "http://b none");
  EXPECT_EQ(with({"b", "a/0"}), "http://b,https://a ,/etc/a.token");
  EXPECT_EQ(with({"g0"}), "https://mine none") << "no endpoint leased: the user's own affair";
}

TEST(ReplicaEnvironment, TellsPortAndModel) {
  ReplicaLaunch launch;
  launch.deployment = "chat";
  launch.model = "charlm";
  launch.concurrency = 8;
  const Environment env = ReplicaEnvironment({}, ReplicaId(3), launch, 8123, kFiles);
  EXPECT_EQ(env.at("ALLOT_REPLICA_ID"), "replica-3");
  EXPECT_EQ(env.at("ALLOT_DEPLOYMENT"), "chat");
  EXPECT_EQ(env.at("ALLOT_MODEL"), "charlm");
  EXPECT_EQ(env.at("ALLOT_CONCURRENCY"), "8");
  EXPECT_EQ(env.at("ALLOT_PORT"), "8123");
  EXPECT_EQ(env.at("PORT"), "8123");
}

TEST(ReplacePort, ReplacesEveryPlaceholder) {
  EXPECT_EQ(ReplacePort({"serve", "--listen=127.0.0.1:{port}", "{port}{port}", "{ports}"}, 80),
            (std::vector<std::string>{"serve", "--listen=127.0.0.1:80", "8080", "{ports}"}));
}

TEST(Progress, TheLastWholeLineCounts) {
  EXPECT_EQ(ParseProgress("{\"step\":1,\"total\":9,\"loss\":2.5}\n{\"step\":2,\"total\":9}\n{\"st"),
            (TaskProgress{2, 9, std::nullopt}));
  EXPECT_EQ(ParseProgress("{\"step\":4,\"loss\":1e-3,\"more\":[1]}"), (TaskProgress{4, 0, 0.001}));
}

TEST(Progress, NonsenseIsNoProgress) {
  for (const char* text : {"", "\n\n", "step 4", "[1,2]", "{\"step\":\"4\"}", "{\"total\":4}",
                           "{\"step\":1e300}", "\xff\xfe"})
    EXPECT_FALSE(ParseProgress(text)) << text;
}

TEST(Progress, AFileIsToldWhenItChanges) {
  TemporaryFolder place;
  const std::string path = place.path() + "/progress";
  ProgressFile file(place.path(), "progress");
  EXPECT_FALSE(file.Poll());
  WriteText(path, "{\"step\":1,\"total\":9}\n");
  EXPECT_EQ(file.Poll(), (TaskProgress{1, 9, std::nullopt}));
  EXPECT_FALSE(file.Poll());
  WriteText(path, "{\"step\":1,\"total\":9}\n{\"step\":2,\"total\":9,\"loss\":0.5}\n");
  EXPECT_EQ(file.Poll(), (TaskProgress{2, 9, 0.5}));
}

}  // namespace
}  // namespace allot::agent
