// bench/sensors.cpp: what one full reading of a board's sensors costs, CPU time and wall time, sensor by sensor and
// together, at the pace at which a server reads them.
#include <time.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "bench/jetson_tree.hpp"
#include "bench/machine.hpp"
#include "bench/support.hpp"
#include "boards/board.hpp"
#include "core/clock.hpp"
#include "core/stats.hpp"
#include "sensors/catalogue.hpp"
#include "sensors/host.hpp"

namespace {

using namespace reins;  // NOLINT

constexpr double kBarUs = 50;

double cpu_us() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) * 1e-3;
}
double wall_us() { return static_cast<double>(monotonic_ns()) * 1e-3; }

struct Costs {
  std::vector<double> cpu, wall;
  void add(double cpu_from, double wall_from) {
    cpu.push_back(cpu_us() - cpu_from);
    wall.push_back(wall_us() - wall_from);
  }
};

void print(const std::string& name, const Costs& costs) {
  std::printf("  %-42s CPU p50 %7.2f p99 %7.2f us   wall p50 %7.2f p99 %7.2f us\n", name.c_str(),
              quantile_of(costs.cpu, 0.5), quantile_of(costs.cpu, 0.99), quantile_of(costs.wall, 0.5),
              quantile_of(costs.wall, 0.99));
}

/// Goes on when it is told to: utilisation, which looks anew after 0.1 s, does so at every reading.
class ToldClock final : public Clock {
 public:
  double now_s() const noexcept override { return now_s_; }
  void advance(double dt_s) noexcept { now_s_ += dt_s; }

 private:
  double now_s_ = 1;
};

/// As many threads as a server has beside its sampling thread, asleep as most of those are.
class IdleThreads {
 public:
  IdleThreads() {
    for (int i = 0; i < 9; ++i) {
      threads_.emplace_back([this] {
        std::unique_lock<std::mutex> lock(mutex_);
        end_.wait(lock, [this] { return ended_; });
      });
    }
  }
  ~IdleThreads() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      ended_ = true;
    }
    end_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }
  IdleThreads(const IdleThreads&) = delete;
  IdleThreads& operator=(const IdleThreads&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable end_;
  bool ended_ = false;
  std::vector<std::thread> threads_;
};

/// What a server's sampling thread reads in a round. Utilisation by all is for `reins board` alone.
bool in_a_round(const sensors::Sensor& sensor) { return sensor.signal().quantity != sensors::Quantity::kUtilisation; }

void read_all(const sensors::Found& found) {
  for (const auto& sensor : found.sensors) {
    if (in_a_round(*sensor)) static_cast<void>(sensor->read());
  }
}

/// By a thread that has just done others: with sysfs and caches warm.
Costs warm(const sensors::Found& found, ToldClock& clock, int rounds, const std::function<void(int)>& next) {
  Costs all;
  for (int round = 0; round < rounds; ++round) {
    next(round);
    for (int before = 0; before < 20; ++before) {
      clock.advance(0.11);
      read_all(found);
    }
    clock.advance(0.11);
    const double cpu = cpu_us();
    const double wall = wall_us();
    read_all(found);
    all.add(cpu, wall);
  }
  return all;
}

double measure(const char* title, const boards::Board& board, const std::filesystem::path& root, int rounds,
               double pace_s, const std::function<void(int)>& next) {
  const MonotonicClock clock;
  ToldClock told;
  const sensors::Found found = sensors::make_sensors(board, {root, &clock, 0});
  std::printf("%s\n", title);
  for (const auto& missing : found.missing) std::printf("  not there: %s\n", missing.error.line().c_str());
  const Costs hot = warm(sensors::make_sensors(board, {root, &told, 0}), told, 10 * rounds, next);
  Costs all;
  for (int round = 0; round < rounds; ++round) {
    next(round);
    std::this_thread::sleep_for(std::chrono::duration<double>(pace_s));
    const double cpu = cpu_us();
    const double wall = wall_us();
    read_all(found);
    all.add(cpu, wall);
  }
  std::map<std::string, Costs> each;
  for (int round = 0; round < rounds; ++round) {
    next(rounds + round);
    std::this_thread::sleep_for(std::chrono::duration<double>(pace_s));
    for (const auto& sensor : found.sensors) {
      if (!in_a_round(*sensor)) continue;
      const double cpu = cpu_us();
      const double wall = wall_us();
      static_cast<void>(sensor->read());
      each[sensor->signal().name + " " + std::string(name_of(sensor->signal().quantity))].add(cpu, wall);
    }
  }
  for (const auto& [name, costs] : each) print(name + ", after a sleep", costs);
  print("one full reading, after a sleep", all);
  print("one full reading, warm", hot);
  const double median_us = quantile_of(hot.cpu, 0.5);
  std::printf("  bar: under %.0f us of CPU: %s\n", kBarUs, median_us < kBarUs ? "kept" : "MISSED");
  return median_us;
}

int run(int rounds, double pace_s) {
  std::printf("# bench_sensors --rounds %d --pace %g: %s\n", rounds, pace_s, bench::machine_line().c_str());
  const IdleThreads others;
  const boards::Board host = bench::must(sensors::discover_board("/", true));
  const double here_us = measure("this machine's /sys and /proc:", host, "/", rounds, pace_s, [](int) {});
  testing::SysTree tree;
  const boards::Board nano = bench::must(boards::find_board("jetson-nano", REINS_SOURCE_DIR "/boards"));
  bench::lay_jetson_nano(tree, nano);
  bench::lay_proc(tree, 0);
  const double tree_us = measure("a Jetson Nano's /sys and /proc as plain files (no I2C, no kernel behind them):", nano,
                                 tree.root(), rounds, pace_s, [&tree](int round) { bench::lay_proc(tree, round + 1); });
  return here_us < kBarUs && tree_us < kBarUs ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("cost of one full reading of a board's sensors; ends with 1 where it is above its bar", "bench_sensors");
  int rounds = 100;
  double pace_s = 0.105;
  app.add_option("--rounds", rounds, "readings behind each figure")
      ->check(CLI::Range(10, 100000))
      ->capture_default_str();
  app.add_option("--pace", pace_s, "seconds between two; utilisation is looked at anew after 0.1 s")
      ->check(CLI::Range(0.0, 10.0))
      ->capture_default_str();
  return reins::bench::run_program(app, argc, argv, [&] { return run(rounds, pace_s); });
}
