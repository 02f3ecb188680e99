// A device that fails each job at once, with the real programs: it is found out after as many jobs
// as the policy says, the others go on, and it comes back when it works again.
#include <set>

#include "tests/integration/cluster_fixture.h"

namespace allot::testing {
namespace {

using ::testing::HasSubstr;

class Quarantine : public ClusterTest {
 protected:
  static std::string PolicyText(const std::string& probation_after) {
    return "name: test\nprices: {as_of: \"2026-01-01\"}\n"
           "quarantine: {failures: 3, within: 1m, probation_after: " +
           probation_after + "}\n";
  }
  client::DeviceView Device(const std::string& node, const std::string& id) {
    const auto devices = api().Devices();
    EXPECT_TRUE(devices.ok()) << devices.status();
    for (const client::DeviceView& device : devices->view) {
      if (device.node == node && device.id == id) return device;
    }
    ADD_FAILURE() << "no device " << id << " of " << node;
    return {};
  }
  std::vector<client::JobView> AllJobs() {
    const auto page = api().Jobs({});
    EXPECT_TRUE(page.ok()) << page.status();
    return page->view.jobs;
  }
  size_t Count(const std::string& phase, const std::string& outcome = "") {
    size_t count = 0;
    for (const client::JobView& job : AllJobs())
      count += job.phase == phase && (outcome.empty() || job.outcome == outcome);
    return count;
  }
  // Fails on the bad device until it is mended, runs until it is cancelled elsewhere.
  void Submit(int count) {
    for (int i = 0; i < count; ++i)
      Ok({"submit", "--cpus", "0.1", "--device", "kind=GPU", "--", "/bin/sh", "work.sh"});
  }
};

TEST_F(Quarantine, ADeviceThatFailsJobsIsFoundOutAndComesBack) {
  Up({{"one", false, {{"nvidia/h100-sxm-80g", 2}}}, {"two", false, {{"nvidia/h100-sxm-80g", 2}}}},
     Write("policy.yaml", PolicyText("1h")));
  std::string bad;
  const auto devices = api().Devices();
  ASSERT_TRUE(devices.ok()) << devices.status();
  for (const client::DeviceView& device : devices->view) {
    if (device.node == "one" && device.kind == "GPU") bad = device.id;
  }
  ASSERT_FALSE(bad.empty());
  Write("work.sh", "if [ \"$ALLOT_NODE $ALLOT_DEVICE_IDS\" = \"one " + bad +
                       "\" ]; then test -e mended; exit; fi\nexec /usr/bin/tail -f /dev/null\n");

  // Three devices get a job that stays; the fourth would take all the others.
  Submit(12);
  ASSERT_TRUE(Until([&] { return Device("one", bad).state == "quarantined"; }));
  ASSERT_TRUE(Until([&] { return Count("running") == 3; }));
  EXPECT_EQ(Count("finished", "failed"), 3u);
  EXPECT_EQ(Count("pending"), 6u);

  // Shown wherever one would look.
  const client::DeviceView held = Device("one", bad);
  ASSERT_TRUE(held.quarantine.has_value());
  EXPECT_EQ(held.quarantine->by, "failures");
  EXPECT_THAT(held.quarantine->why, HasSubstr("the last 3 jobs on it failed within 1m"));
  EXPECT_THAT(Ok({"devices"}), HasSubstr("one " + bad + " quarantined for "));
  EXPECT_THAT(Ok({"nodes"}), HasSubstr("allot doctor one"));
  std::string waiting;
  for (const client::JobView& job : AllJobs()) {
    if (job.phase == "pending") waiting = job.id;
  }
  EXPECT_THAT(Ok({"explain", waiting}), HasSubstr("devices_quarantined"));
  EXPECT_THAT(Ok({"explain", waiting}), HasSubstr("`allot undrain one --device " + bad + "`"));
  const CommandResult doctor = Allot({"doctor"});
  EXPECT_EQ(doctor.code, 7) << doctor.out << doctor.err;
  EXPECT_THAT(doctor.out, HasSubstr("unwell"));
  EXPECT_EQ(Allot({"doctor", "two"}).code, 0);
  const CommandResult one = Allot({"doctor", "one"});
  EXPECT_EQ(one.code, 7);
  EXPECT_THAT(one.out, HasSubstr("problem " + bad + " is quarantined for "));
  EXPECT_EQ(Allot({"doctor", "none"}).code, 4);
  const auto metrics = api().Fetch({.target = "/metrics"});
  ASSERT_TRUE(metrics.ok()) << metrics.status();
  EXPECT_THAT(*metrics, HasSubstr("allotrope_devices_quarantined{state=\"quarantined\"} 1"));
  EXPECT_THAT(*metrics, HasSubstr("allotrope_quarantines_total{cause=\"failures\"} 1"));

  // A restart of the scheduler forgets nothing of it.
  KillScheduler();
  StartScheduler();
  ASSERT_TRUE(Until([&] { return Device("one", bad).state == "quarantined"; }));

  // Work goes on where it can.
  std::string running;
  for (const client::JobView& job : AllJobs()) {
    if (job.phase == "running") running = job.id;
  }
  Ok({"cancel", running});
  ASSERT_TRUE(Until([&] { return Count("pending") == 5 && Count("running") == 3; }));

  // Given back too early it takes three more, no matter who gave it back.
  Ok({"policy", "apply", Write("short.yaml", PolicyText("1s"))});
  EXPECT_THAT(Ok({"undrain", "one", "--device", bad}), HasSubstr("takes work again"));
  ASSERT_TRUE(Until([&] {
    const client::DeviceView device = Device("one", bad);
    return device.quarantine && device.quarantine->strikes > 0;
  }));
  EXPECT_GE(Count("finished", "failed"), 6u);

  // Mended: on probation the next job that goes well clears it.
  Write("mended", "");
  Submit(1);
  ASSERT_TRUE(Until([&] {
    const client::DeviceView device = Device("one", bad);
    return device.state == "ready" && !device.quarantine && Count("finished", "succeeded") >= 1;
  }));
  EXPECT_EQ(Allot({"doctor"}).code, 0) << Allot({"doctor"}).out;
}

}  // namespace
}  // namespace allot::testing
