// Whether something between a node and the scheduler translates addresses.
#pragma once

#include "common/model/node.h"

namespace allot {

// Peers beyond the translator cannot dial what such a node tells; those behind the same one can. A
// name, or what somebody wrote down, is taken at its word: it may well be another network.
inline bool IsTranslated(const NodeInfo& info) {
  return info.address_derived && !info.seen_address.empty() && info.seen_address != info.address;
}

}  // namespace allot
