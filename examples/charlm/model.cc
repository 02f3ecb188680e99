#include "examples/charlm/model.h"

#include <algorithm>
#include <cmath>

namespace charlm {
namespace {

uint64_t NextRandom(uint64_t& state) {  // splitmix64
  uint64_t z = (state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}
float Unit(uint64_t& state) { return static_cast<float>(NextRandom(state) >> 40) * 0x1.0p-24f; }

}  // namespace

Alphabet::Alphabet(std::string_view text) {
  bool used[256] = {};
  for (unsigned char c : text) used[c] = true;
  std::string characters;
  for (int c = 0; c < 256; ++c)
    if (used[c]) characters.push_back(static_cast<char>(c));
  *this = FromCharacters(std::move(characters));
}

Alphabet Alphabet::FromCharacters(std::string characters) {
  Alphabet alphabet;
  alphabet.characters_ = std::move(characters);
  for (size_t i = 0; i < alphabet.characters_.size(); ++i)
    alphabet.code_[static_cast<unsigned char>(alphabet.characters_[i])] = static_cast<uint8_t>(i);
  return alphabet;
}

// Where each matrix starts in the one parameter vector.
struct Model::Layout {
  explicit Layout(int v)
      : embedding(0),
        w1(v * kEmbedding),
        b1(w1 + kInput * kHidden),
        w2(b1 + kHidden),
        b2(w2 + kHidden * v),
        end(b2 + v) {}
  int embedding, w1, b1, w2, b2, end;
};

Model::Model(int alphabet_size)
    : alphabet_(alphabet_size), parameters_(Layout(alphabet_size).end) {}

void Model::Initialize(uint64_t seed) {
  const Layout at(alphabet_);
  auto fill = [&](int from, int to, float scale) {
    for (int i = from; i < to; ++i) parameters_[i] = (2 * Unit(seed) - 1) * scale;
  };
  fill(at.embedding, at.w1, 0.5f);
  fill(at.w1, at.b1, std::sqrt(3.0f / kInput));
  fill(at.b1, at.w2, 0);
  fill(at.w2, at.b2, std::sqrt(3.0f / kHidden) * 0.3f);
  fill(at.b2, at.end, 0);
}

float Model::Loss(std::span<const uint8_t> contexts, std::span<const uint8_t> targets,
                  std::span<float> gradient) const {
  const Layout at(alphabet_);
  const float* p = parameters_.data();
  float* g = gradient.empty() ? nullptr : gradient.data();
  const float scale = 1.0f / static_cast<float>(targets.size());
  std::vector<float> out(alphabet_);
  float input[kInput], hidden[kHidden], d_hidden[kHidden], d_input[kInput];
  double loss = 0;
  for (size_t n = 0; n < targets.size(); ++n) {
    const uint8_t* context = &contexts[n * kContext];
    for (int c = 0; c < kContext; ++c)
      std::copy_n(p + at.embedding + context[c] * kEmbedding, kEmbedding, input + c * kEmbedding);
    std::copy_n(p + at.b1, kHidden, hidden);
    for (int i = 0; i < kInput; ++i) {
      const float x = input[i];
      const float* row = p + at.w1 + i * kHidden;
      for (int h = 0; h < kHidden; ++h) hidden[h] += x * row[h];
    }
    for (float& h : hidden) h = std::tanh(h);
    std::copy_n(p + at.b2, alphabet_, out.data());
    for (int h = 0; h < kHidden; ++h) {
      const float x = hidden[h];
      const float* row = p + at.w2 + h * alphabet_;
      for (int v = 0; v < alphabet_; ++v) out[v] += x * row[v];
    }
    const float top = *std::max_element(out.begin(), out.end());
    float sum = 0;
    for (float& o : out) sum += o = std::exp(o - top);
    loss -= std::log(std::max(out[targets[n]] / sum, 1e-30f));
    if (g == nullptr) continue;

    for (float& o : out) o *= scale / sum;  // out becomes d loss / d logits
    out[targets[n]] -= scale;
    for (int v = 0; v < alphabet_; ++v) g[at.b2 + v] += out[v];
    for (int h = 0; h < kHidden; ++h) {
      const float* row = p + at.w2 + h * alphabet_;
      float* d_row = g + at.w2 + h * alphabet_;
      float d = 0;
      for (int v = 0; v < alphabet_; ++v) {
        d += out[v] * row[v];
        d_row[v] += out[v] * hidden[h];
      }
      d_hidden[h] = d * (1 - hidden[h] * hidden[h]);
      g[at.b1 + h] += d_hidden[h];
    }
    for (int i = 0; i < kInput; ++i) {
      const float* row = p + at.w1 + i * kHidden;
      float* d_row = g + at.w1 + i * kHidden;
      float d = 0;
      for (int h = 0; h < kHidden; ++h) {
        d += d_hidden[h] * row[h];
        d_row[h] += d_hidden[h] * input[i];
      }
      d_input[i] = d;
    }
    for (int c = 0; c < kContext; ++c) {
      float* d_embedding = g + at.embedding + context[c] * kEmbedding;
      for (int e = 0; e < kEmbedding; ++e) d_embedding[e] += d_input[c * kEmbedding + e];
    }
  }
  return static_cast<float>(loss * scale);
}

void Model::Logits(std::span<const uint8_t> context, std::span<float> logits) const {
  const Layout at(alphabet_);
  const float* p = parameters_.data();
  float hidden[kHidden];
  std::copy_n(p + at.b1, kHidden, hidden);
  for (int c = 0; c < kContext; ++c) {
    for (int e = 0; e < kEmbedding; ++e) {
      const float x = p[at.embedding + context[c] * kEmbedding + e];
      const float* row = p + at.w1 + (c * kEmbedding + e) * kHidden;
      for (int h = 0; h < kHidden; ++h) hidden[h] += x * row[h];
    }
  }
  std::copy_n(p + at.b2, alphabet_, logits.data());
  for (int h = 0; h < kHidden; ++h) {
    const float x = std::tanh(hidden[h]);
    const float* row = p + at.w2 + h * alphabet_;
    for (int v = 0; v < alphabet_; ++v) logits[v] += x * row[v];
  }
}

void Adam::Step(std::span<float> parameters, std::span<const float> gradient, float rate) {
  ++steps;
  const float b1 = 0.9f, b2 = 0.999f;
  const float c1 = 1 - std::pow(b1, static_cast<float>(steps)),
              c2 = 1 - std::pow(b2, static_cast<float>(steps));
  for (size_t i = 0; i < parameters.size(); ++i) {
    first_[i] = b1 * first_[i] + (1 - b1) * gradient[i];
    second_[i] = b2 * second_[i] + (1 - b2) * gradient[i] * gradient[i];
    parameters[i] -= rate * (first_[i] / c1) / (std::sqrt(second_[i] / c2) + 1e-8f);
  }
}

Sampler::Sampler(const Model& model, const Alphabet& alphabet, std::string_view prompt,
                 float temperature, uint64_t seed)
    : model_(model),
      alphabet_(alphabet),
      context_(kContext, alphabet.Encode('\n')),
      logits_(alphabet.size()),
      temperature_(temperature),
      state_(seed) {
  for (char c : prompt) {
    std::rotate(context_.begin(), context_.begin() + 1, context_.end());
    context_.back() = alphabet_.Encode(c);
  }
}

char Sampler::Next() {
  model_.Logits(context_, logits_);
  const auto top = std::max_element(logits_.begin(), logits_.end());
  int chosen = static_cast<int>(top - logits_.begin());
  if (temperature_ > 0) {
    const float highest = *top;
    float sum = 0;
    for (float& l : logits_) sum += l = std::exp((l - highest) / temperature_);
    float left = Unit(state_) * sum;
    for (size_t v = 0; v < logits_.size(); ++v) {
      chosen = static_cast<int>(v);
      if ((left -= logits_[v]) < 0) break;
    }
  }
  std::rotate(context_.begin(), context_.begin() + 1, context_.end());
  context_.back() = static_cast<uint8_t>(chosen);
  return alphabet_.Decode(chosen);
}

}  // namespace charlm
