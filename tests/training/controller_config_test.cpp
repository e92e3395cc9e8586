// What a controller's configuration means where its tables speak of one another.
#include "tests/support/matchers.hpp"
#include "training/controller_trainer.hpp"

namespace reins::training {
namespace {

double worth(const char* toml) {
  const auto config = ControllerConfig::parse(toml, "c.toml");
  EXPECT_OK(config);
  return config.has_value() ? config->env.runtime.shield.accuracy_worth : -1;
}

TEST(ControllerConfig, WhatTheShieldTakesForCheapestIsWhatTheRewardDoes) {
  EXPECT_DOUBLE_EQ(worth(""), 0.05);
  EXPECT_DOUBLE_EQ(worth("[reward]\nw_acc = 2\nw_energy = 4\n"), 0.5);
  EXPECT_DOUBLE_EQ(worth("[reward]\nw_acc = 2\nw_energy = 4\n[runtime]\ngrow = 1\n"), 0.5);
  EXPECT_DOUBLE_EQ(worth("[reward]\nw_acc = 2\n[runtime]\nshield_accuracy_worth = 0.3\n"), 0.3);
  EXPECT_DOUBLE_EQ(worth("[reward]\nw_energy = 0\n"), 0.05) << "nothing to weigh it against";
}

}  // namespace
}  // namespace reins::training
