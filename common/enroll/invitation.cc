#include "common/enroll/invitation.h"

#include <cstdint>
#include <optional>

#include "common/base/address.h"
#include "common/base/text.h"
#include "common/json/json.h"

namespace allot::enroll {
namespace {

constexpr std::string_view kPrefix = "allot1.";
constexpr size_t kLengthMax = 8192;
// RFC 4648, 5; without padding.
constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string Encode(std::string_view text) {
  std::string out;
  uint32_t bits = 0;
  int held = 0;
  for (const char c : text) {
    bits = (bits << 8) | static_cast<unsigned char>(c);
    for (held += 8; held >= 6; held -= 6) out += kAlphabet[(bits >> (held - 6)) & 63];
  }
  if (held > 0) out += kAlphabet[(bits << (6 - held)) & 63];
  return out;
}

std::optional<std::string> Decode(std::string_view text) {
  std::string out;
  uint32_t bits = 0;
  int held = 0;
  for (const char c : text) {
    const size_t value = kAlphabet.find(c);
    if (value == std::string_view::npos) return std::nullopt;
    bits = (bits << 6) | static_cast<uint32_t>(value);
    held += 6;
    if (held < 8) continue;
    held -= 8;
    out += static_cast<char>((bits >> held) & 255);
  }
  return out;
}

std::string TextOf(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->as_string()) : "";
}

}  // namespace

std::string Spell(const InvitationWord& invitation) {
  json::array endpoints;
  for (const std::string& endpoint : invitation.endpoints) endpoints.emplace_back(endpoint);
  const json::object object{{"name", invitation.name},
                            {"role", std::string(transport::RoleName(invitation.role))},
                            {"scheduler", std::move(endpoints)},
                            {"key", invitation.scheduler_public_key},
                            {"secret", invitation.secret_key}};
  return std::string(kPrefix) + Encode(json::serialize(object));
}

StatusOr<InvitationWord> ParseInvitation(std::string_view word) {
  const auto wrong = [](std::string_view why) {
    return InvalidArgument(
        "that is no invitation: {}; copy the whole line that `allot node add` or `allot gateway "
        "add` "
        "printed",
        why);
  };
  if (!word.starts_with(kPrefix))
    return wrong(fmt::format("it does not begin with \"{}\"", kPrefix));
  if (word.size() > kLengthMax) return wrong("it is too long");
  const std::optional<std::string> text = Decode(word.substr(kPrefix.size()));
  if (!text) return wrong("it has characters that none has");
  boost::system::error_code error;
  const json::value value = json::parse(*text, error);
  if (error || !value.is_object()) return wrong("a part of it is missing");
  const json::object& object = value.as_object();
  InvitationWord out;
  out.name = TextOf(object, "name");
  out.scheduler_public_key = TextOf(object, "key");
  out.secret_key = TextOf(object, "secret");
  const std::optional<transport::Role> role = transport::ParseRole(TextOf(object, "role"));
  if (!role || (*role != transport::Role::kAgent && *role != transport::Role::kGateway))
    return wrong("it says for no role that we know; is this `allot` as new as the scheduler's?");
  out.role = *role;
  if (const json::value* list = object.if_contains("scheduler");
      list != nullptr && list->is_array())
    for (const json::value& one : list->as_array())
      if (one.is_string() && ParseAddress(std::string(one.as_string())))
        out.endpoints.emplace_back(one.as_string());
  if (out.endpoints.empty()) return wrong("it does not say where the scheduler is");
  if (!IsName(out.name)) return wrong("it does not say for whom it is");
  RETURN_IF_ERROR(transport::CheckKeyText(out.scheduler_public_key, "the scheduler's key in it"));
  RETURN_IF_ERROR(transport::CheckKeyText(out.secret_key, "the secret key in it"));
  return out;
}

}  // namespace allot::enroll
