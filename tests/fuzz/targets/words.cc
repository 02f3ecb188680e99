// Words that people pass from one machine to another: invitations, questions and answers of those
// that join, addresses, URLs, names of things.
#include "common/base/address.h"
#include "common/base/ids.h"
#include "common/base/text.h"
#include "common/base/url.h"
#include "common/enroll/invitation.h"
#include "common/enroll/question.h"
#include "tests/fuzz/fuzz.h"

namespace allot {
namespace {

void HoldsOfAddresses(std::string_view text) {
  if (const std::optional<Address> address = ParseAddress(text)) {
    HOLDS(!address->host.empty() && !address->port.empty());
    HOLDS_FOR(ParseAddress(address->Text()) == address, address->Text());
    HOLDS(IsWildcardAddress(text) == IsWildcardHost(address->host));
  } else {
    HOLDS(!IsWildcardAddress(text));
    HOLDS(!IsLoopbackAddress(text));
  }
  HOLDS(PlainHost(text).size() <= text.size());
  WithScheme(text);
  const StatusOr<Url> url = ParseUrl(text);
  if (!url.ok()) return fuzz::HoldsOfError(url.status(), 2048);
  const StatusOr<Url> again = ParseUrl(ToString(*url));
  HOLDS_FOR(again.ok() && *again == *url, ToString(*url));
  HOLDS(url->port != 0 && !url->host.empty());
  HOLDS(fuzz::IsPlain(ToString(*url), false));
}

void HoldsOfNames(std::string_view text) {
  if (const auto job = ParseJobId(text)) HOLDS_FOR(ToString(*job) == text, text);
  if (const auto replica = ParseReplicaId(text)) HOLDS_FOR(ToString(*replica) == text, text);
  if (const auto request = ParseRequestId(text)) HOLDS_FOR(ToString(*request) == text, text);
  if (const auto life = ParseIncarnation(text)) HOLDS_FOR(ToString(*life) == text, text);
  if (IsName(text)) HOLDS(IsLabelValue(text));
  if (IsLabelValue(text))
    HOLDS(text.size() <= 63 && fuzz::IsPlain(text, false) &&
          text.find('/') == std::string_view::npos);
  const std::string mended = ReplaceInvalidUtf8(text);
  HOLDS(IsValidUtf8(mended));
  HOLDS(IsValidUtf8(text) == (mended == text));
  HOLDS(mended.size() <= 3 * text.size());
}

void HoldsOfEnrolment(std::string_view text) {
  const StatusOr<enroll::InvitationWord> word = enroll::ParseInvitation(text);
  if (word.ok()) {
    const StatusOr<enroll::InvitationWord> again = enroll::ParseInvitation(enroll::Spell(*word));
    HOLDS(again.ok() && *again == *word);
  } else {
    fuzz::HoldsOfError(word.status(), 1024);
  }
  const StatusOr<enroll::Question> question = enroll::ParseQuestion(text);
  if (question.ok()) {
    const StatusOr<enroll::Question> again = enroll::ParseQuestion(enroll::ToText(*question));
    HOLDS(again.ok() && *again == *question);
  } else {
    fuzz::HoldsOfError(question.status(), 4096);
  }
  // An answer that is an error is one that was sent; it may say anything.
  const StatusOr<enroll::Answer> answer = enroll::ParseAnswer(text);
  const StatusOr<enroll::Answer> again = enroll::ParseAnswer(enroll::ToText(answer));
  HOLDS(again.ok() == answer.ok());
  if (answer.ok())
    HOLDS(*again == *answer);
  else
    HOLDS(again.status() == answer.status());
}

FUZZ(words) {
  fuzz::Cut cut(input);
  const int kind = cut.Byte() % 3;
  if (kind == 0) HoldsOfAddresses(cut.Rest());
  if (kind == 1) HoldsOfNames(cut.Rest());
  if (kind == 2) HoldsOfEnrolment(cut.Rest());
}

}  // namespace
}  // namespace allot
