// policies/observation.hpp: what a policy sees at a decision: the facts in SI units, and the same as normalised
// features.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "policies/action.hpp"
#include "policies/goals.hpp"

namespace reins::policies {

/// The situation at a decision, in SI units. Absent sensors are absent, never zero.
struct Situation {
  double now_s = 0;
  Goals goals;
  std::optional<double> slack_s;       ///< time left to the deadline of the request at hand; negative when late
  double waited_s = 0;                 ///< time the request at hand has spent in the queue
  std::size_t queue_depth = 0;         ///< requests waiting behind the one at hand
  std::optional<double> next_slack_s;  ///< time left to the tightest deadline that can be kept among those waiting
  std::optional<double> pace_s;      ///< longest mean service time with which those of these deadlines that can be kept
                                     ///< are: least slack of the i-th / i. Where nothing has a deadline and a
                                     ///< queue waits: what keeps it within its places
  std::optional<double> rate_hz;     ///< request rate, exponentially averaged
  std::optional<double> mean_gap_s;  ///< between arrivals, over some fifty of them: the demand in the long run
  std::optional<double>
      gap_variation;  ///< coefficient of variation of the gaps between requests, exponentially averaged; 0: periodic
  double since_arrival_s = 0;  ///< time since the newest request came in
  std::optional<double> last_latency_s;
  std::optional<double> last_energy_j;
  double last_age_s = 0;  ///< age of the two above
  std::optional<double> temperature_c;
  std::optional<double> throttle_distance_c;                      ///< throttle point - temperature
  std::array<std::optional<double>, kMaxClusters> others_util{};  ///< utilisation by others, 0..1
  double slow_down = 1;           ///< measured / profiled latency, exponentially averaged
  std::optional<double> power_w;  ///< accounting rails over the last window
  Action present;                 ///< what is in force
  std::array<std::int32_t, kMaxClusters>
      cap{};               ///< highest operating point allowed now per cluster (thermal cap, nvpmodel)
  std::uint32_t held = 0;  ///< a bit per cluster that stays at its cap: another program sets it now
  std::uint32_t lost = 0;  ///< a bit per cluster that nothing can be put on now
  LevelId floor_level;     ///< the lowest level that meets the accuracy floor (the full one where none does)
};

inline constexpr std::size_t kMaxFeatures = 192;

/// One line of the observation table.
struct FeatureSpec {
  std::string name;        ///< "slack", "reach.a15x4"
  std::string unit;        ///< "s", "1", ...
  std::string normaliser;  ///< how it is scaled, in words: "log2(x / full_latency_s) / 4, clamped to +-2"
  bool presence = false;   ///< this entry is the presence flag of the one before it
  friend bool operator==(const FeatureSpec&, const FeatureSpec&) = default;
};

/// The table of one board and network: fixed length, fixed order. Stored in the policy file and compared at load.
struct ObservationSpec {
  int version = 1;
  std::vector<FeatureSpec> features;
  std::size_t size() const noexcept { return features.size(); }
  friend bool operator==(const ObservationSpec&, const ObservationSpec&) = default;
};

struct Observation {
  Situation facts;
  ActionMask mask;
  std::array<float, kMaxFeatures> features{};
  std::size_t size = 0;
  std::span<const float> vector() const noexcept { return {features.data(), size}; }
};

}  // namespace reins::policies
