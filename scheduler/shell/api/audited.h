// What the audit log is told of a call: every change, asked for or made, and every refusal for want
// of a token, a role, or because the thing is not there for whoever asks. Loop thread only.
#pragma once

#include "common/audit/audit.h"
#include "common/auth/authorizer.h"
#include "common/base/address.h"
#include "common/http/server.h"

namespace allot::scheduler {

class Audited {
 public:
  Audited(audit::Log* log, const http::Request& request, bool changes)
      : log_(log), changes_(changes) {
    if (log_ == nullptr) return;
    const std::optional<Address> from = ParseAddress(request.peer);
    entry_.from = from ? from->host : request.peer;
    entry_.verb = request.method + " " + request.path;
    if (changes && !request.raw_query.empty()) entry_.verb += "?" + request.raw_query;
  }

  void By(const auth::Principal& principal) {
    entry_.who = principal.name;
    entry_.role = ToString(principal.role);
    entry_.tenant = principal.tenant;
  }
  void What(std::string what) { entry_.what = std::move(what); }
  void Why(std::string why) { entry_.why = std::move(why); }
  void Hidden() { hidden_ = true; }

  void Answered(int status) {
    const bool refused = status == 401 || status == 403 || hidden_;
    if (log_ == nullptr || (!changes_ && !refused)) return;
    entry_.allowed = status < 400;
    entry_.code = status;
    log_->Note(entry_);
  }

 private:
  audit::Log* const log_;  // null: there is none
  const bool changes_;
  bool hidden_ = false;
  audit::Entry entry_;
};

}  // namespace allot::scheduler
