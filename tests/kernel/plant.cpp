// reins-kernel-plant FILE: the board around the guest. Reads the frequency that cpufreq has in force and how busy each
// processor was, works out power and temperature, and sets them in the INA226 and the LM75, as a board would. Keeps its
// own integral of the power, a line per update of the INA226:
//   time_s,energy_j,power_w,temperature_c,big_khz,little_khz,big_busy,little_busy
// Until SIGTERM.
#include <array>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <string>
#include <thread>

#include "boards/board.hpp"
#include "core/clock.hpp"
#include "core/kernel_file.hpp"
#include "tests/kernel/guest.hpp"

namespace {

using namespace reins;

// The INA226 averages over its conversions: 128 of current and voltage, 1.1 ms each, are one update of its registers.
// The frequency is looked at within it.
constexpr double kWindow_s = 0.2816;
constexpr int kLooks = 28;
constexpr double kHertz = 100;  // of /proc/stat

volatile std::sig_atomic_t stopping = 0;

/// Seconds that cpu `cpu` was not idle since boot, and all that passed, in /proc/stat's ticks of 10 ms.
struct Ticks {
  double busy_s = 0, all_s = 0;
};

Ticks ticks_of(int cpu) {
  std::ifstream stat("/proc/stat");
  const std::string wanted = "cpu" + std::to_string(cpu);
  for (std::string line; std::getline(stat, line);) {
    std::array<double, 8> t{};  // user nice system idle iowait irq softirq steal
    if (!line.starts_with(wanted + " ")) continue;
    std::sscanf(line.c_str() + wanted.size(), "%lf %lf %lf %lf %lf %lf %lf %lf", &t[0], &t[1], &t[2], &t[3], &t[4],
                &t[5], &t[6], &t[7]);
    Ticks ticks;
    for (std::size_t i = 0; i < t.size(); ++i) {
      ticks.all_s += t[i] / kHertz;
      if (i != 3 && i != 4) ticks.busy_s += t[i] / kHertz;
    }
    return ticks;
  }
  return {};
}

double volt(const boards::Cluster& cluster, double khz) {
  const auto& opps = cluster.opps;
  for (std::size_t i = 1; i < opps.size(); ++i) {
    const auto low = static_cast<double>(opps[i - 1].freq_khz), high = static_cast<double>(opps[i].freq_khz);
    if (khz <= high) {
      return opps[i - 1].voltage_v +
             (opps[i].voltage_v - opps[i - 1].voltage_v) * std::max(0.0, khz - low) / (high - low);
    }
  }
  return opps.back().voltage_v;
}

/// C V^2 f while busy, the clock tree always, leakage by voltage.
double power_w(const boards::Cluster& cluster, double khz, double busy) {
  const double v = volt(cluster, khz);
  const boards::PowerModel& p = cluster.power;
  return p.leak_w * v / p.leak_ref_v + (p.idle_clock_w_per_mhz_v2 + busy * p.core_w_per_mhz_v2) * khz / 1e3 * v * v;
}

int run(const char* out) {
  const auto board = boards::load_board(kernel_tests::kBoardFile);
  if (!board) {
    std::fprintf(stderr, "plant: %s\n", board.error().line().c_str());
    return 1;
  }
  std::ofstream log(out);
  kernel_tests::Chips chips;
  const MonotonicClock clock;
  const boards::Thermal& heat = board->thermal;
  double temperature_c = heat.ambient_c, energy_j = 0, power = 0;
  std::array<Ticks, 2> before{ticks_of(0), ticks_of(1)};
  std::array<double, 2> busy{};
  double window_begin_s = clock.now_s();
  double last_s = window_begin_s;
  std::array<double, 2> khz_s{}, khz{};
  while (stopping == 0) {
    std::this_thread::sleep_for(std::chrono::duration<double>(kWindow_s / kLooks));
    const double now_s = clock.now_s();
    for (std::size_t c = 0; c < 2; ++c) {
      const std::string& policy = c == 0 ? kernel_tests::kBigPolicy : kernel_tests::kLittlePolicy;
      // An offline processor has no frequency, and draws nothing.
      const std::string text = first_line(policy + "/scaling_cur_freq");
      khz[c] = text.empty() || text[0] < '0' || text[0] > '9' ? 0 : std::stod(text);
      khz_s[c] += khz[c] * (now_s - last_s);
    }
    last_s = now_s;
    const double window_s = now_s - window_begin_s;
    if (window_s < kWindow_s) continue;
    power = 0;
    for (std::size_t c = 0; c < 2; ++c) {
      const Ticks ticks = ticks_of(static_cast<int>(c));
      const double all_s = ticks.all_s - before[c].all_s;
      busy[c] = all_s > 0 ? std::clamp((ticks.busy_s - before[c].busy_s) / all_s, 0.0, 1.0) : 0;
      before[c] = ticks;
      if (khz_s[c] > 0) power += power_w(board->clusters[c], khz_s[c] / window_s, busy[c]);
      khz_s[c] = 0;
    }
    energy_j += power * window_s;
    temperature_c += (power - (temperature_c - heat.ambient_c) / heat.r_c_per_w) / heat.c_j_per_c * window_s;
    // Chips that are unplugged answer nobody; the board goes on.
    static_cast<void>(chips.set_power_w(power));
    static_cast<void>(chips.set_temperature_c(temperature_c));
    char line[160];
    std::snprintf(line, sizeof line, "%.6f,%.6f,%.4f,%.2f,%.0f,%.0f,%.3f,%.3f\n", now_s, energy_j, power, temperature_c,
                  khz[0], khz[1], busy[0], busy[1]);
    log << line << std::flush;
    window_begin_s = now_s;
  }
  return log.good() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: reins-kernel-plant FILE\n");
    return 2;
  }
  for (const int number : {SIGTERM, SIGINT}) std::signal(number, [](int) { stopping = 1; });
  return run(argv[1]);
}
