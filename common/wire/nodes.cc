// Nodes and their devices.
#include <set>

#include "common/wire/parts.h"

namespace allot::wire {
namespace {

constexpr size_t kTextMax = 1024, kListMax = 256;

Status CheckText(std::string_view what, std::string_view text, size_t length_max = kTextMax) {
  if (text.size() > length_max) {
    return InvalidArgument("{} has {} bytes; at most {} are taken", what, text.size(), length_max);
  }
  if (!IsValidUtf8(text)) return InvalidArgument("{} is not valid UTF-8", what);
  return absl::OkStatus();
}

Status CheckList(std::string_view what, const std::vector<std::string>& list) {
  if (list.size() > kListMax) {
    return InvalidArgument("{} has {} items; at most {} are taken", what, list.size(), kListMax);
  }
  for (const std::string& item : list) RETURN_IF_ERROR(CheckText(what, item));
  return absl::OkStatus();
}

Status CheckDevice(const allot::Device& device) {
  if (device.id.empty()) return InvalidArgument("device.id is empty; every device needs one");
  RETURN_IF_ERROR(CheckText("device.id", device.id, 128));
  if (device.model.empty()) return InvalidArgument("device.model of {} is empty", device.id);
  RETURN_IF_ERROR(CheckText("device.vendor", device.vendor, 128));
  RETURN_IF_ERROR(CheckText("device.model", device.model, 128));
  RETURN_IF_ERROR(CheckText("device.visible_variable", device.visible_variable));
  RETURN_IF_ERROR(CheckText("device.visible_value", device.visible_value));
  RETURN_IF_ERROR(CheckList("device.nodes", device.nodes));
  RETURN_IF_ERROR(CheckList("device.shared_nodes", device.shared_nodes));
  RETURN_IF_ERROR(CheckList("device.features", device.features));
  RETURN_IF_ERROR(CheckText("device.parent", device.parent, 128));
  RETURN_IF_ERROR(CheckText("device.uuid", device.uuid, 128));
  RETURN_IF_ERROR(CheckText("device.endpoint", device.endpoint));
  RETURN_IF_ERROR(CheckList("device.health", device.health));
  if (device.power_max) {
    RETURN_IF_ERROR(CheckRange<int64_t>("device.power_max", *device.power_max, 0, kMilliWattsMax));
  }
  if (device.environment.size() > kListMax) {
    return InvalidArgument("device {} sets {} variables; at most {} are taken", device.id,
                           device.environment.size(), kListMax);
  }
  for (const auto& [name, value] : device.environment) {
    if (name.empty() || name.find('=') != std::string::npos)
      return InvalidArgument("device {} sets a variable named \"{}\"", device.id, name);
    RETURN_IF_ERROR(CheckText("device.environment", name, 128));
    RETURN_IF_ERROR(CheckText("device.environment", value));
  }
  if (device.memory) {
    RETURN_IF_ERROR(CheckRange<int64_t>("device.memory", *device.memory, 0, kBytesMax));
  }
  return CheckRange<int64_t>("device.cores", device.cores, 0, kMilliCpusMax / 1000);
}

}  // namespace

Status CheckNodeInfo(const allot::NodeInfo& info) {
  if (!IsName(info.name)) {
    return InvalidArgument("node name \"{}\" is not a name; {}",
                           ReplaceInvalidUtf8(std::string_view(info.name).substr(0, 80)),
                           kNameHelp);
  }
  RETURN_IF_ERROR(CheckText("instance", info.instance, 128));
  RETURN_IF_ERROR(CheckText("boot_id", info.boot_id, 128));
  RETURN_IF_ERROR(CheckText("address", info.address));
  RETURN_IF_ERROR(CheckText("metrics_address", info.metrics_address));
  RETURN_IF_ERROR(CheckText("seen_address", info.seen_address));
  RETURN_IF_ERROR(CheckText("version", info.version, 128));
  RETURN_IF_ERROR(CheckRange<int64_t>("cpus", info.cpus, 0, kMilliCpusMax));
  RETURN_IF_ERROR(CheckRange<int64_t>("memory", info.memory, 0, kBytesMax));
  if (info.devices.size() > DeviceSet::kMax) {
    return InvalidArgument("node {} has {} devices; at most {} are taken", info.name,
                           info.devices.size(), DeviceSet::kMax);
  }
  std::set<std::string_view> ids;
  for (const allot::Device& device : info.devices) {
    RETURN_IF_ERROR(CheckDevice(device));
    if (!ids.insert(device.id).second) {
      return InvalidArgument("node {} names device id \"{}\" twice", info.name, device.id);
    }
  }
  if (info.groups.size() > kListMax) {
    return InvalidArgument("node {} has {} groups of devices; at most {} are taken", info.name,
                           info.groups.size(), kListMax);
  }
  for (const allot::DeviceGroup& group : info.groups) {
    RETURN_IF_ERROR(CheckText("group.kind", group.kind, 128));
    RETURN_IF_ERROR(CheckText("group.shape", group.shape, 128));
    RETURN_IF_ERROR(CheckList("group.members", group.members));
  }
  RETURN_IF_ERROR(CheckList("losses", info.losses));
  RETURN_IF_ERROR(CheckList("warnings", info.warnings));
  RETURN_IF_ERROR(CheckList("unfit", info.unfit));
  if (info.labels.size() > kListMax) {
    return InvalidArgument("node {} has {} labels; at most {} are taken", info.name,
                           info.labels.size(), kListMax);
  }
  for (const auto& [key, value] : info.labels) {
    if (key.empty()) return InvalidArgument("node {} has a label without a name", info.name);
    RETURN_IF_ERROR(CheckText("label", key, 128));
    RETURN_IF_ERROR(CheckText("label", value));
  }
  return absl::OkStatus();
}

void Encode(const allot::Device& device, Device* out) {
  out->Clear();
  out->set_id(ReplaceInvalidUtf8(device.id));
  out->set_kind(static_cast<int32_t>(device.kind));
  out->set_vendor(ReplaceInvalidUtf8(device.vendor));
  out->set_model(ReplaceInvalidUtf8(device.model));
  if (device.memory) out->set_memory(*device.memory);
  out->set_cores(device.cores);
  out->set_numa_node(device.numa_node);
  out->set_state(static_cast<int32_t>(device.state));
  out->set_emulated(device.emulated);
  out->set_visible_variable(ReplaceInvalidUtf8(device.visible_variable));
  out->set_visible_value(ReplaceInvalidUtf8(device.visible_value));
  EncodeStrings(device.nodes, out->mutable_nodes());
  EncodeStrings(device.shared_nodes, out->mutable_shared_nodes());
  EncodeStrings(device.features, out->mutable_features());
  out->set_isolation(static_cast<int32_t>(device.isolation) + 1);
  out->set_configured(device.configured);
  out->set_parent(ReplaceInvalidUtf8(device.parent));
  out->set_uuid(ReplaceInvalidUtf8(device.uuid));
  if (device.power_max) out->set_power_max_milliwatts(*device.power_max);
  if (device.price) out->set_price_micros_per_hour(device.price->micros_per_hour);
  out->set_endpoint(ReplaceInvalidUtf8(device.endpoint));
  EncodeMap(device.environment, out->mutable_environment());
  EncodeStrings(device.health, out->mutable_health());
  out->set_part_millis(device.part_millis);
}

void Encode(const allot::DeviceGroup& group, DeviceGroup* out) {
  out->Clear();
  out->set_kind(ReplaceInvalidUtf8(group.kind));
  EncodeStrings(group.members, out->mutable_members());
  out->set_shape(ReplaceInvalidUtf8(group.shape));
}

StatusOr<allot::DeviceGroup> Decode(const DeviceGroup& in) {
  return allot::DeviceGroup{in.kind(), DecodeStrings(in.members()), in.shape()};
}

StatusOr<allot::Device> Decode(const Device& in) {
  allot::Device device;
  device.id = in.id();
  ASSIGN_OR_RETURN(device.kind, DecodeEnum("device.kind", in.kind(), DeviceKind::kAsic));
  device.vendor = in.vendor();
  device.model = in.model();
  if (in.has_memory()) {
    RETURN_IF_ERROR(CheckRange<int64_t>("device.memory", in.memory(), 0, kBytesMax));
    device.memory = in.memory();
  }
  RETURN_IF_ERROR(CheckRange<int64_t>("device.cores", in.cores(), 0, kMilliCpusMax / 1000));
  device.cores = in.cores();
  device.numa_node = in.numa_node();
  ASSIGN_OR_RETURN(device.state, DecodeEnum("device.state", in.state(), DeviceState::kQuarantined));
  device.emulated = in.emulated();
  device.visible_variable = in.visible_variable();
  device.visible_value = in.visible_value();
  device.nodes = DecodeStrings(in.nodes());
  device.shared_nodes = DecodeStrings(in.shared_nodes());
  device.features = DecodeStrings(in.features());
  if (in.isolation() != 0) {
    ASSIGN_OR_RETURN(device.isolation,
                     DecodeEnum("device.isolation", in.isolation() - 1, Isolation::kHard));
  }
  device.configured = in.configured();
  device.parent = in.parent();
  device.uuid = in.uuid();
  if (in.has_power_max_milliwatts()) {
    RETURN_IF_ERROR(CheckRange<int64_t>("device.power_max", in.power_max_milliwatts(), 0,
                                        kMilliWattsMax));
    device.power_max = in.power_max_milliwatts();
  }
  if (in.has_price_micros_per_hour()) {
    ASSIGN_OR_RETURN(device.price, DecodePrice("device.price", in.price_micros_per_hour()));
  }
  device.endpoint = in.endpoint();
  device.environment = DecodeMap(in.environment());
  device.health = DecodeStrings(in.health());
  if (in.part_millis() != 0) {
    RETURN_IF_ERROR(CheckRange<int64_t>("device.part_millis", in.part_millis(), 1, 1000));
    device.part_millis = in.part_millis();
  }
  return device;
}

void Encode(const allot::DeviceTelemetry& telemetry, DeviceTelemetry* out) {
  out->Clear();
  out->set_id(ReplaceInvalidUtf8(telemetry.id));
  if (telemetry.power_watts) out->set_power_watts(*telemetry.power_watts);
  if (telemetry.temperature_celsius) out->set_temperature_celsius(*telemetry.temperature_celsius);
  if (telemetry.utilization_ratio) out->set_utilization_ratio(*telemetry.utilization_ratio);
  if (telemetry.energy_joules) out->set_energy_joules(*telemetry.energy_joules);
  if (telemetry.memory_used) out->set_memory_used(*telemetry.memory_used);
}

// A reading that is no number counts as absent: a broken sensor must not silence its node.
StatusOr<allot::DeviceTelemetry> Decode(const DeviceTelemetry& in) {
  const auto reading = [](bool present, double value) -> std::optional<double> {
    if (!present || !std::isfinite(value)) return std::nullopt;
    return value;
  };
  allot::DeviceTelemetry telemetry;
  telemetry.id = in.id();
  telemetry.power_watts = reading(in.has_power_watts(), in.power_watts());
  telemetry.temperature_celsius = reading(in.has_temperature_celsius(), in.temperature_celsius());
  telemetry.utilization_ratio = reading(in.has_utilization_ratio(), in.utilization_ratio());
  telemetry.energy_joules = reading(in.has_energy_joules(), in.energy_joules());
  if (in.has_memory_used() && in.memory_used() >= 0) telemetry.memory_used = in.memory_used();
  return telemetry;
}

void Encode(const allot::NodeInfo& info, NodeInfo* out) {
  out->Clear();
  out->set_name(ReplaceInvalidUtf8(info.name));
  out->set_instance(ReplaceInvalidUtf8(info.instance));
  out->set_boot_id(ReplaceInvalidUtf8(info.boot_id));
  out->set_address(ReplaceInvalidUtf8(info.address));
  out->set_metrics_address(ReplaceInvalidUtf8(info.metrics_address));
  out->set_version(ReplaceInvalidUtf8(info.version));
  out->set_cpus(info.cpus);
  out->set_memory(info.memory);
  EncodeAll(info.devices, out->mutable_devices());
  EncodeMap(info.labels, out->mutable_labels());
  EncodeAll(info.groups, out->mutable_groups());
  EncodeStrings(info.losses, out->mutable_losses());
  EncodeStrings(info.warnings, out->mutable_warnings());
  EncodeStrings(info.unfit, out->mutable_unfit());
  out->set_seen_address(ReplaceInvalidUtf8(info.seen_address));
  out->set_address_derived(info.address_derived);
  out->set_task_leases(info.task_leases);
  if (info.scratch_max) out->set_scratch_max(*info.scratch_max);
}

StatusOr<allot::NodeInfo> Decode(const NodeInfo& in) {
  allot::NodeInfo info;
  info.name = in.name();
  info.instance = in.instance();
  info.boot_id = in.boot_id();
  info.address = in.address();
  info.metrics_address = in.metrics_address();
  info.version = in.version();
  info.cpus = in.cpus();
  info.memory = in.memory();
  RETURN_IF_ERROR(DecodeAll(in.devices(), &info.devices));
  info.labels = DecodeMap(in.labels());
  RETURN_IF_ERROR(DecodeAll(in.groups(), &info.groups));
  info.losses = DecodeStrings(in.losses());
  info.warnings = DecodeStrings(in.warnings());
  info.unfit = DecodeStrings(in.unfit());
  info.seen_address = in.seen_address();
  info.address_derived = in.address_derived();
  info.task_leases = in.task_leases();
  if (in.has_scratch_max()) info.scratch_max = std::max<int64_t>(in.scratch_max(), 0);
  return info;
}

}  // namespace allot::wire
