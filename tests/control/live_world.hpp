// tests/control/live_world.hpp: the made-up board on a tree laid out like /sys, with a fake engine: a live plant whose
// machine a test can look at and change.
#pragma once

#include <chrono>
#include <memory>
#include <thread>

#include "control/live_plant.hpp"
#include "tests/control/made_up.hpp"
#include "tests/support/fake_engine.hpp"
#include "tests/support/sys_tree.hpp"

namespace reins::testing {

struct LiveWorld {
  static constexpr const char* kGovernors = "ondemand userspace performance schedutil";
  static constexpr const char* kPinning = "performance schedutil";

  explicit LiveWorld(const char* governors = kGovernors) {
    made.board.clusters[0].control = tree.cpufreq(0, {200000, 600000, 1000000}, "schedutil", governors);
    made.board.clusters[1].control =
        tree.cpufreq(2, {400000, 800000, 1200000, 1600000, 2000000}, "schedutil", governors);
    made.board.thermal.zone.clear();
  }

  /// Opens what `made.board` names now.
  std::unique_ptr<control::LivePlant> plant(double sample_s = 0.005) { return plant_of(engine, sample_s); }
  std::unique_ptr<control::LivePlant> plant_of(inference::Engine& runs, double sample_s = 0.005) {
    auto actuators = actuators::ActuatorSet::make(made.board, {tree.root(), tree.path("run/state.toml")});
    auto sensors = sensors::make_sensors(made.board, {tree.root(), &clock, 0});
    return std::make_unique<control::LivePlant>(made.board, runs, std::move(actuators), std::move(sensors), clock,
                                                control::LivePlant::Options{.sample_s = sample_s, .look_s = 0.01});
  }

  std::string at(int cluster, const std::string& file) const {
    return tree.read(made.board.clusters[static_cast<std::size_t>(cluster)].control + "/" + file);
  }
  void put(int cluster, const std::string& file, const std::string& text) {
    tree.put(made.board.clusters[static_cast<std::size_t>(cluster)].control + "/" + file, text);
  }

  /// Newest telemetry that `wanted` takes, within a patient deadline; none after it.
  template <typename Wanted>
  static std::optional<control::Telemetry> telemetry(control::Plant& plant, Wanted wanted) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (std::chrono::steady_clock::now() < until) {
      control::Telemetry seen;
      if (plant.poll_telemetry(plant.now_s(), seen) && wanted(seen)) return seen;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return std::nullopt;
  }

  /// The end of the inference under way, within a patient deadline; none after it.
  static Result<std::optional<control::PlantCompletion>> end(control::Plant& plant) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    for (;;) {
      auto ended = plant.poll_completion(plant.now_s());
      if (!ended.has_value() || ended->has_value() || std::chrono::steady_clock::now() > until) return ended;
      plant.bell().wait(1);
    }
  }
  /// Until cluster `cluster` runs at another frequency than `freq_khz`, or a patient deadline.
  void await_other_than(int cluster, const std::string& freq_khz) const {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (at(cluster, "scaling_setspeed") == freq_khz && std::chrono::steady_clock::now() < until)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  SysTree tree;
  MonotonicClock clock;
  MadeUp made;
  FakeEngine engine;
};

}  // namespace reins::testing
