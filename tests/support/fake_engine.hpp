// tests/support/fake_engine.hpp: an engine that runs on CPUs alone and remembers what it was asked.
#pragma once

#include <array>
#include <functional>
#include <mutex>
#include <vector>

#include "inference/api/engine.hpp"

namespace reins::testing {

/// Three levels; the class is the first byte of the input modulo ten, and one more for each growth.
class FakeEngine final : public inference::Engine {
 public:
  FakeEngine() {
    facts_.name = "fake";
    facts_.fingerprint = "fa6ee06100000000";
    facts_.input_shape = {1, 1, 2, 2};
    for (int level = 0; level < 3; ++level) {
      inference::LevelFacts facts;
      facts.accuracy = 0.5 + 0.1 * level;
      facts_.levels.push_back(facts);
    }
  }
  const inference::NetworkFacts& facts() const noexcept override { return facts_; }
  Status place(const inference::Placement& placement) override {
    if (placement.unit != inference::Unit::kCpu) return fail(ErrorKind::kUnsupported, "runs on CPUs alone", "fake");
    for (const int cpu : placement.cpus) {
      if (cpu >= cpus_) return fail(ErrorKind::kUnsupported, "has no such cpu", "fake");
    }
    placements.push_back(placement);
    return {};
  }
  bool moves() const noexcept override { return can_move; }
  Status move(const inference::Placement& placement) override {
    const std::lock_guard<std::mutex> lock(moving);
    moved.push_back(placement);
    return {};
  }
  Status begin(const inference::TensorView& input, LevelId level) override {
    if (input.shape != facts_.input_shape) return fail(ErrorKind::kUsage, "another shape", "fake");
    predicted_ = *static_cast<const unsigned char*>(input.data) % 10;
    levels.push_back(level_ = level);
    if (while_running) while_running();
    return {};
  }
  Status grow() override {
    if (!grows) return fail(ErrorKind::kInternal, "does not grow", "fake");
    if (level_.index() + 1 >= facts_.levels.size()) {
      return fail(ErrorKind::kUsage, "the full network has run already", "fake");
    }
    level_ = LevelId(level_.value + 1);
    predicted_ = (predicted_ + 1) % 10;
    if (while_growing) while_growing();
    return {};
  }
  Result<inference::Answer> finish() override { return inference::Answer{predicted_, level_, probabilities_}; }

  /// The machine has cpus 0 to `count` - 1.
  void set_cpus(int count) noexcept { cpus_ = count; }

  std::vector<inference::Placement> placements;
  std::vector<LevelId> levels;  ///< of each begin
  bool grows = true;
  bool can_move = true;
  std::mutex moving;
  std::vector<inference::Placement> moved;  ///< under `moving`
  /// Called on the engine's thread: an inference, or a growth, lasts as long as this does.
  std::function<void()> while_running, while_growing;

 private:
  inference::NetworkFacts facts_;
  int cpus_ = 64;
  int predicted_ = -1;
  LevelId level_;
  std::array<float, 10> probabilities_{};
};

}  // namespace reins::testing
