#include "tests/tls/front.h"

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>

namespace allot::testing {
namespace {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;
using asio::ip::tcp;
using boost::system::error_code;

struct Relay : std::enable_shared_from_this<Relay> {
  Relay(tcp::socket accepted, ssl::context& context)
      : client(std::move(accepted), context), server(client.get_executor()) {}

  void Close() {
    error_code ignored;
    client.lowest_layer().close(ignored);
    server.close(ignored);
  }
  void Upwards() {
    client.async_read_some(asio::buffer(up), [self = shared_from_this()](error_code e, size_t n) {
      if (e) return self->Close();
      asio::async_write(self->server, asio::buffer(self->up, n), [self](error_code failed, size_t) {
        failed ? self->Close() : self->Upwards();
      });
    });
  }
  void Downwards() {
    server.async_read_some(asio::buffer(down), [self = shared_from_this()](error_code e, size_t n) {
      if (e && *self->cut) return self->Close();
      if (e) return self->client.async_shutdown([self](error_code) { self->Close(); });
      asio::async_write(
          self->client, asio::buffer(self->down, n),
          [self](error_code failed, size_t) { failed ? self->Close() : self->Downwards(); });
    });
  }

  ssl::stream<tcp::socket> client;
  tcp::socket server;
  std::shared_ptr<bool> cut;
  std::array<char, 16 << 10> up, down;
};

}  // namespace

struct TlsFront::Impl : std::enable_shared_from_this<Impl> {
  Impl(asio::io_context& loop, tcp::endpoint to)
      : context(ssl::context::tls_server),
        acceptor(loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0)),
        behind(std::move(to)) {}

  void Accept() {
    acceptor.async_accept([self = shared_from_this()](error_code e, tcp::socket socket) {
      if (e) return;
      error_code ignored;
      socket.set_option(tcp::no_delay(true), ignored);
      const auto relay = std::make_shared<Relay>(std::move(socket), self->context);
      relay->cut = self->cut;
      relay->client.async_handshake(ssl::stream_base::server, [self, relay](error_code failed) {
        if (failed) return relay->Close();
        ++self->handshakes;
        relay->server.async_connect(self->behind, [relay](error_code refused) {
          if (refused) return relay->Close();
          error_code nothing;
          relay->server.set_option(tcp::no_delay(true), nothing);
          relay->Upwards();
          relay->Downwards();
        });
      });
      self->Accept();
    });
  }

  ssl::context context;
  tcp::acceptor acceptor;
  const tcp::endpoint behind;
  std::shared_ptr<bool> cut = std::make_shared<bool>(false);
  int handshakes = 0;
};

TlsFront::TlsFront(asio::io_context& loop, const Certificate& certificate,
                   const std::string& behind) {
  const size_t colon = behind.rfind(':');
  impl_ = std::make_shared<Impl>(
      loop, tcp::endpoint(asio::ip::make_address(behind.substr(0, colon)),
                          static_cast<uint16_t>(std::stoi(behind.substr(colon + 1)))));
  impl_->context.use_certificate_chain(asio::buffer(certificate.certificate));
  impl_->context.use_private_key(asio::buffer(certificate.key), ssl::context::pem);
  impl_->Accept();
}
TlsFront::~TlsFront() { impl_->acceptor.close(); }
uint16_t TlsFront::port() const { return impl_->acceptor.local_endpoint().port(); }
int TlsFront::handshakes() const { return impl_->handshakes; }
void TlsFront::CutOff(bool cut) { *impl_->cut = cut; }

}  // namespace allot::testing
