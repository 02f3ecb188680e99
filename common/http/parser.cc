#include "common/http/parser.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

#include "common/base/limits.h"
#include "common/http/text.h"

namespace allot::http {
namespace {

namespace beast = boost::beast;
using boost::optional;

// A stated length is a promise, not a fact: no more than this is set aside before bytes come.
constexpr uint64_t kReserveMax = 64 << 10;
constexpr size_t kResponseHeadMax = 256 << 10, kResponseFieldsMax = 1'000;
constexpr size_t kFieldOverhead = 4;  // ": " and the end of the line
// What a field costs beyond its bytes: two strings, in a vector that may have grown by half too
// much, and what an allocation takes.
constexpr size_t kFieldMemory = 128;

std::string_view View(beast::string_view text) { return {text.data(), text.size()}; }

void AddField(Headers* headers, beast::string_view name, beast::string_view value) {
  if (headers->empty()) headers->reserve(12);
  auto& [key, text] = headers->emplace_back(View(name), View(value));
  ToLower(&key);
}

// What a message says about itself rather than in its body: start line, fields, extensions of
// chunks, trailers. Beast's own limit holds for what of a head comes at once, and forgets the lines
// it has taken; so a head in many pieces, and all that follows it, is counted here.
class Overhead {
 public:
  explicit Overhead(size_t bytes_max) : bytes_max_(bytes_max) {}
  void Add(size_t bytes, beast::error_code& error) {
    bytes_ += bytes;
    if (bytes_ > bytes_max_) error = beast::http::error::header_limit;
  }
  void AddField(beast::string_view name, beast::string_view value, size_t fields_max,
                beast::error_code& error) {
    Add(name.size() + value.size() + kFieldOverhead, error);
    if (++fields_ > fields_max) error = beast::http::error::header_limit;
  }
  size_t memory() const { return bytes_ + fields_ * kFieldMemory; }
  // `pending`: received, but not yet a whole line.
  bool Over(size_t pending) const { return bytes_ + pending > bytes_max_; }

 private:
  const size_t bytes_max_;
  size_t bytes_ = 0, fields_ = 0;
};

// Where the body ends must be beyond doubt, or what one side takes for a body is the next request
// to the other (RFC 9112, 6.1 and 6.3; Beast takes an encoding it does not know for no body). We
// know one encoding, and it is never applied in HTTP/1.0.
bool ClearlyFramed(const Headers& headers, bool http_1_0) {
  int hosts = 0, encodings = 0;
  for (const auto& [name, value] : headers) {
    if (name == "host" && ++hosts > 1) return false;
    if (name != "transfer-encoding") continue;
    if (++encodings > 1 || http_1_0 || !EqualsIgnoreCase(value, "chunked")) return false;
  }
  return true;
}

// Beast asserts that it has five bytes when it comes back to the last chunk, and comes back with
// four where that is the only one: "0 CR LF", then "CR". So it does not see the beginning of a
// chunk that may be the last one before there are five; of a body that is not over, so many must
// come.
template <class Parser>
bool IsTooShortToShow(const Parser& parser, std::string_view bytes) {
  return bytes.size() < 5 && bytes.starts_with('0') && parser.is_header_done() &&
         parser.chunked() && parser.chunk_left == 0;
}

class BeastRequest final : public beast::http::basic_parser<true> {
 public:
  explicit BeastRequest(size_t header_bytes_max) : overhead(header_bytes_max) {}
  Request request;
  std::string target;
  bool http_1_0 = false;
  Overhead overhead;
  uint64_t chunk_left = 0;  // bytes of the chunk in hand

 private:
  void on_request_impl(beast::http::verb, beast::string_view method, beast::string_view uri,
                       int version, beast::error_code& error) override {
    request.method = View(method);
    target = View(uri);
    http_1_0 = version == 10;
    overhead.Add(method.size() + uri.size(), error);
  }
  void on_response_impl(int, beast::string_view, int, beast::error_code&) override {}
  void on_field_impl(beast::http::field, beast::string_view name, beast::string_view value,
                     beast::error_code& error) override {
    overhead.AddField(name, value, static_cast<size_t>(limits::kHttpHeadFields.value), error);
    if (!error && !in_trailer_) AddField(&request.headers, name, value);
  }
  void on_header_impl(beast::error_code& error) override {
    in_trailer_ = true;
    if (!ClearlyFramed(request.headers, http_1_0))
      error = beast::http::error::bad_transfer_encoding;
  }
  void on_body_init_impl(const optional<uint64_t>& length, beast::error_code&) override {
    if (length) request.body.reserve(std::min(*length, kReserveMax));
  }
  size_t on_body_impl(beast::string_view body, beast::error_code&) override {
    request.body.append(body.data(), body.size());
    return body.size();
  }
  void on_chunk_header_impl(uint64_t size, beast::string_view extension,
                            beast::error_code& error) override {
    chunk_left = size;
    overhead.Add(extension.size(), error);
  }
  size_t on_chunk_body_impl(uint64_t, beast::string_view body, beast::error_code&) override {
    chunk_left -= body.size();
    request.body.append(body.data(), body.size());
    return body.size();
  }
  void on_finish_impl(beast::error_code&) override {}

  bool in_trailer_ = false;  // Fields after a chunked body are dropped.
};

class BeastResponse final : public beast::http::basic_parser<false> {
 public:
  int status = 0;
  Headers headers;
  std::string body;
  Overhead overhead{kResponseHeadMax};
  uint64_t chunk_left = 0;  // bytes of the chunk in hand

 private:
  void on_request_impl(beast::http::verb, beast::string_view, beast::string_view, int,
                       beast::error_code&) override {}
  void on_response_impl(int code, beast::string_view, int, beast::error_code& error) override {
    status = code;
    if (code < 100) error = beast::http::error::bad_status;  // Beast takes any three digits.
  }
  void on_field_impl(beast::http::field, beast::string_view name, beast::string_view value,
                     beast::error_code& error) override {
    overhead.AddField(name, value, kResponseFieldsMax, error);
    if (!error && !in_trailer_) AddField(&headers, name, value);
  }
  void on_header_impl(beast::error_code&) override { in_trailer_ = true; }
  void on_body_init_impl(const optional<uint64_t>&, beast::error_code&) override {}
  size_t on_body_impl(beast::string_view text, beast::error_code&) override {
    body.append(text.data(), text.size());
    return text.size();
  }
  void on_chunk_header_impl(uint64_t size, beast::string_view extension,
                            beast::error_code& error) override {
    chunk_left = size;
    overhead.Add(extension.size(), error);
  }
  size_t on_chunk_body_impl(uint64_t, beast::string_view text, beast::error_code&) override {
    chunk_left -= text.size();
    body.append(text.data(), text.size());
    return text.size();
  }
  void on_finish_impl(beast::error_code&) override {}

  bool in_trailer_ = false;
};

}  // namespace

class RequestParser::Impl {
 public:
  Impl(size_t header_max, size_t body_max) : header_max_(header_max), body_max_(body_max) {
    Reset();
  }
  void Reset() {
    parser_.emplace(header_max_);
    parser_->header_limit(static_cast<uint32_t>(header_max_));
    parser_->body_limit(body_max_);
    parser_->eager(true);
  }
  const size_t header_max_, body_max_;
  std::optional<BeastRequest> parser_;
};

RequestParser::RequestParser(size_t header_bytes_max, size_t body_bytes_max)
    : impl_(std::make_unique<Impl>(header_bytes_max, body_bytes_max)) {}
RequestParser::~RequestParser() = default;

RequestParser::Result RequestParser::Feed(std::string_view bytes, size_t* consumed) {
  beast::error_code error;
  *consumed = 0;
  if (IsTooShortToShow(*impl_->parser_, bytes)) return Result::kNeedMore;
  *consumed = impl_->parser_->put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
  if (!error && impl_->parser_->is_done()) return Result::kDone;
  if (!error || error == beast::http::error::need_more) {
    const bool over = impl_->parser_->overhead.Over(bytes.size() - *consumed);
    return over ? Result::kHeadTooLarge : Result::kNeedMore;
  }
  if (error == beast::http::error::header_limit) return Result::kHeadTooLarge;
  if (error == beast::http::error::body_limit) return Result::kBodyTooLarge;
  return Result::kMalformed;
}

bool RequestParser::started() const { return impl_->parser_->got_some(); }
bool RequestParser::head_done() const { return impl_->parser_->is_header_done(); }
bool RequestParser::keep_alive() const { return impl_->parser_->keep_alive(); }
size_t RequestParser::head_memory() const { return impl_->parser_->overhead.memory(); }
bool RequestParser::http_1_0() const { return impl_->parser_->http_1_0; }
const Request& RequestParser::request() const { return impl_->parser_->request; }
const std::string& RequestParser::target() const { return impl_->parser_->target; }

Request RequestParser::Take() {
  Request request = std::move(impl_->parser_->request);
  impl_->Reset();
  return request;
}

class ResponseParser::Impl {
 public:
  explicit Impl(bool head) : head_(head) { Reset(); }
  void Reset() {
    parser_.emplace();
    parser_->skip(head_);
    parser_->body_limit(boost::none);
    parser_->header_limit(kResponseHeadMax);
    parser_->eager(true);
  }
  const bool head_;
  std::optional<BeastResponse> parser_;
};

ResponseParser::ResponseParser(bool head) : impl_(std::make_unique<Impl>(head)) {}
ResponseParser::~ResponseParser() = default;

ResponseParser::Result ResponseParser::Feed(std::string_view bytes, size_t* consumed) {
  *consumed = 0;
  for (;;) {
    BeastResponse& parser = *impl_->parser_;
    beast::error_code error;
    const std::string_view rest = bytes.substr(*consumed);
    if (IsTooShortToShow(parser, rest)) return Result::kNeedMore;
    *consumed += parser.put(boost::asio::const_buffer(rest.data(), rest.size()), error);
    if (error && error != beast::http::error::need_more) return Result::kMalformed;
    if (error || !parser.is_done()) {
      const bool over = parser.overhead.Over(bytes.size() - *consumed);
      return over ? Result::kMalformed : Result::kNeedMore;
    }
    if (parser.status >= 200) return Result::kDone;
    if (parser.status == 101) return Result::kMalformed;  // We never ask for an upgrade.
    impl_->Reset();  // "100 Continue" and the like come before the answer.
    if (*consumed == bytes.size()) return Result::kNeedMore;
  }
}

bool ResponseParser::FinishAtEof() {
  if (!impl_->parser_->got_some()) return false;
  if (impl_->parser_->is_done()) return true;
  beast::error_code error;
  impl_->parser_->put_eof(error);
  return !error && impl_->parser_->is_done();
}

bool ResponseParser::head_done() const {
  return impl_->parser_->is_header_done() && impl_->parser_->status >= 200;
}
bool ResponseParser::keep_alive() const {
  return impl_->parser_->keep_alive() && !impl_->parser_->need_eof();
}
int ResponseParser::status() const { return impl_->parser_->status; }
Headers ResponseParser::TakeHeaders() { return std::move(impl_->parser_->headers); }
std::string ResponseParser::TakeBody() { return std::exchange(impl_->parser_->body, {}); }

}  // namespace allot::http
