// boards/gpu_governors.hpp: the governors of GPUs whose code is public, as step functions: devfreq's simple_ondemand
// and the nvhost_podgov of NVIDIA's kernels for Jetson boards.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "boards/board.hpp"

namespace reins::boards {

enum class GpuGovernor : std::uint8_t { kSimpleOndemand, kNvhostPodgov };
std::string_view name_of(GpuGovernor governor) noexcept;
std::optional<GpuGovernor> gpu_governor_named(std::string_view name) noexcept;

/// Their tunables, with the values they start with. `poll_s` is the device driver's, not the governor's.
struct GpuGovernorConfig {
  double poll_s = 0.05;  ///< 0.05 in most drivers (panfrost, msm); nvgpu asks for 0.025
  int up_percent = 90;   ///< simple_ondemand: the top above this load. panfrost: 45
  int down_percent = 5;  ///< simple_ondemand: within this of `up_percent` nothing changes
  // nvhost_podgov, as it starts on T210 (Jetson Nano) and T186.
  int load_max = 900;            ///< permille in one poll: above it a third of the top frequency more, undamped
  int load_target = 700;         ///< permille that the average load is steered to
  int bias = 80;                 ///< percent of the way there in one step
  int smooth = 10;               ///< weight of the past in the averages of load and request
  int damp = 7;                  ///< tenths of the new request against their average
  double block_window_s = 0.05;  ///< after a change nothing changes for so long
};

/// One governor on one GPU. Deterministic; starts at the lowest operating point.
class GpuGovernorState {
 public:
  GpuGovernorState(GpuGovernor governor, const Cluster& gpu, const GpuGovernorConfig& config = {}) noexcept;

  /// `busy_fraction`: busy share of the GPU since the last call. Looks once per poll interval, at the mean over it, and
  /// returns the operating point it wants.
  OppId step(double now_s, double busy_fraction) noexcept;
  OppId present() const noexcept { return opp_; }
  GpuGovernor governor() const noexcept { return governor_; }

 private:
  std::int64_t simple_ondemand(std::int64_t busy_us, std::int64_t total_us) const noexcept;
  std::int64_t podgov(std::int64_t busy_us, std::int64_t total_us, double now_s) noexcept;

  GpuGovernor governor_;
  const Cluster* gpu_;
  GpuGovernorConfig config_;
  OppId opp_;
  double last_step_s_ = -1;
  double last_poll_s_ = 0;
  double busy_s_ = 0;
  // nvhost_podgov
  std::int64_t idle_avg_ = 0;  ///< permille
  std::int64_t request_avg_mhz_ = 0;
  double last_change_s_ = 0;
};

}  // namespace reins::boards
