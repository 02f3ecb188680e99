// An HTTP server that answers as a test says, on a thread of its own.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>

#include "common/http/server.h"
#include "gtest/gtest.h"

namespace allot::client {

class FakeServer {
 public:
  using Answer = std::function<void(const http::Request&, http::ResponderPtr)>;

  explicit FakeServer(Answer answer) : answer_(std::move(answer)) {
    auto server = http::Server::Listen(loop_, {.listen = "127.0.0.1:0"},
                                       [this](http::Request request, http::ResponderPtr responder) {
                                         {
                                           const std::lock_guard lock(mutex_);
                                           requests_.push_back(request);
                                         }
                                         answer_(request, std::move(responder));
                                       });
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    url_ = "http://" + server_->address();
    thread_ = std::thread([this] {
      const auto stay = boost::asio::make_work_guard(loop_);
      loop_.run();
    });
  }
  ~FakeServer() {
    loop_.stop();
    thread_.join();
  }

  const std::string& url() const { return url_; }
  std::vector<http::Request> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  boost::asio::io_context loop_;
  Answer answer_;
  std::unique_ptr<http::Server> server_;
  std::string url_;
  std::mutex mutex_;
  std::vector<http::Request> requests_;
  std::thread thread_;
};

}  // namespace allot::client
