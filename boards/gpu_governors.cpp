// Written from the formulas of drivers/devfreq/governor_simpleondemand.c (Linux 6.1) and of
// drivers/devfreq/governor_pod_scaling.c (NVIDIA's Linux 4.9 for Tegra, L4T 32), in the kernel's integers. Both hand a
// frequency to the driver, which takes the lowest operating point at or above it (devfreq_recommended_opp without
// DEVFREQ_FLAG_LEAST_UPPER_BOUND; freqlist_up).
#include "boards/gpu_governors.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace reins::boards {
namespace {

constexpr std::array<std::string_view, 2> kGpuNames{"simple_ondemand", "nvhost_podgov"};

OppId at_or_above_hz(const Cluster& gpu, std::int64_t hertz) noexcept {
  std::size_t i = 0;
  while (i + 1 < gpu.opps.size() && gpu.opps[i].freq_khz * 1000 < hertz) ++i;
  return OppId(i);
}

}  // namespace

std::string_view name_of(GpuGovernor governor) noexcept { return kGpuNames[static_cast<std::size_t>(governor)]; }

std::optional<GpuGovernor> gpu_governor_named(std::string_view name) noexcept {
  for (std::size_t i = 0; i < kGpuNames.size(); ++i) {
    if (kGpuNames[i] == name) return static_cast<GpuGovernor>(i);
  }
  return std::nullopt;
}

GpuGovernorState::GpuGovernorState(GpuGovernor governor, const Cluster& gpu, const GpuGovernorConfig& config) noexcept
    : governor_(governor), gpu_(&gpu), config_(config), opp_(std::size_t{0}) {}

OppId GpuGovernorState::step(double now_s, double busy_fraction) noexcept {
  if (last_step_s_ < 0) {
    last_step_s_ = last_poll_s_ = last_change_s_ = now_s;
    return opp_;
  }
  busy_s_ += std::clamp(busy_fraction, 0.0, 1.0) * (now_s - last_step_s_);
  last_step_s_ = now_s;
  const double total_s = now_s - last_poll_s_;
  if (total_s < config_.poll_s - 1e-9) return opp_;  // 1 ns of slack for sums of times
  const std::int64_t total_us = std::llround(total_s * 1e6), busy_us = std::llround(busy_s_ * 1e6);
  last_poll_s_ = now_s;
  busy_s_ = 0;
  const std::int64_t hertz =
      governor_ == GpuGovernor::kSimpleOndemand ? simple_ondemand(busy_us, total_us) : podgov(busy_us, total_us, now_s);
  const OppId wanted = at_or_above_hz(*gpu_, hertz);
  if (wanted != opp_) last_change_s_ = now_s;
  return opp_ = wanted;
}

std::int64_t GpuGovernorState::simple_ondemand(std::int64_t busy_us, std::int64_t total_us) const noexcept {
  const std::int64_t present = gpu_->opps[opp_.index()].freq_khz * 1000;
  if (total_us == 0 || busy_us * 100 > total_us * config_.up_percent) return gpu_->max_khz() * 1000;
  if (busy_us * 100 > total_us * (config_.up_percent - config_.down_percent)) return present;
  return busy_us * present / total_us * 100 / (config_.up_percent - config_.down_percent / 2);
}

std::int64_t GpuGovernorState::podgov(std::int64_t busy_us, std::int64_t total_us, double now_s) noexcept {
  const std::int64_t present = gpu_->opps[opp_.index()].freq_khz * 1000;
  if (total_us == 0) return present;
  const std::int64_t idle = 1000 * (total_us - busy_us) / total_us;
  idle_avg_ = (config_.smooth * idle_avg_ + idle) / (config_.smooth + 1);
  if (now_s - last_change_s_ < config_.block_window_s - 1e-9) return present;

  // scaling_state_check, in megahertz.
  const std::int64_t freq = present / 1000000;
  const std::int64_t top = gpu_->max_khz() * 1000;
  const std::int64_t most = top / 3 / 1000000;
  const bool too_busy = 1000 - idle > config_.load_max;
  const std::int64_t load = 1000 - idle_avg_;
  const std::int64_t boost =
      too_busy ? most
               : std::min((load - config_.load_target) * config_.bias * freq / (100 * config_.load_target), most);
  const std::int64_t damp = too_busy ? 10 : config_.damp;
  const std::int64_t request = freq + boost;
  request_avg_mhz_ = (request_avg_mhz_ * config_.smooth + request) / (config_.smooth + 1);
  const std::int64_t damped = (damp * request + (10 - damp) * request_avg_mhz_) / 10;
  return std::clamp(damped * 1000000, gpu_->opps.front().freq_khz * 1000, top);
}

}  // namespace reins::boards
