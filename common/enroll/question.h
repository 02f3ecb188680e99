// What a machine that is to join asks of a scheduler, and what it is told.
//
// `allot node join` has it asked by the program that joins (serve.h), so both also travel as a line
// of text between two programs, which may be of neighbouring builds: fields are only added.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/base/units.h"
#include "common/enroll/invitation.h"

namespace allot::enroll {

// kAdmitted: does the scheduler admit the key in `key_file`?
// kEnroll: have its public key entered in the place of the invitation.
enum class Wish { kAdmitted, kEnroll };

struct Question {
  Wish wish = Wish::kEnroll;
  InvitationWord invitation;
  std::string key_file;
  Duration timeout{};
  bool operator==(const Question&) const = default;
};

struct Answer {
  bool admitted = false;
  std::vector<std::string> endpoints;  // kEnroll: where the scheduler says that it is; may be none
  std::string
      authority;  // kEnroll: who signs the cluster's certificates, in PEM; empty: nobody of its own
  bool operator==(const Answer&) const = default;
};

// PermissionDenied: the invitation is used, withdrawn or too old. Unavailable: no scheduler could
// be reached; the error says what each endpoint said. Cancelled: interrupted.
using Asking = std::function<StatusOr<Answer>(const Question&)>;

std::string ToText(const Question& question);
StatusOr<Question> ParseQuestion(std::string_view text);
std::string ToText(const StatusOr<Answer>& answer);
// The error that was sent, or InvalidArgument: this is no answer.
StatusOr<Answer> ParseAnswer(std::string_view text);

}  // namespace allot::enroll
