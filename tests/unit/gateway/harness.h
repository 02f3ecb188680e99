// A gateway between a scheduler, agents and clients that the test plays itself, over real sockets
// on one loop. Nothing waits by the clock: a test runs the loop until what it waits for is there,
// and fails after a time no healthy machine needs.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/http/client.h"
#include "common/model/messages.h"
#include "common/transport/link.h"
#include "gateway/gateway.h"

namespace allot::gateway {

// A folder that is removed with all it holds.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  std::string File(const std::string& name) const { return path_ + "/" + name; }
  void Write(const std::string& name, const std::string& text) const;

 private:
  std::string path_;
};

// An agent that does what the test says.
class FakeAgent {
 public:
  struct Received {
    wire::ForwardRequest request;
    std::string body;
    std::string Header(const std::string& name) const;
  };
  using Doing = std::function<void(FakeAgent&, const Received&)>;

  FakeAgent(transport::Context& context, boost::asio::io_context& loop, std::string node,
            transport::KeyPair keys, const Gateway& gateway);

  void Hello(const std::string& name);
  // Answers whole, or piece by piece.
  void Answer(const Received& to, int status, const std::string& content_type, std::string body);
  void Head(const Received& to, int status, const std::string& content_type, std::string piece);
  void Chunk(const Received& to, std::string piece, bool last);
  void Fail(const Received& to, bool started, const std::string& message);
  // Dials anew, as a restarted agent does.
  void Redial();
  void HangUp() { link_.reset(); }

  const std::string node;
  std::vector<Received> requests;
  std::vector<uint64_t> cancelled;
  Doing on_request;     // default: keeps it
  http::Headers extra;  // of every answer
  int welcomes = 0;
  bool disconnected = false;

 private:
  void Send(wire::Envelope envelope, transport::Bodies bodies);

  transport::Context& context_;
  boost::asio::io_context& loop_;
  transport::KeyPair keys_;
  const Gateway& gateway_;
  uint64_t sequence_ = 0;
  std::unique_ptr<transport::ClientLink> link_;
};

// A client that sends a completion request and never reads a byte of the answer.
class SilentClient {
 public:
  SilentClient(const std::string& host_port, const std::string& body);
  ~SilentClient();

 private:
  int socket_ = -1;
};

struct Answer {
  int status = 0;
  std::map<std::string, std::string> headers;
  std::string body;
  std::vector<std::string> pieces;  // as they arrived
  bool done = false;
  Status ended;
  std::unique_ptr<http::Client::Call> call;
};

class Harness {
 public:
  // `adjust` may change the options before the start.
  explicit Harness(const std::function<void(Options&)>& adjust = {});
  ~Harness();

  // Runs the loop until `there()`; false if that takes too long.
  bool Until(const std::function<bool()>& there);
  // Runs what is ready.
  void Turn();

  // The next table: replicas of the deployment "chat", model "tiny", objective 1 s.
  RouteDeployment& deployment() { return table.deployments[0]; }
  void AddReplica(uint64_t id, const std::string& node, double price = 1, uint32_t concurrency = 4,
                  MilliWatt power = 0);
  // The scheduler's lists, until the gateway says that it has them.
  void Tell(const wire::Admission& lists);
  const std::string& KeyOf(const std::string& name) { return keys_[name].public_key; }
  void SendRoutes();  // and waits until the gateway has them
  void StopScheduler();
  void StartScheduler();                         // at the same address
  FakeAgent& AddAgent(const std::string& node);  // and waits until it is linked
  // Two replicas, on n1 and n2: whichever is asked first, what it does is `first`'s.
  void AddTwo(FakeAgent::Doing first, FakeAgent::Doing then);

  const transport::KeyPair& keys(const std::string& name) { return keys_.at(name); }

  std::shared_ptr<Answer> Get(const std::string& path, const http::Headers& headers = {});
  std::shared_ptr<Answer> Post(const std::string& path, std::string body,
                               const http::Headers& headers = {});
  // Runs until the answer is whole.
  std::shared_ptr<Answer> Done(std::shared_ptr<Answer> answer);

  TempFolder folder;
  boost::asio::io_context loop;
  RouteTable table;
  std::unique_ptr<transport::Context> context;
  std::unique_ptr<transport::ServerLink> scheduler;
  std::vector<wire::GatewayHello> hellos;
  std::set<std::string> peers;  // connections of the gateway to the scheduler
  bool mute = false;            // the scheduler answers nothing
  std::unique_ptr<Gateway> gateway;
  std::map<std::string, std::unique_ptr<FakeAgent>> agents;
  std::unique_ptr<http::Client> client;

 private:
  std::shared_ptr<Answer> Fetch(http::ClientRequest request);
  void OnGateway(const transport::ServerLink::Incoming& in);

  std::map<std::string, transport::KeyPair> keys_;
  std::string scheduler_endpoint_ = "tcp://127.0.0.1:0";
  wire::Admission lists_;
  uint64_t scheduler_sequence_ = 0;
  std::vector<std::shared_ptr<Answer>> asked_;
};

constexpr char kPrompt[] = R"({"model":"tiny","prompt":"once upon","max_tokens":8})";
constexpr char kStreamPrompt[] = R"({"model":"tiny","prompt":"once upon","stream":true})";
constexpr char kCompletion[] =
    R"({"id":"c","object":"text_completion","choices":[{"text":"a time"}],"usage":{"completion_tokens":6}})";

}  // namespace allot::gateway
