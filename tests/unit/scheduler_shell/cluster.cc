#include "tests/unit/scheduler_shell/cluster.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fstream>
#include <future>

#include "common/base/check.h"
#include "common/wire/codec.h"
#include "gtest/gtest.h"

namespace allot::scheduler::testing {

Cluster::Cluster(bool local) : local_(local), keys_(transport::NewKeyPair()) {
  std::ofstream(folder_ / "allow.yaml") << "peers: []\n";
  WriteTokens("tokens: []\n");
}

Cluster::~Cluster() { Kill(); }

void Cluster::WriteTokens(const std::string& yaml) {
  std::ofstream(folder_ / "tokens.yaml") << yaml;
}

transport::KeyPair Cluster::Enroll(const std::string& name, transport::Role role) {
  transport::KeyPair keys = transport::NewKeyPair();
  const Status enrolled = transport::EnrollPeer(
      folder_ / "allow.yaml", {.name = name, .public_key = keys.public_key, .role = role}, true);
  EXPECT_TRUE(enrolled.ok()) << enrolled;
  return keys;
}

Shell::Options Cluster::Options() const {
  Shell::Options options;
  options.pipeline.state_dir = folder_.path();
  options.pipeline.core.lease = std::chrono::seconds(3);
  options.listen = "tcp://127.0.0.1:0";
  options.http_listen = "127.0.0.1:0";
  options.keys = keys_;
  options.allow_file = folder_ / "allow.yaml";
  options.tokens_file = local_ ? "" : folder_ / "tokens.yaml";
  options.local = options.open = local_;
  options.limits = limits;
  options.pipeline.journal.retry_min = std::chrono::milliseconds(5);
  if (adjust) adjust(options);
  return options;
}

void Cluster::Start() {
  loop_ = std::make_unique<boost::asio::io_context>(1);
  StatusOr<std::unique_ptr<Shell>> shell = Shell::Start(*loop_, Options());
  ASSERT_TRUE(shell.ok()) << shell.status();
  shell_ = *std::move(shell);
  endpoint_ = shell_->endpoint();
  http_ = shell_->http_address();
  thread_ = std::thread([this] {
    const auto work = boost::asio::make_work_guard(*loop_);
    loop_->run();
  });
}

void Cluster::Stop() {
  loop_->stop();
  thread_.join();
  EXPECT_TRUE(shell_->Stop().ok());
  shell_.reset();
}

void Cluster::Kill() {
  if (loop_ != nullptr) loop_->stop();
  if (thread_.joinable()) thread_.join();
  shell_.reset();
}

void Cluster::OnLoop(const std::function<void(Shell&)>& f) {
  std::promise<void> done;
  boost::asio::post(*loop_, [&] {
    f(*shell_);
    done.set_value();
  });
  done.get_future().wait();
}

Answer Cluster::Fetch(const std::string& method, const std::string& target, const std::string& body,
                      http::Headers headers) {
  auto client = http::BlockingClient::Create("http://" + http_, token_);
  CHECK(client.ok());
  const bool typed = std::any_of(headers.begin(), headers.end(),
                                 [](const auto& header) { return header.first == "Content-Type"; });
  if (!typed && method != "GET") headers.emplace_back("Content-Type", "application/json");
  const auto response = (*client)->Fetch(
      {.method = method, .target = target, .headers = std::move(headers), .body = body});
  if (!response.ok()) return {.status = 0, .body = MessageOf(response.status())};
  return {.status = response->status, .body = response->body, .headers = response->headers};
}

FakeAgent::FakeAgent(Cluster& cluster, Options options) : options_(std::move(options)) {
  auto context = transport::Context::Create({});
  CHECK(context.ok());
  context_ = *std::move(context);
  auto link = transport::ClientLink::Dial(
      *context_, loop_,
      {.endpoint = cluster.endpoint(),
       .server_public_key = cluster.public_key(),
       .keys = cluster.Enroll(options_.name, options_.role)},
      {.message = [this](transport::ClientLink::Incoming in) { OnEnvelope(in.envelope); },
       .connected =
           [this] {
             NodeInfo info =
                 MakeNode(options_.claimed_name.empty() ? options_.name : options_.claimed_name,
                          options_.gpus);
             if (options_.adjust) options_.adjust(info);
             Send(RegisterNode{.registration = options_.registration, .info = std::move(info)});
           },
       .disconnected =
           [this](std::string) {
             std::lock_guard lock(mutex_);
             cut_off_ = true;
             changed_.notify_all();
           }});
  CHECK(link.ok());
  link_ = *std::move(link);
  thread_ = std::thread([this] { Run(); });
}

FakeAgent::~FakeAgent() {
  loop_.stop();
  thread_.join();
  link_.reset();
}

void FakeAgent::Run() {
  // Heartbeats, so that the lease does not run out under a slow test.
  boost::asio::steady_timer timer(loop_);
  std::function<void()> beat = [&] {
    if (epoch_.valid()) Send(Heartbeat{.epoch = epoch_});
    timer.expires_after(std::chrono::milliseconds(100));
    timer.async_wait([&](const boost::system::error_code& error) {
      if (!error) beat();
    });
  };
  beat();
  loop_.run();
}

void FakeAgent::Send(const AgentMessage& message) {
  wire::Envelope envelope;
  envelope.set_version(wire::kProtocolVersion);
  envelope.set_sequence(++sequence_);
  wire::Encode(message, envelope.add_messages());
  link_->Send(envelope);
}

void FakeAgent::Report(const TaskKey& key, TaskPhase phase, int code) {
  TaskStatus status{.key = key, .phase = phase, .pid = 4711};
  if (phase == TaskPhase::kExited) status.exit = TaskExit{.code = code};
  Send(TaskReport{epoch_, {status}});
}

void FakeAgent::OnEnvelope(const wire::Envelope& envelope) {
  if (envelope.messages_size() == 0) {
    ++empty_;
    std::lock_guard lock(mutex_);
    changed_.notify_all();
  }
  for (const wire::Message& message : envelope.messages()) OnMessage(message);
}

void FakeAgent::OnMessage(const wire::Message& in) {
  if (in.has_read_log()) {
    wire::Envelope envelope;
    envelope.set_version(wire::kProtocolVersion);
    envelope.set_sequence(++sequence_);
    auto* chunk = envelope.add_messages()->mutable_log_chunk();
    chunk->set_ticket(in.read_log().ticket());
    const int64_t offset = in.read_log().offset();
    chunk->set_offset(offset);
    if (offset < static_cast<int64_t>(options_.log.size())) {
      chunk->set_data(options_.log.substr(static_cast<size_t>(offset), 3));  // in small pieces
    } else {
      chunk->set_ended(true);
    }
    link_->Send(envelope);
    return;
  }
  const auto message = wire::DecodeSchedulerMessage(in);
  ASSERT_TRUE(message.ok()) << message.status();
  if (const auto* welcome = std::get_if<Welcome>(&*message)) {
    epoch_ = welcome->epoch;
    std::lock_guard lock(mutex_);
    welcomed_ = true;
  } else if (const auto* refuse = std::get_if<Refuse>(&*message)) {
    std::lock_guard lock(mutex_);
    refused_ = refuse->reason;
    cut_off_ = true;
  } else if (const auto* start = std::get_if<StartTask>(&*message)) {
    if (seen_.emplace(start->key, true).second) {
      if (options_.start_tasks) Report(start->key, TaskPhase::kRunning, 0);
      if (options_.finish_tasks) {
        Report(start->key, TaskPhase::kExited, options_.code);
      } else {
        running_.push_back(start->key);
      }
      std::lock_guard lock(mutex_);
      ++started_;
    }
  } else if (const auto* stop = std::get_if<StopTask>(&*message)) {
    std::erase(running_, stop->key);
    TaskStatus status{.key = stop->key, .phase = TaskPhase::kExited};
    status.exit = TaskExit{.signal = 15};
    Send(TaskReport{epoch_, {status}});
  }
  std::lock_guard lock(mutex_);
  changed_.notify_all();
}

bool FakeAgent::WaitForWelcome() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return welcomed_ || cut_off_; });
  return welcomed_;
}

void FakeAgent::WaitForTasks(size_t count) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return started_ >= count; });
}

void FakeAgent::WaitForEmptyEnvelope() {
  std::unique_lock lock(mutex_);
  const size_t before = empty_;
  changed_.wait(lock, [&] { return empty_ > before; });
}

void FakeAgent::Finish(int code) {
  boost::asio::post(loop_, [this, code] {
    for (const TaskKey& key : running_) Report(key, TaskPhase::kExited, code);
    running_.clear();
  });
}

}  // namespace allot::scheduler::testing
