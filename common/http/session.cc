#include "common/http/session.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <utility>

#include <boost/asio/post.hpp>

#include "common/base/logging.h"
#include "common/http/cors.h"
#include "common/http/own_names.h"
#include "common/http/text.h"

namespace allot::http {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// Pipelined bytes kept while an answer is pending; beyond, what comes is read and not kept, since
// the end of the connection is behind it, and too much of that ends it.
constexpr size_t kAheadMax = 32 << 10;
// Kept of the buffer of an idle connection.
constexpr size_t kIdleBuffer = 4 << 10;
constexpr size_t kSmallHead = 8 << 10;
constexpr char kMethods[] = "GET, HEAD, POST, PUT, DELETE, OPTIONS";
// Most answers come sooner than the first probe, so that few clients ever see one.
constexpr auto kProbeAfter = std::chrono::seconds(1);
constexpr auto kProbeEvery = std::chrono::seconds(10);
constexpr auto kLingerMax = std::chrono::seconds(5);
constexpr size_t kBusyPatience = 3, kBusyRate = 16;

void AppendNumber(std::string* out, size_t number, int base = 10) {
  char digits[24];
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, number, base);
  out->append(digits, end);
}

bool HasNoBody(int status) { return status < 200 || status == 204 || status == 304; }

}  // namespace

Session::Session(Socket socket, std::string peer, asio::ip::address group, bool safe,
                 std::shared_ptr<ServerState> server)
    : socket_(std::move(socket)),
      peer_(std::move(peer)),
      group_(std::move(group)),
      safe_(safe),
      server_(std::move(server)),
      origin_(&server_->origins[group_]),
      parser_(server_->options.header_bytes_max, server_->options.body_bytes_max) {
  ++origin_->connections;
  turn_.group = &origin_->turns;
}

void Session::Start() {
  if (server_->tls == nullptr) {
    ExtendDeadline();
    return ArmRead();
  }
  phase_ = Phase::kHandshake;
  at_door_ = true;
  deadline_ = Clock::now() + server_->options.tls_handshake_timeout;
  if (const auto out = server_->door.Enter(this, group_)) static_cast<Session*>(*out)->PushOut();
  AwaitHandshake(Socket::wait_read);
}

void Session::PushOut() {
  const auto self = shared_from_this();
  server_->Count(Turned::kHandshakes);
  Close();
}

// ---- ending -------------------------------------------------------------------------------

void Session::Refuse(Turned why) {
  if (server_->tls != nullptr) {  // A handshake is more than a connection too many is worth.
    const auto self = shared_from_this();
    server_->Count(why);
    return Close();
  }
  TurnAway(why, Own(503, why == Turned::kConnections
                             ? Unavailable("too many connections; try again later")
                             : Unavailable("too many connections from your address; close some")));
}

void Session::TurnAway(Turned why, Response response) {
  server_->Count(why);
  AnswerSimply(std::move(response));
}

void Session::Close() {
  if (closed()) return;
  phase_ = Phase::kClosed;
  error_code ignored;
  LeaveDoor();
  tls_.reset();
  CountWire();
  socket_.close(ignored);
  responder_.reset();
  ReleaseBody();
  in_ = {};
  parser_.Take();
  CountHead();
  server_->answers_bytes -= held_;
  out_ = {};
  server_->turns.Leave(turn_);
  turn_.group = nullptr;
  if (--origin_->connections == 0) server_->origins.erase(group_);
  const auto server = std::exchange(server_, nullptr);
  server->sessions.erase(this);  // May drop the last reference; callers hold one of their own.
}

void Session::ExtendDeadline() { deadline_ = Clock::now() + server_->options.idle_timeout; }

void Session::CheckDeadline(Clock::time_point now) {
  if (receives_body()) {
    const size_t size = parser_.request().body.size();
    body_recent_ = size - std::min(size, std::exchange(body_mark_, size));
  }
  if (!closed() && eof_ && phase_ == Phase::kAnswering && probe_at_.has_value() &&
      now >= *probe_at_)
    Probe();
  if (closed()) return;
  if (!out_.empty() && phase_ != Phase::kLingering) {
    if (TooSlow(now)) {
      server_->Count(Turned::kSlowReader);
      CutOff();
    }
    return;
  }
  if (phase_ == Phase::kHandshake && now < deadline_ && !tls_.has_value()) return RetryHandshake();
  if (now < deadline_) return;
  if (phase_ == Phase::kHandshake) {
    server_->Count(Turned::kSlowHandshake);
    return Close();
  }
  if (phase_ == Phase::kAnswering) return;  // The handler may take its time.
  if (phase_ == Phase::kReading && parser_.started()) {
    return TurnAway(
        Turned::kSlowRequest,
        Own(408, DeadlineExceeded("the request did not arrive in time; send it faster")));
  }
  if (Unsent()) {
    server_->Count(Turned::kSlowReader);
    return CutOff();
  }
  if (tls_.has_value()) tls_->Farewell();
  Fail();
}

bool Session::Unsent() {
  int bytes = 0;
  return ioctl(socket_.native_handle(), SIOCOUTQ, &bytes) == 0 && bytes > 0;
}

bool Session::TooSlow(Clock::time_point now) const {
  const Server::Options& options = server_->options;
  const auto slow = [&](Clock::duration patience, size_t rate) {
    if (now - taken_at_ >= patience) return true;
    const auto waited = std::chrono::duration_cast<std::chrono::seconds>(now - waiting_since_);
    return now - waiting_since_ >= patience &&
           taken_ < rate * static_cast<size_t>(std::max<int64_t>(waited.count(), 1));
  };
  const Clock::duration patience = std::min(options.write_timeout, options.idle_timeout);
  return slow(patience, options.write_rate_min) ||
         (server_->Busy() && slow(patience / kBusyPatience, options.write_rate_min * kBusyRate));
}

// RST rather than FIN: what was written is not to be taken for all there is, nor kept by the kernel
// for somebody who does not want it.
void Session::CutOff() {
  error_code ignored;
  socket_.set_option(asio::socket_base::linger(true, 0), ignored);
  Fail();
}

// ---- reading ------------------------------------------------------------------------------

void Session::ArmRead() {
  if (reading_ || eof_ || closed()) return;
  reading_ = true;
  socket_.async_wait(Socket::wait_read, [self = shared_from_this()](const error_code& error) {
    self->reading_ = false;
    if (self->closed()) return;
    if (error) return self->Fail();
    self->OnReadable();
  });
}

void Session::OnReadable() {
  const std::vector<char>& scratch = server_->scratch;
  error_code error;
  const size_t got = ReadSome(&error);
  if (WouldBlock(error)) return ArmRead();
  if (error == asio::error::eof) return OnEof();
  if (error) return Fail();
  if (phase_ == Phase::kLingering) return ArmRead();  // Read only so that our answer gets through.
  const bool busy = phase_ != Phase::kReading || !out_.empty();
  if (busy && (dropped_ > 0 || in_.size() - in_start_ + got > kAheadMax)) return DropAhead(got);
  in_.append(scratch.data(), got);
  const auto self = shared_from_this();
  Process();
  if (closed()) return;
  CountHead();
  server_->PushOutHeads();
  ArmRead();
}

// The answer in hand is the last one: a client must bear that whenever it sends ahead (RFC 9112,
// 9.3.2).
void Session::DropAhead(size_t bytes) {
  keep_alive_ = false;
  in_ = {};
  in_start_ = 0;
  CountHead();
  dropped_ += bytes;
  if (dropped_ <= static_cast<size_t>(limits::kHttpAheadBytes.value)) return ArmRead();
  server_->Count(Turned::kAhead);
  CutOff();
}

void Session::CountHead() {
  size_t now = in_.empty() ? 0 : in_.capacity();
  if (!closed() && parser_.started() && !parser_.head_done()) now += parser_.head_memory();
  if (head_held_ == 0) head_since_ = Clock::now();
  server_->heads_bytes += now - head_held_;
  origin_->heads += now - head_held_;
  head_held_ = now;
}

void Session::DropHead() {
  const auto self = shared_from_this();
  if (phase_ == Phase::kReading) {
    TurnAway(Turned::kHeads, Own(503, Unavailable("the heads of requests that are on their way are "
                                                  "over {} bytes together; send yours at once",
                                                  server_->options.heads_bytes_max)));
    if (closed()) return;
    in_ = {};
    in_start_ = 0;
    return CountHead();
  }
  server_->Count(Turned::kHeads);
  DropAhead(in_.size());
}

void Session::OnEof() {
  eof_ = true;
  switch (phase_) {
    case Phase::kReading:
      return out_.empty() ? Close() : void();  // Else once it is flushed.
    case Phase::kAnswering:
      if (server_->options.half_close) return BeginProbes();
      return ClientGone();  // It may still read, so an answer is sent.
    case Phase::kLingering:
      return out_.empty() ? Close() : void();
    case Phase::kHandshake:
    case Phase::kClosed:
      return;
  }
}

void Session::Process() {
  if (processing_) return;
  processing_ = true;
  const auto self = shared_from_this();  // The handler may destroy the server.
  while (phase_ == Phase::kReading && out_.empty() && in_start_ < in_.size()) {
    if (!parser_.started())
      deadline_ =
          Clock::now() + std::min(server_->options.idle_timeout, server_->options.head_timeout);
    size_t consumed = 0;
    const std::string_view rest = std::string_view(in_).substr(in_start_);
    const bool had_head = parser_.head_done();
    const size_t body_before = parser_.request().body.size();
    const RequestParser::Result result = parser_.Feed(rest, &consumed);
    in_start_ += consumed;
    // A slow body may take longer than a slow head, but not for ever; and neither may a slow head,
    // nor words about chunks, nor trailers.
    const bool body_grew = parser_.request().body.size() > body_before;
    if (parser_.head_done() && (body_grew || !had_head)) {
      ExtendDeadline();
      if (had_head) deadline_ = std::min(deadline_, body_deadline_);
    }
    const bool whole = result == RequestParser::Result::kDone;
    if (whole || result == RequestParser::Result::kNeedMore) {
      if (std::optional<Response> refusal = CheckBody(whole)) {
        AnswerSimply(*std::move(refusal));  // and counted
        break;
      }
    }
    if (whole) {
      Dispatch();
      continue;
    }
    if (result == RequestParser::Result::kMalformed) {
      TurnAway(Turned::kHead,
               Own(400, InvalidArgument("this is not an HTTP/1.1 request, or where its body "
                                        "ends is in doubt")));
    } else if (result == RequestParser::Result::kHeadTooLarge) {
      TurnAway(Turned::kHead,
               Own(431, InvalidArgument("the head or the trailers of the request are over {} bytes, "
                                        "or have over {} fields",
                                        server_->options.header_bytes_max,
                                        limits::kHttpHeadFields.value)));
    } else if (result == RequestParser::Result::kBodyTooLarge) {
      TurnAway(Turned::kBody, Own(413, InvalidArgument("the body is over {} bytes",
                                                       server_->options.body_bytes_max)));
    } else if (parser_.head_done() && !continue_sent_) {
      const std::string_view expect = parser_.request().Header("expect");
      if (EqualsIgnoreCase(expect, "100-continue")) {
        continue_sent_ = true;
        WriteParts("HTTP/1.1 100 Continue\r\n\r\n", {}, {});
      } else if (!expect.empty()) {
        AnswerSimply(Own(417, InvalidArgument("only Expect: 100-continue is known")));
      }
    }
    break;
  }
  if (in_start_ == in_.size()) {
    in_.clear();
    if (in_.capacity() > kIdleBuffer) in_.shrink_to_fit();
  } else if (in_start_ > 0) {
    in_.erase(0, in_start_);
  }
  in_start_ = 0;
  processing_ = false;
  if (phase_ == Phase::kReading && eof_ && out_.empty()) Close();
}

std::optional<Response> Session::CheckBody(bool whole) {
  if (!parser_.head_done()) return std::nullopt;
  const size_t body = parser_.request().body.size(), size = body + parser_.head_memory();
  server_->bodies_bytes += size - body_held_;
  origin_->bodies += size - body_held_;
  body_held_ = size;
  const Server::Options& options = server_->options;
  const size_t bodies_max = std::max(options.bodies_bytes_max, options.body_bytes_max);
  // A head of the usual size is let in whatever others hold.
  while ((body > 0 || size > kSmallHead) && server_->bodies_bytes > bodies_max) {
    Session* const slowest = server_->SlowestBody();
    if (slowest == nullptr || slowest == this) {
      server_->Count(Turned::kBodies);
      return BodiesOver();
    }
    const auto kept = slowest->shared_from_this();
    slowest->TurnAway(Turned::kBodies, slowest->BodiesOver());  // Or it is closed; released so or so.
  }
  if (whole || std::exchange(body_expected_, true)) return std::nullopt;
  body_since_ = Clock::now();
  body_mark_ = 0;
  body_recent_ = SIZE_MAX;  // until it was looked at
  body_deadline_ = body_since_ + options.body_timeout;
  if (const Status ours = CheckHead(parser_.request()); !ours.ok()) return Own(403, ours);
  if (!options.refuse) return std::nullopt;
  Request head;
  head.method = parser_.request().method;
  head.headers = parser_.request().headers;
  head.peer = peer_;
  if (!ParseTarget(parser_.target(), &head)) return std::nullopt;  // Dispatch says so.
  return options.refuse(head);
}

Status Session::CheckHead(const Request& request) {
  if (!safe_ && !server_->options.plain_tokens && !request.Header("authorization").empty()) {
    server_->Count(Turned::kPlainToken);
    return PermissionDenied(
        "a token came over plain HTTP from another machine, where anybody on the way could read "
        "it, "
        "so it is not taken: use https:// (`tls` in this server's config), make a new token in its "
        "place, or set plain_tokens: true where the network is trusted");
  }
  if (!server_->options.loopback_names) return absl::OkStatus();
  Status ours = CheckOwnNames(request, server_->options.cors_origins);
  if (!ours.ok()) server_->Count(Turned::kForeignName);
  return ours;
}

Response Session::BodiesOver() const {
  return Own(503, Unavailable("the requests in hand have {} bytes together, and those that come "
                              "slowest give way; try again in a second",
                              server_->bodies_bytes));
}

void Session::ReleaseBody() {
  server_->bodies_bytes -= body_held_;
  origin_->bodies -= std::exchange(body_held_, 0);
}

void Session::Begin() {
  phase_ = Phase::kAnswering;
  continue_sent_ = body_expected_ = false;
  keep_alive_ = parser_.keep_alive() && dropped_ == 0;
  http_1_0_ = parser_.http_1_0();
  head_only_ = chunked_ = head_sent_ = between_events_ = event_stream_ = false;
}

void Session::Dispatch() {
  Begin();
  const Clock::time_point now = Clock::now();
  if (!server_->MayServe(now)) return server_->WaitForTurn(turn_);
  const auto server = server_;
  Handle();
  server->Served(turn_, now);
}

void Session::ServeTurn() {
  const auto self = shared_from_this();
  const auto server = server_;
  const Clock::time_point now = Clock::now();
  Handle();
  server->Served(turn_, now);
  if (!closed()) CountHead();
}

void Session::Handle() {
  const std::string target = parser_.target();
  Request request = parser_.Take();
  NoteOrigin(request);
  if (!http_1_0_ && request.Header("host").empty()) {
    return AnswerSimply(Own(400, InvalidArgument("the Host header is missing")));
  }
  if (const Status ours = CheckHead(request); !ours.ok()) return SendAnswer(Own(403, ours));
  if (request.method == "CONNECT" || request.method == "TRACE") {
    return AnswerSimply(
        Own(405, InvalidArgument("{} is not served", request.method), {{"Allow", kMethods}}));
  }
  if (request.method == "OPTIONS") {
    Response allowed{.status = 204, .headers = {{"Allow", kMethods}}};
    const auto& shape = server_->options.own_answer;
    return SendAnswer(shape ? shape(std::move(allowed), absl::OkStatus()) : std::move(allowed));
  }
  if (!ParseTarget(target, &request)) {
    return SendAnswer(
        Own(400, InvalidArgument("the path or query is not valid percent-encoded UTF-8 text, or "
                                 "its path encodes letters or digits, which must stand for "
                                 "themselves")));
  }
  if (request.method == "HEAD") {  // The answer to GET without its body; handlers need not know.
    head_only_ = true;
    request.method = "GET";
  }
  request.peer = peer_;
  if (server_->options.standing) authorization_ = request.Header("authorization");
  const auto server = server_;  // Outlives the handler even if it destroys the server.
  server->handler(std::move(request), MakeResponder(shared_from_this(), &responder_));
}

// ---- answering ----------------------------------------------------------------------------

void Session::BuildHead(int status, const Headers& headers, std::string_view content_type,
                        bool chunked, size_t length) {
  std::string& head = server_->head;
  head.assign("HTTP/1.1 ");
  AppendNumber(&head, static_cast<size_t>(status));
  head += ' ';
  head += ReasonPhrase(status);
  head += "\r\nDate: ";
  head += server_->Date();
  head += "\r\n";
  bool typed = HasNoBody(status) || content_type.empty();
  for (const auto& [name, value] : cors_) AppendHeader(&head, name, value);
  for (const auto& [name, value] : headers) {
    if (IsConnectionHeader(name) || EqualsIgnoreCase(name, "date") ||
        (!cors_.empty() && IsCorsHeader(name)))
      continue;
    typed = typed || EqualsIgnoreCase(name, "content-type");
    AppendHeader(&head, name, value);
  }
  if (!typed) AppendHeader(&head, "Content-Type", content_type);
  if (chunked) {
    head += "Transfer-Encoding: chunked\r\n";
  } else if (length != std::string_view::npos && !HasNoBody(status)) {
    head += "Content-Length: ";
    AppendNumber(&head, length);
    head += "\r\n";
  }
  if (!keep_alive_) {
    head += "Connection: close\r\n";
  } else if (http_1_0_) {
    head += "Connection: keep-alive\r\n";
  }
  head += "\r\n";
}

void Session::SendAnswer(Response response) {
  if (phase_ != Phase::kAnswering) return;
  NoteLetIn(response.status);
  // Small ones always fit: they are what errors are, and what tells of a change that was made.
  if (response.body.size() > kSmallBody && !head_only_ &&
      server_->answers_bytes + response.body.size() > server_->options.answers_bytes_max &&
      server_->answers_bytes > 0) {
    server_->Count(Turned::kAnswers);
    response = Own(503, Unavailable("{} bytes of answers wait for clients that do not take them; "
                                    "try again in a second",
                                    server_->answers_bytes));
  }
  BuildHead(response.status, response.headers, response.content_type, /*chunked=*/false,
            response.body.size());
  head_sent_ = true;
  if (head_only_ || HasNoBody(response.status)) response.body.clear();
  WriteAnswer(server_->head, std::move(response.body));
  FinishAnswer();
}

void Session::NoteLetIn(int status) {
  if (tls_.has_value() && status < 400 && !std::exchange(let_in_, true))
    server_->door.LetIn(group_);
}

void Session::NoteOrigin(const Request& request) {
  cors_ = CorsHeaders(server_->options.cors_origins, request, kMethods);
}

void Session::AnswerSimply(Response response) {
  // Not dispatched: the head is where it was read.
  if (phase_ != Phase::kAnswering) NoteOrigin(parser_.request());
  phase_ = Phase::kAnswering;
  keep_alive_ = head_only_ = http_1_0_ = head_sent_ = false;
  parser_.Take();          // What there is of a body is not kept while the client reads its answer.
  in_start_ = in_.size();  // Nothing after this can be trusted to be a request.
  SendAnswer(std::move(response));
}

void Session::StartStream(int status, const Headers& headers, std::string_view content_type) {
  if (phase_ != Phase::kAnswering) return;
  NoteLetIn(status);
  const bool body = !head_only_ && !HasNoBody(status);
  chunked_ = body && !http_1_0_;
  if (body && http_1_0_) keep_alive_ = false;  // The end of the body is the end of the connection.
  BuildHead(status, headers, content_type, chunked_, std::string_view::npos);
  head_sent_ = true;
  event_stream_ = between_events_ = chunked_ && content_type.starts_with("text/event-stream");
  WriteParts(server_->head, {}, {});
  if (!closed() && head_only_) {
    // The client has its whole answer: whoever produces the body may as well stop.
    ClientGone();
  }
}

void Session::WriteChunk(std::string_view chunk) {
  if (phase_ != Phase::kAnswering || chunk.empty() || head_only_) return;
  if (!chunked_) return WriteParts(chunk, {}, {});
  between_events_ = event_stream_ && (chunk.ends_with("\n\n") || chunk.ends_with("\r\n\r\n"));
  char frame[24];
  char* const end = std::to_chars(frame, frame + sizeof frame - 2, chunk.size(), 16).ptr;
  end[0] = '\r';
  end[1] = '\n';
  WriteParts(std::string_view(frame, end + 2 - frame), chunk, "\r\n");
}

void Session::EndStream() {
  if (phase_ != Phase::kAnswering) return;
  if (chunked_) WriteParts("0\r\n\r\n", {}, {});
  FinishAnswer();
}

void Session::Abort() {
  if (phase_ != Phase::kAnswering) return;
  // RST rather than FIN: a body without a length must not look complete.
  const auto self = shared_from_this();
  error_code ignored;
  socket_.set_option(asio::socket_base::linger(true, 0), ignored);
  Close();
}

void Session::Cut() {
  if (phase_ != Phase::kAnswering) return;
  if (!chunked_) return Abort();
  keep_alive_ = false;
  FinishAnswer();
}

Response Session::Own(int status, const Status& why, Headers headers) const {
  Response response = ErrorResponse(why);
  response.status = status;
  if (status == 503)
    for (auto& [name, value] : response.headers)
      if (name == "Retry-After")
        value = std::to_string(server_->overload.RetryAfter(Clock::now()).count());
  for (auto& header : headers) response.headers.push_back(std::move(header));
  const auto& shape = server_->options.own_answer;
  return shape ? shape(std::move(response), why) : response;
}

void Session::FinishAnswer() {
  if (phase_ != Phase::kAnswering) return;
  phase_ = Phase::kReading;
  responder_.reset();
  ReleaseBody();
  ExtendDeadline();
  if (out_.empty()) AfterFlush();
}

void Session::AfterFlush() {
  if (phase_ != Phase::kReading) return;
  if (!keep_alive_) return Linger();
  if (processing_) return;  // The loop in Process goes on by itself.
  Process();
  if (!closed()) ArmRead();
}

// Closing with bytes unread would make the kernel send RST, and the client might lose our last
// words. So: no more from us, and read what still comes until the client has closed as well.
void Session::Linger() {
  error_code ignored;
  phase_ = Phase::kLingering;
  in_.clear();
  in_start_ = 0;
  if (tls_.has_value()) tls_->Farewell();
  socket_.shutdown(Socket::shutdown_send, ignored);
  if (eof_) {
    const auto self = shared_from_this();
    return Close();
  }
  deadline_ = Clock::now() + std::min<Clock::duration>(server_->options.idle_timeout, kLingerMax);
  ArmRead();
}

void Session::WatchForEnd() {
  if (!eof_) return;  // Else it had gone before anyone asked.
  server_->options.half_close ? BeginProbes() : ClientGone();
}

// Posted: never from inside a call of the handler's, which does not expect to be re-entered.
void Session::ClientGone() {
  asio::post(server_->loop, [server = server_, responder = responder_] {
    if (!server->closed) TellClientGone(responder);
  });
}

void Session::BeginProbes() {
  // Before the head a version 1.0 of HTTP knows of nothing that could be sent.
  if (head_sent_ ? !event_stream_ : http_1_0_) return ClientGone();
  WatchForError();
  if (head_sent_) return Probe();
  probe_at_ = Clock::now() + kProbeAfter;
}

void Session::Probe() {
  probe_at_ = Clock::now() + kProbeEvery;
  if (!out_.empty()) return;  // What is on its way tells as much.
  if (!head_sent_) {
    WriteParts("HTTP/1.1 100 Continue\r\n\r\n", {}, {});
  } else if (between_events_) {
    WriteParts("3\r\n:\n\n\r\n", {}, {});
  }
}

// A client that is not there answers with a reset.
void Session::WatchForError() {
  if (std::exchange(watching_, true)) return;
  socket_.async_wait(Socket::wait_error, [self = shared_from_this()](const error_code&) {
    self->watching_ = false;
    if (self->closed()) return;
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(self->socket_.native_handle(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return self->Fail();
    self->WatchForError();
  });
}

void Session::Fail() {
  const auto self = shared_from_this();
  if (phase_ == Phase::kAnswering) ClientGone();
  Close();
}

}  // namespace allot::http
