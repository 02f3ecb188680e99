// The link to the scheduler: dialling, envelopes, terms. When to dial again is the core's decision.
//
// Everything said in one turn of the loop leaves as one envelope. Loop thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>

#include "common/model/messages.h"
#include "common/transport/link.h"

namespace allot::agent {

class SchedulerLink {
 public:
  struct Options {
    std::string endpoint, public_key;
    transport::KeyPair keys;
  };
  struct Handlers {
    std::function<void()> up;
    std::function<void(const std::string& why)> down;
    std::function<void(SchedulerMessage)> said;
    std::function<void()> heard;  // an envelope without a message of ours
    std::function<void(const wire::ReadLog&)> read_log;
  };
  struct Counters {
    uint64_t dials = 0, envelopes_in = 0, envelopes_out = 0, bytes_in = 0, bytes_out = 0;
    uint64_t refused_terms = 0;  // envelopes of a scheduler that another one has replaced
    uint64_t undecodable = 0;    // messages, and envelopes that are garbage
    uint64_t gaps = 0;           // envelopes missing by their sequence
    uint64_t undelivered = 0;    // envelopes that found no link; all is said again in time
  };

  SchedulerLink(boost::asio::io_context& loop, transport::Context& context, Options options,
                Handlers handlers);
  ~SchedulerLink();

  // Drops the socket if there is one. `down` follows if it does not come about, never from inside.
  void Dial();
  void Say(const AgentMessage& message);
  void Say(wire::LogChunk chunk);

  bool up() const { return up_; }
  uint64_t term() const { return term_; }
  Counters counters() const;

 private:
  void Receive(transport::ClientLink::Incoming in);
  void Lost(const std::string& why);
  wire::Message* Add();
  void Flush();
  void TakeCounters();

  boost::asio::io_context& loop_;
  transport::Context& context_;
  const Options options_;
  Handlers handlers_;
  std::unique_ptr<transport::ClientLink> link_;
  bool up_ = false;
  uint64_t term_ = 0, sent_ = 0, received_ = 0;
  Counters counters_;
  wire::Envelope outbox_;
  size_t outbox_bytes_ = 0;  // of log data: the only large thing
  bool flush_posted_ = false, said_term_ = false;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace allot::agent
