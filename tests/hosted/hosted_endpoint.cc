#include "tests/hosted/hosted_endpoint.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <future>
#include <mutex>
#include <thread>

#include "common/base/check.h"
#include "common/http/server.h"
#include "common/json/json.h"
#include "tests/tls/front.h"

namespace allot::testing {
namespace {

std::string TextOf(const json::object& body, const char* key) {
  const json::value* v = body.if_contains(key);
  return v != nullptr && v->is_string() ? std::string(v->get_string().c_str()) : "";
}

struct Stream : std::enable_shared_from_this<Stream> {
  Stream(boost::asio::io_context& loop, http::ResponderPtr r)
      : timer(loop), responder(std::move(r)) {}
  void Next() {
    if (gone) return;
    json::object event{{"object", "text_completion"}, {"model", model}};
    if (left == 0) {
      event["choices"] = json::array{};
      event["usage"] = json::object{{"prompt_tokens", 2}, {"completion_tokens", count}};
      responder->Write("data: " + json::serialize(event) + "\n\ndata: [DONE]\n\n");
      return responder->End();
    }
    --left;
    event["choices"] = json::array{json::object{{"index", 0}, {"text", text}}};
    responder->Write("data: " + json::serialize(event) + "\n\n");
    timer.expires_after(std::chrono::milliseconds(2));
    timer.async_wait([self = shared_from_this()](auto) { self->Next(); });
  }
  boost::asio::steady_timer timer;
  http::ResponderPtr responder;
  std::string text, model;
  int64_t left = 0, count = 0;
  bool gone = false;
};

}  // namespace

struct HostedEndpoint::Impl {
  void Serve(const http::Request& request, const http::ResponderPtr& responder) {
    const std::lock_guard lock(mutex);
    switch (mood) {
      case Mood::kUp:
        break;
      case Mood::kUnavailable:
        return responder->Send({.status = 503, .body = R"({"error":{"message":"no capacity"}})"});
      case Mood::kHangingUp:
        return responder->Abort();
      case Mood::kSilent:
        silent.push_back(responder);
        return;
    }
    const std::string authorization(request.Header("authorization"));
    if (!token.empty() && authorization != "Bearer " + token)
      return responder->Send({.status = 401,
                              .headers = {{"WWW-Authenticate", "Bearer"}},
                              .body = R"({"error":{"message":"bad key"}})"});
    if (!request.path.starts_with(prefix))
      return responder->Send({.status = 404, .body = R"({"error":{"message":"no such path"}})"});
    const std::string path = request.path.substr(prefix.size());
    if (request.method == "GET" && path == "/v1/models") {
      ++probes;
      return responder->Send({.body = R"({"object":"list","data":[]})"});
    }
    if (request.method != "POST" || !path.ends_with("/completions"))
      return responder->Send({.status = 404, .body = R"({"error":{"message":"no such route"}})"});
    Complete(request, authorization, responder);
  }

  void Complete(const http::Request& request, const std::string& authorization,
                const http::ResponderPtr& responder) {
    json::error_code error;
    const json::value parsed = json::parse(request.body, error);
    if (error || !parsed.is_object()) return responder->Send({.status = 400, .body = "{}"});
    const json::object& body = parsed.get_object();
    const std::string model = TextOf(body, "model");
    seen.push_back({request.path, authorization, model, request.body, request.headers});
    const json::value* tokens = body.if_contains("max_tokens");
    const int64_t count = tokens != nullptr && tokens->is_int64() ? tokens->get_int64() : 4;
    const json::value* stream = body.if_contains("stream");
    if (stream == nullptr || !stream->is_bool() || !stream->get_bool()) {
      const json::object choice{{"index", 0}, {"text", TextOf(body, "prompt")}};
      return responder->Send(
          {.headers = {{"Set-Cookie", "tracker=1"}, {"X-Seed", "9"}},
           .body = json::serialize(json::object{
               {"object", "text_completion"},
               {"model", model},
               {"choices", json::array{choice}},
               {"usage", json::object{{"prompt_tokens", 2}, {"completion_tokens", count}}}})});
    }
    const auto answer = std::make_shared<Stream>(loop, responder);
    answer->text = TextOf(body, "prompt");
    answer->model = model;
    answer->left = answer->count = count;
    responder->OnClientGone([this, answer] {
      answer->gone = true;
      answer->timer.cancel();
      const std::lock_guard lock(mutex);
      ++gone;
    });
    responder->StartStream(200, {}, "text/event-stream");
    answer->Next();
  }

  boost::asio::io_context loop{1};
  std::unique_ptr<http::Server> server;
  std::unique_ptr<TlsFront> front;
  std::string url, prefix;
  mutable std::mutex mutex;
  Mood mood = Mood::kUp;
  std::string token;
  std::vector<Seen> seen;
  std::vector<http::ResponderPtr> silent;
  size_t probes = 0, gone = 0;
  std::thread thread;
};

HostedEndpoint::HostedEndpoint(const Options& options) : impl_(std::make_unique<Impl>()) {
  impl_->token = options.token;
  impl_->prefix = options.prefix;
  auto server = http::Server::Listen(
      impl_->loop, {.listen = "127.0.0.1:0"},
      [impl = impl_.get()](const http::Request& request, const http::ResponderPtr& responder) {
        impl->Serve(request, responder);
      });
  CHECK(server.ok());
  impl_->server = *std::move(server);
  if (options.certificate != nullptr) {
    impl_->front =
        std::make_unique<TlsFront>(impl_->loop, *options.certificate, impl_->server->address());
    impl_->url = fmt::format("https://localhost:{}{}", impl_->front->port(), options.prefix);
  } else {
    impl_->url = fmt::format("http://{}{}", impl_->server->address(), options.prefix);
  }
  impl_->thread = std::thread([impl = impl_.get()] {
    const auto guard = boost::asio::make_work_guard(impl->loop);
    impl->loop.run();
  });
}

HostedEndpoint::~HostedEndpoint() {
  impl_->loop.stop();
  impl_->thread.join();
  impl_->silent.clear();
  impl_->front.reset();
  impl_->server.reset();
  impl_->loop.restart();
  impl_->loop.poll();  // What was closed still has its last handlers to run.
}

std::string HostedEndpoint::url() const { return impl_->url; }
void HostedEndpoint::Be(Mood mood) {
  const std::lock_guard lock(impl_->mutex);
  impl_->mood = mood;
}
void HostedEndpoint::Demand(const std::string& token) {
  const std::lock_guard lock(impl_->mutex);
  impl_->token = token;
}
std::vector<HostedEndpoint::Seen> HostedEndpoint::Asked() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->seen;
}
size_t HostedEndpoint::Probes() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->probes;
}
size_t HostedEndpoint::ClientsGone() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->gone;
}

}  // namespace allot::testing
