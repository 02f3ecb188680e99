#include "common/enroll/exchange.h"

#include <boost/asio/steady_timer.hpp>
#include <optional>

#include "common/transport/context.h"
#include "common/transport/endpoints.h"
#include "common/transport/link.h"

namespace allot::enroll {
namespace {

namespace asio = boost::asio;

constexpr auto kPause = std::chrono::milliseconds(200);  // between two dials

// Dials one endpoint after the other until one talks to us or the time is up.
class Conversation {
 public:
  struct Outcome {
    bool admitted = false, refused = false;
    std::optional<wire::EnrollAnswer> answer;
    std::string why;  // the last dial failed
  };

  Conversation(const InvitationWord& invitation, transport::KeyPair keys,
               std::optional<std::string> enrol)
      : invitation_(invitation),
        keys_(std::move(keys)),
        enrol_(std::move(enrol)),
        endpoints_(loop_, invitation.endpoints),
        end_(loop_),
        pause_(loop_) {}

  StatusOr<Outcome> Run(Duration timeout) {
    ASSIGN_OR_RETURN(context_, transport::Context::Create({.sockets_max = 64}));
    end_.expires_after(timeout);
    end_.async_wait([this](const boost::system::error_code& error) {
      if (!error) Stop();
    });
    Dial();
    loop_.run();
    link_.reset();
    return outcome_;
  }

 private:
  void Dial() {
    endpoints_.Next([this](StatusOr<transport::Endpoints::Place> place) {
      if (!place.ok()) return Again(MessageOf(place.status()));
      transport::ClientLink::Handlers handlers;
      handlers.connected = [this] {
        outcome_.admitted = true;
        if (!enrol_) return Stop();
        wire::Envelope envelope;
        envelope.add_messages()->mutable_enroll_request()->set_public_key(*enrol_);
        link_->Send(envelope);
      };
      handlers.message = [this](const transport::ClientLink::Incoming& in) {
        for (const wire::Message& message : in.envelope.messages()) {
          if (!message.has_enroll_answer()) continue;
          outcome_.answer = message.enroll_answer();
          return Stop();
        }
      };
      handlers.disconnected = [this](const std::string& why) {
        // 400: our key is not in its list. Another endpoint may be another scheduler, but the one
        // whose key we were given has spoken.
        if (why.find("(400)") != std::string::npos) {
          outcome_.refused = true;
          return Stop();
        }
        Again(why);
      };
      auto link =
          transport::ClientLink::Dial(*context_, loop_,
                                      {.endpoint = place->address,
                                       .server_public_key = invitation_.scheduler_public_key,
                                       .keys = keys_,
                                       .handshake_ms_max = 5'000},
                                      std::move(handlers));
      if (!link.ok()) return Again(MessageOf(link.status()));
      link_ = *std::move(link);
    });
  }
  void Again(const std::string& why) {
    outcome_.why = why;
    pause_.expires_after(kPause);
    pause_.async_wait([this](const boost::system::error_code& error) {
      if (!error) Dial();
    });
  }
  void Stop() { loop_.stop(); }

  const InvitationWord& invitation_;
  const transport::KeyPair keys_;
  const std::optional<std::string> enrol_;
  asio::io_context loop_{1};
  std::unique_ptr<transport::Context> context_;
  std::unique_ptr<transport::ClientLink> link_;
  transport::Endpoints endpoints_;
  asio::steady_timer end_, pause_;
  Outcome outcome_;
};

Status Unreached(const InvitationWord& invitation, const Conversation::Outcome& outcome) {
  return Unavailable(
      "no scheduler answers at {} ({}); is it running, and may this machine reach that port?",
      fmt::join(invitation.endpoints, ", "),
      outcome.why.empty() ? "nothing was heard" : outcome.why);
}

StatusOr<Answer> AskWhetherAdmitted(const InvitationWord& invitation, transport::KeyPair keys,
                                    Duration timeout) {
  Conversation conversation(invitation, std::move(keys), std::nullopt);
  ASSIGN_OR_RETURN(const Conversation::Outcome outcome, conversation.Run(timeout));
  if (outcome.admitted || outcome.refused)
    return Answer{.admitted = outcome.admitted, .endpoints = {}, .authority = {}};
  return Unreached(invitation, outcome);
}

StatusOr<Answer> Enroll(const InvitationWord& invitation, const std::string& public_key,
                        Duration timeout) {
  ASSIGN_OR_RETURN(const std::string invited, transport::PublicKeyOf(invitation.secret_key));
  Conversation conversation(invitation, {invited, invitation.secret_key}, public_key);
  ASSIGN_OR_RETURN(const Conversation::Outcome outcome, conversation.Run(timeout));
  const std::string_view verb = invitation.role == transport::Role::kAgent ? "node" : "gateway";
  if (outcome.answer && outcome.answer->error().empty())
    return Answer{
        .admitted = true,
        .endpoints = {outcome.answer->endpoints().begin(), outcome.answer->endpoints().end()},
        .authority = outcome.answer->authority()};
  if (outcome.answer || outcome.refused)
    return PermissionDenied(
        "the scheduler refuses this invitation{}; an invitation is good once and for a while: make "
        "another with `allot {} add {}` on the head",
        outcome.answer ? ": " + outcome.answer->error() : "", verb, invitation.name);
  return Unreached(invitation, outcome);
}

}  // namespace

StatusOr<Answer> Ask(const Question& question) {
  ASSIGN_OR_RETURN(transport::KeyPair keys, transport::LoadKeyFile(question.key_file));
  if (question.wish == Wish::kAdmitted)
    return AskWhetherAdmitted(question.invitation, std::move(keys), question.timeout);
  return Enroll(question.invitation, keys.public_key, question.timeout);
}

}  // namespace allot::enroll
