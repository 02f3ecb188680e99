#include "scheduler/shell/head_keys.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <utility>

#include "common/base/check.h"
#include "common/base/logging.h"
#include "common/config/bind.h"
#include "common/proto/config.pb.h"

namespace allot::scheduler {
namespace {

bool Exists(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0;
}

}  // namespace

StatusOr<HeadKeys> HeadKeys::Load(const std::string& key_file, Time now) {
  HeadKeys keys;
  keys.file_ = key_file;
  ASSIGN_OR_RETURN(keys.current_, transport::LoadKeyFile(key_file));
  config::KeyPair message;
  RETURN_IF_ERROR(config::LoadYamlFile(key_file, &message));
  keys.old_until_ = FromMicros(std::llround(message.until() * 1e6));
  if (Exists(key_file + ".next")) {
    ASSIGN_OR_RETURN(keys.next_, transport::LoadKeyFile(key_file + ".next"));
    // Put in force, and killed before the file was gone.
    if (keys.next_->public_key == keys.current_.public_key) {
      keys.next_.reset();
      ::unlink((key_file + ".next").c_str());
    }
  }
  if (Exists(key_file + ".old")) {
    ASSIGN_OR_RETURN(const transport::KeyPair old, transport::LoadKeyFile(key_file + ".old"));
    if (old.public_key != keys.current_.public_key) keys.old_ = old;
    std::string dropped;
    keys.DropOld(now, &dropped);
  }
  return keys;
}

std::vector<std::string> HeadKeys::public_keys() const {
  std::vector<std::string> keys;
  if (old_) keys.push_back(old_->public_key);
  keys.push_back(current_.public_key);
  if (next_) keys.push_back(next_->public_key);
  return keys;
}

Status HeadKeys::Begin() {
  if (file_.empty()) return FailedPrecondition("this scheduler's keys are in no file");
  if (next_) return absl::OkStatus();
  const transport::KeyPair next = transport::NewKeyPair();
  RETURN_IF_ERROR(transport::ReplaceKeyFile(file_ + ".next", next));
  next_ = next;
  return absl::OkStatus();
}

Status HeadKeys::Switch(Time until) {
  CHECK(next_.has_value());
  // Each step leaves a state that Load understands; what proves us is there in each.
  RETURN_IF_ERROR(transport::ReplaceKeyFile(file_ + ".old", current_));
  RETURN_IF_ERROR(transport::ReplaceKeyFile(file_, *next_, until));
  ::unlink((file_ + ".next").c_str());
  old_ = std::exchange(current_, *std::exchange(next_, std::nullopt));
  old_until_ = until;
  return absl::OkStatus();
}

bool HeadKeys::DropOld(Time now, std::string* public_key) {
  if (!old_ || now < old_until_) return false;
  *public_key = old_->public_key;
  old_.reset();
  ::unlink((file_ + ".old").c_str());
  return true;
}

}  // namespace allot::scheduler
