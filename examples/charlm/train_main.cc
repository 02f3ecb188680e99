// charlm-train: data-parallel training of the character model over a gang's ranks.
//
// Everything a scheduler gives a task is read from the environment (RANK, WORLD_SIZE, MASTER_ADDR,
// MASTER_PORT, ALLOT_CHECKPOINT_DIR, ALLOT_PROGRESS_FILE), so it also runs by hand, alone.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

#include "CLI/CLI.hpp"
#include "common/base/rng.h"
#include "examples/charlm/checkpoint.h"
#include "examples/charlm/gang.h"
#include "examples/charlm/model.h"

namespace {

volatile std::sig_atomic_t stop_asked = 0;

std::string Environment(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : otherwise;
}

void ReportProgress(const std::string& file, int64_t step, int64_t total, float loss) {
  if (file.empty()) return;
  std::ofstream(file, std::ios::app)
      << "{\"step\":" << step << ",\"total\":" << total << ",\"loss\":" << loss << "}\n";
}

}  // namespace

int main(int argc, char** argv) {
  using namespace charlm;
  std::string data, checkpoint_dir = Environment("ALLOT_CHECKPOINT_DIR", "");
  int64_t steps = 4000, checkpoint_every = 500, report_every = 200;
  int batch = 64;
  float rate = 0.004f;
  CLI::App app("Trains the example's character model, alone or as one rank of a gang");
  app.add_option("--data", data, "the text to learn")->required()->check(CLI::ExistingFile);
  app.add_option("--steps", steps, "steps in all, those of a resumed checkpoint included")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--batch", batch, "characters per step and rank")
      ->check(CLI::Range(1, 1 << 16))
      ->capture_default_str();
  app.add_option("--rate", rate, "learning rate")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--checkpoint-dir", checkpoint_dir,
                 "where to resume from and save to (default: $ALLOT_CHECKPOINT_DIR)");
  app.add_option("--checkpoint-every", checkpoint_every, "steps between checkpoints")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--report-every", report_every, "steps between lines of progress")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  std::signal(SIGTERM, [](int) { stop_asked = 1; });
  std::signal(SIGINT, [](int) { stop_asked = 1; });

  std::ifstream file(data, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (text.size() < 2 * kContext) {
    std::fprintf(stderr, "charlm-train: %s holds %zu characters; at least %d are needed\n",
                 data.c_str(), text.size(), 2 * kContext);
    return 2;
  }
  const int rank = std::atoi(Environment("RANK", "0").c_str());
  const int world = std::atoi(Environment("WORLD_SIZE", "1").c_str());
  Gang gang(rank, world, Environment("MASTER_ADDR", "127.0.0.1"),
            std::atoi(Environment("MASTER_PORT", "29500").c_str()));

  const Alphabet alphabet(text);
  Model model(alphabet.size());
  model.Initialize(1);
  Adam adam(model.parameters().size());
  // Rank 0 alone reads the checkpoint and tells the others, so no shared disk is assumed.
  float start = 0;
  if (rank == 0 && !checkpoint_dir.empty()) {
    if (auto saved = LoadNewestCheckpoint(checkpoint_dir)) {
      if (saved->characters != alphabet.characters() ||
          saved->parameters.size() != model.parameters().size()) {
        std::fprintf(
            stderr, "charlm-train: the checkpoint in %s is of another text; give an empty folder\n",
            checkpoint_dir.c_str());
        return 2;
      }
      std::copy(saved->parameters.begin(), saved->parameters.end(), model.parameters().begin());
      adam.first() = saved->first;
      adam.second() = saved->second;
      start = static_cast<float>(saved->step);
      std::printf("resumed from step %lld\n", static_cast<long long>(saved->step));
    }
  }
  gang.Broadcast({&start, 1});
  gang.Broadcast(model.parameters());
  gang.Broadcast(adam.first());
  gang.Broadcast(adam.second());
  adam.steps = static_cast<int64_t>(start);
  std::printf("rank %d of %d: %zu parameters, %zu characters, steps %lld to %lld\n", rank, world,
              model.parameters().size(), text.size(), static_cast<long long>(adam.steps),
              static_cast<long long>(steps));
  std::fflush(stdout);

  auto save = [&] {
    if (rank != 0 || checkpoint_dir.empty()) return true;
    return SaveCheckpoint(checkpoint_dir, {adam.steps,
                                           alphabet.characters(),
                                           {model.parameters().begin(), model.parameters().end()},
                                           adam.first(),
                                           adam.second()});
  };
  const std::string progress = Environment("ALLOT_PROGRESS_FILE", "");
  std::vector<uint8_t> contexts(static_cast<size_t>(batch) * kContext), targets(batch);
  // The last two entries travel with the gradient: the loss, and whether any rank was asked to
  // stop.
  std::vector<float> gradient(model.parameters().size() + 2);
  while (adam.steps < steps) {
    std::fill(gradient.begin(), gradient.end(), 0.0f);
    // Each (step, rank) draws its own characters, the same after a resume as without one.
    allot::Rng random(static_cast<uint64_t>(adam.steps) * 1'000'003 + static_cast<uint64_t>(rank));
    for (int n = 0; n < batch; ++n) {
      const size_t at = random.Below(text.size() - kContext);
      for (int c = 0; c < kContext; ++c)
        contexts[static_cast<size_t>(n) * kContext + c] = alphabet.Encode(text[at + c]);
      targets[n] = alphabet.Encode(text[at + kContext]);
    }
    const std::span<float> exchanged(gradient);
    gradient[gradient.size() - 2] =
        model.Loss(contexts, targets, exchanged.first(model.parameters().size()));
    gradient.back() = stop_asked != 0 ? 1.0f : 0.0f;
    gang.Sum(exchanged);
    for (float& g : gradient) g /= static_cast<float>(world);
    adam.Step(model.parameters(), exchanged.first(model.parameters().size()), rate);
    const float loss = gradient[gradient.size() - 2];
    if (adam.steps % report_every == 0 || adam.steps == 1 || adam.steps == steps) {
      std::printf("step %lld/%lld loss %.4f\n", static_cast<long long>(adam.steps),
                  static_cast<long long>(steps), loss);
      std::fflush(stdout);
      ReportProgress(progress, adam.steps, steps, loss);
    }
    if (adam.steps % checkpoint_every == 0 && adam.steps < steps && !save()) return 1;
    if (gradient.back() >
        0) {  // Some rank got SIGTERM: all stop at the same step, with a checkpoint.
      std::printf("asked to stop at step %lld\n", static_cast<long long>(adam.steps));
      return save() ? 143 : 1;
    }
  }
  return save() ? 0 : 1;
}
