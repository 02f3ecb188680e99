#include "scheduler/shell/admission.h"

#include <algorithm>
#include <charconv>

namespace allot::scheduler {

bool Admission::Refresh() {
  (void)tokens_.Reload();
  const uint64_t allow_version = context_.allow_list_version();
  if (allow_version == allow_version_ && tokens_.version() == tokens_version_) return false;
  allow_version_ = allow_version;
  tokens_version_ = tokens_.version();
  std::vector<transport::AllowedPeer> peers = context_.AllowedPeers();
  std::sort(peers.begin(), peers.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  wire::Admission lists;
  for (const transport::AllowedPeer& peer : peers) {
    if (peer.role != transport::Role::kAgent) continue;
    wire::AdmittedAgent* agent = lists.add_agents();
    agent->set_name(peer.name);
    agent->set_public_key(peer.public_key);
  }
  for (const auth::TokenRow& row : tokens_.rows()) {
    wire::AdmittedToken* token = lists.add_tokens();
    token->set_name(row.principal.name);
    token->set_sha256(row.sha256);
    token->set_role(std::string(auth::ToString(row.principal.role)));
    token->set_tenant(row.principal.tenant);
  }
  const std::string digest = auth::Sha256Hex(lists.SerializeAsString()).substr(0, 16);
  uint64_t version = 0;
  std::from_chars(digest.data(), digest.data() + digest.size(), version, 16);
  lists.set_version(std::max<uint64_t>(version, 1));  // 0 is what a gateway has that knows none
  if (lists.version() == lists_.version()) return false;
  lists_ = std::move(lists);
  return true;
}

}  // namespace allot::scheduler
