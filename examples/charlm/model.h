// A small character language model: the last kContext characters, each an embedding, through one
// tanh layer to a softmax over the alphabet (Bengio et al., "A Neural Probabilistic Language
// Model", JMLR 3, 2003). Plain float arithmetic on one thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace charlm {

inline constexpr int kContext = 12, kEmbedding = 12, kHidden = 96;
inline constexpr int kInput = kContext * kEmbedding;

// The characters a text uses, in byte order. Others read as the first one.
class Alphabet {
 public:
  Alphabet() = default;
  explicit Alphabet(std::string_view text);
  static Alphabet FromCharacters(std::string characters);
  int size() const { return static_cast<int>(characters_.size()); }
  uint8_t Encode(char c) const { return code_[static_cast<unsigned char>(c)]; }
  char Decode(int code) const { return characters_[code]; }
  const std::string& characters() const { return characters_; }

 private:
  std::string characters_;
  uint8_t code_[256] = {};
};

// All parameters in one vector, so that gradients can be summed and exchanged as they are.
class Model {
 public:
  explicit Model(int alphabet_size);
  void Initialize(uint64_t seed);
  int alphabet_size() const { return alphabet_; }
  std::span<float> parameters() { return parameters_; }
  std::span<const float> parameters() const { return parameters_; }

  // Mean cross entropy (nats per character) over `contexts` (kContext codes each) and `targets`;
  // adds the mean gradient to `gradient` (same length as parameters()) unless it is empty.
  float Loss(std::span<const uint8_t> contexts, std::span<const uint8_t> targets,
             std::span<float> gradient) const;
  // Unnormalised log probabilities of the next character.
  void Logits(std::span<const uint8_t> context, std::span<float> logits) const;

 private:
  struct Layout;
  int alphabet_;
  std::vector<float> parameters_;
};

// Adam (Kingma and Ba 2015).
class Adam {
 public:
  explicit Adam(size_t parameters) : first_(parameters), second_(parameters) {}
  void Step(std::span<float> parameters, std::span<const float> gradient, float rate);
  std::vector<float>& first() { return first_; }
  std::vector<float>& second() { return second_; }
  int64_t steps = 0;

 private:
  std::vector<float> first_, second_;
};

// Characters one after another from a prompt; temperature 0 takes the likeliest.
class Sampler {
 public:
  Sampler(const Model& model, const Alphabet& alphabet, std::string_view prompt, float temperature,
          uint64_t seed);
  char Next();

 private:
  const Model& model_;
  const Alphabet& alphabet_;
  std::vector<uint8_t> context_;
  std::vector<float> logits_;
  float temperature_;
  uint64_t state_;
};

}  // namespace charlm
