// A test's stand-in for a hosted endpoint (Groq, Cerebras, …): a real HTTP or HTTPS server on
// loopback with the shape of OpenAI's API, in a thread of its own. It computes nothing: its answers
// are the words of the prompt. What it is asked, with which token and for which model, it
// remembers.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/tls/authority.h"

namespace allot::testing {

class HostedEndpoint {
 public:
  struct Options {
    const Certificate* certificate = nullptr;  // HTTPS with this one; null: HTTP
    std::string token;                         // 401 without it; empty: anybody
    std::string prefix;                        // before every path: "/openai"
  };
  explicit HostedEndpoint(const Options& options);
  ~HostedEndpoint();

  // "https://localhost:1234/openai"
  std::string url() const;

  enum class Mood {
    kUp,
    kUnavailable,  // 503 to everything
    kHangingUp,  // closes every connection without a word, as a load balancer does without servers
    kSilent,     // takes requests and never answers
  };
  void Be(Mood mood);
  void Demand(const std::string& token);  // from now on

  struct Seen {
    std::string path, authorization, model, body;
    std::vector<std::pair<std::string, std::string>> headers;
  };
  std::vector<Seen> Asked() const;  // completions, in order
  size_t Probes() const;            // GETs that were answered 200
  size_t ClientsGone() const;       // in the middle of an answer

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace allot::testing
