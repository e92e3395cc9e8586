#include "evaluation/profiler.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "boards/physics.hpp"
#include "core/rng.hpp"
#include "core/stats.hpp"

namespace reins::evaluation {
namespace {

constexpr std::size_t kLeastReadings = 2;  // of power: one has no interval

struct Samples {
  std::vector<double> latencies_s, power_w, temperature_c;
};

bool narrow(const std::vector<double>& samples, double relative_ci) {
  const double mean = mean_of(samples);
  return samples.size() > 1 && mean > 0 && ci95_half_width(samples) <= relative_ci * mean;
}

/// One inference, from asking for it to its end.
Result<double> run_once(control::Plant& plant, LevelId level, const inference::TensorView& input) {
  const double began_s = plant.now_s();
  REINS_TRY(plant.start(level, input));
  for (;;) {
    const double now_s = plant.now_s();
    REINS_ASSIGN(const auto ended, plant.poll_completion(now_s));
    if (ended.has_value()) return plant.now_s() - began_s;
    plant.bell().wait(std::clamp(plant.next_event_s() - now_s, 0.0, 0.05));
  }
}

/// Takes what the sensors have said of the time since `from_s`. A power is of its window, whose first reading is itself
/// the chip's mean over its own update interval, `sensor_s`.
void drain(control::Plant& plant, double from_s, double sensor_s, Samples& samples) {
  control::Telemetry telemetry;
  while (plant.poll_telemetry(plant.now_s(), telemetry)) {
    if (!telemetry.power_w || telemetry.at_s - telemetry.window_s - sensor_s < from_s) continue;
    samples.power_w.push_back(*telemetry.power_w);
    if (telemetry.temperature_c) samples.temperature_c.push_back(*telemetry.temperature_c);
  }
}

}  // namespace

bool WarmUp::settled(double latency_s) noexcept {
  constexpr int kRuns = 5;
  constexpr double kSpan_s = 0.02;
  sum_s_ += latency_s;
  ++runs_;
  if (runs_ < kRuns || sum_s_ < kSpan_s) return false;
  const double mean_s = sum_s_ / runs_;
  const bool agree = before_s_ > 0 && std::abs(mean_s - before_s_) <= tolerance_ * before_s_;
  before_s_ = mean_s;
  sum_s_ = 0;
  runs_ = 0;
  return agree;
}

std::size_t disordered_points(const policies::Profile& profile, const policies::ActionSpace& space) {
  constexpr double kMuch = 1.1;
  std::size_t count = 0;
  for (std::size_t m = 0; m < space.mappings.size(); ++m) {
    for (std::size_t o = 0; o < space.opps(MappingId(m)); ++o) {
      for (std::size_t l = 0; l + 1 < space.levels; ++l) {
        const policies::ProfilePoint* point = profile.at(LevelId(l), MappingId(m), OppId(o));
        const policies::ProfilePoint* next = profile.at(LevelId(l + 1), MappingId(m), OppId(o));
        if (point != nullptr && next != nullptr && point->latency_s > kMuch * next->latency_s) ++count;
      }
    }
  }
  return count;
}

Result<ProfileReport> profile_live(const boards::Board& board, const policies::ActionSpace& space,
                                   const inference::NetworkFacts& network, control::Plant& plant,
                                   const ProfilerConfig& config) {
  ProfileReport report;
  report.profile = policies::Profile(space);
  report.profile.board = board.name;
  report.profile.board_fingerprint = board.fingerprint;
  report.profile.network_fingerprint = network.fingerprint;
  report.has_energy = plant.report().energy_j.has_value();

  std::size_t bytes = 1;
  for (const std::int64_t n : network.input_shape) bytes *= static_cast<std::size_t>(n);
  std::vector<std::uint8_t> image(bytes);
  Rng rng(config.seed);
  for (std::uint8_t& pixel : image) pixel = static_cast<std::uint8_t>(rng.below(256));
  const inference::TensorView input{image.data(), inference::DType::kUint8, network.input_shape};

  const double deepest_s = boards::deepest_idle_s(board);
  double sensor_s = 0;
  for (const boards::Rail& rail : board.rails) {
    if (rail.accounting) sensor_s = std::max(sensor_s, rail.sensor_period_s);
  }
  // A slow sensor's first readings are of what went before: a point waits longer for the least that it needs.
  const double slack_s = static_cast<double>(kLeastReadings + 2) * sensor_s;
  std::size_t total = 0;
  for (const policies::MappingSlot& slot : space.mappings) total += slot.freq_khz.size() * network.levels.size();
  const auto go_on = [&](std::string_view what) {
    return !config.progress || config.progress(static_cast<double>(report.points) / static_cast<double>(total), what);
  };
  const auto stopped = [&] { return fail(ErrorKind::kGone, "the profile was stopped", board.name); };
  for (std::size_t m = 0; m < space.mappings.size(); ++m) {
    for (std::size_t o = 0; o < space.mappings[m].freq_khz.size(); ++o) {
      policies::Action action;
      action.mapping = MappingId(m);
      action.opp = OppId(o);
      for (std::size_t l = 0; l < network.levels.size(); ++l) {
        action.level = LevelId(l);
        REINS_TRY(plant.apply(action));
        WarmUp warm_up(config.relative_ci);
        const double cold_s = plant.now_s();
        for (bool warm = false; !warm;) {
          REINS_ASSIGN(const double latency_s, run_once(plant, action.level, input));
          warm = warm_up.settled(latency_s) || plant.now_s() - cold_s >= config.warm_up_share * config.max_seconds;
        }
        Samples samples;
        const double began_s = plant.now_s();
        for (;;) {
          REINS_ASSIGN(const double latency_s, run_once(plant, action.level, input));
          samples.latencies_s.push_back(latency_s);
          drain(plant, cold_s, sensor_s, samples);
          const bool enough = report.has_energy ? static_cast<int>(samples.power_w.size()) >= config.sensor_updates
                                                : static_cast<int>(samples.latencies_s.size()) >= config.sensor_updates;
          const bool sure = narrow(samples.latencies_s, config.relative_ci) &&
                            (!report.has_energy || narrow(samples.power_w, config.relative_ci));
          const double took_s = plant.now_s() - began_s;
          if (enough && sure && took_s >= config.least_share * config.max_seconds) break;
          const double over_s = took_s - config.max_seconds;
          const bool told = !report.has_energy || samples.power_w.size() >= kLeastReadings;
          if (over_s >= (told ? 0 : slack_s)) {
            if (!sure) ++report.wide;
            break;
          }
        }
        policies::ProfilePoint point;
        point.level = action.level;
        point.mapping = action.mapping;
        point.opp = action.opp;
        point.latency_s = mean_of(samples.latencies_s);
        point.p50_s = quantile_of(samples.latencies_s, 0.50);
        point.p95_s = quantile_of(samples.latencies_s, 0.95);
        point.p99_s = quantile_of(samples.latencies_s, 0.99);
        point.accuracy = network.levels[l].accuracy;
        point.n = static_cast<std::int64_t>(samples.latencies_s.size());
        point.source = plant.emulated() ? "emulated" : "measured";
        if (report.has_energy && !samples.power_w.empty()) {
          point.power_w = mean_of(samples.power_w);
          point.energy_j = *point.power_w * point.latency_s;
          point.energy_ci_j = ci95_half_width(samples.power_w) * point.latency_s;
          point.temperature_c = mean_if_any(samples.temperature_c);
        }
        report.profile.set(point);
        ++report.points;
        if (!go_on(space.mappings[m].name + " level " + std::to_string(l + 1))) return stopped();
      }
      if (!report.has_energy) continue;
      REINS_TRY(plant.apply(action));
      // What the clusters draw on their way into the deepest idle states is not what they idle at.
      const double settled_s = plant.now_s() + deepest_s;
      Samples idle;
      while (static_cast<int>(idle.power_w.size()) < config.sensor_updates &&
             plant.now_s() < settled_s + config.max_seconds + slack_s) {
        plant.bell().wait(std::clamp(plant.next_event_s() - plant.now_s(), 0.0, 0.05));
        drain(plant, settled_s, sensor_s, idle);
        if (!go_on(space.mappings[m].name + " idle")) return stopped();
      }
      if (!idle.power_w.empty()) {
        report.profile.set_idle({action.mapping, action.opp, mean_of(idle.power_w), mean_if_any(idle.temperature_c)});
      }
    }
  }
  report.disordered = disordered_points(report.profile, space);
  return report;
}

}  // namespace reins::evaluation
