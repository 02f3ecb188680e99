// From what the vendors found to what the node offers. In this order: declared devices take the
// place of those found at their address; no file and no number belongs to two devices; partitions
// name their parents; every device has what it draws at most; shares take the place of the devices
// they are made of; each device gets its isolation class; and a node has at most
// DeviceSet::kMax of them. Pure but for the look whether an MPS daemon is there.
#pragma once

#include <vector>

#include "agent/devices/isolation_class.h"
#include "agent/devices/vendor.h"
#include "common/catalogue/catalogue.h"
#include "common/proto/config.pb.h"

namespace allot::agent {

struct Composition {
  std::vector<config::DeviceShares> sharing;
  Catalogue catalogue = Catalogue::BuiltIn();
  HostIsolation isolation;  // what the host lets us do; everything until somebody has looked
};

// Takes the devices of one vendor in, in order, and says what it leaves out: a second device of the
// same id. A declared device (Device::configured, not emulated) takes the place of what is there.
void TakeDevices(std::string_view vendor, const Discovery& of_vendor, Discovery* all);

void Compose(const Composition& how, const Host& host, Discovery* all);

// Steps of it, for tests. Partitions: parent, and how much of it they are (Device::part_millis).
void NameParents(const Catalogue& catalogue, Discovery* all);
// The catalogue's watts where the vendor told no limit; of a part its share, of processors that are
// fewer than the catalogue's those there are.
void SetPower(const Catalogue& catalogue, Discovery* all);

}  // namespace allot::agent
