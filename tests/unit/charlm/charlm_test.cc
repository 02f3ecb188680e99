#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <thread>

#include "examples/charlm/checkpoint.h"
#include "examples/charlm/gang.h"
#include "examples/charlm/model.h"
#include "gtest/gtest.h"
#include "tests/unit/charlm/folder.h"

namespace charlm {
namespace {

namespace fs = std::filesystem;

struct Batch {
  std::vector<uint8_t> contexts, targets;
};
Batch BatchOf(const Alphabet& alphabet, std::string_view text) {
  Batch batch;
  for (size_t at = 0; at + kContext < text.size(); ++at) {
    for (int c = 0; c < kContext; ++c) batch.contexts.push_back(alphabet.Encode(text[at + c]));
    batch.targets.push_back(alphabet.Encode(text[at + kContext]));
  }
  return batch;
}

constexpr std::string_view kText = "the cat sat on the mat, the rat sat on the cat.\n";

TEST(Model, GradientAgreesWithFiniteDifferences) {
  const Alphabet alphabet(kText);
  Model model(alphabet.size());
  model.Initialize(7);
  const Batch batch = BatchOf(alphabet, kText);
  std::vector<float> gradient(model.parameters().size());
  model.Loss(batch.contexts, batch.targets, gradient);
  for (size_t i = 0; i < gradient.size(); i += 397) {
    const float kept = model.parameters()[i], step = 1e-2f;
    model.parameters()[i] = kept + step;
    const float above = model.Loss(batch.contexts, batch.targets, {});
    model.parameters()[i] = kept - step;
    const float below = model.Loss(batch.contexts, batch.targets, {});
    model.parameters()[i] = kept;
    EXPECT_NEAR(gradient[i], (above - below) / (2 * step), 2e-3) << "parameter " << i;
  }
}

TEST(Model, LearnsATextByHeartAndSaysItBack) {
  const Alphabet alphabet(kText);
  Model model(alphabet.size());
  model.Initialize(7);
  Adam adam(model.parameters().size());
  const Batch batch = BatchOf(alphabet, kText);
  float first = 0, last = 0;
  for (int step = 0; step < 400; ++step) {
    std::vector<float> gradient(model.parameters().size());
    last = model.Loss(batch.contexts, batch.targets, gradient);
    if (step == 0) first = last;
    adam.Step(model.parameters(), gradient, 0.01f);
  }
  EXPECT_GT(first, 2.0f);
  EXPECT_LT(last, 0.1f);
  // After " sat on the " alone, which is all that it sees at a time, either animal is right.
  Sampler sampler(model, alphabet, "sat on the mat", 0, 1);
  std::string said;
  for (int i = 0; i < 9; ++i) said += sampler.Next();
  EXPECT_EQ(said, ", the rat");
}

TEST(Sampler, SameSeedSaysTheSame) {
  const Alphabet alphabet(kText);
  Model model(alphabet.size());
  model.Initialize(3);
  auto say = [&](uint64_t seed) {
    Sampler sampler(model, alphabet, "the", 1.0f, seed);
    std::string said;
    for (int i = 0; i < 40; ++i) said += sampler.Next();
    return said;
  };
  EXPECT_EQ(say(5), say(5));
  EXPECT_NE(say(5), say(6));
}

Checkpoint Sample(int64_t step) { return {step, "abc", {1.5f, -2}, {0.1f, 0.2f}, {0.3f, 0.4f}}; }

TEST(Checkpoint, ComesBackAsItWas) {
  Folder folder;
  ASSERT_TRUE(SaveCheckpoint(folder.path(), Sample(12)));
  const auto loaded = LoadNewestCheckpoint(folder.path());
  ASSERT_TRUE(loaded.has_value());
  EXPECT_EQ(loaded->step, 12);
  EXPECT_EQ(loaded->characters, "abc");
  EXPECT_EQ(loaded->parameters, Sample(12).parameters);
  EXPECT_EQ(loaded->second, Sample(12).second);
}

TEST(Checkpoint, DamagedFileIsPassedOverForTheOneBefore) {
  Folder folder;
  ASSERT_TRUE(SaveCheckpoint(folder.path(), Sample(1)));
  ASSERT_TRUE(SaveCheckpoint(folder.path(), Sample(2)));
  const std::string newest = folder.path() + "/step-000000002.charlm";
  for (const auto damage : {0, 9, 40}) {
    fs::resize_file(newest, static_cast<uintmax_t>(damage));
    const auto loaded = LoadNewestCheckpoint(folder.path());
    ASSERT_TRUE(loaded.has_value());
    EXPECT_EQ(loaded->step, 1);
  }
}

TEST(Checkpoint, KeepsTheNewestTwo) {
  Folder folder;
  for (int step = 1; step <= 5; ++step) ASSERT_TRUE(SaveCheckpoint(folder.path(), Sample(step)));
  int files = 0;
  for (const auto& entry : fs::directory_iterator(folder.path()))
    files += entry.is_regular_file() ? 1 : 0;
  EXPECT_EQ(files, 2);
  EXPECT_EQ(LoadNewestCheckpoint(folder.path())->step, 5);
}

TEST(Checkpoint, UnwritableFolderIsAnErrorNotACrash) {
  EXPECT_FALSE(SaveCheckpoint("/proc/charlm", Sample(1)));
  EXPECT_FALSE(LoadNewestCheckpoint("/proc/charlm").has_value());
}

// A port nobody listens on now; rank 0 binds it a moment later.
sockaddr_in FreeAddress() {
  const int probe = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  EXPECT_EQ(bind(probe, reinterpret_cast<sockaddr*>(&address), length), 0);
  EXPECT_EQ(getsockname(probe, reinterpret_cast<sockaddr*>(&address), &length), 0);
  close(probe);
  return address;
}

TEST(Gang, SumsOverRanksAndBroadcastsRankZero) {
  const int port = ntohs(FreeAddress().sin_port);
  std::vector<std::vector<float>> summed(3), told(3);
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < 3; ++rank) {
    ranks.emplace_back([&, rank] {
      Gang gang(rank, 3, "127.0.0.1", port);
      summed[rank] = {static_cast<float>(rank + 1), 10.0f * static_cast<float>(rank)};
      gang.Sum(summed[rank]);
      told[rank] = {static_cast<float>(rank)};
      gang.Broadcast(told[rank]);
    });
  }
  for (auto& rank : ranks) rank.join();
  for (int rank = 0; rank < 3; ++rank) {
    EXPECT_EQ(summed[rank], (std::vector<float>{6, 30}));
    EXPECT_EQ(told[rank], (std::vector<float>{0}));
  }
}

TEST(Gang, StrangersThatHangUpOrSayNothingDoNotKeepItFromMeeting) {
  const sockaddr_in address = FreeAddress();
  const int port = ntohs(address.sin_port);
  std::vector<float> sum = {1};
  std::thread zero([&] { Gang(0, 2, "127.0.0.1", port).Sum(sum); });
  const auto dial = [&] {
    for (;;) {
      const int fd = socket(AF_INET, SOCK_STREAM, 0);
      if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
      close(fd);
      std::this_thread::yield();
    }
  };
  close(dial());
  const int silent = dial();
  std::vector<float> other = {2};
  Gang(1, 2, "127.0.0.1", port).Sum(other);
  zero.join();
  close(silent);
  EXPECT_EQ(sum, (std::vector<float>{3}));
  EXPECT_EQ(other, (std::vector<float>{3}));
}

}  // namespace
}  // namespace charlm
