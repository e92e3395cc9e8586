// boards/board.hpp: what a board is. One TOML file a board, one validator; every number there has its source beside it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.hpp"
#include "core/result.hpp"

namespace reins::boards {

enum class UnitKind : std::uint8_t { kCpu, kGpu };

struct OperatingPoint {
  std::int64_t freq_khz = 0;
  double voltage_v = 0;
};

/// An idle state of a cluster. The first is what the clock-gated cluster draws (WFI); deeper ones follow in order.
struct IdleState {
  std::string name;
  double clock_fraction = 1;    ///< share of the idle clock power that is left
  double leakage_fraction = 1;  ///< share of the leakage that is left
  double exit_latency_s = 0;
  double residency_s = 0;  ///< entered after the cluster has been idle this long
};

/// Dynamic power C V^2 f per busy core, idle clock tree c V^2 f per cluster, leakage
/// leak_w * (V / leak_ref_v)^leak_voltage_exponent * exp(leak_per_c * (T - leak_ref_c)).
struct PowerModel {
  double core_w_per_mhz_v2 = 0;
  double idle_clock_w_per_mhz_v2 = 0;
  double leak_w = 0;
  double leak_ref_v = 1;
  double leak_voltage_exponent = 1;
  double leak_ref_c = 45;
  double leak_per_c = 0;
};

/// A fixed part per inference, and a roofline per layer: max(compute, memory) + (1 - overlap) * min(compute, memory) +
/// launches. Compute: macs / (macs_per_cycle * f * speed-up(cores)), speed-up 1 / ((1 - parallel_fraction) +
/// parallel_fraction / cores) (Amdahl). Memory: bytes / bytes_per_s. A batch is one inference with that many times the
/// macs and bytes: the fixed part and the launches are paid once.
struct TimeModel {
  double macs_per_cycle = 1;  ///< per core (CPU) or of the whole unit (GPU)
  double parallel_fraction = 1;
  double bytes_per_s = 1e9;
  double overlap = 1;        ///< share of the shorter of compute and memory that hides behind the longer: 1 all, 0 none
  double launch_cycles = 0;  ///< per launch, scales with 1/f
  double launch_s = 0;       ///< per launch, does not scale
  double call_cycles = 0;    ///< per inference (input, framework, layout), spread over the cores as the MACs are
  double noise_sigma = 0;    ///< relative; run times are mean * (1 + clamp(normal * sigma, +-3 sigma))
};

/// A group of cores, or a GPU, that shares one frequency.
struct Cluster {
  std::string name;  ///< "a15"
  UnitKind kind = UnitKind::kCpu;
  std::vector<int> cpus;             ///< kernel cpu numbers; empty for a GPU
  double capacity = 1024;            ///< capacity-dmips-mhz normalised: 1024 = the biggest at its top frequency
  std::vector<OperatingPoint> opps;  ///< ascending in frequency
  std::string rail;                  ///< the rail that feeds it
  std::string
      control;  ///< sysfs folder relative to the root, e.g. "sys/devices/system/cpu/cpufreq/policy4"; may be empty
  double switch_s = 0;  ///< time a change of operating point takes
  double dwell_s = 0;   ///< an operating point stands at least this long before a lower one, upward moves are exempt
  PowerModel power;
  TimeModel time;
  std::vector<IdleState> idle;  ///< at least one

  /// Top frequency, kHz.
  std::int64_t max_khz() const noexcept { return opps.back().freq_khz; }
};

/// A way to place the application: cluster x cores. A slot name such as "big-all" lets a policy move to a sister board.
struct Mapping {
  std::string name;  ///< "a15x4"
  std::string slot;
  ClusterId cluster;
  int cores = 1;
  double cpu_quota = 1;  ///< stand-in on machines without DVFS, a quota and never a frequency
};

/// A measured supply. Accounting rails are disjoint: where one contains another, only one of them is counted.
struct Rail {
  std::string name;
  bool accounting = false;
  std::vector<std::string> contains;
  double constant_w = 0;        ///< drawn whatever happens
  double j_per_byte = 0;        ///< memory traffic of inferences, charged to this rail
  double upstream_w_per_w = 1;  ///< what a rail that contains it draws for each of its watts, converters included
  std::string sensor;           ///< sysfs path or driver:address, see sensors/; may be empty
  double sensor_period_s = 0;   ///< how often the sensor speaks; it averages over that time. 0: no sensor
  double sensor_quantum_w = 0;
  double sensor_noise = 0;  ///< relative sigma
};

/// One RC node: dT/dt = (P * r_c_per_w - (T - ambient)) / (r * c). Step-wise throttling: every poll above `throttle_c`
/// the clusters in `throttled` lose one operating point, every poll below `release_c` they get one back.
struct Thermal {
  double ambient_c = 25;
  double r_c_per_w = 10;
  double c_j_per_c = 5;
  double throttle_c = 85;
  double release_c = 80;
  double poll_s = 0.25;
  double sensor_period_s = 0.1;
  double sensor_quantum_c = 1;
  std::vector<std::string> throttled;
  std::string zone;  ///< thermal zone `type` or path
};

struct Board {
  int schema = 1;
  std::string name;
  std::string title;
  std::string fingerprint;   ///< of the file's substance_of()
  bool provisional = false;  ///< some numbers are assumed; `notes` says which
  std::string notes;
  std::vector<Cluster> clusters;
  std::vector<Mapping> mappings;
  std::vector<Rail> rails;
  Thermal thermal;
  double migration_s = 0;  ///< cold caches after a move to another mapping
  double contention = 0;   ///< run time * (1 + contention * utilisation by others of that cluster)
  double tick_s = 0.004;   ///< kernel tick

  const Cluster& cluster_of(MappingId mapping) const noexcept {
    return clusters[mappings[mapping.index()].cluster.index()];
  }
};

/// Reads and validates a board file. Errors carry file and line.
Result<Board> load_board(const std::filesystem::path& path);
Result<Board> parse_board(std::string_view toml, std::string_view where);

/// What profiles and policies depend on of a board file: its keys and values. Comments, blank space and what is for
/// people alone (title, notes, provisional) may change without making it another board.
std::string substance_of(std::string_view toml);

/// Names of the board files in `folder`, sorted; empty where the folder cannot be read.
std::vector<std::string> board_names(const std::filesystem::path& folder);

/// Finds `name` as a path, or as <folder>/<name>.toml. The error for an unknown name lists the known ones.
Result<Board> find_board(std::string_view name, const std::filesystem::path& folder);

/// The machine this runs on, from `root`/sys and `root`/proc: clusters by cpufreq policy (or one cluster without DVFS,
/// whose single operating point has frequency 0 = "as the machine runs it"), mappings by core count, RAPL where
/// present. `only_usable`: a cluster whose frequency this user may not set is described as one without DVFS, and the
/// notes say so: what is offered is what takes effect.
Result<Board> discover_host(const std::filesystem::path& root, bool only_usable = false);

}  // namespace reins::boards
