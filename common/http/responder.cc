#include <utility>

#include <boost/asio/post.hpp>

#include "common/base/check.h"
#include "common/http/session.h"

namespace allot::http {

// Holds its session weakly: an answer kept for minutes does not keep a dead connection alive.
class SessionResponder final : public Responder {
 public:
  explicit SessionResponder(std::weak_ptr<Session> session) : session_(std::move(session)) {}

  ~SessionResponder() override {
    on_gone_ = on_room_ = nullptr;
    if (stage_ == Stage::kWaiting) {
      const auto session = session_.lock();
      const Status why = Internal("the request was not answered");
      Send(session && session->has_server() ? session->Own(500, why) : ErrorResponse(why));
    } else if (stage_ == Stage::kStreaming) {
      Abort();
    }
  }

  void Send(Response response) override {
    CHECK(stage_ == Stage::kWaiting);
    Complete();
    if (const auto session = session_.lock()) session->SendAnswer(std::move(response));
  }

  void StartStream(int status, Headers headers, std::string content_type) override {
    CHECK(stage_ == Stage::kWaiting);
    stage_ = Stage::kStreaming;
    if (const auto session = session_.lock()) session->StartStream(status, headers, content_type);
  }

  void Write(std::string chunk) override {
    CHECK(stage_ == Stage::kStreaming);
    if (const auto session = session_.lock()) session->WriteChunk(chunk);
  }

  void End() override {
    CHECK(stage_ == Stage::kStreaming);
    Complete();
    if (const auto session = session_.lock()) session->EndStream();
  }

  void Abort() override {
    if (stage_ == Stage::kDone) return;
    Complete();
    if (const auto session = session_.lock()) session->Abort();
  }

  void Cut() override {
    if (stage_ == Stage::kDone) return;
    Complete();
    if (const auto session = session_.lock()) session->Cut();
  }

  void OnClientGone(std::function<void()> callback) override {
    if (stage_ == Stage::kDone) return;
    on_gone_ = std::move(callback);
    if (const auto session = session_.lock()) session->WatchForEnd();
  }

  size_t Backlog() const override {
    const auto session = stage_ == Stage::kDone ? nullptr : session_.lock();
    return session ? session->backlog() : 0;
  }

  void OnRoom(std::function<void()> callback) override {
    if (stage_ != Stage::kDone) on_room_ = std::move(callback);
  }

  void Room() {
    // A copy: what is called may end the answer, and the callback with it.
    if (const auto callback = on_room_) callback();
  }

  void ClientGone() {
    if (stage_ == Stage::kDone) return;
    if (auto callback = std::exchange(on_gone_, nullptr)) callback();
  }

 private:
  enum class Stage { kWaiting, kStreaming, kDone };
  void Complete() {
    stage_ = Stage::kDone;
    on_gone_ = on_room_ = nullptr;
  }

  const std::weak_ptr<Session> session_;
  std::function<void()> on_gone_, on_room_;
  Stage stage_ = Stage::kWaiting;
};

ResponderPtr MakeResponder(const std::shared_ptr<Session>& session,
                           std::weak_ptr<SessionResponder>* weak) {
  auto responder = std::make_shared<SessionResponder>(session);
  *weak = responder;
  return responder;
}

void TellClientGone(const std::weak_ptr<SessionResponder>& responder) {
  if (const auto alive = responder.lock()) alive->ClientGone();
}

void TellRoom(const std::weak_ptr<SessionResponder>& responder) {
  if (const auto alive = responder.lock()) alive->Room();
}

}  // namespace allot::http
