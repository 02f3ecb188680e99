// A scheduler on real sockets in a folder of its own, and an agent made of a ClientLink that does
// what it is told at once. Both run on threads of their own; a test only speaks HTTP.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "common/http/client.h"
#include "common/json/json.h"
#include "common/transport/link.h"
#include "scheduler/shell/shell.h"
#include "tests/unit/scheduler_shell/support.h"

namespace allot::scheduler::testing {

struct Answer {
  int status = 0;
  std::string body;
  http::Headers headers;
  json::value json() const { return json::parse(body); }
  json::object job() const { return json().at("job").as_object(); }
};

inline constexpr char kJob[] = R"({"name": "hello", "command": ["/bin/true"]})";

inline std::string ErrorCode(const Answer& answer) {
  return std::string(answer.json().at("error").at("code").as_string());
}

class Cluster {
 public:
  explicit Cluster(bool local = true);
  ~Cluster();

  void Start();
  Shell::Options Options() const;  // what Start uses
  void Stop();                     // clean
  void Kill();                     // like kill -9: nothing is flushed
  // Runs `f` on the scheduler's loop and waits for it.
  void OnLoop(const std::function<void(Shell&)>& f);

  // Content-Type: application/json unless `headers` has another.
  Answer Fetch(const std::string& method, const std::string& target, const std::string& body = "",
               http::Headers headers = {});
  Answer Get(const std::string& target) { return Fetch("GET", target); }
  ApiLimits limits;                             // of the next Start
  std::function<void(Shell::Options&)> adjust;  // likewise
  void UseToken(std::string token) { token_ = std::move(token); }

  // A key pair that is enrolled.
  transport::KeyPair Enroll(const std::string& name, transport::Role role);
  std::string endpoint() const { return endpoint_; }
  std::string public_key() const { return keys_.public_key; }
  std::string http_address() const { return http_; }
  const TempFolder& folder() const { return folder_; }
  void WriteTokens(const std::string& yaml);

 private:
  TempFolder folder_;
  const bool local_;
  transport::KeyPair keys_;
  std::string endpoint_, http_, token_;
  std::unique_ptr<boost::asio::io_context> loop_;
  std::unique_ptr<Shell> shell_;
  std::thread thread_;
};

class FakeAgent {
 public:
  struct Options {
    std::string name = "n1";
    transport::Role role = transport::Role::kAgent;  // of its key
    uint32_t gpus = 4;
    bool start_tasks = true;   // report running, and
    bool finish_tasks = true;  // exited with `code`
    int code = 0;
    std::string log = "hello\n";
    std::string claimed_name = "";               // in RegisterNode; default: name
    uint64_t registration = 1;                   // a later life of the same node has a higher one
    std::function<void(NodeInfo&)> adjust = {};  // what it tells of itself
  };
  FakeAgent(Cluster& cluster, Options options);
  ~FakeAgent();
  bool WaitForWelcome();  // false: refused or cut off instead
  RefuseReason refused() const { return refused_; }
  void WaitForTasks(size_t count);  // commands StartTask seen so far
  void Finish(int code);            // ends every task that runs
  size_t heartbeats_answered() const { return empty_.load(); }
  void WaitForEmptyEnvelope();

 private:
  void Run();
  void OnEnvelope(const wire::Envelope& envelope);
  void OnMessage(const wire::Message& message);
  void Send(const AgentMessage& message);
  void Report(const TaskKey& key, TaskPhase phase, int code);

  const Options options_;
  boost::asio::io_context loop_{1};
  std::unique_ptr<transport::Context> context_;
  std::unique_ptr<transport::ClientLink> link_;
  uint64_t sequence_ = 0;
  Epoch epoch_;
  std::vector<TaskKey> running_;
  std::map<TaskKey, bool> seen_;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool welcomed_ = false, cut_off_ = false;
  RefuseReason refused_ = RefuseReason::kStaleEpoch;
  size_t started_ = 0;
  std::atomic<size_t> empty_{0};
  std::thread thread_;
};

}  // namespace allot::scheduler::testing
