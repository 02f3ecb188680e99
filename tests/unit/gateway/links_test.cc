// The gateway's end of its links: lives of connections, bodies in pieces, credit, cuts.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/gateway/harness.h"

namespace allot::gateway {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// An agent of today's build, which does what the test says.
class Agent {
 public:
  Agent(Harness& h, std::string node) : h_(h), node_(std::move(node)) {
    link_ = *transport::ClientLink::Dial(
        *h.context, h.loop,
        {.endpoint = h.gateway->endpoint(),
         .server_public_key = h.gateway->public_key(),
         .keys = h.keys(node_)},
        {.message = [this](transport::ClientLink::Incoming in) { Take(std::move(in)); },
         .connected = [this] { connected = true; }});
    EXPECT_TRUE(h.Until([this] { return connected; }));
  }
  void Hello() {
    wire::Envelope envelope;
    AddHello(&envelope);
    Send(std::move(envelope));
  }
  void AddHello(wire::Envelope* envelope) {
    auto* hello = envelope->add_messages()->mutable_link_hello();
    hello->set_node(node_);
    hello->set_incarnation(incarnation);
    hello->set_token(token);
    hello->set_pieces(true);
  }
  Agent& Link() {
    Hello();
    EXPECT_TRUE(h_.Until([this] { return linked; }));
    return *this;
  }
  void Probe(uint64_t nonce, size_t padding, bool large_lost = false) {
    wire::Envelope envelope;
    auto* probe = envelope.add_messages()->mutable_path_probe();
    probe->set_nonce(nonce);
    probe->set_padding(std::string(padding, 'x'));
    probe->set_large_lost(large_lost);
    Send(std::move(envelope));
  }
  void Taken(uint64_t bytes) {
    wire::Envelope envelope;
    envelope.add_messages()->mutable_taken()->set_bytes(bytes);
    Send(std::move(envelope));
  }
  void Head(uint64_t request, std::string piece, const std::string& value = "text/event-stream") {
    wire::Envelope envelope;
    auto* head = envelope.add_messages()->mutable_response_head();
    head->set_request(request);
    head->set_status(200);
    for (const char* name : {"content-type", "x-n"}) {
      auto* header = head->add_headers();
      header->set_name(name);
      header->set_value(value);
    }
    Send(std::move(envelope), {std::move(piece)});
  }
  void Chunk(uint64_t request, std::string piece, bool last) {
    wire::Envelope envelope;
    auto* chunk = envelope.add_messages()->mutable_response_chunk();
    chunk->set_request(request);
    chunk->set_last(last);
    Send(std::move(envelope), {std::move(piece)});
  }
  void Send(wire::Envelope envelope, transport::Bodies bodies = {}) {
    envelope.set_sequence(++sequence_);
    envelope.set_incarnation(incarnation);
    EXPECT_TRUE(link_->Send(envelope, std::move(bodies)));
  }

  bool connected = false, linked = false, obey = true;  // obey: brings tokens back
  uint64_t incarnation = 77, token = 0;
  std::vector<wire::ForwardRequest> requests;
  std::map<uint64_t, std::string> bodies;
  uint64_t body_bytes = 0;
  std::map<uint64_t, uint64_t> granted;
  std::vector<uint64_t> cancelled;
  std::vector<wire::PathEcho> echoes;
  uint64_t taken = 0;
  int given_up = 0;  // it was linked, and is to open anew

 private:
  void Take(transport::ClientLink::Incoming in) {
    size_t next = 0;
    for (const wire::Message& message : in.envelope.messages()) {
      if (message.has_link_welcome()) {
        const wire::LinkWelcome& welcome = message.link_welcome();
        EXPECT_EQ(welcome.incarnation(), incarnation);
        if (welcome.linked()) {
          linked = true;
          continue;
        }
        given_up += linked;
        linked = false;
        token = welcome.token();
        if (obey) Hello();
      } else if (message.has_forward_request()) {
        requests.push_back(message.forward_request());
        granted[requests.back().request()] = requests.back().window();
        Body(requests.back().request(), in.bodies.at(next++));
      } else if (message.has_request_chunk()) {
        Body(message.request_chunk().request(), in.bodies.at(next++));
      } else if (message.has_grant()) {
        granted[message.grant().request()] = message.grant().bytes();
      } else if (message.has_cancel_request()) {
        cancelled.push_back(message.cancel_request().request());
      } else if (message.has_path_echo()) {
        echoes.push_back(message.path_echo());
      } else if (message.has_taken()) {
        taken = message.taken().bytes();
      }
    }
  }
  void Body(uint64_t request, const std::string& piece) {
    bodies[request] += piece;
    body_bytes += piece.size();
  }

  Harness& h_;
  const std::string node_;
  uint64_t sequence_ = 0;
  std::unique_ptr<transport::ClientLink> link_;
};

// So many bytes of a stream.
std::string Event(size_t bytes) { return "data: " + std::string(bytes - 8, 'x') + "\n\n"; }

class Links : public ::testing::Test {
 protected:
  void Serve() {
    h.AddReplica(1, "n1");
    h.SendRoutes();
  }
  std::string Metrics() { return h.Get("/metrics")->body; }
  Harness h;
};

// A connection that a partition had cut delivers what it had on its way when the path heals: hellos
// that look like any other, long after the node has dialled anew.
TEST_F(Links, LateHellosOfADeadConnectionEndNothingOnTheLivingOne) {
  Serve();
  Agent dead(h, "n1");
  dead.Link();
  Agent living(h, "n1");
  living.incarnation = 78;
  living.Link();
  const auto answer = h.Post("/v1/completions", kStreamPrompt);
  ASSERT_TRUE(h.Until([&] { return !living.requests.empty(); }));
  living.Head(living.requests[0].request(), "data: 1\n\n");
  ASSERT_TRUE(h.Until([&] { return answer->pieces.size() == 1; }));

  dead.obey = false;  // Nobody is there who could.
  for (int i = 0; i < 20; ++i) dead.Hello();
  dead.token = 0;
  dead.Hello();
  dead.Chunk(living.requests[0].request(), "data: from the past\n\n", true);
  ASSERT_TRUE(h.Until([&] { return dead.given_up > 0; })) << "they were heard, and were asked back";
  living.Chunk(living.requests[0].request(), "data: 2\n\n", false);
  living.Chunk(living.requests[0].request(), "", true);
  h.Done(answer);
  EXPECT_TRUE(answer->ended.ok()) << answer->ended;
  EXPECT_EQ(answer->body, "data: 1\n\ndata: 2\n\n");
  EXPECT_EQ(living.given_up, 0);
  EXPECT_THAT(Metrics(), HasSubstr(R"(link_dropped_total{reason="stale"})"));
}

TEST_F(Links, ANodeThatDialsAnewTakesItsLinkAlong) {
  Serve();
  Agent first(h, "n1");
  first.Link();
  Agent second(h, "n1");
  second.Link();
  const auto answer = h.Post("/v1/completions", kPrompt);
  ASSERT_TRUE(h.Until([&] { return !second.requests.empty(); }));
  EXPECT_THAT(first.requests, IsEmpty());
}

// It was silent for too long and is back on the same connection: what it held is forgotten here.
TEST(LinksSilence, ANodeThatWasGivenUpIsAskedAnewBeforeItIsLinked) {
  Harness h([](Options& options) { options.agent_silence_max = std::chrono::milliseconds(50); });
  Agent agent(h, "n1");
  agent.Link();
  ASSERT_TRUE(h.Until([&] {
    return h.Get("/metrics")->body.find("allotrope_gateway_nodes_linked 0\n") != std::string::npos;
  }));
  const uint64_t token = agent.token;
  agent.Hello();
  ASSERT_TRUE(h.Until([&] { return agent.given_up == 1 && agent.linked; }));
  EXPECT_NE(agent.token, token);
}

TEST_F(Links, ALargeBodyGoesInPiecesAndNoFasterThanItArrives) {
  Serve();
  Agent agent(h, "n1");
  agent.Link();
  const std::string prompt(1 << 20, 'p');
  const auto answer =
      h.Post("/v1/completions", fmt::format(R"({{"model":"tiny","prompt":"{}"}})", prompt));
  ASSERT_TRUE(h.Until([&] { return agent.body_bytes >= 256 << 10; }));
  const auto small = h.Post("/v1/completions", kPrompt);
  h.Turn();
  EXPECT_EQ(agent.body_bytes, 256u << 10);
  EXPECT_EQ(agent.requests.size(), 1u) << "its turn comes when something has arrived";
  agent.Taken(agent.body_bytes);
  ASSERT_TRUE(h.Until([&] { return agent.requests.size() == 2; }));
  EXPECT_LT(agent.bodies[agent.requests[0].request()].size(), agent.requests[0].body_bytes())
      << "the small one did not wait for all of the large one";
  ASSERT_TRUE(h.Until([&] {
    agent.Taken(agent.body_bytes);
    return agent.bodies[agent.requests[0].request()].size() == agent.requests[0].body_bytes();
  }));
  EXPECT_THAT(agent.bodies[agent.requests[0].request()], HasSubstr(prompt));
}

TEST_F(Links, ARequestGivenUpHalfwayTakesNoMoreOfThePath) {
  Serve();
  Agent agent(h, "n1");
  agent.Link();
  const std::string prompt(1 << 20, 'p');
  const auto answer =
      h.Post("/v1/completions", fmt::format(R"({{"model":"tiny","prompt":"{}"}})", prompt));
  ASSERT_TRUE(h.Until([&] { return agent.body_bytes >= 256 << 10; }));
  answer->call->Cancel();
  ASSERT_TRUE(h.Until([&] { return !agent.cancelled.empty(); }));
  const uint64_t before = agent.body_bytes;
  agent.Taken(before);
  const auto next = h.Post("/v1/completions", kPrompt);
  ASSERT_TRUE(h.Until([&] { return agent.requests.size() == 2; }));
  EXPECT_EQ(agent.body_bytes, before + std::string(kPrompt).size());
}

// An agent that keeps to its credit sends no more than the client takes, and a little.
TEST_F(Links, AClientThatDoesNotReadFillsNobodysMemory) {
  Serve();
  Agent agent(h, "n1");
  agent.Link();
  SilentClient client(h.gateway->http_address(), kStreamPrompt);
  ASSERT_TRUE(h.Until([&] { return !agent.requests.empty(); }));
  const uint64_t request = agent.requests[0].request();
  EXPECT_EQ(agent.granted[request], 256u << 10);
  uint64_t sent = 9;
  agent.Head(request, "data: 1\n\n");
  const auto send = [&] {
    for (; sent + 8'192 <= agent.granted[request]; sent += 8'192)
      agent.Chunk(request, Event(8'192), false);
  };
  send();
  // The kernel's buffers take some megabytes; then it is over, however long one waits.
  for (int turn = 0; turn < 3'000; ++turn) {
    h.Turn();
    send();
  }
  EXPECT_LT(sent, 32u << 20);
  EXPECT_THAT(agent.cancelled, IsEmpty()) << "and it costs nobody else, so it may wait";
}

TEST_F(Links, CreditFollowsAClientThatReads) {
  Serve();
  Agent agent(h, "n1");
  agent.Link();
  for (const char* prompt : {kStreamPrompt, kPrompt}) {
    agent.requests.clear();
    const auto answer = h.Post("/v1/completions", prompt);
    ASSERT_TRUE(h.Until([&] { return !agent.requests.empty(); }));
    const uint64_t request = agent.requests[0].request();
    constexpr uint64_t kWhole = 12 << 20;
    uint64_t sent = 9;
    agent.Head(request, "data: 1\n\n");
    ASSERT_TRUE(h.Until([&] {
      for (; sent < kWhole && sent + 65'536 <= agent.granted[request]; sent += 65'536)
        agent.Chunk(request, Event(65'536), false);
      return sent >= kWhole;
    }));
    agent.Chunk(request, "", true);
    EXPECT_EQ(h.Done(answer)->body.size(), sent);
  }
  EXPECT_GT(agent.taken, 23u << 20) << "and all of it is acknowledged as it comes";
}

// To hold it whole for the sake of another try is what memory cannot pay.
TEST_F(Links, ALongAnswerGoesOutAsItComes) {
  Serve();
  Agent agent(h, "n1");
  agent.Link();
  const auto answer = h.Post("/v1/completions", kPrompt);
  ASSERT_TRUE(h.Until([&] { return !agent.requests.empty(); }));
  const uint64_t request = agent.requests[0].request();
  agent.Head(request, std::string(600 << 10, 'x'), "text/plain");
  agent.Chunk(request, std::string(400 << 10, 'x'), false);
  for (int i = 0; i < 50; ++i) h.Turn();
  EXPECT_EQ(answer->status, 0) << "up to a MiB it is held";
  agent.Chunk(request, std::string(100 << 10, 'x'), false);
  ASSERT_TRUE(h.Until([&] { return answer->body.size() == 1'100u << 10; }));
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->headers["x-allot-node"], "n1");
  agent.Chunk(request, "the end", true);
  h.Done(answer);
  EXPECT_TRUE(answer->ended.ok()) << answer->ended;
  EXPECT_TRUE(answer->body.ends_with("the end"));
}

TEST_F(Links, OfALongAnswerThatHasBegunThereIsNoOtherTry) {
  Serve();
  Agent agent(h, "n1"), other(h, "n2");
  h.AddReplica(2, "n2");
  h.SendRoutes();
  agent.Link();
  other.Link();
  const auto answer = h.Post("/v1/completions", kPrompt);
  ASSERT_TRUE(h.Until([&] { return agent.requests.size() + other.requests.size() == 1; }));
  Agent& asked = agent.requests.empty() ? other : agent;
  const uint64_t request = asked.requests[0].request();
  asked.Head(request, std::string(1'100 << 10, 'x'), "text/plain");
  ASSERT_TRUE(h.Until([&] { return answer->body.size() == 1'100u << 10; }));
  wire::Envelope envelope;
  envelope.add_messages()->mutable_response_failed()->set_request(request);
  asked.Send(std::move(envelope));
  h.Done(answer);
  EXPECT_FALSE(answer->ended.ok()) << "it is seen to be cut";
  EXPECT_EQ(agent.requests.size() + other.requests.size(), 1u);
}

// Each keeps to its own window: together they would be too much.
TEST(LinksTogether, OfManyAnswersEachIsGrantedLittle) {
  Harness h([](Options& options) { options.answers_bytes_max = 600 << 10; });
  h.AddReplica(1, "n1", 1, 64);
  h.SendRoutes();
  Agent agent(h, "n1");
  agent.Link();
  std::vector<std::shared_ptr<Answer>> answers;
  std::vector<uint64_t> windows;
  for (size_t i = 0; i < 6; ++i) {
    answers.push_back(h.Post("/v1/completions", i < 4 ? kStreamPrompt : kPrompt));
    ASSERT_TRUE(h.Until([&] { return agent.requests.size() == i + 1; }));
    windows.push_back(agent.requests.back().window());
  }
  constexpr uint64_t kFull = 256 << 10, kLeast = 16 << 10;
  EXPECT_THAT(windows, ::testing::ElementsAre(kFull, kFull, kFull, kLeast, kLeast, kLeast));
  EXPECT_THAT(h.Get("/metrics")->body,
              HasSubstr(fmt::format("allotrope_gateway_answers_bytes {}", 3 * kFull + 3 * kLeast)));
  // What is not streamed is not held, and all of them end: each is granted more as it is taken.
  constexpr uint64_t kWhole = 300 << 10;
  std::vector<uint64_t> sent(6);
  for (size_t i = 0; i < 6; ++i)
    agent.Head(agent.requests[i].request(), std::string(1'000, 'x'), "text/plain"), sent[i] = 1'000;
  ASSERT_TRUE(h.Until([&] {
    bool all = true;
    for (size_t i = 0; i < 6; ++i) {
      const uint64_t request = agent.requests[i].request();
      for (; sent[i] < kWhole && sent[i] + 4'000 <= agent.granted[request]; sent[i] += 4'000)
        agent.Chunk(request, std::string(4'000, 'x'), false);
      all &= sent[i] >= kWhole;
    }
    return all;
  }));
  for (size_t i = 0; i < 6; ++i) {
    agent.Chunk(agent.requests[i].request(), "", true);
    EXPECT_EQ(h.Done(answers[i])->body.size(), sent[i]);
  }
  EXPECT_THAT(h.Get("/metrics")->body, HasSubstr("allotrope_gateway_answers_bytes 0"));
}

TEST_F(Links, OddBytesInAnAnswersHeaderGoThrough) {
  Serve();
  Agent agent(h, "n1");
  agent.Link();
  const auto answer = h.Post("/v1/completions", kPrompt);
  ASSERT_TRUE(h.Until([&] { return !agent.requests.empty(); }));
  agent.Head(agent.requests[0].request(), "x", "caf\xe9");
  agent.Chunk(agent.requests[0].request(), "", true);
  EXPECT_EQ(h.Done(answer)->status, 200);
  EXPECT_EQ(answer->headers["x-n"], "caf\xe9");
}

TEST_F(Links, ProbesComeBackAsLargeAsTheyWereAndTroubleIsToldOn) {
  h.SendRoutes();
  Agent agent(h, "n1");
  agent.Probe(5, 0);
  agent.Probe(5, 16 << 10);
  agent.Probe(6, 17 << 10);  // Nobody needs that much.
  agent.Probe(7, 0, /*large_lost=*/true);
  ASSERT_TRUE(h.Until([&] { return agent.echoes.size() == 3; }));
  EXPECT_EQ(agent.echoes[0].padding().size(), 0u);
  EXPECT_EQ(agent.echoes[1].padding().size(), 16u << 10);
  EXPECT_EQ(agent.echoes[2].nonce(), 7u);
  ASSERT_TRUE(h.Until([&] { return !h.hellos.empty() && !h.hellos.back().unreached().empty(); }));
  EXPECT_EQ(h.hellos.back().unreached(0).node(), "n1");
  EXPECT_THAT(h.hellos.back().unreached(0).why(), HasSubstr("MTU"));
  agent.Link();
  ASSERT_TRUE(h.Until([&] { return !h.hellos.back().nodes().empty(); }));
  EXPECT_THAT(h.hellos.back().nodes(), ElementsAre("n1"));
  EXPECT_THAT(h.hellos.back().unreached(), IsEmpty());
}

// A hello that is asked for its token ends what it stands before, but for the proof of the path: an
// agent that is short of processors says both in one breath.
TEST_F(Links, AProbeBehindAHelloComesBackToo) {
  h.SendRoutes();
  Agent agent(h, "n1");
  wire::Envelope envelope;
  agent.AddHello(&envelope);
  auto* probe = envelope.add_messages()->mutable_path_probe();
  probe->set_nonce(5);
  probe->set_padding(std::string(16 << 10, 'x'));
  agent.Send(std::move(envelope));
  ASSERT_TRUE(h.Until([&] { return agent.echoes.size() == 1; }));
  EXPECT_EQ(agent.echoes[0].padding().size(), 16u << 10);
}

TEST_F(Links, ANodeWithReplicasThatIsNotLinkedShowsInTheMetrics) {
  Serve();
  EXPECT_THAT(Metrics(), HasSubstr("allotrope_gateway_nodes_unreached 1"));
  Agent agent(h, "n1");
  agent.Link();
  EXPECT_THAT(Metrics(), HasSubstr("allotrope_gateway_nodes_unreached 0"));
}

}  // namespace
}  // namespace allot::gateway
