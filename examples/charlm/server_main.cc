// charlm-server: serves a charlm checkpoint with OpenAI's completions API, streaming or not.
//
// One thread. Each request makes one character a turn of the loop, so that streams share the
// processor fairly and a client that goes away stops its own at once.
#include <csignal>
#include <cstdio>
#include <ctime>
#include <memory>
#include <random>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>

#include "CLI/CLI.hpp"
#include "common/http/server.h"
#include "common/json/json.h"
#include "examples/charlm/checkpoint.h"
#include "examples/charlm/model.h"

namespace {

using namespace charlm;
namespace http = allot::http;
namespace json = boost::json;

constexpr int kTokensMax = 4096;

std::string NewInstance() {
  std::random_device device;
  char text[17];
  std::snprintf(text, sizeof text, "%08x%08x", device(), device());
  return text;
}

struct Server {
  boost::asio::io_context loop{1};
  Alphabet alphabet;
  std::unique_ptr<Model> model;
  std::string name = "charlm";
  int64_t created = std::time(nullptr);  // of the model, for its listing
  // Replicas of one deployment answer the same clients: a number alone would be another's too.
  const std::string instance = NewInstance();
  uint64_t served = 0;
};

// One completion being written. Kept alive by the turn that is posted next.
class Completion : public std::enable_shared_from_this<Completion> {
 public:
  Completion(Server& server, http::ResponderPtr responder, std::string prompt, int tokens,
             float temperature, uint64_t seed, bool stream, bool chat)
      : server_(server),
        responder_(std::move(responder)),
        sampler_(*server.model, server.alphabet, prompt, temperature, seed),
        prompt_tokens_(prompt.size()),
        tokens_(tokens),
        stream_(stream),
        chat_(chat),
        id_((chat ? "chatcmpl-" : "cmpl-") + server.instance + "-" +
            std::to_string(++server.served)) {}

  void Start() {
    responder_->OnClientGone([self = shared_from_this()] { self->gone_ = true; });
    if (stream_) responder_->StartStream(200, {{"cache-control", "no-cache"}}, "text/event-stream");
    Turn();
  }

 private:
  void Turn() {
    if (gone_) return;
    if (made_ == tokens_) return Finish();
    const char c = sampler_.Next();
    ++made_;
    // Clients expect UTF-8; the alphabet of a text that was not ASCII is shown as question marks.
    const std::string piece(1, static_cast<unsigned char>(c) < 0x80 ? c : '?');
    if (stream_)
      responder_->Write("data: " + json::serialize(Chunk(piece, nullptr)) + "\n\n");
    else
      text_ += piece;
    boost::asio::post(server_.loop, [self = shared_from_this()] { self->Turn(); });
  }

  void Finish() {
    if (stream_) {
      responder_->Write("data: " + json::serialize(Chunk("", "length")) + "\n\ndata: [DONE]\n\n");
      return responder_->End();
    }
    json::object choice{{"index", 0}, {"finish_reason", "length"}, {"logprobs", nullptr}};
    if (chat_)
      choice["message"] = json::object{{"role", "assistant"}, {"content", text_}};
    else
      choice["text"] = text_;
    json::object answer = Head(chat_ ? "chat.completion" : "text_completion");
    answer["choices"] = json::array{choice};
    answer["usage"] = json::object{{"prompt_tokens", prompt_tokens_},
                                   {"completion_tokens", made_},
                                   {"total_tokens", prompt_tokens_ + made_}};
    responder_->Send({.body = json::serialize(answer)});
  }

  json::object Head(const char* object) const {
    return {{"id", id_}, {"object", object}, {"created", created_}, {"model", server_.name}};
  }
  json::object Chunk(const std::string& piece, json::value finish) const {
    json::object choice{{"index", 0}, {"finish_reason", std::move(finish)}};
    if (chat_)
      choice["delta"] = made_ == 1 ? json::object{{"role", "assistant"}, {"content", piece}}
                                   : json::object{{"content", piece}};
    else
      choice["text"] = piece;
    json::object chunk = Head(chat_ ? "chat.completion.chunk" : "text_completion");
    chunk["choices"] = json::array{choice};
    return chunk;
  }

  Server& server_;
  http::ResponderPtr responder_;
  Sampler sampler_;
  size_t prompt_tokens_;
  int tokens_, made_ = 0;
  bool stream_, chat_, gone_ = false;
  int64_t created_ = std::time(nullptr);
  std::string id_, text_;
};

void Refuse(const http::ResponderPtr& responder, int status, const std::string& message) {
  responder->Send({.status = status,
                   .body = json::serialize(json::object{{"error",
                                                         {{"message", message},
                                                          {"type", "invalid_request_error"},
                                                          {"param", nullptr},
                                                          {"code", nullptr}}}})});
}

std::string PromptOf(const json::object& body, bool chat) {
  if (!chat) return json::value_to<std::string>(body.at("prompt"));
  std::string prompt;
  for (const json::value& message : body.at("messages").as_array())
    prompt += json::value_to<std::string>(message.at("content")) + "\n";
  if (!prompt.empty()) prompt.pop_back();
  return prompt;
}

// Any integer is a seed, negative ones too. Throws for anything else.
uint64_t SeedOf(const json::object& body, uint64_t otherwise) {
  const json::value* value = body.if_contains("seed");
  if (value == nullptr || value->is_null()) return otherwise;
  if (value->is_uint64()) return value->get_uint64();
  return static_cast<uint64_t>(value->to_number<int64_t>());
}

void Complete(Server& server, const http::Request& request, const http::ResponderPtr& responder,
              bool chat) {
  try {
    const json::value parsed = json::parse(request.body);
    const json::object& body = parsed.as_object();
    auto number = [&](const char* key, double otherwise) {
      const json::value* value = body.if_contains(key);
      return value == nullptr || value->is_null() ? otherwise : value->to_number<double>();
    };
    const double tokens = number("max_tokens", number("max_completion_tokens", 64)),
                 temperature = number("temperature", 0.7);
    if (tokens < 1 || tokens > kTokensMax)
      return Refuse(responder, 400,
                    "max_tokens must be between 1 and " + std::to_string(kTokensMax));
    if (temperature < 0 || temperature > 2)
      return Refuse(responder, 400, "temperature must be between 0 and 2");
    const json::value* stream = body.if_contains("stream");
    const uint64_t seed = SeedOf(body, server.served + 1);
    std::make_shared<Completion>(server, responder, PromptOf(body, chat), static_cast<int>(tokens),
                                 static_cast<float>(temperature), seed,
                                 stream != nullptr && stream->is_bool() && stream->as_bool(), chat)
        ->Start();
  } catch (
      const std::exception& error) {  // Boost.JSON throws on what is not there or of another type.
    Refuse(responder, 400,
           std::string("the body is not a ") + (chat ? "chat completion" : "completion") +
               " request: " + error.what());
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::string folder;
  int port = 8000;
  Server server;
  CLI::App app("Serves a charlm checkpoint with OpenAI's completions API on loopback");
  app.add_option("--checkpoint", folder, "folder that charlm-train saved to")->required();
  app.add_option("--port", port, "port on 127.0.0.1; 0 picks one")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  app.add_option("--model", server.name, "name in answers")->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  auto checkpoint = LoadNewestCheckpoint(folder);
  if (!checkpoint) {
    std::fprintf(
        stderr,
        "charlm-server: no checkpoint in %s; train one first (charlm-train --checkpoint-dir %s)\n",
        folder.c_str(), folder.c_str());
    return 1;
  }
  server.alphabet = Alphabet::FromCharacters(checkpoint->characters);
  server.model = std::make_unique<Model>(server.alphabet.size());
  if (checkpoint->parameters.size() != server.model->parameters().size()) {
    std::fprintf(
        stderr,
        "charlm-server: the checkpoint in %s is of another version of the model; train it again\n",
        folder.c_str());
    return 1;
  }
  std::copy(checkpoint->parameters.begin(), checkpoint->parameters.end(),
            server.model->parameters().begin());

  auto handler = [&server](http::Request request, http::ResponderPtr responder) {
    const bool post = request.method == "POST";
    if (request.path == "/health") return responder->Send({.body = "{\"status\":\"ok\"}"});
    if (request.path == "/v1/models")
      return responder->Send(
          {.body = json::serialize(
               json::object{{"object", "list"},
                            {"data", json::array{json::object{{"id", server.name},
                                                              {"object", "model"},
                                                              {"created", server.created},
                                                              {"owned_by", "allotrope"}}}}})});
    if (post && request.path == "/v1/completions")
      return Complete(server, request, responder, false);
    if (post && request.path == "/v1/chat/completions")
      return Complete(server, request, responder, true);
    Refuse(responder, 404, "no such route: " + request.method + " " + request.path);
  };
  auto listening =
      http::Server::Listen(server.loop, {.listen = "127.0.0.1:" + std::to_string(port)}, handler);
  if (!listening.ok()) {
    std::fprintf(stderr, "charlm-server: %s\n", allot::MessageOf(listening.status()).c_str());
    return 1;
  }
  std::printf("serving %s, step %lld, on http://%s\n", server.name.c_str(),
              static_cast<long long>(checkpoint->step), (*listening)->address().c_str());
  std::fflush(stdout);
  boost::asio::signal_set signals(server.loop, SIGTERM, SIGINT);
  signals.async_wait([&](auto, int) { server.loop.stop(); });
  server.loop.run();
  listening->reset();
  return 0;
}
