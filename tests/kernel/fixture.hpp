// tests/kernel/fixture.hpp: each check begins and ends with the machine as the kernel booted it.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "boards/board.hpp"
#include "core/kernel_file.hpp"
#include "tests/kernel/guest.hpp"
#include "tests/support/matchers.hpp"

namespace reins::kernel_tests {

using ::testing::HasSubstr;

/// Governors, limits and set points of both policies, a line each.
inline std::string frequency_settings() {
  std::string all;
  for (const std::string& policy : {kBigPolicy, kLittlePolicy}) {
    for (const char* file : {"scaling_governor", "scaling_min_freq", "scaling_max_freq"}) {
      all += policy + "/" + file + " = " + first_line(policy + "/" + file) + "\n";
    }
  }
  return all;
}

class OnTheKernel : public ::testing::Test {
 protected:
  void SetUp() override {
    // schedutil is what this kernel boots with; ranges as wide as the P-states.
    put("/sys/devices/system/cpu/cpu1/online", "1");
    for (const std::string& policy : {kBigPolicy, kLittlePolicy}) {
      ASSERT_EQ(put(policy + "/scaling_governor", "schedutil"), 0);
      ASSERT_EQ(put(policy + "/scaling_max_freq", first_line(policy + "/cpuinfo_max_freq")), 0);
      ASSERT_EQ(put(policy + "/scaling_min_freq", first_line(policy + "/cpuinfo_min_freq")), 0);
    }
    for (const char* module : {"cpufreq_userspace", "lm75"}) load_module(module);  // refused where it is there already
    for (const char* chip : {"ina226", "lm75"}) plug(chip);                        // the same
    found_ = frequency_settings();
    auto board = boards::load_board(kBoardFile);
    ASSERT_OK(board);
    board_ = std::move(*board);
  }
  void TearDown() override { SetUp(); }

  static std::string state_file() { return "/run/reins/state.toml"; }
  boards::Board board_;
  std::string found_;  ///< frequency_settings() at the start
};

}  // namespace reins::kernel_tests
