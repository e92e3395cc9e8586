// env/live_run.hpp: a TraceRun on this machine: the real engine at every step, in real time.
#pragma once

#include "control/plant.hpp"
#include "data/image_set.hpp"
#include "env/episode.hpp"

namespace reins::env {

/// What loads and targets of live training refer to at the least (EnvConfig::least_latency_s): a network that is faster
/// waits longer for threads that share the cores to be woken than it runs, so that targets of its own time would all be
/// missed, whatever is decided. scripts/quickstart.sh serves with the same.
inline constexpr double kLeastLive_s = 0.004;

/// Plays a trace against a plant; requests that fall due while an inference runs join behind it. The clock is the
/// plant's; waiting sleeps until the plant's bell. The trace ends when nothing runs any more.
class LiveRun final : public TraceRun {
 public:
  /// Keeps references. `images`: what requests carry; not empty.
  LiveRun(const World& world, const control::RuntimeConfig& config, control::Plant& plant,
          const data::ImageSet& images);

  void reset(const data::Trace& trace, const BoardConditions& conditions, std::uint64_t image_seed) override;
  void set_goals(const policies::Goals& goals) noexcept override { runtime_->set_goals(goals); }
  Result<bool> next_decision() override;
  Status decide(const policies::Action& action, std::int64_t decision_ns) override;
  const std::vector<control::Outcome>& outcomes() const noexcept override { return outcomes_; }
  void clear_outcomes() noexcept override { outcomes_.clear(); }
  const control::Runtime& runtime() const noexcept override { return *runtime_; }
  double now_s() const noexcept override { return last_now_s_; }

 private:
  Status carry_out(control::Effects& effects);
  double now();

  World world_;
  control::RuntimeConfig config_;
  control::Plant& plant_;
  const data::ImageSet& images_;
  std::optional<control::Runtime> runtime_;
  const data::Trace* trace_ = nullptr;
  std::size_t next_row_ = 0;
  double offset_s_ = 0;  // plant time of the trace's zero
  double last_now_s_ = 0;
  Rng rng_{1};
  std::vector<control::Outcome> outcomes_;
};

}  // namespace reins::env
