// control/telemetry.hpp: what reaches the Runtime from outside, and what it answers with.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "core/ids.hpp"
#include "policies/action.hpp"
#include "policies/goals.hpp"

namespace reins::control {

/// A request in the queue. Times in seconds of the driver's clock.
struct Request {
  std::uint64_t id = 0;
  AppId app{0};
  double arrival_s = 0;
  std::optional<double> deadline_s;  ///< absolute; absent: no latency target was in force
  std::uint32_t image = 0;           ///< which recorded image (emulated) or input slot (live)
};

/// What the sensors said at `at_s`. Absent where a board lacks the sensor.
struct Telemetry {
  double at_s = 0;
  std::optional<double> temperature_c;
  /// Mean power of the accounting rails over the `window_s` seconds that ended at `at_s`; only when the sensor has
  /// updated.
  std::optional<double> power_w;
  double window_s = 0;
  bool power_lost = false;  ///< the power sensor does not measure now: what it said last stands for nothing
  std::array<std::optional<double>, policies::kMaxClusters> others_util{};
  std::array<std::optional<std::int32_t>, policies::kMaxClusters> present_opp{};  ///< index of the frequency in force
  std::array<std::optional<std::int32_t>, policies::kMaxClusters> cap{};          ///< highest index that caps allow
  /// A bit per cluster whose operating point is another program's now, and stays at `cap`.
  std::uint32_t held = 0;
  /// A bit per cluster that nothing can be put on now, such as one whose processors are offline.
  std::uint32_t lost = 0;
};

enum class EnergySource : std::uint8_t { kNone, kModelled, kAttributed, kMeasured };
std::string_view name_of(EnergySource source) noexcept;

/// How a request ended.
struct Outcome {
  Request request;
  policies::Action applied;
  LevelId level;          ///< where the inference ended
  LevelId started_level;  ///< where it started; below `level` where it has grown
  double start_s = 0, finish_s = 0;
  double latency_s = 0;  ///< arrival to reply
  double queue_s = 0;
  bool rejected = false;
  bool missed = false;                ///< late, or rejected
  std::optional<double> energy_j;     ///< from its start to its end, attributed
  std::optional<double> energy_ci_j;  ///< half-width of its interval, about 95 %; absent before it can be known
  EnergySource energy_source = EnergySource::kNone;
  std::int64_t decision_ns = 0;
};

enum class EffectKind : std::uint8_t {
  kDecide,  ///< ask the policy (Runtime::observation()), then call Runtime::decide
  kApply,   ///< put `action` in force (operating point or governor, mapping)
  kStart,   ///< start `outcome.request` at `action.level`
  kGrow,    ///< the inference of `outcome.request`, which has just ended, goes on to `action.level`, the next one
  kPark,    ///< put the cluster of `action.mapping` at `action.park`, all unused clusters at their lowest point
  kReply,   ///< `outcome` is final
};

struct Effect {
  EffectKind kind = EffectKind::kDecide;
  policies::Action action;
  Outcome outcome;
};

/// The effects of one call, in the order in which they are to be carried out. Fixed capacity: no call has more.
class Effects {
 public:
  void clear() noexcept { size_ = 0; }
  Effect& add(EffectKind kind) noexcept {
    Effect& effect = items_[size_ < items_.size() ? size_++ : items_.size() - 1];
    effect = Effect{};
    effect.kind = kind;
    return effect;
  }
  const Effect* begin() const noexcept { return items_.data(); }
  const Effect* end() const noexcept { return items_.data() + size_; }
  std::size_t size() const noexcept { return size_; }

 private:
  std::array<Effect, 4> items_{};
  std::size_t size_ = 0;
};

}  // namespace reins::control
