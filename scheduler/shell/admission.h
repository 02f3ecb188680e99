// Whom gateways let in: agents of the allow list, tokens of the tokens file.
//
// A gateway of its own is told, so that a node or a user is enrolled and revoked in one place. The
// version is made of the content: a scheduler that restarts with the same lists has the same.
// Gateways of builds that know of no limits of tokens (an end, a scope) are told of no token that
// has one: they would let it do everything, for ever. Loop thread only.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/auth/tokens.h"
#include "common/proto/wire.pb.h"
#include "common/transport/context.h"

namespace allot::scheduler {

class Admission {
 public:
  Admission(const transport::Context& context, auth::Tokens& tokens)
      : context_(context), tokens_(tokens) {}

  // True if the lists have changed since the last call, and at the first.
  bool Refresh();
  const wire::Admission& ListsFor(bool token_limits) const {
    return token_limits ? lists_ : plain_lists_;
  }
  // What the last Refresh that was true found: "agent n1 added", "token ada changed"; nothing at
  // the first.
  const std::vector<std::string>& changes() const { return changes_; }

 private:
  const transport::Context& context_;
  auth::Tokens& tokens_;
  void Compare();

  wire::Admission lists_, plain_lists_;
  bool compared_ = false;
  std::map<std::string, std::string> known_;  // who, to what was known of it
  std::vector<std::string> changes_;
  uint64_t allow_version_ = UINT64_MAX, tokens_version_ = UINT64_MAX;
};

}  // namespace allot::scheduler
