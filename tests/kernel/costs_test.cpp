// What a change of frequency and a reading of the sensors take where a kernel is behind the files. Printed, lines with
// "cost:" in front, and never held against a time: the guest is an emulated machine.
#include <time.h>

#include <thread>

#include "actuators/actuator_set.hpp"
#include "core/clock.hpp"
#include "core/stats.hpp"
#include "sensors/catalogue.hpp"
#include "tests/kernel/fixture.hpp"

namespace reins::kernel_tests {
namespace {

using actuators::ActuatorSet;
using actuators::FreqKhz;

const ClusterId kBig(0);
constexpr int kChanges = 500, kReadings = 60;

double wall_us() { return static_cast<double>(monotonic_ns()) * 1e-3; }
double cpu_us() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) * 1e-3;
}

void print(const char* what, const std::vector<double>& us) {
  std::printf("cost: %-52s p50 %9.1f us   p99 %9.1f us   (%zu)\n", what, quantile_of(us, 0.5), quantile_of(us, 0.99),
              us.size());
}

class Costs : public OnTheKernel {
 protected:
  /// Changes of the big policy's frequency, by a thread that works on its processor, as an inference does: a governor
  /// that applies a pinned range when it next looks would not look at one that rests.
  void change(bool pins) {
    ActuatorSet set = ActuatorSet::make(board_, {"/", state_file()});
    ASSERT_NE(set.frequency(kBig), nullptr);
    ASSERT_EQ(set.frequency(kBig)->pins(), pins);
    std::vector<double> returned, in_force;
    std::thread worker([&] {
      stay_on(0);
      const auto current = KernelFile::open(kBigPolicy + "/scaling_cur_freq");
      ASSERT_OK(current);
      for (int i = 0; i < kChanges; ++i) {
        const FreqKhz wanted{kBigKhz[static_cast<std::size_t>(2 * i + 1) % kBigKhz.size()]};
        const double began = wall_us();
        ASSERT_OK(set.apply({kBig, wanted}));
        returned.push_back(wall_us() - began);
        bool shown = false;
        while (!shown && wall_us() - began < 30e6) {
          const auto now = current->read_integer();
          shown = now.has_value() && *now == wanted.khz;
        }
        in_force.push_back(wall_us() - began);
        ASSERT_TRUE(shown) << wanted.khz << " kHz is not in force after half a minute";
      }
    });
    worker.join();
    print(pins ? "apply by min = max under schedutil, until it returns" : "apply by userspace, until it returns",
          returned);
    print("... until scaling_cur_freq shows it", in_force);
    EXPECT_OK(set.restore());
  }
};

TEST_F(Costs, FromADecisionToTheFrequencyInForce) {
  change(false);
  ASSERT_TRUE(unload_module("cpufreq_userspace"));
  change(true);
  EXPECT_TRUE(load_module("cpufreq_userspace"));
  EXPECT_EQ(frequency_settings(), found_);
}

// At a server's pace, each after a sleep. Utilisation by all is for `reins board` alone.
TEST_F(Costs, OneFullReadingOfTheSensors) {
  const MonotonicClock clock;
  const sensors::Found found = sensors::make_sensors(board_, {"/", &clock, 0});
  EXPECT_TRUE(found.missing.empty());
  std::vector<double> cpu, wall;
  std::size_t read = 0;
  for (int i = 0; i < kReadings; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(105));
    const double cpu_began = cpu_us(), wall_began = wall_us();
    read = 0;
    for (const auto& sensor : found.sensors) {
      if (sensor->signal().quantity == sensors::Quantity::kUtilisation) continue;
      const auto reading = sensor->read();
      read += reading.has_value() ? 1 : 0;
    }
    cpu.push_back(cpu_us() - cpu_began);
    wall.push_back(wall_us() - wall_began);
  }
  EXPECT_GE(read, 6U) << "power, temperature, two frequencies, how busy others keep two clusters";
  std::printf("cost: one full reading is of %zu sensors\n", read);
  print("one full reading after a sleep, CPU time", cpu);
  print("one full reading after a sleep, wall time", wall);
}

}  // namespace
}  // namespace reins::kernel_tests
