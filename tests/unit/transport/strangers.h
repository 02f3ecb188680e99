// Peers that mean harm or speak something else: plain TCP, and ZeroMQ without our code. For the
// tests of this folder and for those of the whole programs.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <zmq.hpp>

#include "common/transport/keys.h"

namespace allot::transport {

// What a CURVE client says first (ZMTP 3.1): signature, version, mechanism, not a server.
inline std::string CurveGreeting() {
  std::string text("\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01", 12);
  text += "CURVE";
  text.resize(64, '\0');
  return text;
}

// A mebibyte each of what a listening socket may be fed, to be sent over and over.
inline std::vector<std::string> Garbage() {
  std::string noise(1 << 20, '\0');
  for (size_t i = 0; i < noise.size(); ++i) noise[i] = static_cast<char>(i * 2654435761u >> 13);
  std::string after_greeting = noise, command = noise, http = noise;
  after_greeting.replace(0, 64, CurveGreeting());
  // A greeting, then a frame that says it is 2^62 bytes long.
  command.replace(0, 73, CurveGreeting() + std::string("\x06\x40\0\0\0\0\0\0\0", 9));
  http.replace(0, 18, "GET / HTTP/1.1\r\n\r\n");
  return {noise, std::string(1 << 20, '\xff'), std::string(1 << 20, '\0'), after_greeting, command,
          http};
}

// A plain TCP connection that sends `bytes` over and over, up to `total`.
class Stranger {
 public:
  Stranger(boost::asio::io_context& loop, const std::string& endpoint)
      : state_(std::make_shared<State>(loop)) {
    const auto port = static_cast<uint16_t>(std::stoi(endpoint.substr(endpoint.rfind(':') + 1)));
    state_->socket.connect({boost::asio::ip::make_address("127.0.0.1"), port});
    Read(state_);
  }
  ~Stranger() { state_->socket.close(); }
  void Send(std::string bytes, size_t total) {
    state_->bytes = std::move(bytes);
    state_->left = total;
    Write(state_);
  }
  bool cut_off() const { return state_->cut_off; }
  size_t sent() const { return state_->sent; }

 private:
  struct State {
    explicit State(boost::asio::io_context& loop) : socket(loop) {}
    boost::asio::ip::tcp::socket socket;
    std::string bytes;
    std::vector<char> buffer = std::vector<char>(4096);
    size_t left = 0, sent = 0;
    bool cut_off = false;
  };
  static void Write(const std::shared_ptr<State>& state) {
    const size_t now = std::min(state->left, state->bytes.size());
    if (now == 0) return;
    boost::asio::async_write(state->socket, boost::asio::buffer(state->bytes.data(), now),
                             [state](const boost::system::error_code& error, size_t put) {
                               state->left -= put;
                               state->sent += put;
                               if (error) {
                                 state->cut_off = true;
                               } else {
                                 Write(state);
                               }
                             });
  }
  static void Read(const std::shared_ptr<State>& state) {
    state->socket.async_read_some(boost::asio::buffer(state->buffer),
                                  [state](const boost::system::error_code& error, size_t) {
                                    if (error) {
                                      state->cut_off = true;
                                    } else {
                                      Read(state);
                                    }
                                  });
  }
  std::shared_ptr<State> state_;
};

// A peer that speaks ZeroMQ without our code; without Curve(), with no key at all.
struct RawPeer {
  zmq::context_t context;
  zmq::socket_t socket{context, zmq::socket_type::dealer};
  RawPeer() { socket.set(zmq::sockopt::linger, 0); }
  void Curve(const KeyPair& keys, const std::string& server_key) {
    socket.set(zmq::sockopt::curve_publickey, keys.public_key);
    socket.set(zmq::sockopt::curve_secretkey, keys.secret_key);
    socket.set(zmq::sockopt::curve_serverkey, server_key);
  }
  void Connect(const std::string& endpoint) { socket.connect(endpoint); }
  // Once ZeroMQ has given the connection up, which may be at once, what is sent goes nowhere: a
  // send that waits would wait for ever.
  void Send(std::string_view frame, bool more = false) {
    const auto flags = more ? zmq::send_flags::sndmore : zmq::send_flags::none;
    (void)socket.send(zmq::buffer(frame), flags | zmq::send_flags::dontwait);
  }
};

}  // namespace allot::transport
