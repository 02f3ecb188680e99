// A scheduler as an agent sees it, one that does what the test says, and a folder for both.
#pragma once

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>

#include "agent/runtime/files.h"
#include "agent/runtime/process_record.h"
#include "agent/shell/agent.h"
#include "common/transport/link.h"
#include "common/transport/path_proof.h"
#include "common/wire/codec.h"

namespace allot::agent {

inline const TaskKey kTask{{JobId(5), 0}, Attempt(1)};

class FakeScheduler {
 public:
  FakeScheduler() {
    std::string pattern = std::filesystem::temp_directory_path() / "allot-test-XXXXXX";
    folder = mkdtemp(pattern.data());
    agent_keys = transport::NewKeyPair();
    keys_ = transport::NewKeyPair();
    const std::string allow = folder + "/allow.yaml";
    EXPECT_TRUE(
        transport::EnrollPeer(allow, {"n1", agent_keys.public_key, transport::Role::kAgent}, false)
            .ok());
    context_ = *transport::Context::Create({.allow_file = allow});
    Listen("tcp://127.0.0.1:0");
  }
  ~FakeScheduler() {
    agent.reset();
    link_.reset();
    context_.reset();
    EndProcesses();
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }

  void Listen(const std::string& endpoint) {
    link_ = *transport::ServerLink::Listen(
        *context_, loop, {.endpoint = endpoint, .keys = keys_},
        [this](transport::ServerLink::Incoming in) { Take(std::move(in)); });
  }

  AgentOptions Options() {
    AgentOptions options;
    options.name = "n1";
    options.state_dir = folder + "/state";
    options.schedulers = {link_->endpoint()};
    options.scheduler_public_key = keys_.public_key;
    options.keys = agent_keys;
    options.address = "127.0.0.1";
    options.http_listen = "127.0.0.1:0";
    options.devices.set_nvidia(false);
    options.devices.add_emulated()->set_model("nvidia/l4");
    options.catalogue = Catalogue::BuiltIn();
    options.telemetry_every = std::chrono::milliseconds(100);
    options.logs_kept = std::chrono::hours(1);
    options.supervisor = ALLOT_SUPERVISOR;
    options.isolation.off = isolation_off;
    if (shares_of_a_device > 1) {
      config::DeviceShares* row = options.devices.add_sharing();
      row->set_match("emu0");
      row->set_mode("time_slice");
      row->set_shares(shares_of_a_device);
    }
    if (adjust) adjust(&options);
    return options;
  }
  void StartAgent() {
    auto started = Agent::Start(loop, Options());
    ASSERT_TRUE(started.ok()) << started.status();
    agent = *std::move(started);
  }
  // Starts an agent and waits until it is welcomed.
  void StartWelcomedAgent() {
    StartAgent();
    ASSERT_TRUE(Until([&] { return agent->core().registered(); }));
  }
  // What kill -9 does, as far as processes are concerned.
  void KillAgent() {
    agent.reset();
    registrations.clear();
    tasks.clear();
  }

  bool Until(const std::function<bool()>& condition) {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!condition()) {
      loop.restart();
      loop.run_one_for(std::chrono::milliseconds(20));
      if (std::chrono::steady_clock::now() > give_up) return false;
    }
    return true;
  }

  void Say(const SchedulerMessage& message) {
    wire::Envelope envelope = Envelope();
    wire::Encode(message, envelope.add_messages());
    link_->Send(peer_, envelope);
  }
  void Ask(const wire::ReadLog& question) {
    wire::Envelope envelope = Envelope();
    *envelope.add_messages()->mutable_read_log() = question;
    link_->Send(peer_, envelope);
  }
  // The task's status as last reported, once `condition` holds for it.
  TaskStatus Await(const TaskKey& key, TaskPhase phase) {
    EXPECT_TRUE(Until([&] { return tasks.contains(key) && tasks[key].phase == phase; }))
        << ToString(key) << " is not " << ToString(phase);
    return tasks[key];
  }
  StartTask Task(const TaskKey& key, std::vector<std::string> command) {
    StartTask start{epoch, key, {}};
    start.launch.command = std::move(command);
    start.launch.world_size = key.task.index + 1;
    start.launch.main_address = "127.0.0.1";
    start.launch.peer_addresses.assign(start.launch.world_size, "127.0.0.1");
    start.launch.checkpoint_dir = folder + "/checkpoints/" + ToString(key.task.job);
    return start;
  }

  boost::asio::io_context loop{1};
  bool isolation_off = false;       // of the agents started from now on
  uint32_t shares_of_a_device = 1;  // emu0, by turns
  std::string folder;
  transport::KeyPair agent_keys;
  std::function<void(AgentOptions*)> adjust;  // before an agent starts
  std::unique_ptr<Agent> agent;
  Epoch epoch{7};
  uint64_t term = 3;
  std::vector<RegisterNode> registrations;
  std::map<TaskKey, TaskStatus> tasks;
  std::map<TaskKey, TaskProgress> progress;
  std::map<ReplicaId, ReplicaStatus> replicas;
  std::vector<DeviceTelemetry> telemetry;
  size_t telemetry_count = 0;  // how often it came
  std::vector<wire::LogChunk> chunks;
  std::vector<wire::PathProbe> probes;
  bool old = false;          // a build that knows of no probes
  bool loses_large = false;  // the path does

 private:
  wire::Envelope Envelope() {
    wire::Envelope envelope;
    envelope.set_version(wire::kProtocolVersion);
    envelope.set_term(term);
    envelope.set_sequence(++sequence_);
    return envelope;
  }

  void Take(transport::ServerLink::Incoming in) {
    if (in.peer != peer_) sequence_ = 0;
    peer_ = in.peer;
    bool registered = false;
    for (const wire::Message& message : in.envelope.messages()) {
      if (message.has_log_chunk()) {
        chunks.push_back(message.log_chunk());
        continue;
      }
      if (message.has_path_probe()) {
        probes.push_back(message.path_probe());
        wire::Envelope echo = Envelope();
        transport::EchoProbe(message.path_probe(), echo.add_messages()->mutable_path_echo());
        const bool large = !message.path_probe().padding().empty();
        if (!old && !(loses_large && large)) link_->Send(peer_, echo);
        continue;
      }
      const auto decoded = wire::DecodeAgentMessage(message);
      ASSERT_TRUE(decoded.ok()) << decoded.status();
      if (const auto* m = std::get_if<RegisterNode>(&*decoded)) {
        registrations.push_back(*m);
        registered = true;
        for (const TaskStatus& status : m->tasks) tasks[status.key] = status;
        for (const ReplicaStatus& status : m->replicas) replicas[status.id] = status;
        Say(Welcome{m->registration,
                    epoch,
                    Term(term),
                    std::chrono::milliseconds(50),
                    std::chrono::seconds(15),
                    {}});
      } else if (const auto* m = std::get_if<TaskReport>(&*decoded)) {
        for (const TaskStatus& status : m->tasks) tasks[status.key] = status;
      } else if (const auto* m = std::get_if<ReplicaReport>(&*decoded)) {
        for (const ReplicaStatus& status : m->replicas) replicas[status.id] = status;
      } else if (const auto* m = std::get_if<Heartbeat>(&*decoded)) {
        if (!m->devices.empty()) {
          telemetry = m->devices;
          ++telemetry_count;
        }
        for (const TaskStatus& status : m->progress)
          if (status.progress) progress[status.key] = *status.progress;
      }
    }
    if (!registered) link_->Send(peer_, Envelope());  // Silence would mean that we are gone.
  }

  // Ends what a failed test has left running.
  void EndProcesses() {
    std::error_code error;
    for (std::filesystem::directory_iterator it(folder + "/state/processes", error), end;
         !error && it != end; it.increment(error)) {
      const auto content = ReadWholeFile(it->path());
      if (!content.ok()) continue;
      const auto record = ParseRecord(*content);
      if (record.ok() && record->running && !record->exit)
        kill(static_cast<pid_t>(record->running->supervisor_pid), SIGKILL);
    }
  }

  transport::KeyPair keys_;
  std::unique_ptr<transport::Context> context_;
  std::unique_ptr<transport::ServerLink> link_;
  std::string peer_;
  uint64_t sequence_ = 0;
};

}  // namespace allot::agent
