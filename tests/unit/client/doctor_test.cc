#include "client/doctor.h"

#include <functional>

#include "common/json/json.h"
#include "gtest/gtest.h"

namespace allot::client {
namespace {

NodeView Node() {
  NodeView node;
  node.name = "n1";
  node.version = "0.1.0";
  node.alive = true;
  node.last_heard_seconds = 1;
  node.cpus_free = node.cpus_total = 8;
  return node;
}

DeviceView Device(const std::string& id) {
  DeviceView device;
  device.node = "n1";
  device.id = id;
  device.kind = "GPU";
  device.model = "nvidia/l4-24g";
  device.state = "ready";
  device.power_watts = 40;
  return device;
}

QuarantineView Failures() {
  QuarantineView quarantine;
  quarantine.by = "failures";
  quarantine.why = "the last 3 jobs on it failed";
  quarantine.strikes = 1;
  quarantine.until_seconds = 540;
  return quarantine;
}

struct Case {
  const char* name;
  std::function<void(NodeView&, DeviceView&)> spoil;
  bool well;
  const char* what;  // part of the only finding; "": there is none
  const char* next;
};

class Doctor : public testing::TestWithParam<Case> {};

TEST_P(Doctor, Finds) {
  const Case& row = GetParam();
  NodeView node = Node();
  std::vector<DeviceView> devices = {Device("gpu0"), Device("gpu1")};
  devices.push_back(Device("gpu9"));
  devices.back().node = "another";
  devices.back().state = "unhealthy";
  row.spoil(node, devices[0]);
  ClusterView cluster;
  cluster.program_version = "0.1.0";
  const std::vector<Diagnosis> all = Diagnose(cluster, {node}, devices);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].well(), row.well);
  if (row.what[0] == '\0') {
    EXPECT_TRUE(all[0].findings.empty()) << all[0].findings[0].what;
    return;
  }
  ASSERT_EQ(all[0].findings.size(), 1u) << DoctorText(all[0]);
  EXPECT_NE(all[0].findings[0].what.find(row.what), std::string::npos) << all[0].findings[0].what;
  EXPECT_NE(all[0].findings[0].next.find(row.next), std::string::npos) << all[0].findings[0].next;
  EXPECT_NE(DoctorText(all[0]).find(row.what), std::string::npos);
  const json::value shown = json::parse(DoctorJson(all));
  EXPECT_EQ(shown.at("well").as_bool(), row.well);
  const json::array& findings = shown.at("nodes").as_array().at(0).at("findings").as_array();
  EXPECT_EQ(findings.at(0).at("severity").as_string(), row.well ? "notice" : "problem");
}

INSTANTIATE_TEST_SUITE_P(
    Client, Doctor,
    testing::Values(
        Case{"nothing", [](NodeView&, DeviceView&) {}, true, "", ""},
        Case{"a_lost_node_and_only_that",
             [](NodeView& n, DeviceView& d) {
               n.alive = false;
               n.warnings = {"old news"};
               d.state = "lost";
             },
             false, "lost, heard 1s ago", "allot-agent"},
        Case{"another_version", [](NodeView& n, DeviceView&) { n.version = "0.0.9"; }, false,
             "version 0.0.9", "the same version"},
        Case{"draining", [](NodeView& n, DeviceView&) { n.draining = true; }, true, "draining",
             "allot undrain n1"},
        Case{"a_full_disk",
             [](NodeView& n, DeviceView&) { n.unfit = {"disk: 1MiB free in /var/lib/a"}; }, false,
             "can start nothing now: disk: 1MiB", "by itself"},
        Case{"a_quarantined_node", [](NodeView& n, DeviceView&) { n.quarantine = Failures(); },
             false, "quarantined for 9m: the last 3 jobs", "allot undrain n1"},
        Case{"a_quarantined_device",
             [](NodeView&, DeviceView& d) {
               d.state = "quarantined";
               d.quarantine = Failures();
             },
             false, "gpu0 is quarantined for 9m", "allot undrain n1 --device gpu0"},
        Case{"a_device_on_probation",
             [](NodeView&, DeviceView& d) {
               d.state = "probation";
               d.quarantine = Failures();
               d.quarantine->probation = true;
             },
             true, "gpu0 is on probation after 1 quarantine:", "clears it"},
        Case{"a_drained_device",
             [](NodeView&, DeviceView& d) {
               d.state = "drained";
               d.quarantine = Failures();
               d.quarantine->by = "operator";
               d.quarantine->why = "taken out of service by olga";
             },
             true, "gpu0 is taken out of service by olga", "--device gpu0"},
        Case{"health_rules",
             [](NodeView&, DeviceView& d) {
               d.state = "quarantined";
               d.health = {"xid_79"};
             },
             false, "gpu0 (nvidia/l4-24g) is quarantined: xid_79", "restart allot-agent"},
        Case{"a_warning_of_health", [](NodeView&, DeviceView& d) { d.health = {"pcie_width"}; },
             true, "gpu0 has pcie_width", "watch"},
        Case{"no_driver", [](NodeView&, DeviceView& d) { d.state = "no_driver"; }, false,
             "gpu0 (nvidia/l4-24g) is no_driver", "driver"},
        Case{"a_state_of_tomorrow", [](NodeView&, DeviceView& d) { d.state = "melted"; }, false,
             "is melted", ""},
        Case{"no_telemetry", [](NodeView&, DeviceView& d) { d.power_watts.reset(); }, true,
             "1 of 2 accelerators tell no telemetry", "docs/devices.md"},
        Case{"behind_a_translator",
             [](NodeView& n, DeviceView&) { n.warnings = {"address: it tells 10.0.0.1"}; }, true,
             "address: it tells", "docs/deploy.md"},
        Case{"a_device_it_cannot_use",
             [](NodeView& n, DeviceView&) { n.warnings = {"no libcuda"}; }, true,
             "discovery: no libcuda", "--discover"},
        Case{"an_emulated_device_tells_none",
             [](NodeView&, DeviceView& d) {
               d.power_watts.reset();
               d.emulated = true;
             },
             true, "", ""},
        Case{"a_loss_of_isolation",
             [](NodeView& n, DeviceView&) { n.losses = {"no device filter: not root"}; }, true,
             "not kept apart: no device filter", "docs/operations.md"},
        Case{"a_warning_of_discovery",
             [](NodeView& n, DeviceView&) { n.warnings = {"libnvidia-ml.so.1 is missing"}; }, true,
             "discovery: libnvidia-ml", "--discover"},
        Case{"an_offer_that_shrank", [](NodeView& n, DeviceView&) { n.cpus_free = -2; }, false,
             "more is leased than it offers", "cancel"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(DoctorCertificates, AreNamedBeforeTheyRunOut) {
  constexpr double kDay = 86400;
  const struct {
    CertificateView shown;
    const char* what;  // "": nothing
    bool well;
  } rows[] = {
      {{31 * kDay, false}, "", true},
      {{29 * kDay, false}, "runs out in 29d", true},
      {{6 * kDay, false}, "runs out in 6d", false},
      {{-1, false}, "has run out", false},
      {{300 * kDay, true}, "cannot be used", false},
  };
  for (const auto& row : rows) {
    ClusterView scheduler, gateway;
    scheduler.certificate = row.shown;
    gateway.gateways = {{"gw-1", "https://gw-1:7411", row.shown}};
    for (const ClusterView& cluster : {scheduler, gateway}) {
      const std::vector<Diagnosis> all = Diagnose(cluster, {}, {});
      if (row.what[0] == '\0') {
        EXPECT_TRUE(all.empty()) << DoctorText(all[0]);
        continue;
      }
      ASSERT_EQ(all.size(), 1u) << row.what;
      EXPECT_EQ(all[0].node, cluster.certificate ? "the scheduler" : "gateway gw-1");
      EXPECT_EQ(all[0].well(), row.well) << row.what;
      EXPECT_NE(DoctorText(all[0]).find(row.what), std::string::npos) << DoctorText(all[0]);
      EXPECT_NE(DoctorLines(all).find(row.what), std::string::npos);
    }
  }
  EXPECT_TRUE(Diagnose({}, {}, {}).empty()) << "plain HTTP has no certificate to run out";
}

TEST(DoctorLines, OneANode) {
  NodeView lost = Node();
  lost.name = "n2";
  lost.alive = false;
  const std::string lines = DoctorLines(Diagnose({}, {Node(), lost}, {}));
  EXPECT_EQ(lines,
            "NODE          PROBLEMS  NOTICES  FIRST\n"
            "n1    well           0        0  -\n"
            "n2    unwell         1        0  it is lost, heard 1s ago\n");
}

}  // namespace
}  // namespace allot::client
