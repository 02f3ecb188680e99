// The public OpenAI client (npm, on node) against the real programs.
#include <algorithm>
#include <iostream>
#include <sstream>

#include "tests/integration/cluster_fixture.h"

namespace allot::testing {
namespace {

class OpenAi : public ClusterTest {
 protected:
  // Runs a script of this folder against the gateway; what it printed, shown as well.
  std::string Node(const std::string& script, std::vector<std::string> args) {
    args.insert(args.begin(), {ALLOT_SOURCE_DIR "/tests/openai/" + script, gateway_url()});
    const CommandResult result =
        RunProgram(ALLOT_NODE, args, {"NODE_OPTIONS=", "ALLOT_TOKEN=" + token()}, folder());
    EXPECT_EQ(result.code, 0) << script << "\n" << result.out << result.err;
    std::cout << result.out;
    return result.out;
  }
};

TEST_F(OpenAi, TheClientCompletesAndChatsStreamingAndNot) {
  Up({{"one", true, {}}});
  const std::string checkpoint = folder() + "/checkpoint";
  const CommandResult trained =
      RunProgram(Program("charlm-train"),
                 {"--data", ALLOT_SOURCE_DIR "/examples/charlm/data/devils-dictionary.txt",
                  "--steps", "20", "--checkpoint-dir", checkpoint},
                 {"RANK=", "WORLD_SIZE="}, folder());
  ASSERT_EQ(trained.code, 0) << trained.out << trained.err;
  Deploy("name: charlm\ncommand: [" + Program("charlm-server") + ", --checkpoint, " + checkpoint +
             ", --port, '{port}']\nresources: {cpus: 200m, memory: 64MiB}\n"
             "health: {path: /health, interval: 100ms}\n"
             "replicas:\n  - {device: {kind: CPU}, concurrency: 4}\n",
         "charlm");
  Node("client_test.mjs", {"charlm"});
}

struct Left {
  double at = 0;     // Unix time in milliseconds
  double books = 0;  // milliseconds until the gateway had the replica free
};

std::vector<Left> LeftIn(const std::string& text) {
  std::vector<Left> out;
  std::istringstream in(text);
  for (std::string left, books; in >> left;) {
    Left& next = out.emplace_back();
    in >> next.at >> books >> next.books;
    EXPECT_EQ(left + books, "leftbooks");
  }
  return out;
}

std::vector<double> GoneIn(const std::string& log) {
  constexpr char kSays[] = "client gone at ";
  std::vector<double> out;
  for (size_t at = 0; (at = log.find(kSays, at)) != std::string::npos;) {
    at += sizeof(kSays) - 1;
    out.push_back(std::stod(log.substr(at)));
  }
  return out;
}

double Median(std::vector<double> times, const char* what) {
  std::sort(times.begin(), times.end());
  const double median = times[times.size() / 2];
  std::cout << what << ": median " << median << " ms, slowest " << times.back() << " ms of "
            << times.size() << "\n";
  return median;
}

// The requirement is 100 ms, so this test, alone of all, looks at a clock. What it judges is the
// median of ten, and it runs beside no other test: one pause of a busy machine is not ours, being
// late each time is. Measured on two busy cores: medians of 1 and 4 ms. Sanitizers make every
// program several times slower and get 2 s (CMakeLists.txt), which still is far from the half hour
// that the stream would take.
TEST_F(OpenAi, AClientThatLeavesAStreamFreesTheReplicaWithin100Ms) {
  constexpr size_t kTimes = 10;
  Up({{"one", true, {}}});
  Deploy("name: tiny\ncommand: [" + Program("tiny_server") +
             ", '{port}']\nresources: {cpus: 200m, memory: 64MiB}\n"
             "health: {path: /health, interval: 100ms}\n"
             "replicas:\n  - {device: {kind: CPU}, concurrency: 1}\n",
         "tiny");
  const std::vector<Left> left =
      LeftIn(Node("disconnect_test.mjs", {"tiny", std::to_string(kTimes)}));
  ASSERT_EQ(left.size(), kTimes);
  // The books say what the gateway believes; the device is free when the model server has stopped.
  std::vector<double> gone;
  const std::string replica = api().Deployments()->view.at(0).replicas.at(0).id;
  ASSERT_TRUE(Until([&] {
    gone = GoneIn(Ok({"logs", replica}));
    return gone.size() == kTimes;
  })) << gone.size();
  std::vector<double> books, stopped;
  for (size_t i = 0; i < kTimes; ++i) {
    EXPECT_GE(gone[i], left[i].at) << "stopped before it was left";
    EXPECT_LE(gone[i], i + 1 < kTimes ? left[i + 1].at : gone[i]) << "ran beside the next stream";
    books.push_back(left[i].books);
    stopped.push_back(gone[i] - left[i].at);
  }
  EXPECT_LE(Median(books, "free in the gateway's books"), ALLOT_FREED_MS_MAX);
  EXPECT_LE(Median(stopped, "the model server has stopped"), ALLOT_FREED_MS_MAX);
}

}  // namespace
}  // namespace allot::testing
