// Where to dial: one endpoint or several, each a name or an address.
//
// A head may move: its name then stands for another address, or another endpoint of the list is
// it. So every dial asks for the next place to try: names are looked up anew each time, all
// addresses of a name have their turn, then comes the next endpoint, and after the last the first.
// What worked last is tried first again: a head that restarts is found at once. Who answers is
// proven by its key, wherever it is.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace allot::transport {

class Endpoints {
 public:
  struct Place {
    std::string endpoint;  // as it was written
    std::string address;   // tcp://IP:PORT, to dial
  };
  using Handler = std::function<void(StatusOr<Place>)>;

  // `endpoints`: tcp://HOST:PORT, at least one. CHECKed.
  Endpoints(boost::asio::io_context& loop, std::vector<std::string> endpoints);
  ~Endpoints();

  // The handler is called once, on the loop, never from inside and not after destruction; asking
  // again drops a question that is not answered yet. Unavailable: the name cannot be found; the
  // next question is about the next endpoint.
  void Next(Handler handler);
  // The place given last was good: the next question begins with its endpoint.
  void Worked();

  // For messages: "tcp://a:7400" or "tcp://a:7400, tcp://b:7400".
  std::string Text() const;

 private:
  void Answer(StatusOr<Place> place);

  boost::asio::io_context& loop_;
  const std::vector<std::string> endpoints_;
  boost::asio::ip::tcp::resolver resolver_;
  size_t next_ = 0;                // endpoint to look up when `left_` is empty
  size_t current_ = 0;             // endpoint of `left_` and of the place given last
  std::vector<std::string> left_;  // addresses of it that had no turn yet, the next one last
  Handler handler_;                // of the question asked last
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace allot::transport
