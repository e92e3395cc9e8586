#include "control/observation_builder.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/assert.hpp"

namespace reins::control {
namespace {

using policies::FeatureSpec;

/// log2 of a ratio, scaled so that 1/16 .. 16 spans -1 .. 1, clamped to +-1.5.
float log_ratio(double ratio) noexcept {
  if (!(ratio > 0)) return -1.5F;
  return static_cast<float>(std::clamp(std::log2(ratio) / 4, -1.5, 1.5));
}

float clamped(double value, double low, double high) noexcept {
  return static_cast<float>(std::clamp(value, low, high));
}

/// A mapping's points as the observation tells them apart: all where there are few mappings; at least 16 evenly spread
/// ones.
std::size_t rungs(const policies::ActionSpace& space, std::size_t mapping) noexcept {
  const std::size_t most = std::max<std::size_t>(16, 80 / space.mappings.size());
  return std::min(space.opps(MappingId(mapping)), most);
}
std::size_t rung(const policies::ActionSpace& space, std::size_t mapping, std::size_t k) noexcept {
  const std::size_t last = rungs(space, mapping) - 1;
  return last == 0 ? 0 : (k * (space.opps(MappingId(mapping)) - 1) + last / 2) / last;
}

/// Points whose idle power is within this share of the least are alike: profiles are not measured finer.
constexpr double kSameIdle = 0.02;

/// Appends features in the order of the table.
class Writer {
 public:
  explicit Writer(policies::Observation& observation) noexcept : observation_(observation) { observation_.size = 0; }
  void put(float value) noexcept { observation_.features[observation_.size++] = value; }
  void put(bool present, float value) noexcept {
    put(present ? value : 0.0F);
    put(present ? 1.0F : 0.0F);
  }

 private:
  policies::Observation& observation_;
};

}  // namespace

ObservationBuilder::ObservationBuilder(const boards::Board& board, const policies::ActionSpace& space,
                                       const policies::Profile& profile)
    : board_(board), space_(space), profile_(profile) {
  const LevelId full(space.levels - 1);
  full_latency_s_ = profile.fastest_s(full);
  // The reference energy is what the full network costs where it is fastest: the scale of "as fast as it goes".
  const auto cost_where_fastest = [&](LevelId level) {
    const policies::ProfilePoint* point = profile.fastest(level);
    return point != nullptr ? point->energy_j : std::nullopt;
  };
  energy_ref_j_ = cost_where_fastest(full).value_or(1);
  for (std::size_t l = 0; l < space.levels; ++l)
    level_ref_j_[l] = cost_where_fastest(LevelId(l)).value_or(energy_ref_j_);

  for (std::size_t m = 0; m < space.mappings.size(); ++m) {
    std::optional<double> least_w;
    for (std::size_t o = 0; o < space.opps(MappingId(m)); ++o) {
      const auto idle_w = profile.idle_w(MappingId(m), OppId(o));
      if (idle_w.has_value() && (!least_w.has_value() || *idle_w < *least_w)) least_w = idle_w;
    }
    for (std::size_t o = 0; least_w.has_value() && o < space.opps(MappingId(m)); ++o) {
      const auto idle_w = profile.idle_w(MappingId(m), OppId(o));
      if (idle_w.has_value() && *idle_w <= *least_w * (1 + kSameIdle)) park_[m] |= std::uint64_t{1} << o;
    }
  }

  bool any_measured = false;
  for (std::size_t m = 0; m < space.mappings.size(); ++m) {
    measured_[m] = profile.measured(MappingId(m));
    any_measured = any_measured || measured_[m] != 0;
  }
  if (!any_measured) measured_.fill(~std::uint64_t{0});  // nothing is known of any point: none is better than another

  auto add = [this](std::string name, std::string unit, std::string normaliser) {
    spec_.features.push_back({std::move(name), std::move(unit), std::move(normaliser), false});
  };
  auto add_optional = [this, &add](const std::string& name, std::string unit, std::string normaliser) {
    add(name, std::move(unit), std::move(normaliser));
    spec_.features.push_back({name + ".present", "1", "0 or 1", true});
  };
  add_optional("latency_target", "s", "log2(x / full_latency) / 4");
  add_optional("slack", "s", "x / full_latency / 4, clamped to -1..2");
  add("waited", "s", "x / full_latency / 4, clamped to 0..2");
  for (std::size_t l = 0; l < space.levels; ++l) add("floor_level." + std::to_string(l + 1), "1", "one-hot");
  add_optional("power_cap", "W", "log2(x / reference power) / 4");
  add_optional("energy_budget", "J", "log2(x / energy_ref) / 4");
  add_optional("rate", "1/s", "log2(x * full_latency) / 4");
  add_optional("demand", "1", "log2(full_latency / mean gap) / 4");
  add_optional("gap_variation", "1", "x, clamped to 0..2");
  add("arrival_phase", "1", "time since the newest request x rate / 2, clamped to 0..2; 0 without a rate");
  add("queue_depth", "1", "log2(1 + x) / 4, clamped to 0..1.5");
  add_optional("next_slack", "s", "x / full_latency / 4, clamped to -1..2");
  add_optional("last_latency", "s", "log2(x / full_latency) / 4");
  if (profile.has_energy()) add_optional("last_energy", "J", "log2(x / energy_ref) / 4");
  add("last_age", "s", "x / full_latency / 16, clamped to 0..1");
  if (!board.thermal.zone.empty()) {
    add_optional("temperature", "C", "(x - 25) / 60, clamped to -0.5..1.5");
    add_optional("throttle_distance", "C", "x / 40, clamped to -0.5..1.5");
  }
  for (const boards::Cluster& cluster : board.clusters) {
    if (cluster.kind == boards::UnitKind::kCpu) add_optional("others_util." + cluster.name, "1", "0..1");
  }
  for (const boards::Cluster& cluster : board.clusters) {
    if (cluster.opps.size() > 1) add("cap." + cluster.name, "1", "highest allowed frequency / top frequency");
  }
  add("slow_down", "1", "(x - 1) * 2, clamped to -1..1");
  for (const policies::MappingSlot& slot : space.mappings) add("present." + slot.name, "1", "one-hot");
  add("present_level", "1", "level / (levels - 1)");
  any_dvfs_ = std::any_of(space.mappings.begin(), space.mappings.end(),
                          [](const policies::MappingSlot& slot) { return slot.freq_khz.size() > 1; });
  if (any_dvfs_) add("present_freq", "1", "frequency / top frequency of its cluster");
  for (std::size_t m = 0; m < space.mappings.size(); ++m) {
    const policies::MappingSlot& slot = space.mappings[m];
    add("reach." + slot.name, "1",
        "log2(slack / profiled latency at the floor level and the highest allowed frequency) / 4; 1.5 without a "
        "target");
    add("pace." + slot.name, "1", "the same for the pace that meets every deadline in the queue");
    add("need." + slot.name, "1",
        "relative frequency of the slowest allowed point whose profiled latency at the floor level is within the "
        "slack; "
        "1.25 where none is");
    add("margin." + slot.name, "1", "(slack / latency there - 1) * 4, clamped to -1..1.5; 1.5 without a target");
    for (std::size_t k = 0; k < rungs(space, m); ++k) {
      const std::size_t point = rung(space, m, k);
      add("keeps." + slot.name + "." + std::to_string(point + 1), "1",
          "(pace / profiled latency at this point - 0.97) / 0.08, clamped to 0..1: as a ladder, so that a sharp edge "
          "between two points is easily learnt");
      // A point without a rung of its own has the next slower one's: what that keeps, it keeps.
      for (std::size_t o = point; o < space.opps(MappingId(m)); ++o)
        reach_[m][o] = static_cast<std::uint8_t>(spec_.features.size());
    }
    if (profile.has_energy()) add("cost." + slot.name, "J", "log2(profiled energy at need / energy_ref) / 4");
  }
  REINS_ASSERT(spec_.size() <= policies::kMaxFeatures);
}

LevelId ObservationBuilder::floor_level(const policies::Goals& goals) const noexcept {
  if (!goals.accuracy_floor.has_value()) return LevelId(0);
  for (std::size_t l = 0; l < space_.levels; ++l) {
    // Floors are drawn from validated accuracies and travel as text: a hair below is the same level.
    if (profile_.accuracy(LevelId(l)) >= *goals.accuracy_floor - 1e-6) return LevelId(l);
  }
  return LevelId(space_.levels - 1);
}

void ObservationBuilder::fill(policies::Observation& observation) const noexcept {
  policies::Situation& facts = observation.facts;
  facts.floor_level = floor_level(facts.goals);

  policies::ActionMask& mask = observation.mask;
  mask.mappings = (1U << space_.mappings.size()) - 1U;
  mask.levels = ((1U << space_.levels) - 1U) & ~((1U << facts.floor_level.index()) - 1U);
  const auto is_lost = [&](std::size_t m) { return ((facts.lost >> space_.mappings[m].cluster.index()) & 1U) != 0; };
  // Where all are lost, all are offered: something has to be tried.
  bool any = false;
  for (std::size_t m = 0; m < space_.mappings.size(); ++m) any = any || (!is_lost(m) && measured_[m] != 0);
  for (std::size_t m = 0; m < space_.mappings.size(); ++m) {
    const auto top = static_cast<std::int32_t>(space_.mappings[m].freq_khz.size()) - 1;
    const std::int32_t cap = std::clamp(facts.cap[space_.mappings[m].cluster.index()], 0, top);
    mask.opps[m] = ((std::uint64_t{2} << cap) - 1U) & measured_[m];
    const std::uint64_t at_cap = (std::uint64_t{1} << cap) & measured_[m];
    if (((facts.held >> space_.mappings[m].cluster.index()) & 1U) != 0 && at_cap != 0) mask.opps[m] = at_cap;
    // Below the lowest point that was measured there is nothing to offer: a cap there holds as far as it can.
    if (mask.opps[m] == 0) mask.opps[m] = measured_[m] & (~measured_[m] + 1);
    if (mask.opps[m] == 0) mask.mappings &= ~(1U << m);
    if (any && is_lost(m)) {
      mask.opps[m] = 0;
      mask.mappings &= ~(1U << m);
    }
    // Not known, or not allowed: the lowest, which never rests at more than another.
    mask.park[m] = (park_[m] & mask.opps[m]) != 0 ? park_[m] & mask.opps[m] : mask.opps[m] & (~mask.opps[m] + 1);
  }

  Writer out(observation);
  const policies::Goals& goals = facts.goals;
  out.put(goals.latency_s.has_value(), log_ratio(goals.latency_s.value_or(1) / full_latency_s_));
  out.put(facts.slack_s.has_value(), clamped(facts.slack_s.value_or(0) / full_latency_s_ / 4, -1, 2));
  out.put(clamped(facts.waited_s / full_latency_s_ / 4, 0, 2));
  for (std::size_t l = 0; l < space_.levels; ++l) out.put(facts.floor_level == LevelId(l) ? 1.0F : 0.0F);
  out.put(goals.power_w.has_value(), log_ratio(goals.power_w.value_or(1) * full_latency_s_ / energy_ref_j_));
  out.put(goals.energy_j.has_value(), log_ratio(goals.energy_j.value_or(1) / energy_ref_j_));
  out.put(facts.rate_hz.has_value(), log_ratio(facts.rate_hz.value_or(1) * full_latency_s_));
  out.put(facts.mean_gap_s.has_value(), log_ratio(full_latency_s_ / facts.mean_gap_s.value_or(1)));
  out.put(facts.gap_variation.has_value(), clamped(facts.gap_variation.value_or(0), 0, 2));
  out.put(clamped(facts.since_arrival_s * facts.rate_hz.value_or(0) / 2, 0, 2));
  out.put(clamped(std::log2(1 + static_cast<double>(facts.queue_depth)) / 4, 0, 1.5));
  out.put(facts.next_slack_s.has_value(), clamped(facts.next_slack_s.value_or(0) / full_latency_s_ / 4, -1, 2));
  out.put(facts.last_latency_s.has_value(), log_ratio(facts.last_latency_s.value_or(1) / full_latency_s_));
  if (profile_.has_energy()) {
    out.put(facts.last_energy_j.has_value(), log_ratio(facts.last_energy_j.value_or(1) / energy_ref_j_));
  }
  out.put(clamped(facts.last_age_s / full_latency_s_ / 16, 0, 1));
  if (!board_.thermal.zone.empty()) {
    out.put(facts.temperature_c.has_value(), clamped((facts.temperature_c.value_or(25) - 25) / 60, -0.5, 1.5));
    out.put(facts.throttle_distance_c.has_value(), clamped(facts.throttle_distance_c.value_or(0) / 40, -0.5, 1.5));
  }
  for (std::size_t c = 0; c < board_.clusters.size(); ++c) {
    if (board_.clusters[c].kind != boards::UnitKind::kCpu) continue;
    out.put(facts.others_util[c].has_value(), clamped(facts.others_util[c].value_or(0), 0, 1));
  }
  for (std::size_t c = 0; c < board_.clusters.size(); ++c) {
    const auto& opps = board_.clusters[c].opps;
    if (opps.size() <= 1) continue;
    const auto cap =
        static_cast<std::size_t>(std::clamp<std::int32_t>(facts.cap[c], 0, static_cast<std::int32_t>(opps.size()) - 1));
    out.put(static_cast<float>(static_cast<double>(opps[cap].freq_khz) / static_cast<double>(opps.back().freq_khz)));
  }
  out.put(clamped((facts.slow_down - 1) * 2, -1, 1));
  for (std::size_t m = 0; m < space_.mappings.size(); ++m) {
    out.put(facts.present.mapping == MappingId(m) ? 1.0F : 0.0F);
  }
  out.put(facts.present.level.valid() && space_.levels > 1
              ? static_cast<float>(facts.present.level.index()) / static_cast<float>(space_.levels - 1)
              : 0.0F);
  if (any_dvfs_) {
    float relative = 0;
    if (facts.present.mapping.valid() && facts.present.opp.valid()) {
      const auto& slot = space_.mappings[facts.present.mapping.index()];
      relative = slot.relative[std::min(facts.present.opp.index(), slot.relative.size() - 1)];
    }
    out.put(relative);
  }
  constexpr double kEver = std::numeric_limits<double>::infinity();
  const double slack_s = facts.slack_s.value_or(kEver);
  const double pace_s = std::min(slack_s, facts.pace_s.value_or(slack_s));
  for (std::size_t m = 0; m < space_.mappings.size(); ++m) {
    const policies::MappingSlot& slot = space_.mappings[m];
    const auto top = static_cast<std::int32_t>(slot.freq_khz.size()) - 1;
    const std::int32_t highest = std::clamp(facts.cap[slot.cluster.index()], 0, top);
    // Points that were not profiled count as unreachable; where even the highest one was not, as fast as any.
    const auto latency_s = [&](std::int32_t opp) {
      const policies::ProfilePoint* point = profile_.at(facts.floor_level, MappingId(m), OppId(opp));
      return point != nullptr ? point->latency_s * facts.slow_down : opp == highest ? full_latency_s_ : kEver;
    };
    const auto slowest_within = [&](double time_s) {
      std::int32_t opp = 0;
      while (opp <= highest && latency_s(opp) > time_s) ++opp;
      return opp;
    };
    const auto relative = [&](std::int32_t opp) {
      return opp > highest ? 1.25F : slot.relative[static_cast<std::size_t>(opp)];
    };
    const double fastest_s = latency_s(highest);
    const std::int32_t need = slowest_within(slack_s);
    const std::int32_t reached = std::min(need, highest);
    out.put(facts.slack_s ? log_ratio(slack_s / fastest_s) : 1.5F);
    out.put(facts.slack_s ? log_ratio(pace_s / fastest_s) : 1.5F);
    out.put(relative(need));
    out.put(facts.slack_s ? clamped((slack_s / latency_s(reached) - 1) * 4, -1, 1.5) : 1.5F);
    for (std::size_t k = 0; k < rungs(space_, m); ++k) {
      const auto opp = static_cast<std::int32_t>(rung(space_, m, k));
      out.put(opp > highest ? 0.0F : facts.slack_s ? clamped((pace_s / latency_s(opp) - 0.97) / 0.08, 0, 1) : 1.0F);
    }
    if (profile_.has_energy()) {
      const policies::ProfilePoint* point = profile_.at(facts.floor_level, MappingId(m), OppId(reached));
      out.put(log_ratio(point != nullptr && point->energy_j ? *point->energy_j / energy_ref_j_ : 1));
    }
  }
  REINS_ASSERT(observation.size == spec_.size());
}

}  // namespace reins::control
