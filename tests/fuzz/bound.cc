#include "tests/fuzz/bound.h"

#include "common/config/bind.h"
#include "common/config/convert.h"
#include "common/config/json_text.h"
#include "common/proto/config.pb.h"
#include "google/protobuf/util/message_differencer.h"
#include "scheduler/shell/policy_check.h"
#include "scheduler/shell/record_codec.h"

namespace allot::fuzz {
namespace {

template <class Spec>
void HoldsOfSpec(const StatusOr<Spec>& spec, auto event) {
  if (!spec.ok()) return HoldsOfInnerError(spec.status());
  const Status storable = scheduler::CheckStorable(event(std::make_shared<const Spec>(*spec)));
  HOLDS_FOR(storable.ok(), MessageOf(storable));  // else a scheduler would not start again
}

template <class File>
bool HoldsOfFile(const google::protobuf::Message& bound) {
  const auto* const file = dynamic_cast<const File*>(&bound);
  if (file == nullptr) return false;
  if (const Status checked = config::Check(*file); !checked.ok()) HoldsOfInnerError(checked);
  return true;
}

}  // namespace

std::unique_ptr<google::protobuf::Message> NewDocument(int kind) {
  switch (kind) {
    case 0:
      return std::make_unique<config::Job>();
    case 1:
      return std::make_unique<config::Deployment>();
    case 2:
      return std::make_unique<config::Policy>();
    case 3:
      return std::make_unique<config::Scheduler>();
    case 4:
      return std::make_unique<config::Gateway>();
    case 5:
      return std::make_unique<config::Agent>();
    case 6:
      return std::make_unique<config::Tokens>();
    case 7:
      return std::make_unique<config::AllowList>();
    case 8:
      return std::make_unique<config::Invitations>();
    default:
      return std::make_unique<config::KeyPair>();
  }
}

void HoldsOfRefused(const Status& status, std::string_view file,
                    const google::protobuf::Message& out) {
  HoldsOfError(status, 16 << 10);
  HOLDS(out.ByteSizeLong() == 0);
  std::string message = MessageOf(status);
  int lines = 0;
  for (std::string_view rest = message; !rest.empty(); ++lines) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    HOLDS_FOR(!line.empty(), message);
    HOLDS_FOR(rest.empty() || file.empty() || line.starts_with(file), message);
  }
  HOLDS_FOR(lines <= 11, message);
}

void HoldsOfBound(const google::protobuf::Message& bound) {
  const StatusOr<std::string> text = config::ToJsonText(bound);
  HOLDS_FOR(text.ok(), MessageOf(text.status()));
  const std::unique_ptr<google::protobuf::Message> again(bound.New());
  const Status read = config::BindJson(*text, again.get());
  HOLDS_FOR(read.ok(), MessageOf(read));
  HOLDS_FOR(google::protobuf::util::MessageDifferencer::Equals(bound, *again), *text);

  if (const auto* const job = dynamic_cast<const config::Job*>(&bound)) {
    HoldsOfSpec(config::ToJobSpec(*job), [](auto spec) {
      return scheduler::JobSubmitted{.token = 0, .spec = spec, .user = "u", .idempotency_key = {}};
    });
  } else if (const auto* const deployment = dynamic_cast<const config::Deployment*>(&bound)) {
    HoldsOfSpec(config::ToDeploymentSpec(*deployment),
                [](auto spec) { return scheduler::DeploymentApplied{.token = 0, .spec = spec}; });
  } else if (const auto* const policy = dynamic_cast<const config::Policy*>(&bound)) {
    HoldsOfSpec(scheduler::CheckedPolicy(*policy),
                [](auto spec) { return scheduler::PolicyApplied{.token = 0, .policy = spec}; });
  } else {
    HoldsOfFile<config::Scheduler>(bound) || HoldsOfFile<config::Gateway>(bound) ||
        HoldsOfFile<config::Agent>(bound) || HoldsOfFile<config::Tokens>(bound) ||
        HoldsOfFile<config::AllowList>(bound) || HoldsOfFile<config::Invitations>(bound);
  }
}

}  // namespace allot::fuzz
