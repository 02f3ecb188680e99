#include "tests/unit/gateway/harness.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "common/base/check.h"
#include "common/transport/path_proof.h"
#include "common/wire/codec.h"
#include "gtest/gtest.h"

namespace allot::gateway {
namespace {

constexpr auto kPatience = std::chrono::seconds(120);

template <class T>
T Must(StatusOr<T> value) {
  EXPECT_TRUE(value.ok()) << value.status();
  return *std::move(value);
}

}  // namespace

TempFolder::TempFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "allot-gateway-XXXXXX").string();
  CHECK(mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}
TempFolder::~TempFolder() { std::filesystem::remove_all(path_); }

void TempFolder::Write(const std::string& name, const std::string& text) const {
  std::ofstream(File(name)) << text;
  std::filesystem::permissions(
      File(name), std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

std::string FakeAgent::Received::Header(const std::string& name) const {
  for (const wire::Header& header : request.headers())
    if (header.name() == name) return header.value();
  return "";
}

FakeAgent::FakeAgent(transport::Context& context, boost::asio::io_context& loop, std::string name,
                     transport::KeyPair keys, const Gateway& gateway)
    : node(std::move(name)),
      context_(context),
      loop_(loop),
      keys_(std::move(keys)),
      gateway_(gateway) {
  Redial();
}

void FakeAgent::Redial() {
  sequence_ = 0;
  disconnected = false;
  link_ = Must(transport::ClientLink::Dial(
      context_, loop_,
      {.endpoint = gateway_.endpoint(), .server_public_key = gateway_.public_key(), .keys = keys_},
      {.message =
           [this](transport::ClientLink::Incoming in) {
             size_t body = 0;
             for (const wire::Message& message : in.envelope.messages()) {
               if (message.has_link_welcome()) ++welcomes;
               if (message.has_cancel_request())
                 cancelled.push_back(message.cancel_request().request());
               if (!message.has_forward_request()) continue;
               requests.push_back({message.forward_request(), in.bodies.at(body++)});
               if (on_request) on_request(*this, Received(requests.back()));
             }
           },
       .connected = [this] { Hello(node); },
       .disconnected = [this](const std::string&) { disconnected = true; }}));
}

void FakeAgent::Send(wire::Envelope envelope, transport::Bodies bodies) {
  envelope.set_sequence(++sequence_);
  EXPECT_TRUE(link_->Send(envelope, std::move(bodies)));
}

void FakeAgent::Hello(const std::string& name) {
  wire::Envelope envelope;
  envelope.add_messages()->mutable_link_hello()->set_node(name);
  Send(std::move(envelope), {});
}

void FakeAgent::Head(const Received& to, int status, const std::string& content_type,
                     std::string piece) {
  wire::Envelope envelope;
  auto* head = envelope.add_messages()->mutable_response_head();
  head->set_request(to.request.request());
  head->set_status(status);
  for (const auto& [name, value] : std::map<std::string, std::string>{
           {"content-type", content_type}, {"x-model", "yes"}, {"server", "inner"}}) {
    head->add_headers()->set_name(name);
    head->mutable_headers(head->headers_size() - 1)->set_value(value);
  }
  for (const auto& [name, value] : extra) {
    head->add_headers()->set_name(name);
    head->mutable_headers(head->headers_size() - 1)->set_value(value);
  }
  Send(std::move(envelope), {std::move(piece)});
}

void FakeAgent::Chunk(const Received& to, std::string piece, bool last) {
  wire::Envelope envelope;
  auto* chunk = envelope.add_messages()->mutable_response_chunk();
  chunk->set_request(to.request.request());
  chunk->set_last(last);
  Send(std::move(envelope), {std::move(piece)});
}

void FakeAgent::Answer(const Received& to, int status, const std::string& content_type,
                       std::string body) {
  Head(to, status, content_type, std::move(body));
  Chunk(to, "", true);
}

void FakeAgent::Fail(const Received& to, bool started, const std::string& message) {
  wire::Envelope envelope;
  auto* failed = envelope.add_messages()->mutable_response_failed();
  failed->set_request(to.request.request());
  failed->set_started(started);
  failed->set_message(message);
  Send(std::move(envelope), {});
}

SilentClient::SilentClient(const std::string& host_port, const std::string& body)
    : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(std::stoi(host_port.substr(host_port.rfind(':') + 1))));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  // A buffer of its own size, else the kernel's takes 6 to 32 MB of an answer, as it pleases.
  const int buffer = 64 << 10;
  CHECK(::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer) == 0);
  CHECK(::connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
  const std::string request =
      fmt::format("POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{}",
                  body.size(), body);
  CHECK(::send(socket_, request.data(), request.size(), 0) == static_cast<ssize_t>(request.size()));
}

SilentClient::~SilentClient() { ::close(socket_); }

Harness::Harness(const std::function<void(Options&)>& adjust) {
  std::vector<transport::AllowedPeer> allowed;
  for (const char* name : {"n1", "n2", "n3"}) {
    keys_[name] = transport::NewKeyPair();
    allowed.push_back({name, keys_[name].public_key, transport::Role::kAgent});
  }
  keys_["gw"] = transport::NewKeyPair();
  keys_["scheduler"] = transport::NewKeyPair();
  allowed.push_back({"gw", keys_["gw"].public_key, transport::Role::kGateway});
  EXPECT_TRUE(transport::SaveAllowFile(folder.File("allow.yaml"), allowed).ok());

  context = Must(transport::Context::Create({.allow_file = folder.File("allow.yaml")}));
  StartScheduler();

  table.term = Term(1);
  table.policy_name = "test-policy";
  table.routing_algorithm = "cheapest_within_slo";
  table.explore_ratio = 0;
  RouteDeployment& chat = table.deployments.emplace_back();
  chat.name = "chat";
  chat.model = "tiny";
  chat.objective.end_to_end = std::chrono::seconds(10);

  Options options;
  options.name = "gw";
  options.listen = "tcp://127.0.0.1:0";
  options.http_listen = "127.0.0.1:0";
  options.keys = keys_["gw"];
  options.allow_file = folder.File("allow.yaml");
  options.schedulers = {scheduler->endpoint()};
  options.scheduler_public_key = keys_["scheduler"].public_key;
  options.open = true;
  options.seed = 1;
  options.hello_every = std::chrono::milliseconds(20);
  options.agent_silence_max = std::chrono::hours(1);
  if (adjust) adjust(options);
  gateway = Must(Gateway::Start(loop, options));
  client = std::make_unique<http::Client>(loop, gateway->http_address());
}

Harness::~Harness() {
  for (const auto& answer : asked_) answer->call.reset();  // its callbacks hold the answer
  client.reset();
  // Whatever the test did, of requests that have ended nothing is kept.
  EXPECT_TRUE(Until([this] { return !gateway || gateway->open() == 0; }));
  agents.clear();
  gateway.reset();
  scheduler.reset();
}

void Harness::StartScheduler() {
  // After a stop the address is free only when ZeroMQ has let go of it, in its own time.
  EXPECT_TRUE(Until([this] {
    auto listening = transport::ServerLink::Listen(
        *context, loop, {.endpoint = scheduler_endpoint_, .keys = keys_["scheduler"]},
        [this](const transport::ServerLink::Incoming& in) { OnGateway(in); });
    if (listening.ok()) scheduler = *std::move(listening);
    return scheduler != nullptr;
  }));
  scheduler_endpoint_ = scheduler->endpoint();
}

void Harness::StopScheduler() { scheduler.reset(); }

bool Harness::Until(const std::function<bool()>& there) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!there()) {
    if (std::chrono::steady_clock::now() > end) return false;
    loop.restart();
    loop.run_one_for(std::chrono::milliseconds(100));
  }
  return true;
}

void Harness::Turn() {
  loop.restart();
  loop.poll();
}

void Harness::OnGateway(const transport::ServerLink::Incoming& in) {
  peers.insert(in.peer);
  wire::Envelope answer;
  answer.set_term(table.term.value());
  answer.set_sequence(++scheduler_sequence_);
  for (const wire::Message& message : in.envelope.messages()) {
    if (message.has_path_probe()) {
      wire::Envelope echo;
      echo.set_term(table.term.value());
      transport::EchoProbe(message.path_probe(), echo.add_messages()->mutable_path_echo());
      if (!mute) scheduler->Send(in.peer, echo);
    }
    if (!message.has_gateway_hello()) continue;
    hellos.push_back(message.gateway_hello());
    if (lists_.version() != 0 && hellos.back().admission_version() != lists_.version())
      *answer.add_messages()->mutable_admission() = lists_;
    if (table.version != 0 && hellos.back().routes_version() != table.version)
      wire::Encode(table, answer.add_messages()->mutable_route_table());
  }
  if (!mute) scheduler->Send(in.peer, answer);
}

void Harness::AddReplica(uint64_t id, const std::string& node, double price, uint32_t concurrency,
                         MilliWatt power) {
  RouteReplica& replica = deployment().replicas.emplace_back();
  replica.id = ReplicaId(id);
  replica.node = node;
  replica.kind = DeviceKind::kAsic;
  replica.device_model = "groq/lpu-v1";
  replica.emulated = true;
  replica.concurrency = concurrency;
  replica.price = PriceRate{static_cast<int64_t>(price * 1e6)};
  replica.power = power;
  replica.ready = true;
}

void Harness::Tell(const wire::Admission& lists) {
  lists_ = lists;
  ASSERT_TRUE(Until(
      [&] { return !hellos.empty() && hellos.back().admission_version() == lists.version(); }));
}

void Harness::SendRoutes() {
  ++table.version;
  ASSERT_TRUE(
      Until([this] { return !hellos.empty() && hellos.back().routes_version() == table.version; }));
}

FakeAgent& Harness::AddAgent(const std::string& node) {
  auto& agent = agents[node];
  agent = std::make_unique<FakeAgent>(*context, loop, node, keys_[node], *gateway);
  EXPECT_TRUE(Until([&] { return agent->welcomes > 0; }));
  return *agent;
}

void Harness::AddTwo(FakeAgent::Doing first, FakeAgent::Doing then) {
  AddReplica(1, "n1");
  AddReplica(2, "n2");
  SendRoutes();
  const auto asked = std::make_shared<int>(0);
  for (const char* node : {"n1", "n2"}) {
    AddAgent(node).on_request = [=](FakeAgent& agent, const FakeAgent::Received& request) {
      ((*asked)++ == 0 ? first : then)(agent, request);
    };
  }
}

std::shared_ptr<Answer> Harness::Fetch(http::ClientRequest request) {
  auto answer = std::make_shared<Answer>();
  asked_.push_back(answer);
  answer->call =
      client->Start(std::move(request), {.head =
                                             [answer](int status, http::Headers headers) {
                                               answer->status = status;
                                               for (auto& [name, value] : headers)
                                                 answer->headers[name] = value;
                                             },
                                         .body =
                                             [answer](std::string piece) {
                                               answer->body += piece;
                                               answer->pieces.push_back(std::move(piece));
                                             },
                                         .done =
                                             [answer](Status status) {
                                               answer->done = true;
                                               answer->ended = std::move(status);
                                             }});
  return answer;
}

std::shared_ptr<Answer> Harness::Get(const std::string& path, const http::Headers& headers) {
  return Done(Fetch({.target = path, .headers = headers}));
}

std::shared_ptr<Answer> Harness::Post(const std::string& path, std::string body,
                                      const http::Headers& headers) {
  http::ClientRequest request{
      .method = "POST", .target = path, .headers = headers, .body = std::move(body)};
  request.headers.emplace_back("content-type", "application/json");
  return Fetch(std::move(request));
}

std::shared_ptr<Answer> Harness::Done(std::shared_ptr<Answer> answer) {
  EXPECT_TRUE(Until([&] { return answer->done; }));
  return answer;
}

}  // namespace allot::gateway
