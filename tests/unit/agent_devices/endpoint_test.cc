// Endpoint devices: what the config says of them, and whether they answer. The hosted endpoint is
// the test's own server on loopback.
#include <sys/stat.h>

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/devices/endpoint/endpoint_vendor.h"
#include "agent/devices/inventory.h"
#include "agent/devices/registry.h"
#include "tests/hosted/hosted_endpoint.h"
#include "tests/unit/agent_devices/folder.h"

namespace allot::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::HostedEndpoint;
using ::testing::IsEmpty;

class EndpointDevices : public ::testing::Test {
 protected:
  config::EndpointDevice& Declare(const std::string& name, const std::string& model,
                                  const std::string& url) {
    config::EndpointDevice& endpoint = *devices_.add_endpoints();
    endpoint.set_name(name);
    endpoint.set_model(model);
    endpoint.set_url(url);
    return endpoint;
  }
  std::string WriteSecret(const std::string& name, const std::string& text) {
    const std::string path = folder_.path() + "/" + name;
    std::ofstream(path) << text;
    chmod(path.c_str(), 0600);
    return path;
  }
  Endpoints Read() {
    auto endpoints = ReadEndpoints(devices_, Catalogue::BuiltIn());
    EXPECT_TRUE(endpoints.ok()) << endpoints.status();
    return endpoints.ok() ? *endpoints : Endpoints();
  }
  std::string Refused() {
    return MessageOf(ReadEndpoints(devices_, Catalogue::BuiltIn()).status());
  }
  std::unique_ptr<EndpointVendor> Vendor() {
    // Only a broken server needs so long; a busy machine may need more than the usual three
    // seconds.
    return std::make_unique<EndpointVendor>(
        "endpoint", Read(), EndpointVendor::Options{.timeout = std::chrono::minutes(1)});
  }
  // Discovered in both steps.
  Discovery Discover(EndpointVendor& vendor) {
    Discovery discovery = vendor.Discover(*machine_);
    vendor.Enrich(&discovery);
    return discovery;
  }
  static std::string HealthOf(const Discovery& discovery, size_t i = 0) {
    const Device& device = discovery.devices.at(i).device;
    if (device.state == DeviceState::kReady) return device.health.empty() ? "ready" : "?";
    EXPECT_EQ(device.state, DeviceState::kUnhealthy);
    return device.health.at(0);
  }

  Folder folder_;
  config::AgentDevices devices_;
  const std::shared_ptr<const Snapshot> machine_ = Snapshot::Take(Host::Live());
};

TEST_F(EndpointDevices, OneDeviceForEachThatMayUseItAtOnce) {
  HostedEndpoint hosted({});
  Declare("groq-eu", "groq/lpu-v1", hosted.url()).set_capacity(2);
  Declare("cs", "cerebras/cs-3", hosted.url()).set_price_usd_per_hour(1.25);
  const auto vendor = Vendor();
  const Discovery found = Discover(*vendor);
  ASSERT_EQ(found.devices.size(), 3u);
  const Device& first = found.devices[0].device;
  EXPECT_EQ(first.id, "groq-eu/0");
  EXPECT_EQ(first.parent, "groq-eu");
  EXPECT_EQ(first.vendor, "groq");
  EXPECT_EQ(first.model, "groq/lpu-v1");
  EXPECT_EQ(first.kind, DeviceKind::kAsic);
  EXPECT_EQ(first.state, DeviceState::kReady);
  EXPECT_EQ(first.isolation, Isolation::kShared);
  EXPECT_TRUE(first.configured);
  EXPECT_FALSE(first.emulated);
  EXPECT_EQ(first.endpoint, hosted.url());
  EXPECT_FALSE(first.price.has_value());
  EXPECT_FALSE(first.power_max.has_value()) << "nobody tells";
  EXPECT_EQ(first.memory, Catalogue::BuiltIn().Find("groq/lpu-v1")->memory);
  EXPECT_EQ(found.devices[0].memory_source, "table");
  EXPECT_THAT(first.nodes, IsEmpty());
  EXPECT_EQ(found.devices[1].device.id, "groq-eu/1");
  const Device& alone = found.devices[2].device;
  EXPECT_EQ(alone.id, "cs");
  EXPECT_EQ(alone.parent, "");
  EXPECT_EQ(alone.price, (PriceRate{1'250'000}));
  EXPECT_THAT(found.warnings, IsEmpty());
  EXPECT_EQ(hosted.Probes(), 2u) << "one for each endpoint, not for each device";
}

TEST_F(EndpointDevices, WhatIsWrongIsSaidWithTheName) {
  Declare("a", "groq/lpu-v9", "https://host");
  EXPECT_EQ(Refused(),
            "devices.endpoints: a: model \"groq/lpu-v9\" is not in the catalogue; see "
            "common/catalogue/devices.csv or add a row by catalogue_files");
  devices_.mutable_endpoints(0)->set_model("amd/epyc-9654");
  EXPECT_THAT(Refused(), HasSubstr("is a processor"));
  devices_.mutable_endpoints(0)->set_model("groq/lpu-v1");
  devices_.mutable_endpoints(0)->set_ca_file(folder_.path() + "/no.pem");
  EXPECT_THAT(Refused(), HasSubstr("a: " + folder_.path() + "/no.pem holds no certificates"));
  devices_.mutable_endpoints(0)->clear_ca_file();
  devices_.mutable_endpoints(0)->set_token_file(folder_.path() + "/no.token");
  EXPECT_THAT(Refused(), HasSubstr("a: cannot open " + folder_.path() + "/no.token"));
  for (const char* text : {"", "\n", "two words", "two\nlines", "caf\xc3\xa9"}) {
    devices_.mutable_endpoints(0)->set_token_file(WriteSecret("bad", text));
    EXPECT_THAT(Refused(), HasSubstr("bad does not hold one token on one line"));
    if (*text != '\0' && *text != '\n') {
      EXPECT_EQ(Refused().find(text), std::string::npos);
    }
  }
}

TEST_F(EndpointDevices, NothingIsReadyBeforeItHasAnswered) {
  HostedEndpoint hosted({});
  Declare("a", "groq/lpu-v1", hosted.url());
  const auto vendor = Vendor();
  EXPECT_EQ(HealthOf(vendor->Discover(*machine_)), "endpoint_not_asked");
  EXPECT_EQ(HealthOf(Discover(*vendor)), "ready");
}

TEST_F(EndpointDevices, WhyOneIsUnhealthyIsTold) {
  using Mood = HostedEndpoint::Mood;
  HostedEndpoint hosted({});
  Declare("a", "groq/lpu-v1", hosted.url());
  const struct {
    Mood mood;
    const char* health;
  } rows[] = {{Mood::kUp, "ready"},
              {Mood::kUnavailable, "endpoint_status_503"},
              {Mood::kHangingUp, "endpoint_unreachable"},
              {Mood::kSilent, "endpoint_timeout"}};
  for (const auto& row : rows) {
    hosted.Be(row.mood);
    EndpointVendor vendor("endpoint", Read(),
                          {.timeout = row.mood == Mood::kSilent ? std::chrono::milliseconds(50)
                                                                : std::chrono::minutes(1)});
    const Discovery found = Discover(vendor);
    EXPECT_EQ(HealthOf(found), row.health);
    ASSERT_EQ(found.warnings.size(), row.mood == Mood::kUp ? 0u : 1u);
    if (row.mood != Mood::kUp) {
      EXPECT_THAT(found.warnings[0],
                  HasSubstr(fmt::format("endpoint a at {}: {}", hosted.url(), row.health)));
    }
  }
}

TEST_F(EndpointDevices, OneBadAnswerIsForgivenTwoAreNotAndTwoGoodOnesBringItBack) {
  using Mood = HostedEndpoint::Mood;
  HostedEndpoint hosted({});
  Declare("a", "groq/lpu-v1", hosted.url());
  const auto vendor = Vendor();
  EXPECT_EQ(HealthOf(Discover(*vendor)), "ready");
  const struct {
    Mood mood;
    bool changed;
    const char* health;
  } rows[] = {
      {Mood::kUp, false, "ready"},
      {Mood::kUnavailable, false, "ready"},
      {Mood::kUp, false, "ready"},
      {Mood::kHangingUp, false, "ready"},
      {Mood::kUnavailable, true, "endpoint_status_503"},  // bad in another way, but bad
      {Mood::kHangingUp, false, "endpoint_status_503"},
      {Mood::kHangingUp, true, "endpoint_unreachable"},
      {Mood::kUp, false, "endpoint_unreachable"},
      {Mood::kHangingUp, false, "endpoint_unreachable"},
      {Mood::kUp, false, "endpoint_unreachable"},
      {Mood::kUp, true, "ready"},
  };
  for (size_t i = 0; i < std::size(rows); ++i) {
    SCOPED_TRACE(i);
    hosted.Be(rows[i].mood);
    vendor->Sample();
    EXPECT_EQ(vendor->changed(), rows[i].changed);
    const Discovery found = Discover(*vendor);
    EXPECT_EQ(HealthOf(found), rows[i].health);
    EXPECT_EQ(found.warnings.size(), rows[i].changed ? 1u : 0u);
    EXPECT_FALSE(vendor->changed());
  }
}

TEST_F(EndpointDevices, ACertificateOfAnotherIsNotTrusted) {
  const testing::Authority authority("ours"), other("theirs");
  const testing::Certificate certificate = authority.Issue({"DNS:localhost"});
  HostedEndpoint hosted({.certificate = &certificate, .token = "sesame"});
  std::ofstream(folder_.path() + "/ours.pem") << authority.certificate();
  std::ofstream(folder_.path() + "/theirs.pem") << other.certificate();
  Declare("a", "groq/lpu-v1", hosted.url()).set_ca_file(folder_.path() + "/ours.pem");
  devices_.mutable_endpoints(0)->set_token_file(WriteSecret("token", "sesame\n"));
  EXPECT_EQ(HealthOf(Discover(*Vendor())), "ready");
  devices_.mutable_endpoints(0)->set_ca_file(folder_.path() + "/theirs.pem");
  EXPECT_EQ(HealthOf(Discover(*Vendor())), "endpoint_untrusted");
}

TEST_F(EndpointDevices, ATokenThatIsRotatedIsReadAgainAndNeverShown) {
  HostedEndpoint hosted({.token = "first-token"});
  const std::string file = WriteSecret("token", "first-token\n");
  Declare("a", "groq/lpu-v1", hosted.url()).set_token_file(file);
  const auto vendor = Vendor();
  Discovery found = Discover(*vendor);
  EXPECT_EQ(HealthOf(found), "ready");
  hosted.Demand("second-token");
  vendor->Sample();
  vendor->Sample();
  EXPECT_EQ(HealthOf(found = Discover(*vendor)), "endpoint_status_401");
  for (const std::string& warning : found.warnings)
    EXPECT_EQ(warning.find("-token"), std::string::npos) << warning;
  WriteSecret("token", "second-token");
  vendor->Sample();
  vendor->Sample();
  EXPECT_EQ(HealthOf(Discover(*vendor)), "ready");
  // A file that goes away takes nothing with it.
  std::remove(file.c_str());
  vendor->Sample();
  EXPECT_TRUE(vendor->changed()) << "there is something to say";
  found = Discover(*vendor);
  EXPECT_EQ(HealthOf(found), "ready");
  EXPECT_THAT(found.warnings, ElementsAre(HasSubstr("the token it held before is used on")));
  vendor->Sample();
  EXPECT_FALSE(vendor->changed()) << "said once";
}

TEST_F(EndpointDevices, SecretsThatOthersCanSeeAreWarnedOf) {
  const std::string file = WriteSecret("token", "sesame");
  chmod(file.c_str(), 0644);
  Declare("a", "groq/lpu-v1", "http://endpoint.example").set_token_file(file);
  const Endpoints endpoints = Read();
  EXPECT_THAT(endpoints.at(0)->warnings,
              ElementsAre(HasSubstr("every user of this machine can read"),
                          HasSubstr("travels to http://endpoint.example in the clear")));
}

TEST_F(EndpointDevices, UtilizationIsWhatRequestsUseOfTheReplicasConcurrency) {
  HostedEndpoint hosted({});
  Declare("a", "groq/lpu-v1", hosted.url()).set_capacity(2);
  const Endpoints endpoints = Read();
  EndpointVendor vendor("endpoint", endpoints, {});
  EXPECT_THAT(vendor.Sample(), IsEmpty()) << "no replica, so nobody counts";
  endpoints[0]->loads[1]->concurrency = 4;
  endpoints[0]->loads[1]->in_flight = 3;
  const std::vector<DeviceTelemetry> samples = vendor.Sample();
  ASSERT_EQ(samples.size(), 1u);
  EXPECT_EQ(samples[0].id, "a/1");
  EXPECT_EQ(samples[0].utilization_ratio, 0.75);
  EXPECT_FALSE(samples[0].power_watts.has_value());
  EXPECT_FALSE(samples[0].memory_used.has_value());
}

TEST_F(EndpointDevices, ALeaseIsServedFromOnePlace) {
  Declare("a", "groq/lpu-v1", "https://a.example").set_capacity(2);
  Declare("b", "groq/lpu-v1", "https://b.example");
  const EndpointDirectory directory(Read());
  EXPECT_EQ(*directory.Lease({}), nullptr);
  EXPECT_EQ(*directory.Lease({"0000:17:00.0"}), nullptr);
  const auto both = *directory.Lease({"a/0", "a/1"});
  ASSERT_NE(both, nullptr);
  EXPECT_EQ(both->endpoint->name, "a");
  EXPECT_THAT(both->devices, ElementsAre("a/0", "a/1"));
  EXPECT_THAT(MessageOf(directory.Lease({"a/0", "b"}).status()),
              HasSubstr("its devices are the endpoints a and b"));
  EXPECT_THAT(MessageOf(directory.Lease({"b", "0000:17:00.0"}).status()),
              HasSubstr("the endpoint b and others of this machine"));
}

// Through the registry and the inventory, as an agent does it.
class DeclaredDevices : public EndpointDevices {
 protected:
  std::vector<std::string> Listed(std::shared_ptr<const Host> host) {
    auto vendors = MakeVendors(devices_, Catalogue::BuiltIn(), host);
    EXPECT_TRUE(vendors.ok()) << vendors.status();
    Inventory inventory(*std::move(vendors), host);
    std::vector<std::string> listed;
    for (const FoundDevice& found : inventory.DiscoverAll().devices)
      if (!found.device.endpoint.empty())
        listed.push_back(fmt::format("{} {} {}", found.device.id, found.device.vendor,
                                     ToString(found.device.state)));
    return listed;
  }
};

TEST_F(DeclaredDevices, EveryVendorWithoutAHostInterfaceIsListedByItsKey) {
  HostedEndpoint hosted({});
  Declare("sn", "sambanova/sn40l", hosted.url());
  Declare("cs", "cerebras/cs-3", hosted.url());
  Declare("maia", "microsoft/maia-100", hosted.url());
  Declare("mtia", "meta/mtia-v2", hosted.url());
  Declare("lpu", "groq/lpu-v1", hosted.url());
  EXPECT_THAT(Listed(Host::Live()),
              ElementsAre("cs cerebras ready", "maia microsoft ready", "mtia meta ready",
                          "sn sambanova ready", "lpu groq ready"));
  devices_.add_without("cerebras");
  devices_.add_without("endpoint");
  EXPECT_THAT(Listed(Host::Live()), ElementsAre("maia microsoft ready", "mtia meta ready"));
}

TEST_F(DeclaredDevices, NobodyIsAskedForARecordedMachine) {
  HostedEndpoint hosted({});
  Declare("lpu", "groq/lpu-v1", hosted.url());
  const auto recorded =
      Host::Recorded(std::string(ALLOT_SOURCE_DIR) + "/tests/machines/nvidia-4xl4", {});
  ASSERT_TRUE(recorded.ok()) << recorded.status();
  EXPECT_THAT(Listed(*recorded), ElementsAre("lpu groq unhealthy"));
  EXPECT_EQ(hosted.Probes(), 0u);
}

TEST_F(DeclaredDevices, AChangeIsToldWithTheSampleThatFoundIt) {
  HostedEndpoint hosted({});
  Declare("lpu", "groq/lpu-v1", hosted.url());
  const std::shared_ptr<const Host> host = Host::Live();
  Inventory inventory(*MakeVendors(devices_, Catalogue::BuiltIn(), host), host);
  inventory.DiscoverAll();
  hosted.Be(HostedEndpoint::Mood::kUnavailable);
  Inventory::Update update;
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!update.changed && std::chrono::steady_clock::now() < give_up)
    update = inventory.Poll(Duration{});  // Time stands still: no discovery is due.
  ASSERT_TRUE(update.changed.has_value());
  EXPECT_EQ(update.changed->devices.back().device.health,
            std::vector<std::string>{"endpoint_status_503"});
}

}  // namespace
}  // namespace allot::agent
