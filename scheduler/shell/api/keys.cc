// Keys of the scheduler and its peers: which are in force, and that they are renewed (ADR 26).
#include "scheduler/shell/api/api.h"

namespace allot::scheduler::api {
namespace {

std::string_view ToString(Renewals::State state) {
  switch (state) {
    case Renewals::State::kAsked:
      return "asked";
    case Renewals::State::kDone:
      return "renewed";
    case Renewals::State::kFailed:
      return "failed";
  }
  return "";
}

void Render(const Services& services, JsonWriter& json) {
  const HeadKeys& head = services.peers.head_keys();
  json.Key("head").Object([&] {
    json.Field("public_key", head.current().public_key);
    if (head.next()) {
      json.Field("next_public_key", head.next()->public_key);
      json.Key("unconfirmed").Array([&] {
        for (const std::string& name : services.peers.Unconfirmed()) json.Value(name);
      });
    }
    if (head.old()) {
      json.Field("old_public_key", head.old()->public_key);
      json.Field("old_until", head.old_until());
    }
  });
  const std::map<std::string, std::string> connected = services.peers.Connected();
  json.Key("peers").Array([&] {
    for (const auto& [name, peer] : services.peers.renewals().all()) {
      json.Object([&, &name = name, &peer = peer] {
        json.Field("name", name).Field("role", transport::RoleName(peer.role));
        json.Field("state", ToString(peer.state)).Field("connected", connected.contains(name));
        if (!peer.why.empty()) json.Field("why", peer.why);
      });
    }
  });
}

}  // namespace

void GetKeys(Services& services, Call& call) {
  call.responder->Send(JsonResponse(200, [&](JsonWriter& json) { Render(services, json); }));
}

void RotateKeys(Services& services, Call& call) {
  std::vector<std::string> names;
  for (const auto& [key, value] : call.request.query)
    if (key == "peer") names.push_back(value);
  const StatusOr<int64_t> all = QueryInteger(call.request, "all", 0, 1, 0);
  if (!all.ok()) return Refuse(call, all.status());
  const StatusOr<int64_t> head = QueryInteger(call.request, "head", 0, 1, 0);
  if (!head.ok()) return Refuse(call, head.status());
  const StatusOr<int64_t> force = QueryInteger(call.request, "force", 0, 1, 0);
  if (!force.ok()) return Refuse(call, force.status());
  if (names.empty() && *all == 0 && *head == 0)
    return Refuse(call, InvalidArgument("whose keys? give peer=NAME, all=1 or head=1"));
  Status done = *all == 1       ? services.peers.RenewKeysOfAll()
                : names.empty() ? absl::OkStatus()
                                : services.peers.RenewKeys(names);
  if (done.ok() && *head == 1) done = services.peers.RenewHead(*force == 1);
  if (!done.ok()) return Refuse(call, done);
  GetKeys(services, call);
}

}  // namespace allot::scheduler::api
