// A server and raw clients on one loop; time passes only until a condition holds.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include "common/http/server.h"
#include "gtest/gtest.h"

namespace allot::http {

// Runs the loop until `condition` holds. The deadline only ends a test that hangs.
inline bool RunUntil(boost::asio::io_context& loop, const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(120);
  loop.restart();
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) {
      ADD_FAILURE() << "the condition did not come true";
      return false;
    }
    loop.run_one_for(std::chrono::milliseconds(100));
  }
  return true;
}

// Bytes in, bytes out, nothing understood.
class RawClient {
 public:
  RawClient(boost::asio::io_context& loop, const std::string& address,
            const std::string& from = "127.0.0.1")
      : loop_(loop), state_(std::make_shared<State>(loop)) {
    const size_t colon = address.rfind(':');
    const auto port = static_cast<uint16_t>(std::stoi(address.substr(colon + 1)));
    state_->socket.open(boost::asio::ip::tcp::v4());
    state_->socket.bind({boost::asio::ip::make_address(from), 0});
    state_->socket.connect({boost::asio::ip::make_address("127.0.0.1"), port});
    Read(state_);
  }
  ~RawClient() { Close(); }

  void Send(std::string text) {
    auto kept = std::make_shared<std::string>(std::move(text));
    boost::asio::async_write(state_->socket, boost::asio::buffer(*kept),
                             [kept, state = state_](const auto&, size_t) {});
  }
  void Close() { state_->socket.close(); }
  void Reset() {
    state_->socket.set_option(boost::asio::socket_base::linger(true, 0));
    Close();
  }
  void CloseSending() { state_->socket.shutdown(boost::asio::ip::tcp::socket::shutdown_send); }
  void StopReading() { state_->paused = true; }
  void ResumeReading() {
    if (std::exchange(state_->paused, false) && !state_->reading) Read(state_);
  }

  const std::string& received() const { return state_->received; }
  bool ended() const { return state_->ended; }
  bool Await(std::string_view text) {
    return RunUntil(loop_, [&] { return received().find(text) != std::string::npos; });
  }
  bool AwaitEnd() {
    return RunUntil(loop_, [&] { return ended(); });
  }
  int Count(std::string_view text) const {
    int count = 0;
    for (size_t at = 0; (at = received().find(text, at)) != std::string::npos; ++at) ++count;
    return count;
  }
  void Forget() { state_->received.clear(); }

 private:
  struct State {  // Outlives the client while operations are pending.
    explicit State(boost::asio::io_context& loop) : socket(loop) {}
    boost::asio::ip::tcp::socket socket;
    std::vector<char> buffer = std::vector<char>(1 << 16);
    std::string received;
    bool ended = false, paused = false, reading = false;
  };

  static void Read(const std::shared_ptr<State>& state) {
    state->reading = true;
    state->socket.async_read_some(boost::asio::buffer(state->buffer),
                                  [state](const boost::system::error_code& error, size_t got) {
                                    state->reading = false;
                                    state->received.append(state->buffer.data(), got);
                                    state->ended = static_cast<bool>(error);
                                    if (!error && !state->paused) Read(state);
                                  });
  }

  boost::asio::io_context& loop_;
  std::shared_ptr<State> state_;
};

class HttpTest : public ::testing::Test {
 protected:
  ~HttpTest() override {
    // What was closed still has its last handlers to run.
    kept_.clear();
    server_.reset();
    loop_.restart();
    loop_.poll();
  }

  void Serve(Handler handler, Server::Options options = {}) {
    options.listen = "127.0.0.1:0";
    auto server = Server::Listen(loop_, options, std::move(handler));
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  // Answers with the path; the query `n` says how long the body is.
  void ServeEcho(Server::Options options = {}) {
    Serve(
        [this](Request request, ResponderPtr responder) {
          requests_.push_back(request);
          Response response;
          response.content_type = "text/plain";
          response.body = request.path + "|" + request.body;
          responder->Send(std::move(response));
        },
        options);
  }
  // Keeps every request unanswered.
  void ServeLater(Server::Options options = {}) {
    Serve(
        [this](Request request, ResponderPtr responder) {
          requests_.push_back(std::move(request));
          kept_.push_back(std::move(responder));
        },
        options);
  }
  std::unique_ptr<RawClient> Connect() {
    return std::make_unique<RawClient>(loop_, server_->address());
  }
  bool Until(const std::function<bool()>& condition) { return RunUntil(loop_, condition); }

  boost::asio::io_context loop_;
  std::unique_ptr<Server> server_;
  std::vector<Request> requests_;
  std::vector<ResponderPtr> kept_;
};

}  // namespace allot::http
