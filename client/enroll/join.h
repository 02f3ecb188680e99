// What `allot node join` and `allot gateway join` do on the machine that joins.
#pragma once

#include <map>
#include <string>

#include "client/enroll/places.h"
#include "client/enroll/units.h"
#include "common/enroll/question.h"

namespace allot::client {

struct JoinOptions {
  std::string address;              // of a node, in place of the one that is found
  std::string listen, http_listen;  // HOST:PORT; of a gateway
  std::string certificate;          // file that its HTTPS shows, with the key in it; copied
  std::map<std::string, std::string> labels;
  std::vector<std::string> emulated;  // MODEL or MODEL:COUNT, of a node
  bool replace = false;               // this machine belongs to another cluster or has another name
  Duration timeout = std::chrono::seconds(20);
};
struct JoinResult {
  std::string config;
  bool fresh = false;  // false: it had joined before
  Unit unit;
};

// The program that joins by such an invitation: "allot-agent".
std::string ProgramOf(const enroll::InvitationWord& invitation);

// Makes a key here, has it enrolled by way of `ask`, writes the config (mode 0600). Again is fine:
// who has joined already stays. Nothing is left behind on an error or when interrupted.
StatusOr<JoinResult> Join(const Places& places, const enroll::InvitationWord& invitation,
                          const JoinOptions& options, const enroll::Asking& ask);

}  // namespace allot::client
