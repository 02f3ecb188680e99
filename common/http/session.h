// One connection of the server: reads a request, waits for its answer, writes it, and so on.
//
// Requests of a connection are handled one after the other, so pipelined answers come in order, and
// in turn with those of others (turns.h). While an answer is pending the socket is still watched, so
// that the end of the connection is told to the Responder: bytes of the next request are kept up to
// a bound; who sends more ahead gets no further answer, and is cut off if that goes on. Writes are
// tried at once and queued only when the socket is full.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "common/http/parser.h"
#include "common/http/server_state.h"
#include "common/http/tls_channel.h"

namespace allot::http {

using LoopExecutor = boost::asio::io_context::executor_type;
using Socket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, LoopExecutor>;

class SessionResponder;

// A small body is copied behind its head: one buffer, one segment.
inline constexpr size_t kSmallBody = 16 << 10;

inline bool WouldBlock(const boost::system::error_code& error) {
  return error == boost::asio::error::would_block || error == boost::asio::error::try_again ||
         error == boost::asio::error::interrupted;
}

class Session : public std::enable_shared_from_this<Session> {
 public:
  // `group`: as what ServerState counts where it comes from. `safe`: what is sent here nobody else
  // can read.
  Session(Socket socket, std::string peer, boost::asio::ip::address group, bool safe,
          std::shared_ptr<ServerState> server);
  void Start();
  void Refuse(Turned why);  // 503: too many connections; without a word where TLS is spoken
  void PushOut();           // of the handshakes under way, for a newer one
  void Close();             // No callback follows.
  // Ends the session if what it waits for has taken too long. Once a second or oftener.
  void CheckDeadline(Clock::time_point now);

  // Ends what it waits for, or is told, if that may not go on.
  void CheckStanding();

  // For ServerState.
  void ServeTurn();
  void DropHead();  // what has come of the next request is given up
  const Origin* origin() const { return origin_; }
  size_t head_held() const { return head_held_; }
  Clock::time_point head_since() const { return head_since_; }
  bool receives_body() const { return phase_ == Phase::kReading && body_expected_; }
  // How much of the body came lately, and, where two are alike, since when it does.
  std::pair<size_t, Clock::time_point> body_pace() const { return {body_recent_, body_since_}; }

  // For the Responder of the request in hand.
  void SendAnswer(Response response);  // or 503, where what waits for clients is too much
  void StartStream(int status, const Headers& headers, std::string_view content_type);
  void WriteChunk(std::string_view chunk);
  void EndStream();
  void Abort();
  void Cut();
  void CutOff();  // nothing of what it was to be told will be taken
  Response Own(int status, const Status& why, Headers headers = {}) const;
  void WatchForEnd();  // someone wants to know when the client goes
  size_t backlog() const { return backlog_; }
  bool has_server() const { return server_ != nullptr; }

 private:
  enum class Phase { kHandshake, kReading, kAnswering, kLingering, kClosed };

  // The socket, or what is spoken over it. Nothing and `error` where it would block.
  size_t ReadSome(boost::system::error_code* error);
  size_t WriteSome(const std::array<std::string_view, 3>& parts, boost::system::error_code* error);
  void AwaitHandshake(Socket::wait_type what);
  void ShakeHands();
  void RetryHandshake();
  void NoteLetIn(int status);
  void LeaveDoor();
  void CountWire();

  void ArmRead();
  void OnReadable();
  void OnEof();
  void Process();  // parses and dispatches what is buffered
  // Counts what has come of the body; why no more of it is wanted.
  std::optional<Response> CheckBody(bool whole);
  // Whether it means us, and brings no token that others have read.
  Status CheckHead(const Request& request);
  Response BodiesOver() const;
  void ReleaseBody();
  // Counts what has come of a head, or ahead.
  void CountHead();
  void DropAhead(size_t bytes);
  bool Unsent();    // the kernel has something that the client has not taken
  void Begin();     // the request that is here, whole: its flags
  void Dispatch();  // and its handler, now or in its turn
  void Handle();
  void AnswerSimply(Response response);  // an answer of the server's own, then close
  void FinishAnswer();
  void AfterFlush();
  void Linger();
  void ClientGone();
  // The client has closed its sending side: is it still there?
  void BeginProbes();
  void Probe();
  void WatchForError();
  void Fail();  // the connection broke
  bool closed() const { return phase_ == Phase::kClosed; }
  void ExtendDeadline();

  void NoteOrigin(const Request& request);
  void BuildHead(int status, const Headers& headers, std::string_view content_type, bool chunked,
                 size_t length);
  void WriteParts(std::string_view a, std::string_view b, std::string_view c);
  void WriteAnswer(std::string_view head, std::string body);
  void Queue(std::string_view part);
  void Waiting(size_t bytes, size_t held);  // so many more are to be written, of memory held
  void Taken(size_t bytes);
  bool TooSlow(Clock::time_point now) const;
  void TurnAway(Turned why, Response response);
  void ArmWrite();
  void FlushQueue();

  Socket socket_;
  const std::string peer_;
  const boost::asio::ip::address group_;
  const bool safe_;
  std::optional<TlsChannel> tls_;
  bool at_door_ = false, tls_waits_ = false, let_in_ = false;
  size_t wire_held_ = 0;  // by tls_, counted in ServerState
  std::shared_ptr<ServerState> server_;
  Origin* origin_;  // of server_
  Turns::Member turn_{this};
  RequestParser parser_;
  std::string in_;  // received and not yet parsed, from in_start_ on
  size_t in_start_ = 0;
  std::deque<std::string> out_;  // to be written, the first from out_start_ on
  size_t out_start_ = 0, backlog_ = 0;
  size_t held_ = 0;  // bytes of out_, counted in ServerState
  // While there is a backlog: since when, when of it something was taken last, and how much.
  Clock::time_point waiting_since_, taken_at_;
  size_t taken_ = 0;
  std::weak_ptr<SessionResponder> responder_;  // of the request in hand
  Clock::time_point deadline_, body_deadline_;
  size_t body_held_ = 0;  // bytes of the request counted in ServerState
  size_t body_mark_ = 0, body_recent_ = 0;
  Clock::time_point body_since_;
  size_t head_held_ = 0;  // bytes of head or ahead counted in ServerState
  Clock::time_point head_since_;
  size_t dropped_ = 0;  // of what was sent ahead
  Phase phase_ = Phase::kReading;
  bool reading_ = false, writing_ = false;  // a wait is pending
  bool processing_ = false;
  bool eof_ = false;
  bool continue_sent_ = false;
  bool body_expected_ = false;  // the head has come, and who sent it may send the rest
  std::optional<Clock::time_point> probe_at_;
  bool watching_ = false;  // for an error of the socket
  // Of the request in hand:
  bool head_only_ = false, keep_alive_ = true, chunked_ = false, http_1_0_ = false;
  bool head_sent_ = false;
  bool between_events_ = false;  // of a stream of events: a comment may be put here
  bool event_stream_ = false;
  Headers cors_;               // of its answer
  std::string authorization_;  // it came with, where somebody asks for that
};

// responder.cc
ResponderPtr MakeResponder(const std::shared_ptr<Session>& session,
                           std::weak_ptr<SessionResponder>* weak);
void TellClientGone(const std::weak_ptr<SessionResponder>& responder);
void TellRoom(const std::weak_ptr<SessionResponder>& responder);

}  // namespace allot::http
