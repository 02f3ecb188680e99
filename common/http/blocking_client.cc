#include <utility>

#include <boost/asio/io_context.hpp>

#include "common/http/client.h"
#include "common/http/text.h"

namespace allot::http {
namespace {

// A command line tool that is sent more than this is talking to the wrong server.
constexpr size_t kBodyMax = 256 << 20;

StatusOr<std::string> ParseBaseUrl(const std::string& url) {
  constexpr std::string_view kScheme = "http://";
  std::string_view rest = url;
  if (rest.starts_with("https://")) {
    return InvalidArgument("{}: HTTPS is not spoken here; give http://HOST:PORT", url);
  }
  if (rest.starts_with(kScheme)) {
    rest.remove_prefix(kScheme.size());
    if (rest.ends_with('/')) rest.remove_suffix(1);
    std::string host_port(rest);
    const bool has_port =
        rest.find(':', rest.rfind(']') == std::string_view::npos ? 0 : rest.rfind(']')) !=
        std::string_view::npos;
    if (!has_port) host_port += ":80";
    if (ParseHostPort(host_port).ok()) return host_port;
  }
  return InvalidArgument("address is \"{}\"; give http://HOST:PORT", url);
}

}  // namespace

std::string_view ClientResponse::Header(std::string_view lower_case_name) const {
  for (const auto& [name, value] : headers) {
    if (name == lower_case_name) return value;
  }
  return {};
}

class BlockingClient::Impl {
 public:
  Impl(std::string host_port, std::string base_url, std::string token)
      : base_url_(std::move(base_url)),
        token_(std::move(token)),
        loop_(1),
        client_(loop_, std::move(host_port), /*idle_connections_max=*/1) {}

  StatusOr<ClientResponse> Stream(ClientRequest request,
                                  const std::function<bool(std::string_view)>& piece) {
    if (!token_.empty()) request.headers.emplace_back("Authorization", "Bearer " + token_);
    // Lets a connection that was closed since the last call be noticed before it is used.
    loop_.restart();
    loop_.poll();

    ClientResponse response;
    Status status;
    bool done = false, stopped = false, too_long = false;
    std::unique_ptr<Client::Call> call;
    Client::Callbacks callbacks;
    callbacks.head = [&](int code, Headers headers) {
      response.status = code;
      response.headers = std::move(headers);
    };
    callbacks.body = [&](std::string text) {
      const bool good = response.status >= 200 && response.status < 300;
      if (piece && good) {
        stopped = !piece(text);
      } else {
        response.body += text;
        too_long = response.body.size() > kBodyMax;
      }
      if (stopped || too_long) call->Cancel();
    };
    callbacks.done = [&](Status result) {
      status = std::move(result);
      done = true;
    };
    call = client_.Start(std::move(request), std::move(callbacks));
    loop_.restart();
    while (!done && !stopped && !too_long) loop_.run_one();

    if (too_long) {
      return ResourceExhausted("the answer of {} is over {}", base_url_, FormatBytes(kBodyMax));
    }
    if (!status.ok()) return Explain(status);
    return response;
  }

 private:
  Status Explain(const Status& status) const {
    if (MessageOf(status).starts_with("cannot connect")) {
      const std::string text = MessageOf(status);
      const size_t colon = text.rfind(": ");
      return Unavailable(
          "cannot connect to {}: {}; is the scheduler running, and is this its address?", base_url_,
          colon == std::string::npos ? text : text.substr(colon + 2));
    }
    return status;
  }

  const std::string base_url_, token_;
  boost::asio::io_context loop_;
  Client client_;
};

BlockingClient::BlockingClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
BlockingClient::~BlockingClient() = default;

StatusOr<std::unique_ptr<BlockingClient>> BlockingClient::Create(const std::string& base_url,
                                                                 std::string bearer_token) {
  ASSIGN_OR_RETURN(std::string host_port, ParseBaseUrl(base_url));
  return std::unique_ptr<BlockingClient>(new BlockingClient(
      std::make_unique<Impl>(std::move(host_port), base_url, std::move(bearer_token))));
}

StatusOr<ClientResponse> BlockingClient::Fetch(const ClientRequest& request) {
  return impl_->Stream(request, nullptr);
}

StatusOr<ClientResponse> BlockingClient::Stream(
    const ClientRequest& request, const std::function<bool(std::string_view piece)>& piece) {
  return impl_->Stream(request, piece);
}

}  // namespace allot::http
