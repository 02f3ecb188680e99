#include "common/transport/renewed_keys.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "common/base/check.h"
#include "common/base/logging.h"
#include "common/config/bind.h"
#include "common/proto/config.pb.h"
#include "common/transport/locked_file.h"

namespace allot::transport {
namespace {

constexpr size_t kSchedulerKeysMax = 4;

StatusOr<KeyPair> ToPair(const config::KeyPair& from, const std::string& file) {
  ASSIGN_OR_RETURN(const std::string proven, PublicKeyOf(from.secret_key()));
  if (proven != from.public_key())
    return InvalidArgument(
        "{}: a public_key does not belong to its secret_key; remove the file to "
        "go back to what the config names",
        file);
  return KeyPair{from.public_key(), from.secret_key()};
}

// Z85 has neither quotes nor backslashes.
void Write(std::string_view name, const KeyPair& pair, std::string* text) {
  *text += fmt::format("{}:\n  public_key: '{}'\n  secret_key: '{}'\n", name, pair.public_key,
                       pair.secret_key);
}

}  // namespace

RenewedKeys::RenewedKeys(std::string file, KeyPair configured, std::string scheduler_key)
    : file_(std::move(file)),
      configured_(std::move(configured)),
      configured_scheduler_(std::move(scheduler_key)),
      own_(configured_),
      scheduler_keys_({configured_scheduler_}) {}

StatusOr<std::unique_ptr<RenewedKeys>> RenewedKeys::Load(std::string file, KeyPair configured,
                                                         std::string scheduler_key) {
  std::unique_ptr<RenewedKeys> keys(
      new RenewedKeys(std::move(file), std::move(configured), std::move(scheduler_key)));
  const std::string& path = keys->file_;
  struct stat info {};
  if (path.empty() || (::stat(path.c_str(), &info) != 0 && errno == ENOENT)) return keys;
  if ((info.st_mode & 077) != 0)
    return PermissionDenied("{} is open to others (mode {:o}); run: chmod 600 {}", path,
                            info.st_mode & 0777, path);
  config::RenewedKeys kept;
  RETURN_IF_ERROR(config::LoadYamlFile(path, &kept));
  if (kept.own_replaces() == keys->configured_.public_key) {
    if (kept.has_own()) {
      ASSIGN_OR_RETURN(keys->own_, ToPair(kept.own(), path));
    }
    if (kept.has_next()) {
      ASSIGN_OR_RETURN(keys->next_, ToPair(kept.next(), path));
    }
  }
  if (kept.scheduler_replaces() == keys->configured_scheduler_ && !kept.scheduler_keys().empty())
    keys->scheduler_keys_.assign(kept.scheduler_keys().begin(), kept.scheduler_keys().end());
  return keys;
}

Status RenewedKeys::Save() const {
  if (file_.empty())
    return FailedPrecondition("there is no state_dir to keep a renewed key in; set one");
  std::string text = fmt::format(
      "# Keys that were renewed in place of those that the config names; kept by the "
      "program.\nown_replaces: '{}'\nscheduler_replaces: '{}'\n",
      configured_.public_key, configured_scheduler_);
  Write("own", own_, &text);
  if (next_) Write("next", *next_, &text);
  text += "scheduler_keys:\n";
  for (const std::string& key : scheduler_keys_) text += fmt::format("  - '{}'\n", key);
  return ReplaceFile(file_, text, 0600);
}

StatusOr<std::string> RenewedKeys::MakeNext() {
  if (!next_) {
    next_ = NewKeyPair();
    if (const Status saved = Save(); !saved.ok()) {
      next_.reset();
      return saved;
    }
  }
  return next_->public_key;
}

Status RenewedKeys::TakeNext() {
  CHECK(next_.has_value());
  const KeyPair before = std::exchange(own_, *next_);
  next_.reset();
  const Status saved = Save();
  // It counts all the same; what is on disk has both, and dialling tries both.
  return saved;
}

Status RenewedKeys::SetSchedulerKeys(std::vector<std::string> keys) {
  if (keys.empty() || keys.size() > kSchedulerKeysMax)
    return InvalidArgument("the scheduler names {} keys; 1 to {} are taken", keys.size(),
                           kSchedulerKeysMax);
  for (const std::string& key : keys) RETURN_IF_ERROR(CheckKeyText(key, "the scheduler's key"));
  if (keys == scheduler_keys_) return absl::OkStatus();
  std::vector<std::string> before = std::exchange(scheduler_keys_, std::move(keys));
  const Status saved = Save();
  if (!saved.ok()) scheduler_keys_ = std::move(before);
  return saved;
}

RenewedKeys::Dial RenewedKeys::DialBy(uint64_t attempt) const {
  const uint64_t owns = next_ ? 2 : 1;
  const bool is_next = attempt % owns == 1;
  const uint64_t of_scheduler = attempt / owns % scheduler_keys_.size();
  return {is_next ? *next_ : own_, scheduler_keys_[scheduler_keys_.size() - 1 - of_scheduler],
          is_next};
}

bool Renewal::Take(const wire::Message& message) {
  switch (message.kind_case()) {
    case wire::Message::kSchedulerKeys: {
      const auto& keys = message.scheduler_keys().public_keys();
      const Status kept = keys_.SetSchedulerKeys({keys.begin(), keys.end()});
      if (!kept.ok()) spdlog::error("the scheduler's keys are not kept: {}", MessageOf(kept));
      wire::Message answer;
      *answer.mutable_scheduler_keys_noted()->mutable_public_keys() = keys;
      if (!kept.ok()) answer.mutable_scheduler_keys_noted()->set_error(MessageOf(kept));
      handlers_.say(std::move(answer));
      return true;
    }
    case wire::Message::kRenewKey:
      Renew(message.renew_key());
      return true;
    case wire::Message::kNewKeyAnswer: {
      const wire::NewKeyAnswer& answer = message.new_key_answer();
      const RenewedKeys::Dial next = keys_.DialBy(1);
      if (!answer.error().empty()) {
        spdlog::error("the scheduler does not take our new key: {}", answer.error());
      } else if (next.is_next && next.own.public_key == answer.public_key()) {
        if (const Status taken = keys_.TakeNext(); !taken.ok())
          spdlog::warn("our new key is in force, and its file has the old one too: {}",
                       MessageOf(taken));
        spdlog::info("our key was renewed public_key={}", keys_.own().public_key);
        handlers_.renewed(keys_.own());
      }
      return true;
    }
    default:
      return false;
  }
}

void Renewal::Renew(const wire::RenewKey& order) {
  wire::Message answer;
  answer.mutable_new_key()->set_ticket(order.ticket());
  StatusOr<std::string> next = keys_.MakeNext();
  if (next.ok() && handlers_.prepare) {
    const Status prepared = handlers_.prepare(keys_.DialBy(1).own);
    if (!prepared.ok()) next = prepared;
  }
  if (next.ok()) {
    answer.mutable_new_key()->set_public_key(*next);
  } else {
    spdlog::error("no new key: {}", MessageOf(next.status()));
    answer.mutable_new_key()->set_error(MessageOf(next.status()));
  }
  handlers_.say(std::move(answer));
}

}  // namespace allot::transport
