// The machine with the scheduler: its files made (`allot cluster init`), and who may join.
#pragma once

#include <string>
#include <vector>

#include "client/enroll/places.h"
#include "client/enroll/units.h"
#include "client/tokens.h"
#include "common/base/status.h"
#include "common/base/units.h"
#include "common/enroll/invitation.h"
#include "common/transport/keys.h"

namespace allot::client {

struct InitOptions {
  std::string listen;     // HOST or HOST:PORT; empty: everywhere, 7400
  std::string advertise;  // HOST; empty: that of `listen`, else the address towards the world
  std::vector<std::string> names;  // by which it is called beside those that are found
  bool plain_http = false;         // no HTTPS; tokens travel in the clear then
};
struct InitResult {
  std::string config, admin_token_file, client_file;
  std::vector<std::string> endpoints;  // of the scheduler, as others are told
  std::string api, gateway;            // https://…; http://… on loopback or by plain_http
  std::string authority_file;          // whom others have to believe; empty without HTTPS
  std::string public_key;
  bool fresh = false;  // false: there was a cluster here; what lacked was added
  Unit unit;
};
// Ports: 7400 for agents and gateways, 7401 for the API, 7410 and 7411 for the gateway inside; a
// port of `listen` moves all four. Nothing is left behind on an error or when interrupted.
StatusOr<InitResult> InitCluster(const Places& places, const InitOptions& options);

// What a scheduler's config file says about who may join it.
struct Head {
  // `config_file`: empty for places' own. NotFound says that `cluster init` has not been run here.
  static StatusOr<Head> Load(const Places& places, const std::string& config_file);

  std::string config_file, allow_file, tokens_file, state_dir, public_key;
  std::string certificate_file;        // of the API; empty: it speaks plain HTTP
  std::vector<std::string> endpoints;  // tcp://HOST:PORT that others dial
};

// Invites a node or a gateway, for `good_for`. Errors of transport::Invite.
StatusOr<enroll::InvitationWord> InvitePeer(const Head& head, const std::string& name,
                                            transport::Role role, Duration good_for, bool again);
// Takes the key of a node or a gateway off the list, or the invitation that is not used yet, or
// both. NotFound: there is neither.
Status RemovePeer(const Head& head, const std::string& name, transport::Role role);

// A token for a person or a program, whose digest is filled in; AlreadyExists for a taken name
// unless `replace`.
StatusOr<std::string> AddUserToken(const std::string& tokens_file, TokenRow row, bool replace);

// NotFound: nobody has a token of that name.
Status RemoveUserToken(const std::string& tokens_file, const std::string& name);

// Another certificate for the head, in the place of the one that is there: for the same names and
// `names` besides. The scheduler shows it from its next connection on. A head that has spoken plain
// HTTP gets an authority and a certificate; its config is not touched.
struct RenewResult {
  std::string certificate_file, authority_file, good_until;
  std::vector<std::string> names;
  bool in_config = true;  // false: scheduler.yaml is still to name it
};
StatusOr<RenewResult> RenewCertificate(const Places& places, const Head& head,
                                       const std::vector<std::string>& names);

// A certificate for another machine of the cluster, with its key, as one text.
StatusOr<std::string> CertificateFor(const Places& places, const std::vector<std::string>& names);

}  // namespace allot::client
