#include "boards/host_file.hpp"

#include <array>
#include <cstdio>
#include <string_view>

#include "core/csv.hpp"

namespace reins::boards {
namespace {

constexpr std::string_view kDiscovered = "  # discovered";
constexpr std::string_view kAssumed = "  # assumed";

/// A TOML basic string.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      std::array<char, 8> code;
      std::snprintf(code.data(), code.size(), "\\u%04x", static_cast<unsigned>(static_cast<unsigned char>(c)));
      out += code.data();
    } else {
      out += c;
    }
  }
  return out + "\"";
}

class Writer {
 public:
  void line(std::string_view text) { text_.append(text).append("\n"); }
  void number(std::string_view key, double value, std::string_view mark) {
    line(std::string(key) + " = " + format_number(value) + std::string(mark));
  }
  void text(std::string_view key, std::string_view value, std::string_view mark = {}) {
    line(std::string(key) + " = " + quoted(value) + std::string(mark));
  }
  template <typename Items, typename OneToText>
  void list(std::string_view key, const Items& items, OneToText one, std::string_view mark) {
    std::string all;
    for (const auto& item : items) all += (all.empty() ? "" : ", ") + one(item);
    line(std::string(key) + " = [" + all + "]" + std::string(mark));
  }
  const std::string& result() const noexcept { return text_; }

 private:
  std::string text_;
};

void write_cluster(Writer& out, const Cluster& cluster) {
  out.line("");
  out.line("[[cluster]]");
  out.text("name", cluster.name);
  out.text("kind", cluster.kind == UnitKind::kGpu ? "gpu" : "cpu", kDiscovered);
  if (cluster.kind == UnitKind::kCpu) {
    out.list(
        "cpus", cluster.cpus, [](int cpu) { return std::to_string(cpu); }, kDiscovered);
  }
  out.number("capacity", cluster.capacity, "  # discovered; where the kernel says none, by top frequency");
  const bool dvfs = cluster.max_khz() > 0;
  out.list(
      "freq_khz", cluster.opps, [](const OperatingPoint& opp) { return std::to_string(opp.freq_khz); },
      dvfs ? kDiscovered : "  # discovered: no DVFS, it runs as the machine runs it");
  out.list(
      "voltage_v", cluster.opps, [](const OperatingPoint& opp) { return format_number(opp.voltage_v); },
      "  # assumed: none is published");
  if (!cluster.rail.empty()) out.text("rail", cluster.rail, kDiscovered);
  if (!cluster.control.empty()) out.text("control", cluster.control, kDiscovered);
  out.number("switch_s", cluster.switch_s, cluster.switch_s > 0 ? kDiscovered : kAssumed);
  out.number("dwell_s", cluster.dwell_s, kAssumed);
  out.line("[cluster.power]  # assumed: not known; without them the emulated board draws nothing");
  const PowerModel& power = cluster.power;
  out.number("core_w_per_mhz_v2", power.core_w_per_mhz_v2, kAssumed);
  out.number("idle_clock_w_per_mhz_v2", power.idle_clock_w_per_mhz_v2, kAssumed);
  out.number("leak_w", power.leak_w, kAssumed);
  out.number("leak_ref_v", power.leak_ref_v, kAssumed);
  out.number("leak_voltage_exponent", power.leak_voltage_exponent, kAssumed);
  out.number("leak_ref_c", power.leak_ref_c, kAssumed);
  out.number("leak_per_c", power.leak_per_c, kAssumed);
  out.line("[cluster.time]  # assumed: not known; an emulation with them says nothing about this machine");
  const TimeModel& time = cluster.time;
  out.number("macs_per_cycle", time.macs_per_cycle, kAssumed);
  out.number("parallel_fraction", time.parallel_fraction, kAssumed);
  out.number("bytes_per_s", time.bytes_per_s, kAssumed);
  out.number("overlap", time.overlap, kAssumed);
  out.number("launch_cycles", time.launch_cycles, kAssumed);
  out.number("launch_s", time.launch_s, kAssumed);
  out.number("call_cycles", time.call_cycles, kAssumed);
  out.number("noise_sigma", time.noise_sigma, kAssumed);
  for (const IdleState& state : cluster.idle) {
    out.line("[[cluster.idle]]");
    out.text("name", state.name, kAssumed);
    out.number("clock_fraction", state.clock_fraction, kAssumed);
    out.number("leakage_fraction", state.leakage_fraction, kAssumed);
    out.number("exit_latency_s", state.exit_latency_s, kAssumed);
    out.number("residency_s", state.residency_s, kAssumed);
  }
}

void write_mapping(Writer& out, const Board& board, const Mapping& mapping) {
  out.line("");
  out.line("[[mapping]]");
  out.text("name", mapping.name);
  out.text("slot", mapping.slot);
  out.text("cluster", board.clusters[mapping.cluster.index()].name);
  out.number("cores", mapping.cores, "");
  if (mapping.cpu_quota < 1) out.number("cpu_quota", mapping.cpu_quota, "");
}

void write_rail(Writer& out, const Rail& rail) {
  out.line("");
  out.line("[[rail]]");
  out.text("name", rail.name, kDiscovered);
  out.line(std::string("accounting = ") + (rail.accounting ? "true" : "false"));
  if (!rail.contains.empty()) out.list("contains", rail.contains, quoted, "");
  if (!rail.sensor.empty()) out.text("sensor", rail.sensor, kDiscovered);
  out.number("constant_w", rail.constant_w, kAssumed);
  out.number("j_per_byte", rail.j_per_byte, kAssumed);
  if (rail.upstream_w_per_w != 1) out.number("upstream_w_per_w", rail.upstream_w_per_w, kAssumed);
  out.number("sensor_period_s", rail.sensor_period_s, "  # discovered; where the driver says none, assumed");
  out.number("sensor_quantum_w", rail.sensor_quantum_w, kAssumed);
  out.number("sensor_noise", rail.sensor_noise, kAssumed);
}

void write_thermal(Writer& out, const Thermal& thermal) {
  const std::string_view trips = thermal.zone.empty() ? kAssumed : "  # discovered, where the zone has a passive trip";
  out.line("");
  out.line("[thermal]");
  out.number("ambient_c", thermal.ambient_c, kAssumed);
  out.number("r_c_per_w", thermal.r_c_per_w, kAssumed);
  out.number("c_j_per_c", thermal.c_j_per_c, kAssumed);
  out.number("throttle_c", thermal.throttle_c, trips);
  out.number("release_c", thermal.release_c, trips);
  out.number("poll_s", thermal.poll_s, kAssumed);
  out.number("sensor_period_s", thermal.sensor_period_s, kAssumed);
  out.number("sensor_quantum_c", thermal.sensor_quantum_c, kAssumed);
  out.list("throttled", thermal.throttled, quoted, "");
  if (!thermal.zone.empty()) out.text("zone", thermal.zone, kDiscovered);
}

}  // namespace

std::string host_board_toml(const Board& board, const std::filesystem::path& path) {
  Writer out;
  out.line("# A machine as 'reins board --write' found it.");
  out.line("#  discovered: the kernel says so");
  out.line("#  assumed: no source gives it; no result should rest on it");
  out.line("# Measured numbers in place of the assumed ones:");
  out.line("#  reins profile --live --board " + path.native() + " --out profile.csv");
  out.line("#  reins board fit --board " + path.native() + " --data profile.csv");
  out.line("schema = 1");
  out.text("name", board.name);
  out.text("title", board.title, kDiscovered);
  out.line(std::string("provisional = ") + (board.provisional ? "true" : "false"));
  out.text("notes", board.notes);
  out.number("migration_s", board.migration_s, kAssumed);
  out.number("contention", board.contention, kAssumed);
  out.number("tick_s", board.tick_s, kAssumed);
  for (const Cluster& cluster : board.clusters) write_cluster(out, cluster);
  for (const Mapping& mapping : board.mappings) write_mapping(out, board, mapping);
  for (const Rail& rail : board.rails) write_rail(out, rail);
  write_thermal(out, board.thermal);
  return out.result();
}

}  // namespace reins::boards
