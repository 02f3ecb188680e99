#include "common/transport/endpoints.h"

#include <boost/asio/post.hpp>
#include <utility>

#include "common/base/address.h"
#include "common/base/check.h"
#include "common/base/thread.h"
#include "fmt/ranges.h"

namespace allot::transport {

namespace asio = boost::asio;
using asio::ip::tcp;

Endpoints::Endpoints(asio::io_context& loop, std::vector<std::string> endpoints)
    : loop_(loop), endpoints_(std::move(endpoints)), resolver_(loop) {
  CHECK(!endpoints_.empty());
}

Endpoints::~Endpoints() = default;

std::string Endpoints::Text() const { return fmt::format("{}", fmt::join(endpoints_, ", ")); }

void Endpoints::Answer(StatusOr<Place> place) {
  if (Handler handler = std::exchange(handler_, nullptr)) handler(std::move(place));
}

void Endpoints::Worked() {
  next_ = current_;
  left_.clear();  // Where it is may change before it is dialled again.
}

void Endpoints::Next(Handler handler) {
  resolver_.cancel();
  alive_ = std::make_shared<int>(0);  // What was asked before is not answered any more.
  handler_ = std::move(handler);
  const auto later = [this](StatusOr<Place> place) {
    asio::post(loop_, [this, alive = std::weak_ptr(alive_), place = std::move(place)]() mutable {
      if (!alive.expired()) Answer(std::move(place));
    });
  };
  if (!left_.empty()) {
    const std::string address = std::move(left_.back());
    left_.pop_back();
    return later(Place{endpoints_[current_], address});
  }
  current_ = next_;
  next_ = (next_ + 1) % endpoints_.size();
  const std::string& endpoint = endpoints_[current_];
  const std::optional<allot::Address> parsed = ParseAddress(endpoint);
  if (!parsed) return later(InvalidArgument("\"{}\" is not like tcp://HOST:PORT", endpoint));
  const SignalsBlocked quiet;  // The first lookup starts a thread of asio.
  resolver_.async_resolve(
      parsed->host, parsed->port, tcp::resolver::numeric_service,
      [this, alive = std::weak_ptr(alive_), endpoint](const boost::system::error_code& error,
                                                      const tcp::resolver::results_type& found) {
        if (alive.expired()) return;
        if (error || found.empty())
          return Answer(Unavailable("cannot find the host of {}: {}", endpoint,
                                    error ? error.message() : "it has no address"));
        for (const auto& entry : found) {
          const std::string address =
              "tcp://" + JoinHostPort(entry.endpoint().address().to_string(),
                                      std::to_string(entry.endpoint().port()));
          left_.insert(left_.begin(), address);
        }
        const std::string address = std::move(left_.back());
        left_.pop_back();
        Answer(Place{endpoint, address});
      });
}

}  // namespace allot::transport
