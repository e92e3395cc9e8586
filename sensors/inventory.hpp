// sensors/inventory.hpp: what a machine's kernel offers to a controller, walked below a movable root: what is there,
// what this user may write, what is missing and the command that would make it available.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/result.hpp"

namespace reins::sensors {

// Paths are as people look for them: below the root, with a leading '/'. What a kernel does not publish is absent or
// empty. `writable` names the attributes of that folder that the effective user may write.

/// A cpufreq policy (Documentation/admin-guide/pm/cpufreq.rst).
struct CpufreqPolicy {
  std::string name, folder;             ///< "policy4"
  std::vector<int> affected_cpus;       ///< online
  std::vector<int> related_cpus;        ///< online or not
  std::string driver, governor;         ///< present governor; drivers with policies of their own name those
  std::vector<std::string> governors;   ///< that can be chosen
  std::vector<std::int64_t> freqs_khz;  ///< ascending; empty for drivers without a list (intel_pstate)
  std::vector<std::int64_t> boost_khz;  ///< frequencies that need boost
  std::optional<std::int64_t> lowest_khz, highest_khz;  ///< of the hardware
  std::optional<std::int64_t> min_khz, max_khz;         ///< limits in force: a max below `highest_khz` is a cap
  std::optional<std::int64_t> now_khz;
  std::optional<std::int64_t> firmware_limit_khz;  ///< bios_limit
  std::optional<double> switch_s;                  ///< absent where the driver does not know
  std::optional<bool> boost;                       ///< of this policy, on kernels that have it per policy
  std::vector<std::string> preferences;            ///< energy_performance_available_preferences
  std::string preference;
  std::vector<std::string> writable;
};

/// The switch for frequencies beyond the nominal range, for all policies.
struct Boost {
  std::string file;
  bool on = false;
  bool writable = false;
};

/// A devfreq device: a GPU, a memory controller, a bus (Documentation/ABI/testing/sysfs-class-devfreq).
struct DevfreqDevice {
  std::string name, folder;
  std::string role;  ///< "gpu", "memory" or empty, told by its name
  std::string governor;
  std::vector<std::string> governors;
  std::vector<std::int64_t> freqs_khz;  ///< ascending
  std::optional<std::int64_t> min_khz, max_khz, now_khz;
  bool set_point = false;  ///< userspace/set_freq is there (with the governor chosen)
  std::vector<std::string> writable;
};

/// How fast the memory runs, as one source says.
struct MemoryClock {
  std::string source;
  std::optional<std::int64_t> now_khz;
  std::optional<std::int64_t> transfers_mts;  ///< where the source speaks of mega-transfers a second (DMI)
  bool writable = false;
};

/// One rail of a power monitor.
struct MonitorChannel {
  std::string label;    ///< the driver's, or the channel's number
  std::string address;  ///< what a board file's `sensor` says to read it
  bool power = false;   ///< the chip gives power (or energy); else it is voltage x current
};

/// A chip that measures power: hwmon (mainline ina2xx, ina3221, ...), iio (ina2xx-adc, the Jetsons' ina3221x), or the
/// old INA231 driver.
struct PowerMonitor {
  std::string form;  ///< "hwmon", "iio" or "ina231"
  std::string chip;  ///< the driver's name for it
  std::string folder;
  std::string i2c_device;  ///< "6-0040"; empty for others
  std::optional<double> update_s;
  bool enabled = true;
  std::vector<MonitorChannel> channels;
  std::vector<std::string> writable;
};

/// A device on an I2C bus that a power monitor's driver would take, and none has taken.
struct UnboundMonitor {
  std::string i2c_device, chip;
};

/// A powercap zone, e.g. RAPL (Documentation/power/powercap/powercap.rst).
struct PowercapZone {
  std::string id, name, folder;   ///< "intel-rapl:0:1", "dram"
  bool readable = false;          ///< energy_uj, by this user
  std::optional<double> wrap_j;   ///< the counter starts again behind it (max_energy_range_uj)
  std::optional<double> limit_w;  ///< its long-term constraint
  std::vector<std::string> writable;
};

struct TripPoint {
  std::string type;  ///< "passive", "active", "hot", "critical"
  std::optional<double> temperature_c, hysteresis_c;
};

/// A thermal zone, known by its type: numbers change from boot to boot.
struct ThermalZone {
  std::string type, folder, policy, mode;
  std::optional<double> temperature_c;
  std::vector<TripPoint> trips;
};

/// What the kernel cools with. A state above 0 is in force now: for a processor or GPU it is a cap on its frequency.
struct CoolingDevice {
  std::string type, folder;
  std::optional<std::int64_t> state, max_state;
  bool writable = false;
};

struct PowerSupply {
  std::string name, type, status;
  std::optional<bool> online;
  std::optional<double> charge;   ///< 0..1
  std::optional<double> power_w;  ///< as the driver gives it, sign included
};

/// NVIDIA's management library, opened at run time.
struct NvmlGpu {
  std::string name;
  std::optional<double> power_w;
  bool total_energy = false;  ///< the device counts joules since the driver was loaded
  std::optional<double> limit_w, temperature_c;
  std::optional<std::int64_t> core_khz, memory_khz;
};
struct Nvml {
  std::optional<Error> absent;  ///< why there are no devices; else they are below
  std::string driver;
  std::vector<NvmlGpu> gpus;
};

/// The control group of this process that has a cpu quota.
struct Cgroup {
  std::string version;  ///< "v1", "v2", "hybrid" or "none": what is mounted
  std::string folder;   ///< of this process's group with a cpu quota; empty: none
  std::string quota_file;
  std::optional<double> quota_cpus;  ///< 0: no limit
  bool writable = false;
};

struct IdleStateInfo {
  std::string name, description;
  std::optional<double> latency_s, residency_s;
  std::optional<bool> disabled;
  bool writable = false;  ///< it can be switched off
};
/// The idle states that some cpus have in common.
struct IdleStates {
  std::vector<int> cpus;
  std::vector<IdleStateInfo> states;
};
struct Cpuidle {
  std::string driver, governor;
  std::vector<std::string> governors;
  std::vector<IdleStates> sets;
};

struct Core {
  int cpu = 0;
  bool online = true;
  std::optional<std::int64_t> package, cluster, core;
  std::vector<int> siblings;  ///< the threads of its core, itself included
  std::optional<std::int64_t> capacity;
  std::string kind;  ///< of a hybrid processor: "core" or "atom", as the kernel calls its event sources
  bool may_offline = false;
};
struct Topology {
  std::string model;  ///< the board's (device tree, DMI) or the processor's name
  std::string smt;    ///< smt/control: "on", "off", "notsupported", ...
  bool virtual_machine = false;
  std::vector<Core> cores;
};

/// What a user may want and does not have.
struct Advice {
  std::string topic;    ///< the part of the inventory it belongs to, e.g. "powercap"
  std::string what;     ///< what is missing, and why
  std::string command;  ///< what makes it available, to be run as root; empty where nothing would here
};

struct Inventory {
  Topology topology;
  std::vector<CpufreqPolicy> cpufreq;
  std::optional<Boost> boost;
  std::vector<DevfreqDevice> devfreq;
  std::vector<MemoryClock> memory;
  std::vector<PowerMonitor> monitors;
  std::vector<UnboundMonitor> unbound;
  std::vector<PowercapZone> powercap;
  std::vector<ThermalZone> thermal;
  std::vector<CoolingDevice> cooling;
  std::vector<PowerSupply> power_supply;
  Nvml nvml;
  Cgroup cgroup;
  Cpuidle cpuidle;
  std::vector<Advice> missing;
  std::vector<Error> unreadable;  ///< files that are there and could not be read, or make no sense
};

struct InventoryOptions {
  std::filesystem::path root;  ///< "/" on a machine
  std::string nvml;            ///< library to open, e.g. "libnvidia-ml.so.1"; empty: not looked for
};

/// Looks at everything once and changes nothing. What cannot be read is listed and ends nothing. May block for as long
/// as a device's bus does.
Inventory take_inventory(const InventoryOptions& options);

}  // namespace reins::sensors
