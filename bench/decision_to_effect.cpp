// bench/decision_to_effect.cpp: how long it takes from a decision to the new frequency in force, read back, through
// the actuators that a server uses: every cluster of the board, one up and the rest at their lowest.
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>

#include "actuators/actuator_set.hpp"
#include "bench/jetson_tree.hpp"
#include "bench/machine.hpp"
#include "bench/support.hpp"
#include "boards/board.hpp"
#include "core/clock.hpp"
#include "core/kernel_file.hpp"
#include "core/stats.hpp"

namespace {

using namespace reins;  // NOLINT

double now_us() { return static_cast<double>(monotonic_ns()) * 1e-3; }

void print(const char* what, const std::vector<double>& us) {
  std::printf("  %-58s p50 %8.2f us   p99 %8.2f us   (%zu)\n", what, quantile_of(us, 0.5), quantile_of(us, 0.99),
              us.size());
}

/// Until the kernel says that the cluster runs at `khz`; false where it does not within 0.1 s.
bool await_current(const KernelFile& current, std::int64_t khz) {
  const double until_us = now_us() + 1e5;
  do {
    const auto now = current.read_integer();
    if (now && *now == khz) return true;
  } while (now_us() < until_us);
  return false;
}

void measure(const boards::Board& board, const std::filesystem::path& root, const std::filesystem::path& state,
             int rounds, bool real) {
  actuators::ActuatorSet set = actuators::ActuatorSet::make(board, {root, state});
  for (const auto& missing : set.missing()) std::printf("  not there: %s\n", missing.error.line().c_str());
  for (std::size_t c = 0; c < board.clusters.size(); ++c) {
    actuators::FrequencyActuator* const actuator = set.frequency(ClusterId(c));
    const auto& opps = board.clusters[c].opps;
    if (actuator == nullptr || opps.size() < 2) continue;
    KernelFile current;
    if (real) {
      if (auto file = KernelFile::open(std::filesystem::path(actuator->source()) / "scaling_cur_freq")) {
        current = std::move(*file);
      }
    }
    std::vector<double> in_force, shown, decision;
    for (int round = 0; round < rounds; ++round) {
      // A point a decision, from all of the range.
      const std::size_t opp = static_cast<std::size_t>(round * 7) % opps.size();
      const double began = now_us();
      const auto made = bench::must(set.apply({ClusterId(c), actuators::FreqKhz{opps[opp].freq_khz}}));
      in_force.push_back(now_us() - began);
      const auto* freq = std::get_if<actuators::FreqKhz>(&made);
      if (current.is_open() && freq != nullptr && await_current(current, freq->khz)) shown.push_back(now_us() - began);
      // What a server does at a decision: this cluster, and all others to their lowest point.
      const double all = now_us();
      for (std::size_t o = 0; o < board.clusters.size(); ++o) {
        if (set.frequency(ClusterId(o)) == nullptr) continue;
        const auto& points = board.clusters[o].opps;
        const std::size_t wanted = o == c ? (opp + 1) % points.size() : 0;
        bench::must(set.apply({ClusterId(o), actuators::FreqKhz{points[wanted].freq_khz}}));
      }
      decision.push_back(now_us() - all);
    }
    std::printf(" %s, %zu points, %s:\n", board.clusters[c].name.c_str(), opps.size(),
                actuator->pins() ? "pinned by min = max" : "set by userspace");
    print("one cluster set and read back", in_force);
    if (!shown.empty()) print("until scaling_cur_freq shows it", shown);
    print("a decision: every cluster of the board set and read back", decision);
  }
  bench::must(set.restore());
}

int run(int rounds) {
  std::printf("# bench_decision_to_effect --rounds %d: %s\n", rounds, bench::machine_line().c_str());
  const boards::Board host = bench::must(boards::discover_host("/", true));
  testing::SysTree tree;
  bool real = false;
  for (const boards::Cluster& cluster : host.clusters)
    real = real || (!cluster.control.empty() && cluster.opps.size() > 1);
  if (real) {
    std::printf("this machine's cpufreq:\n");
    measure(host, "/", tree.path("run/state.toml"), rounds, true);
  } else {
    std::printf("this machine has no cpufreq that this user may set: what follows is the software's own share alone\n");
  }
  const boards::Board nano = bench::must(boards::find_board("jetson-nano", REINS_SOURCE_DIR "/boards"));
  for (const bool pinned : {false, true}) {
    testing::SysTree laid;
    bench::lay_jetson_nano(laid, nano);
    std::printf("a Jetson Nano's controls as plain files (no kernel behind them), %s the governor userspace:\n",
                pinned ? "without" : "with");
    if (pinned) {
      laid.put("sys/devices/system/cpu/cpufreq/policy0/scaling_available_governors", "performance schedutil");
      laid.put("sys/devices/57000000.gpu/devfreq/57000000.gpu/available_governors", "performance simple_ondemand");
    }
    measure(nano, laid.root(), laid.path("run/state.toml"), rounds, false);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("time from a decision to the new frequency in force", "bench_decision_to_effect");
  int rounds = 2000;
  app.add_option("--rounds", rounds, "changes behind each figure")
      ->check(CLI::Range(10, 1000000))
      ->capture_default_str();
  return reins::bench::run_program(app, argc, argv, [&] { return run(rounds); });
}
