// The smallest model server: healthy once it listens; GET /crash ends it.
#include <cstdlib>
#include <string>

#include <boost/asio/io_context.hpp>

#include "common/http/server.h"

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  boost::asio::io_context loop;
  const auto server = allot::http::Server::Listen(
      loop, {.listen = std::string("127.0.0.1:") + argv[1]},
      [](const allot::http::Request& request, const allot::http::ResponderPtr& responder) {
        if (request.path == "/crash") _exit(3);
        responder->Send({200, {}, "fine", "text/plain"});
      });
  if (!server.ok()) return 1;
  loop.run();
}
