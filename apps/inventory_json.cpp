#include "apps/inventory_json.hpp"

namespace reins::apps {
namespace {

using nlohmann::json;

template <typename T>
json or_null(const std::optional<T>& value) {
  return value ? json(*value) : json();
}

template <typename Items, typename OneToJson>
json list_of(const Items& items, OneToJson one) {
  json list = json::array();
  for (const auto& item : items) list.push_back(one(item));
  return list;
}

json core_json(const sensors::Core& core) {
  return {{"cpu", core.cpu},
          {"online", core.online},
          {"package", or_null(core.package)},
          {"cluster", or_null(core.cluster)},
          {"core", or_null(core.core)},
          {"siblings", core.siblings},
          {"capacity", or_null(core.capacity)},
          {"kind", core.kind},
          {"may_offline", core.may_offline}};
}

json policy_json(const sensors::CpufreqPolicy& policy) {
  return {{"name", policy.name},
          {"folder", policy.folder},
          {"affected_cpus", policy.affected_cpus},
          {"related_cpus", policy.related_cpus},
          {"driver", policy.driver},
          {"governor", policy.governor},
          {"governors", policy.governors},
          {"freqs_khz", policy.freqs_khz},
          {"boost_khz", policy.boost_khz},
          {"lowest_khz", or_null(policy.lowest_khz)},
          {"highest_khz", or_null(policy.highest_khz)},
          {"min_khz", or_null(policy.min_khz)},
          {"max_khz", or_null(policy.max_khz)},
          {"now_khz", or_null(policy.now_khz)},
          {"firmware_limit_khz", or_null(policy.firmware_limit_khz)},
          {"switch_s", or_null(policy.switch_s)},
          {"boost", or_null(policy.boost)},
          {"preferences", policy.preferences},
          {"preference", policy.preference},
          {"writable", policy.writable}};
}

json devfreq_json(const sensors::DevfreqDevice& device) {
  return {{"name", device.name},
          {"folder", device.folder},
          {"role", device.role},
          {"governor", device.governor},
          {"governors", device.governors},
          {"freqs_khz", device.freqs_khz},
          {"min_khz", or_null(device.min_khz)},
          {"max_khz", or_null(device.max_khz)},
          {"now_khz", or_null(device.now_khz)},
          {"set_point", device.set_point},
          {"writable", device.writable}};
}

json monitor_json(const sensors::PowerMonitor& monitor) {
  return {{"form", monitor.form},
          {"chip", monitor.chip},
          {"folder", monitor.folder},
          {"i2c_device", monitor.i2c_device},
          {"update_s", or_null(monitor.update_s)},
          {"enabled", monitor.enabled},
          {"channels", list_of(monitor.channels,
                               [](const sensors::MonitorChannel& channel) {
                                 return json{{"label", channel.label},
                                             {"sensor", channel.address},
                                             {"gives", channel.power ? "power" : "voltage x current"}};
                               })},
          {"writable", monitor.writable}};
}

json zone_json(const sensors::PowercapZone& zone) {
  return {{"id", zone.id},
          {"name", zone.name},
          {"folder", zone.folder},
          {"readable", zone.readable},
          {"wrap_j", or_null(zone.wrap_j)},
          {"limit_w", or_null(zone.limit_w)},
          {"writable", zone.writable}};
}

json thermal_json(const sensors::ThermalZone& zone) {
  return {{"type", zone.type},
          {"folder", zone.folder},
          {"policy", zone.policy},
          {"mode", zone.mode},
          {"temperature_c", or_null(zone.temperature_c)},
          {"trips", list_of(zone.trips, [](const sensors::TripPoint& trip) {
             return json{{"type", trip.type},
                         {"temperature_c", or_null(trip.temperature_c)},
                         {"hysteresis_c", or_null(trip.hysteresis_c)}};
           })}};
}

json nvml_json(const sensors::Nvml& nvml) {
  return {{"absent", nvml.absent ? json(nvml.absent->line()) : json()},
          {"driver", nvml.driver},
          {"gpus", list_of(nvml.gpus, [](const sensors::NvmlGpu& gpu) {
             return json{{"name", gpu.name},
                         {"power_w", or_null(gpu.power_w)},
                         {"total_energy", gpu.total_energy},
                         {"limit_w", or_null(gpu.limit_w)},
                         {"temperature_c", or_null(gpu.temperature_c)},
                         {"core_khz", or_null(gpu.core_khz)},
                         {"memory_khz", or_null(gpu.memory_khz)}};
           })}};
}

json cpuidle_json(const sensors::Cpuidle& cpuidle) {
  const auto state = [](const sensors::IdleStateInfo& one) {
    return json{{"name", one.name},
                {"description", one.description},
                {"latency_s", or_null(one.latency_s)},
                {"residency_s", or_null(one.residency_s)},
                {"disabled", or_null(one.disabled)},
                {"writable", one.writable}};
  };
  return {{"driver", cpuidle.driver},
          {"governor", cpuidle.governor},
          {"governors", cpuidle.governors},
          {"sets", list_of(cpuidle.sets, [&](const sensors::IdleStates& set) {
             return json{{"cpus", set.cpus}, {"states", list_of(set.states, state)}};
           })}};
}

}  // namespace

json inventory_json(const sensors::Inventory& inventory) {
  const sensors::Topology& topology = inventory.topology;
  const sensors::Cgroup& cgroup = inventory.cgroup;
  json document;
  document["topology"] = {{"model", topology.model},
                          {"smt", topology.smt},
                          {"virtual_machine", topology.virtual_machine},
                          {"cores", list_of(topology.cores, core_json)}};
  document["cpufreq"] = list_of(inventory.cpufreq, policy_json);
  document["boost"] =
      inventory.boost
          ? json{{"file", inventory.boost->file}, {"on", inventory.boost->on}, {"writable", inventory.boost->writable}}
          : json();
  document["devfreq"] = list_of(inventory.devfreq, devfreq_json);
  document["memory"] = list_of(inventory.memory, [](const sensors::MemoryClock& clock) {
    return json{{"source", clock.source},
                {"now_khz", or_null(clock.now_khz)},
                {"transfers_mts", or_null(clock.transfers_mts)},
                {"writable", clock.writable}};
  });
  document["monitors"] = list_of(inventory.monitors, monitor_json);
  document["unbound"] = list_of(inventory.unbound, [](const sensors::UnboundMonitor& monitor) {
    return json{{"i2c_device", monitor.i2c_device}, {"chip", monitor.chip}};
  });
  document["powercap"] = list_of(inventory.powercap, zone_json);
  document["thermal"] = list_of(inventory.thermal, thermal_json);
  document["cooling"] = list_of(inventory.cooling, [](const sensors::CoolingDevice& device) {
    return json{{"type", device.type},
                {"folder", device.folder},
                {"state", or_null(device.state)},
                {"max_state", or_null(device.max_state)},
                {"writable", device.writable}};
  });
  document["power_supply"] = list_of(inventory.power_supply, [](const sensors::PowerSupply& supply) {
    return json{{"name", supply.name},
                {"type", supply.type},
                {"status", supply.status},
                {"online", or_null(supply.online)},
                {"charge", or_null(supply.charge)},
                {"power_w", or_null(supply.power_w)}};
  });
  document["nvml"] = nvml_json(inventory.nvml);
  document["cgroup"] = {{"version", cgroup.version},
                        {"folder", cgroup.folder},
                        {"quota_file", cgroup.quota_file},
                        {"quota_cpus", or_null(cgroup.quota_cpus)},
                        {"writable", cgroup.writable}};
  document["cpuidle"] = cpuidle_json(inventory.cpuidle);
  document["not_available"] = list_of(inventory.missing, [](const sensors::Advice& advice) {
    return json{{"topic", advice.topic}, {"what", advice.what}, {"command", advice.command}};
  });
  document["unreadable"] = list_of(inventory.unreadable, [](const Error& error) {
    return json{{"kind", name_of(error.kind())}, {"error", error.line()}};
  });
  return document;
}

}  // namespace reins::apps
