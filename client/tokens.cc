#include "client/tokens.h"

#include "client/local/files.h"
#include "common/config/convert.h"
#include "common/proto/config.pb.h"

namespace allot::client {
namespace {

Status Save(const std::string& path, const config::Tokens& tokens) {
  std::string text =
      "# Who may use the API; kept by `allot user` and `allot keys token`. Only digests stand "
      "here.\n";
  text += tokens.tokens().empty() ? "tokens: []\n" : "tokens:\n";
  for (const config::Token& token : tokens.tokens()) {
    text += fmt::format("  - name: \"{}\"\n    role: {}\n    sha256: \"{}\"\n", token.name(),
                        token.role(), token.sha256());
    if (!token.tenant().empty()) text += fmt::format("    tenant: \"{}\"\n", token.tenant());
  }
  config::Tokens checked;  // The name may be no name; then nothing is written.
  RETURN_IF_ERROR(config::BindChecked(text, path, &checked));
  return local::WriteFile(path, text, 0600);
}

}  // namespace

Status AddToken(const std::string& path, const TokenRow& row, bool replace) {
  config::Tokens tokens;
  if (local::Exists(path)) {
    ASSIGN_OR_RETURN(tokens, config::LoadChecked<config::Tokens>(path));
  }
  config::Token* place = nullptr;
  for (config::Token& token : *tokens.mutable_tokens())
    if (token.name() == row.name) place = &token;
  if (place != nullptr && !replace)
    return AlreadyExists("{} has a token named {} already; --replace makes the old one useless",
                         path, row.name);
  if (place == nullptr) place = tokens.add_tokens();
  place->set_name(row.name);
  place->set_role(row.role);
  place->set_tenant(row.tenant);
  place->set_sha256(row.sha256);
  return Save(path, tokens);
}

Status RemoveToken(const std::string& path, const std::string& name) {
  ASSIGN_OR_RETURN(config::Tokens tokens, config::LoadChecked<config::Tokens>(path));
  for (int i = 0; i < tokens.tokens_size(); ++i) {
    if (tokens.tokens(i).name() != name) continue;
    tokens.mutable_tokens()->DeleteSubrange(i, 1);
    return Save(path, tokens);
  }
  return NotFound("{} has no token named {}", path, name);
}

}  // namespace allot::client
