#include "scheduler/shell/admission.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace allot::scheduler {

namespace {

void SetVersion(wire::Admission* lists) {
  const std::string digest = auth::Sha256Hex(lists->SerializeAsString()).substr(0, 16);
  uint64_t version = 0;
  std::from_chars(digest.data(), digest.data() + digest.size(), version, 16);
  lists->set_version(std::max<uint64_t>(version, 1));  // 0 is what a gateway has that knows none
}

void Add(const auth::TokenRow& row, wire::Admission* lists) {
  wire::AdmittedToken* token = lists->add_tokens();
  token->set_name(row.principal.name);
  token->set_sha256(row.sha256);
  token->set_role(std::string(auth::ToString(row.principal.role)));
  token->set_tenant(row.principal.tenant);
  if (row.principal.expires)
    token->set_expires(std::max<int64_t>(ToMicros(*row.principal.expires), 1));  // 0: never
  for (const auth::Area area : row.principal.scope.only)
    token->add_only(std::string(auth::ToString(area)));
  for (const std::string& glob : row.principal.scope.deployments) token->add_deployments(glob);
}

}  // namespace

bool Admission::Refresh() {
  (void)tokens_.Reload();
  const uint64_t allow_version = context_.allow_list_version();
  if (allow_version == allow_version_ && tokens_.version() == tokens_version_) return false;
  allow_version_ = allow_version;
  tokens_version_ = tokens_.version();
  Compare();
  std::vector<transport::AllowedPeer> peers = context_.AllowedPeers();
  std::sort(peers.begin(), peers.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  wire::Admission lists;
  for (const transport::AllowedPeer& peer : peers) {
    if (peer.role != transport::Role::kAgent) continue;
    wire::AdmittedAgent* agent = lists.add_agents();
    agent->set_name(peer.name);
    agent->set_public_key(peer.public_key);
    if (!peer.retired_key.empty()) {
      agent->set_retired_key(peer.retired_key);
      agent->set_retired_until(ToMicros(peer.retired_until));
    }
  }
  wire::Admission plain = lists;
  for (const auth::TokenRow& row : tokens_.rows()) {
    Add(row, &lists);
    if (!row.principal.scope.limits() && !row.principal.expires) Add(row, &plain);
  }
  SetVersion(&lists);
  SetVersion(&plain);
  if (lists.version() == lists_.version()) return !changes_.empty();
  lists_ = std::move(lists);
  plain_lists_ = std::move(plain);
  return true;
}

void Admission::Compare() {
  std::map<std::string, std::string> now;
  for (const transport::AllowedPeer& peer : context_.AllowedPeers())
    now.emplace(fmt::format("{} {}", transport::RoleName(peer.role), peer.name), peer.public_key);
  for (const auth::TokenRow& row : tokens_.rows()) {
    wire::Admission one;
    Add(row, &one);
    now.emplace("token " + row.principal.name, one.SerializeAsString());
  }
  changes_.clear();
  if (std::exchange(compared_, true)) {
    for (const auto& [who, what] : now) {
      const auto before = known_.find(who);
      if (before == known_.end())
        changes_.push_back(who + " added");
      else if (before->second != what)
        changes_.push_back(who + " changed");
    }
    for (const auto& [who, what] : known_)
      if (!now.contains(who)) changes_.push_back(who + " removed");
  }
  known_ = std::move(now);
}

}  // namespace allot::scheduler
