#include "agent/devices/registry.h"

#include <set>

#include "agent/devices/amd/amd_vendor.h"
#include "agent/devices/cerebras/cerebras_vendor.h"
#include "agent/devices/cpu/cpu_vendor.h"
#include "agent/devices/declared/declared_vendor.h"
#include "agent/devices/emulated/emulated_vendor.h"
#include "agent/devices/furiosa/furiosa_vendor.h"
#include "agent/devices/graphcore/graphcore_vendor.h"
#include "agent/devices/groq/groq_vendor.h"
#include "agent/devices/habana/habana_vendor.h"
#include "agent/devices/intel/intel_vendor.h"
#include "agent/devices/listed/listed_vendor.h"
#include "agent/devices/maia/maia_vendor.h"
#include "agent/devices/mtia/mtia_vendor.h"
#include "agent/devices/neuron/neuron_vendor.h"
#include "agent/devices/nvidia/nvidia_vendor.h"
#include "agent/devices/qualcomm/qualcomm_vendor.h"
#include "agent/devices/rebellions/rebellions_vendor.h"
#include "agent/devices/sambanova/sambanova_vendor.h"
#include "agent/devices/tenstorrent/tenstorrent_vendor.h"
#include "agent/devices/tpu/tpu_vendor.h"

namespace allot::agent {
namespace {

// Takes from `endpoints` those of one vendor of the catalogue.
Endpoints TakeOf(const std::string& vendor, Endpoints* endpoints) {
  Endpoints taken;
  for (const auto& endpoint : *endpoints)
    if (endpoint->vendor == vendor) taken.push_back(endpoint);
  std::erase_if(*endpoints, [&](const auto& endpoint) { return endpoint->vendor == vendor; });
  return taken;
}

}  // namespace

StatusOr<std::vector<std::unique_ptr<Vendor>>> MakeVendors(const config::AgentDevices& devices,
                                                           const Catalogue& catalogue,
                                                           std::shared_ptr<const Host> host,
                                                           const Endpoints* endpoints) {
  const auto wanted = [](bool has, bool value) { return !has || value; };
  NvidiaSources nvml;
  // Libraries are of the machine we run on.
  const bool opens = host->live();
  if (!opens) nvml.library.clear();
  const auto library = [&](std::vector<std::string> files) {
    return opens ? std::move(files) : std::vector<std::string>{};
  };
  Endpoints others;
  if (endpoints != nullptr) {
    others = *endpoints;
  } else {
    ASSIGN_OR_RETURN(others, ReadEndpoints(devices, catalogue));
  }
  const EndpointVendor::Options ask{.probes = host->live()};
  std::vector<std::unique_ptr<Vendor>> vendors;
  if (wanted(devices.has_cpu(), devices.cpu()))
    vendors.push_back(std::make_unique<CpuVendor>(CpuSources{.host = std::move(host)}));

  std::vector<std::unique_ptr<Vendor>> accelerators;
  accelerators.push_back(std::make_unique<NvidiaVendor>(std::move(nvml)));
  accelerators.push_back(std::make_unique<AmdVendor>(library(AmdVendor::Library())));
  accelerators.push_back(std::make_unique<IntelVendor>(library(IntelVendor::Library())));
  accelerators.push_back(std::make_unique<HabanaVendor>(library(HabanaVendor::Library())));
  accelerators.push_back(std::make_unique<NeuronVendor>());
  accelerators.push_back(std::make_unique<TpuVendor>());
  accelerators.push_back(std::make_unique<GroqVendor>());
  accelerators.push_back(std::make_unique<SambanovaVendor>());
  accelerators.push_back(std::make_unique<TenstorrentVendor>());
  accelerators.push_back(std::make_unique<RebellionsVendor>());
  accelerators.push_back(std::make_unique<FuriosaVendor>(library(FuriosaVendor::Library())));
  accelerators.push_back(std::make_unique<QualcommVendor>());
  accelerators.push_back(std::make_unique<GraphcoreVendor>());
  accelerators.push_back(std::make_unique<ListedVendor>("d-matrix"));
  accelerators.push_back(std::make_unique<ListedVendor>("etched"));
  accelerators.push_back(
      std::make_unique<CerebrasVendor>(TakeOf(CerebrasVendor::kKey, &others), ask));
  accelerators.push_back(std::make_unique<MaiaVendor>(TakeOf(MaiaVendor::kKey, &others), ask));
  accelerators.push_back(std::make_unique<MtiaVendor>(TakeOf(MtiaVendor::kKey, &others), ask));
  accelerators.push_back(std::make_unique<EndpointVendor>("endpoint", std::move(others), ask));

  std::set<std::string> without(devices.without().begin(), devices.without().end());
  if (!wanted(devices.has_nvidia(), devices.nvidia())) without.insert("nvidia");
  std::string known;
  for (std::unique_ptr<Vendor>& vendor : accelerators) {
    const std::string key(vendor->name());
    known += (known.empty() ? "" : ", ") + key;
    if (without.erase(key) == 0) vendors.push_back(std::move(vendor));
  }
  if (without.erase("nvidia"); !without.empty())
    return InvalidArgument("devices.without: there is no vendor \"{}\"; it is one of {}",
                           *without.begin(), known);
  if (devices.static__size() > 0)
    vendors.push_back(std::make_unique<DeclaredVendor>(
        std::vector<config::StaticDevice>(devices.static_().begin(), devices.static_().end()),
        catalogue));
  ASSIGN_OR_RETURN(std::unique_ptr<Vendor> emulated,
                   MakeEmulatedVendor(devices.emulated(), catalogue));
  vendors.push_back(std::move(emulated));
  return vendors;
}

Composition MakeComposition(const config::AgentDevices& devices, const Catalogue& catalogue,
                            const HostIsolation& isolation) {
  return {.sharing = {devices.sharing().begin(), devices.sharing().end()},
          .catalogue = catalogue,
          .isolation = isolation};
}

std::vector<std::string> HidingVariables() { return {"CUDA_VISIBLE_DEVICES"}; }

}  // namespace allot::agent
