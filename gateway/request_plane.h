// Requests on their way: the router core, and for each request the client that waits for it.
//
// A streamed answer goes to the client piece by piece and ends the chance of another try with its
// first; any other is held back until it is whole, so that a replica that fails halfway can be
// replaced. But not more than kHeldMax of it, and less where answers_bytes_max is used up: then it
// goes out as it comes. Agents send no more than they were granted, and little of each where all
// together is much (ADR 23). One thread; callbacks of links and clients come in here, and nothing
// blocks.
#pragma once

#include <boost/asio/io_context.hpp>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "common/asio/timer.h"
#include "common/http/server.h"
#include "gateway/clock.h"
#include "gateway/metrics.h"
#include "gateway/openai.h"
#include "gateway/recent_set.h"
#include "gateway/share.h"
#include "scheduler/router/core.h"

namespace allot::wire {
class ForwardRequest;
class ResponseHead;
class ResponseChunk;
class ResponseFailed;
}  // namespace allot::wire

namespace allot::gateway {

// What a client asked for, checked.
struct Submission {
  CompletionRequest request;
  std::string tenant = "default";
  int32_t priority = 0;
  std::optional<Duration> deadline;  // from now
  std::string path;
  http::Headers headers;  // those the model server is to see
  std::string body;       // as it came
};

class RequestPlane {
 public:
  struct Options {
    uint64_t seed = 1;
    int64_t answer_bytes_max = 64 << 20;
    // Of all answers on their way, held or granted to agents and not yet taken by clients: beyond,
    // each gets the least window, and none is held.
    uint64_t answers_bytes_max = 64 << 20;
    size_t backlog_bytes_max = 8 << 20;
    Duration answer_timeout = std::chrono::minutes(10);
  };
  // Towards the agents; false: the node is not linked.
  struct Wire {
    std::function<bool(const std::string& node, wire::ForwardRequest request, std::string body)>
        forward;
    std::function<void(const std::string& node, uint64_t request)> cancel;
    // So many bytes of the answer may have been sent by then.
    std::function<void(const std::string& node, uint64_t request, uint64_t total)> grant;
  };

  RequestPlane(boost::asio::io_context& loop, const GatewayClock& clock, Metrics& metrics,
               Options options, Wire wire);
  ~RequestPlane();

  RequestId Submit(Submission submission, http::ResponderPtr responder);

  void TakeRoutes(std::shared_ptr<const RouteTable> table);
  void Linked(const std::string& node);
  void Unlinked(const std::string& node);
  void OnHead(const std::string& node, wire::ResponseHead head, std::string body);
  void OnChunk(const std::string& node, const wire::ResponseChunk& chunk, std::string body);
  void OnFailed(const std::string& node, const wire::ResponseFailed& failed);

  const router::Core& core() const { return core_; }
  RequestId NewId();  // for answers that need none of this
  size_t open() const { return exchanges_.size() + wire_ids_.size(); }
  uint64_t answers_bytes() const { return answers_bytes_; }

 private:
  // One request between its client and a replica.
  struct Exchange {
    Submission submission;
    http::ResponderPtr responder;
    std::optional<router::Forward> forward;  // the try under way
    uint64_t wire_id = 0;                    // of that try, towards the agent
    int status = 0;
    std::optional<Duration> retry_after;  // as the answer says
    http::Headers headers;                // of the answer
    std::string content_type;
    std::string held;                    // of an answer that is not streamed
    uint64_t received = 0, granted = 0;  // bytes of the answer of that try
    Share share;                         // of answers_bytes_
    bool streaming = false;              // bytes are with the client
    bool passes = false;                 // without having been asked to stream: it is too long
    bool first_byte = false;
    bool event_stream = false;  // what streams is events, which go out whole
    std::string partial;        // of an event that has not come whole
    bool failed = false;        // an error, though its status says that all is well
    bool mid_event = false;     // one that is too long for that is half with the client
    std::string tail;           // the end of what has streamed: usage stands there
    MilliJoule energy = 0;      // of the answer that is held, modelled
    uint64_t fingerprint = 0;   // of what was asked
    EventCounter events;
  };

  void Feed(router::Event event);
  void Do(const router::Forward& forward);
  void Do(const router::Reject& reject);
  void Do(const router::CancelForward& cancel);
  void Do(const router::Deliver& deliver);
  void ArmTimer();

  // The exchange behind an answer's number, if it is the node's to answer.
  Exchange* Answering(const std::string& node, uint64_t wire_id, RequestId* id);
  // False: the exchange has ended.
  bool TakePiece(RequestId id, Exchange& exchange, std::string piece);
  // Lets more of the answer come as its client takes what there is.
  void GiveCredit(Exchange& exchange);
  uint64_t Window(bool streams) const;
  void Account(Exchange& exchange);
  bool Busy() const { return answers_bytes_ > options_.answers_bytes_max; }
  // What is held goes to the client, and the rest as it comes. False: the exchange has ended.
  bool LetGo(RequestId id, Exchange& exchange);
  bool TooLong(RequestId id, const Exchange& exchange);  // false: the exchange has ended
  void Finish(RequestId id, Exchange& exchange);
  void StartStream(RequestId id, Exchange& exchange);
  void WriteStream(Exchange& exchange, std::string piece);
  void SendHeld(RequestId id, Exchange& exchange, bool blamed);
  void NoteLeft(const Exchange& exchange);
  void GiveUp(RequestId id, Exchange& exchange);  // on the client
  void AddOurHeaders(RequestId id, const Exchange& exchange, http::Headers* headers) const;

  boost::asio::io_context& loop_;
  const GatewayClock& clock_;
  Metrics& metrics_;
  Options options_;
  Wire wire_;
  router::Core core_;
  router::Effects effects_;
  std::deque<router::Event> events_;  // that performing commands has caused
  bool feeding_ = false;
  uint64_t last_id_;
  uint64_t answers_bytes_ = 0;                        // before the exchanges, which count in it
  std::unordered_map<uint64_t, Exchange> exchanges_;  // by request id
  std::unordered_map<uint64_t, uint64_t> wire_ids_;   // of tries under way, to request ids
  // What was asked by clients that left before their answer, the last of them.
  RecentSet left_{1024};
  Timer timer_;
  std::optional<Time> armed_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);  // for responders' callbacks
};

}  // namespace allot::gateway
