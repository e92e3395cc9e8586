#include "boards/board.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "boards/by_name.hpp"
#include "core/file.hpp"
#include "core/toml.hpp"

namespace reins::boards {
namespace {

constexpr int kSchema = 1;

template <typename T>
Status take(T& out, Result<T> value) {
  if (!value) return fail(value.error());
  out = std::move(*value);
  return {};
}

/// Reads `key` into `out`, whose present value is the default.
Status optional_number(const TomlTable& table, std::string_view key, double& out, double low, double high) {
  return take(out, table.number_or(key, out, low, high));
}

tl::unexpected<Error> wrong(const TomlTable& table, std::string_view key, std::string_view what,
                            std::string_view hint = {}) {
  return fail(ErrorKind::kGarbled, what, table.place(key), hint);
}

/// Names appear in file names, slots and tables: lower-case letters, digits, '-', '_' and '.'.
Status check_name(const TomlTable& table, std::string_view key, std::string_view name) {
  const bool good = !name.empty() && name.size() <= 48 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  });
  if (!good) {
    return wrong(table, key, "'" + std::string(name) + "' is no name",
                 "use lower-case letters, digits, '-', '_' and '.'");
  }
  return {};
}

template <typename T>
bool named(const std::vector<T>& items, std::string_view name) {
  return std::any_of(items.begin(), items.end(), [&](const T& item) { return item.name == name; });
}

Status read_opps(const TomlTable& table, Cluster& cluster) {
  // 0, alone: a machine without DVFS, which runs as it likes.
  REINS_ASSIGN(const std::vector<double> freqs_khz, table.numbers("freq_khz", 0, 1e8));
  REINS_ASSIGN(const std::vector<double> volts, table.numbers("voltage_v", 0.1, 5));
  if (freqs_khz.empty()) return wrong(table, "freq_khz", "a cluster needs an operating point");
  if (freqs_khz.size() != volts.size()) {
    return wrong(table, "voltage_v",
                 std::to_string(volts.size()) + " voltages for " + std::to_string(freqs_khz.size()) + " frequencies");
  }
  for (std::size_t i = 0; i < freqs_khz.size(); ++i) {
    if (freqs_khz[i] != std::floor(freqs_khz[i])) return wrong(table, "freq_khz", "frequencies are whole kilohertz");
    if (freqs_khz[i] == 0 && freqs_khz.size() > 1)
      return wrong(table, "freq_khz", "0, a machine without DVFS, stands alone");
    if (i > 0 && freqs_khz[i] <= freqs_khz[i - 1]) return wrong(table, "freq_khz", "frequencies must ascend");
    if (i > 0 && volts[i] < volts[i - 1]) return wrong(table, "voltage_v", "voltages must not fall as frequency rises");
    cluster.opps.push_back({static_cast<std::int64_t>(freqs_khz[i]), volts[i]});
  }
  return {};
}

Status read_power(const TomlTable& table, PowerModel& power) {
  REINS_TRY(take(power.core_w_per_mhz_v2, table.number("core_w_per_mhz_v2", 0, 1)));
  REINS_TRY(optional_number(table, "idle_clock_w_per_mhz_v2", power.idle_clock_w_per_mhz_v2, 0, 1));
  REINS_TRY(optional_number(table, "leak_w", power.leak_w, 0, 100));
  REINS_TRY(optional_number(table, "leak_ref_v", power.leak_ref_v, 0.1, 5));
  REINS_TRY(optional_number(table, "leak_voltage_exponent", power.leak_voltage_exponent, 0, 12));
  REINS_TRY(optional_number(table, "leak_ref_c", power.leak_ref_c, -50, 150));
  REINS_TRY(optional_number(table, "leak_per_c", power.leak_per_c, 0, 0.2));
  return table.reject_unknown();
}

Status read_time(const TomlTable& table, TimeModel& time) {
  REINS_TRY(take(time.macs_per_cycle, table.number("macs_per_cycle", 1e-6, 1e6)));
  REINS_TRY(optional_number(table, "parallel_fraction", time.parallel_fraction, 0, 1));
  REINS_TRY(optional_number(table, "bytes_per_s", time.bytes_per_s, 1e3, 1e15));
  REINS_TRY(optional_number(table, "overlap", time.overlap, 0, 1));
  REINS_TRY(optional_number(table, "launch_cycles", time.launch_cycles, 0, 1e12));
  REINS_TRY(optional_number(table, "launch_s", time.launch_s, 0, 10));
  REINS_TRY(optional_number(table, "call_cycles", time.call_cycles, 0, 1e12));
  REINS_TRY(optional_number(table, "noise_sigma", time.noise_sigma, 0, 0.33));
  return table.reject_unknown();
}

Status read_idle(const TomlTable& table, Cluster& cluster) {
  IdleState state;
  REINS_TRY(take(state.name, table.text("name")));
  REINS_TRY(optional_number(table, "clock_fraction", state.clock_fraction, 0, 1));
  REINS_TRY(optional_number(table, "leakage_fraction", state.leakage_fraction, 0, 1));
  REINS_TRY(optional_number(table, "exit_latency_s", state.exit_latency_s, 0, 10));
  REINS_TRY(optional_number(table, "residency_s", state.residency_s, 0, 100));
  REINS_TRY(table.reject_unknown());
  if (cluster.idle.empty() && state.residency_s != 0) {
    return wrong(table, "residency_s", "the first idle state is entered at once: its residency is 0");
  }
  if (!cluster.idle.empty() && state.residency_s < cluster.idle.back().residency_s) {
    return wrong(table, "residency_s", "idle states must go from shallow to deep");
  }
  cluster.idle.push_back(std::move(state));
  return {};
}

Status read_cluster(const TomlTable& table, Board& board) {
  Cluster cluster;
  REINS_TRY(take(cluster.name, table.text("name")));
  REINS_TRY(check_name(table, "name", cluster.name));
  if (named(board.clusters, cluster.name))
    return wrong(table, "name", "two clusters are called '" + cluster.name + "'");
  REINS_ASSIGN(const std::string kind, table.text("kind"));
  if (kind != "cpu" && kind != "gpu") return wrong(table, "kind", "'" + kind + "' is neither \"cpu\" nor \"gpu\"");
  cluster.kind = kind == "gpu" ? UnitKind::kGpu : UnitKind::kCpu;
  if (cluster.kind == UnitKind::kCpu) {
    REINS_ASSIGN(const std::vector<double> cpus, table.numbers("cpus", 0, 4095));
    if (cpus.empty()) return wrong(table, "cpus", "a CPU cluster needs cpus");
    std::set<int> seen;
    for (const Cluster& other : board.clusters) seen.insert(other.cpus.begin(), other.cpus.end());
    for (const double cpu : cpus) {
      const int number = static_cast<int>(cpu);
      if (number != cpu) return wrong(table, "cpus", "cpus are whole numbers");
      if (!seen.insert(number).second)
        return wrong(table, "cpus", "cpu " + std::to_string(number) + " is listed twice");
      cluster.cpus.push_back(number);
    }
  }
  REINS_TRY(optional_number(table, "capacity", cluster.capacity, 1, 1024));
  REINS_TRY(read_opps(table, cluster));
  REINS_TRY(take(cluster.rail, table.text_or("rail", "")));
  REINS_TRY(take(cluster.control, table.text_or("control", "")));
  REINS_TRY(optional_number(table, "switch_s", cluster.switch_s, 0, 10));
  REINS_TRY(optional_number(table, "dwell_s", cluster.dwell_s, 0, 10));
  REINS_ASSIGN(const TomlTable power, table.table("power"));
  REINS_TRY(read_power(power, cluster.power));
  REINS_ASSIGN(const TomlTable time, table.table("time"));
  REINS_TRY(read_time(time, cluster.time));
  REINS_ASSIGN(const std::vector<TomlTable> idle, table.tables("idle"));
  if (idle.empty()) return wrong(table, "idle", "cluster '" + cluster.name + "' needs at least one [[cluster.idle]]");
  for (const TomlTable& state : idle) REINS_TRY(read_idle(state, cluster));
  REINS_TRY(table.reject_unknown());
  board.clusters.push_back(std::move(cluster));
  return {};
}

Status read_mapping(const TomlTable& table, Board& board) {
  Mapping mapping;
  REINS_TRY(take(mapping.name, table.text("name")));
  REINS_TRY(check_name(table, "name", mapping.name));
  if (named(board.mappings, mapping.name))
    return wrong(table, "name", "two mappings are called '" + mapping.name + "'");
  REINS_TRY(take(mapping.slot, table.text("slot")));
  REINS_TRY(check_name(table, "slot", mapping.slot));
  for (const Mapping& other : board.mappings) {
    if (other.slot == mapping.slot) return wrong(table, "slot", "two mappings take the slot '" + mapping.slot + "'");
  }
  REINS_ASSIGN(const std::string cluster_name, table.text("cluster"));
  const std::size_t cluster = index_of(board.clusters, cluster_name);
  if (cluster == board.clusters.size()) {
    return wrong(table, "cluster", "there is no cluster '" + cluster_name + "'",
                 "the clusters are " + names_of(board.clusters));
  }
  mapping.cluster = ClusterId(cluster);
  const auto most = std::max<std::size_t>(board.clusters[cluster].cpus.size(), 1);
  REINS_ASSIGN(const std::int64_t cores, table.integer_or("cores", 1, 1, static_cast<std::int64_t>(most)));
  mapping.cores = static_cast<int>(cores);
  REINS_TRY(optional_number(table, "cpu_quota", mapping.cpu_quota, 0.01, 1));
  REINS_TRY(table.reject_unknown());
  board.mappings.push_back(std::move(mapping));
  return {};
}

Status read_rail(const TomlTable& table, Board& board) {
  Rail rail;
  REINS_TRY(take(rail.name, table.text("name")));
  REINS_TRY(check_name(table, "name", rail.name));
  if (named(board.rails, rail.name)) return wrong(table, "name", "two rails are called '" + rail.name + "'");
  REINS_TRY(take(rail.accounting, table.boolean_or("accounting", false)));
  if (table.has("contains")) REINS_TRY(take(rail.contains, table.texts("contains")));
  REINS_TRY(optional_number(table, "constant_w", rail.constant_w, 0, 1000));
  REINS_TRY(optional_number(table, "j_per_byte", rail.j_per_byte, 0, 1e-3));
  REINS_TRY(optional_number(table, "upstream_w_per_w", rail.upstream_w_per_w, 1, 10));
  REINS_TRY(take(rail.sensor, table.text_or("sensor", "")));
  REINS_TRY(optional_number(table, "sensor_period_s", rail.sensor_period_s, 0, 3600));
  REINS_TRY(optional_number(table, "sensor_quantum_w", rail.sensor_quantum_w, 0, 100));
  REINS_TRY(optional_number(table, "sensor_noise", rail.sensor_noise, 0, 1));
  REINS_TRY(table.reject_unknown());
  board.rails.push_back(std::move(rail));
  return {};
}

/// All rails inside rail `start`, itself excluded unless it contains itself.
std::set<std::size_t> inside(const Board& board, std::size_t start) {
  std::set<std::size_t> found;
  std::vector<std::size_t> open{start};
  while (!open.empty()) {
    const std::size_t rail = open.back();
    open.pop_back();
    for (const std::string& name : board.rails[rail].contains) {
      const std::size_t part = index_of(board.rails, name);
      if (found.insert(part).second) open.push_back(part);
    }
  }
  return found;
}

/// A rail counted twice would make every energy figure wrong, so containment is checked through all levels.
Status check_rails(const std::vector<TomlTable>& tables, const Board& board) {
  for (std::size_t i = 0; i < board.rails.size(); ++i) {
    for (const std::string& name : board.rails[i].contains) {
      if (!named(board.rails, name)) {
        return wrong(tables[i], "contains", "there is no rail '" + name + "'",
                     "the rails are " + names_of(board.rails));
      }
    }
  }
  for (std::size_t i = 0; i < board.rails.size(); ++i) {
    for (const std::size_t part : inside(board, i)) {
      if (part == i) return wrong(tables[i], "contains", "rail '" + board.rails[i].name + "' contains itself");
      if (board.rails[i].accounting && board.rails[part].accounting) {
        return wrong(tables[i], "accounting",
                     "rail '" + board.rails[i].name + "' contains '" + board.rails[part].name +
                         "', and both are accounting rails: its energy would count twice",
                     "keep accounting = true on one of them");
      }
    }
  }
  return {};
}

Status read_thermal(const TomlTable& table, Board& board) {
  Thermal& thermal = board.thermal;
  REINS_TRY(optional_number(table, "ambient_c", thermal.ambient_c, -50, 100));
  REINS_TRY(take(thermal.r_c_per_w, table.number("r_c_per_w", 1e-3, 1000)));
  REINS_TRY(take(thermal.c_j_per_c, table.number("c_j_per_c", 1e-4, 1e5)));
  REINS_TRY(take(thermal.throttle_c, table.number("throttle_c", 0, 200)));
  REINS_TRY(take(thermal.release_c, table.number("release_c", 0, 200)));
  if (thermal.release_c >= thermal.throttle_c) return wrong(table, "release_c", "release_c must be below throttle_c");
  REINS_TRY(optional_number(table, "poll_s", thermal.poll_s, 1e-3, 60));
  REINS_TRY(optional_number(table, "sensor_period_s", thermal.sensor_period_s, 0, 60));
  REINS_TRY(optional_number(table, "sensor_quantum_c", thermal.sensor_quantum_c, 0, 10));
  if (table.has("throttled")) REINS_TRY(take(thermal.throttled, table.texts("throttled")));
  for (const std::string& name : thermal.throttled) {
    if (!named(board.clusters, name)) {
      return wrong(table, "throttled", "there is no cluster '" + name + "'",
                   "the clusters are " + names_of(board.clusters));
    }
  }
  REINS_TRY(take(thermal.zone, table.text_or("zone", "")));
  return table.reject_unknown();
}

}  // namespace

std::string substance_of(std::string_view toml) {
  std::string text;
  while (!toml.empty()) {
    const std::size_t end = std::min(toml.find('\n'), toml.size());
    const std::string_view line = toml.substr(0, end);
    toml.remove_prefix(std::min(end + 1, toml.size()));
    std::string kept;
    char quote = 0;
    for (std::size_t i = 0; i < line.size(); ++i) {
      const char c = line[i];
      if (quote == 0 && c == '#') break;
      if (quote == 0 && (c == ' ' || c == '\t' || c == '\r')) continue;
      kept += c;
      if (quote == '"' && c == '\\' && i + 1 < line.size()) {
        kept += line[++i];
      } else if (c == quote) {
        quote = 0;
      } else if (quote == 0 && (c == '"' || c == '\'')) {
        quote = c;
      }
    }
    const bool for_people =
        kept.starts_with("title=") || kept.starts_with("notes=") || kept.starts_with("provisional=");
    if (!kept.empty() && !for_people) text += kept + "\n";
  }
  return text;
}

Result<Board> parse_board(std::string_view toml, std::string_view where) {
  REINS_ASSIGN(const TomlTable table, TomlTable::parse(toml, where));
  Board board;
  board.fingerprint = fingerprint(substance_of(toml));
  REINS_ASSIGN(const std::int64_t schema, table.integer("schema", 1, 1 << 20));
  if (schema != kSchema) {
    return fail(ErrorKind::kMismatch,
                "board schema " + std::to_string(schema) + ", this build reads " + std::to_string(kSchema),
                table.place("schema"), "use the reins version the file was written for");
  }
  REINS_TRY(take(board.name, table.text("name")));
  REINS_TRY(check_name(table, "name", board.name));
  REINS_TRY(take(board.title, table.text_or("title", board.name)));
  REINS_TRY(take(board.provisional, table.boolean_or("provisional", false)));
  REINS_TRY(take(board.notes, table.text_or("notes", "")));
  if (board.provisional && board.notes.empty()) {
    return wrong(table, "provisional", "a provisional board must say in 'notes' which numbers are assumed");
  }
  REINS_TRY(optional_number(table, "migration_s", board.migration_s, 0, 10));
  REINS_TRY(optional_number(table, "contention", board.contention, 0, 100));
  REINS_TRY(optional_number(table, "tick_s", board.tick_s, 1e-4, 1));

  REINS_ASSIGN(const std::vector<TomlTable> clusters, table.tables("cluster"));
  if (clusters.empty()) return wrong(table, "cluster", "a board needs at least one [[cluster]]");
  for (const TomlTable& cluster : clusters) REINS_TRY(read_cluster(cluster, board));
  REINS_ASSIGN(const std::vector<TomlTable> mappings, table.tables("mapping"));
  if (mappings.empty()) return wrong(table, "mapping", "a board needs at least one [[mapping]]");
  for (const TomlTable& mapping : mappings) REINS_TRY(read_mapping(mapping, board));
  REINS_ASSIGN(const std::vector<TomlTable> rails, table.tables("rail"));
  for (const TomlTable& rail : rails) REINS_TRY(read_rail(rail, board));
  REINS_TRY(check_rails(rails, board));
  for (std::size_t i = 0; i < clusters.size(); ++i) {
    const std::string& rail = board.clusters[i].rail;
    if (!rail.empty() && !named(board.rails, rail)) {
      return wrong(clusters[i], "rail", "there is no rail '" + rail + "'", "the rails are " + names_of(board.rails));
    }
  }
  REINS_ASSIGN(const TomlTable thermal, table.table("thermal"));
  REINS_TRY(read_thermal(thermal, board));
  REINS_TRY(table.reject_unknown());
  return board;
}

Result<Board> load_board(const std::filesystem::path& path) {
  REINS_ASSIGN(const std::string bytes, read_file(path, std::size_t{1} << 20));
  return parse_board(bytes, path.native());
}

std::vector<std::string> board_names(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == ".toml") names.push_back(it->path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<Board> find_board(std::string_view name, const std::filesystem::path& folder) {
  if (name.find('/') != std::string_view::npos || name.ends_with(".toml")) return load_board(name);
  const std::vector<std::string> names = board_names(folder);
  if (std::find(names.begin(), names.end(), name) != names.end())
    return load_board(folder / (std::string(name) + ".toml"));
  std::string known = "host";
  for (const std::string& other : names) known += ", " + other;
  return fail(ErrorKind::kUsage, "there is no board '" + std::string(name) + "'", folder.native(), "known: " + known);
}

}  // namespace reins::boards
