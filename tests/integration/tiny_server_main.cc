// A model server of a few lines, for tests: tiny_server PORT [FAULT CLAIM]
//
// The first of several that finds no file CLAIM makes it and has the fault: answers every
// completion with a status (500), with nothing in it (empty), or so many milliseconds late (200ms),
// and writes a byte into CLAIM for each.
//
// GET /health; GET /v1/models; POST /v1/completions and /v1/chat/completions with and without
// `stream`. It answers with the words of the prompt. `max_tokens` repeats them, one every few
// milliseconds; when a client goes away in the middle of a stream, it says so and when (Unix time
// in milliseconds) on standard output.
#include <fcntl.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "common/http/server.h"
#include "common/json/json.h"

namespace {

using namespace allot;  // NOLINT: a program of one page

struct Stream : std::enable_shared_from_this<Stream> {
  Stream(boost::asio::io_context& loop, http::ResponderPtr r)
      : timer(loop), responder(std::move(r)) {}

  void Next() {
    if (gone) return;
    if (left-- == 0) {
      responder->Write("data: [DONE]\n\n");
      responder->End();
      return;
    }
    const json::object choice{{"index", 0}, {"text", text}};
    const json::object event{{"object", "text_completion"}, {"choices", json::array{choice}}};
    responder->Write("data: " + json::serialize(event) + "\n\n");
    timer.expires_after(std::chrono::milliseconds(2));
    timer.async_wait([self = shared_from_this()](auto) { self->Next(); });
  }

  boost::asio::steady_timer timer;
  http::ResponderPtr responder;
  std::string text;
  int64_t left = 0;
  bool gone = false;
};

std::string Text(const json::object& body, const char* key) {
  const json::value* v = body.if_contains(key);
  return v != nullptr && v->is_string() ? std::string(v->get_string().c_str()) : "";
}

void Complete(boost::asio::io_context& loop, const http::Request& request,
              const http::ResponderPtr& responder) {
  json::error_code error;
  const json::value parsed = json::parse(request.body, error);
  if (error || !parsed.is_object())
    return responder->Send({.status = 400, .body = R"({"error":{"message":"not JSON"}})"});
  const json::object& body = parsed.get_object();
  const json::value* tokens = body.if_contains("max_tokens");
  const int64_t count = tokens != nullptr && tokens->is_int64() ? tokens->get_int64() : 4;
  const json::value* stream = body.if_contains("stream");
  if (stream == nullptr || !stream->is_bool() || !stream->get_bool()) {
    const json::object choice{{"index", 0}, {"text", Text(body, "prompt")}};
    return responder->Send({.body = json::serialize(json::object{
                                {"object", "text_completion"},
                                {"model", Text(body, "model")},
                                {"choices", json::array{choice}},
                                {"usage", json::object{{"completion_tokens", count}}}})});
  }
  const auto answer = std::make_shared<Stream>(loop, responder);
  answer->text = Text(body, "prompt");
  answer->left = count;
  responder->OnClientGone([answer] {
    answer->gone = true;
    answer->timer.cancel();
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    std::printf(
        "client gone at %lld\n",
        static_cast<long long>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count()));
    std::fflush(stdout);
  });
  responder->StartStream(200, {}, "text/event-stream");
  answer->Next();
}

// True: the answer is not the usual one, or not yet.
bool Misbehave(boost::asio::io_context& loop, const std::string& fault, http::Request request,
               const http::ResponderPtr& responder) {
  if (fault.empty()) return false;
  if (fault == "empty") {
    responder->Send({.body = ""});
    return true;
  }
  char* unit = nullptr;
  const long number = std::strtol(fault.c_str(), &unit, 10);
  if (*unit == 0) {
    responder->Send(
        {.status = static_cast<int>(number), .body = R"({"error":{"message":"broken"}})"});
    return true;
  }
  const auto timer =
      std::make_shared<boost::asio::steady_timer>(loop, std::chrono::milliseconds(number));
  timer->async_wait([&loop, timer, request = std::move(request), responder](auto) {
    Complete(loop, request, responder);
  });
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 && argc != 4) {
    std::fputs("usage: tiny_server PORT [FAULT CLAIM]\n", stderr);
    return 2;
  }
  std::string fault;
  int claimed = -1;
  if (argc == 4) {
    claimed = ::open(argv[3], O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (claimed >= 0) fault = argv[2];
  }
  boost::asio::io_context loop(1);
  const auto server = http::Server::Listen(
      loop, {.listen = std::string("127.0.0.1:") + argv[1]},
      [&](const http::Request& request, const http::ResponderPtr& responder) {
        if (request.path == "/health") return responder->Send({.body = "{}"});
        if (request.path.ends_with("/completions")) {
          if (claimed >= 0 && ::write(claimed, ".", 1) != 1) return;
          if (Misbehave(loop, fault, request, responder)) return;
          return Complete(loop, request, responder);
        }
        responder->Send({.status = 404, .body = R"({"error":{"message":"no such route"}})"});
      });
  if (!server.ok()) {
    std::fprintf(stderr, "%s\n", MessageOf(server.status()).c_str());
    return 1;
  }
  std::puts("serving");
  std::fflush(stdout);
  loop.run();
}
