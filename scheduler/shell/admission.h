// Whom gateways let in: agents of the allow list, tokens of the tokens file.
//
// A gateway of its own is told, so that a node or a user is enrolled and revoked in one place. The
// version is made of the content: a scheduler that restarts with the same lists has the same.
// Loop thread only.
#pragma once

#include <cstdint>

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
  const wire::Admission& lists() const { return lists_; }

 private:
  const transport::Context& context_;
  auth::Tokens& tokens_;
  wire::Admission lists_;
  uint64_t allow_version_ = UINT64_MAX, tokens_version_ = UINT64_MAX;
};

}  // namespace allot::scheduler
