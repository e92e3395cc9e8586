#include "policies/baselines.hpp"

#include <algorithm>

namespace reins::policies {

Action FloorRulePolicy::decide(const Observation& observation) noexcept {
  Action action = action_;
  action.level = observation.facts.floor_level;
  return action;
}

ParetoPolicy::ParetoPolicy(const ActionSpace& space, const Profile& profile, double margin) : margin_(margin) {
  for (std::size_t l = 0; l < space.levels; ++l) {
    std::vector<Point> all;
    for (std::size_t m = 0; m < space.mappings.size(); ++m) {
      for (std::size_t o = 0; o < space.opps(MappingId(m)); ++o) {
        const ProfilePoint* point = profile.at(LevelId(l), MappingId(m), OppId(o));
        if (point == nullptr) continue;
        // Without an energy source the front is that of latency alone: its one fastest point.
        all.push_back(
            {LevelId(l), MappingId(m), OppId(o), point->latency_s, point->energy_j.value_or(point->latency_s)});
      }
    }
    std::sort(all.begin(), all.end(), [](const Point& a, const Point& b) {
      return a.energy_j != b.energy_j ? a.energy_j < b.energy_j : a.latency_s < b.latency_s;
    });
    double fastest_s = 1e300;
    for (const Point& point : all) {
      if (point.latency_s >= fastest_s) continue;
      fastest_s = point.latency_s;
      front_.push_back(point);
    }
  }
}

Action ParetoPolicy::decide(const Observation& observation) noexcept {
  const Situation& facts = observation.facts;
  const Point* cheapest = nullptr;
  const Point* fastest = nullptr;
  for (const Point& point : front_) {
    if (!observation.mask.allows(point.level) || !observation.mask.allows(point.mapping) ||
        !observation.mask.allows(point.mapping, point.opp)) {
      continue;
    }
    if (fastest == nullptr || point.latency_s < fastest->latency_s) fastest = &point;
    const double seconds = point.latency_s * facts.slow_down * (1 + margin_);
    if (facts.slack_s.has_value() && seconds > *facts.slack_s) continue;
    if (cheapest == nullptr || point.energy_j < cheapest->energy_j) cheapest = &point;
  }
  const Point* chosen = cheapest != nullptr ? cheapest : fastest;
  Action action;
  if (chosen == nullptr) {
    // Caps have masked the whole front: the lowest point of the first mapping is always allowed.
    action.mapping = MappingId(0);
    action.level = facts.floor_level;
    action.opp = OppId(0);
  } else {
    action.mapping = chosen->mapping;
    action.level = chosen->level;
    action.opp = chosen->opp;
  }
  action.park = OppId(0);
  return action;
}

MappingId widest_mapping(const boards::Board& board, ClusterId cluster) {
  MappingId best;
  for (std::size_t m = 0; m < board.mappings.size(); ++m) {
    if (board.mappings[m].cluster == cluster &&
        (!best.valid() || board.mappings[m].cores > board.mappings[best.index()].cores)) {
      best = MappingId(m);
    }
  }
  return best;
}

std::vector<StaticSetting> governor_settings(const boards::Board& board) {
  ClusterId little, big;
  int processors = 0;
  for (std::size_t c = 0; c < board.clusters.size(); ++c) {
    const ClusterId id(c);
    if (board.clusters[c].kind != boards::UnitKind::kCpu || !widest_mapping(board, id).valid()) continue;
    ++processors;
    if (!little.valid() || board.clusters[c].capacity < board.clusters[little.index()].capacity) little = id;
    if (!big.valid() || board.clusters[c].capacity > board.clusters[big.index()].capacity) big = id;
  }
  std::vector<StaticSetting> settings;
  if (board.tick_s <= 0) return settings;
  using boards::Governor;
  for (const Governor governor : {Governor::kPerformance, Governor::kPowersave, Governor::kOndemand,
                                  Governor::kConservative, Governor::kSchedutil}) {
    auto add = [&](std::string_view placement, ClusterId cluster, bool kernel) {
      StaticSetting setting;
      setting.governor = true;
      setting.action.governor = governor;
      setting.action.kernel_placed = kernel;
      setting.action.mapping = widest_mapping(board, cluster);
      setting.action.opp = OppId(0);
      setting.name = std::string(boards::name_of(governor)) + "/" + std::string(placement);
      settings.push_back(setting);
    };
    if (!little.valid()) break;
    if (little != big) {
      add("all-little", little, false);
      add("all-big", big, false);
      add("kernel-like", big, true);
    } else {
      add(processors == 1 ? "all-cores" : "one-cluster", big, false);
    }
  }
  // A GPU has governors of its own; the processors beside it are left to schedutil.
  for (std::size_t c = 0; c < board.clusters.size(); ++c) {
    const MappingId widest = widest_mapping(board, ClusterId(c));
    if (board.clusters[c].kind != boards::UnitKind::kGpu || !widest.valid()) continue;
    for (const auto governor : {boards::GpuGovernor::kSimpleOndemand, boards::GpuGovernor::kNvhostPodgov}) {
      StaticSetting setting;
      setting.governor = true;
      setting.action.governor = Governor::kSchedutil;
      setting.action.gpu_governor = governor;
      setting.action.mapping = widest;
      setting.action.opp = OppId(0);
      setting.name = std::string(boards::name_of(governor)) + "/" + board.clusters[c].name;
      settings.push_back(setting);
    }
  }
  return settings;
}

bool is_kernel_placement(std::string_view name) noexcept {
  return std::any_of(kKernelPlacements.begin(), kKernelPlacements.end(),
                     [name](std::string_view placement) { return name.ends_with(placement); });
}

std::vector<StaticSetting> fixed_settings(const boards::Board& board, const ActionSpace& space) {
  std::vector<StaticSetting> settings;
  for (std::size_t m = 0; m < space.mappings.size(); ++m) {
    const MappingSlot& slot = space.mappings[m];
    for (std::size_t o = 0; o < slot.freq_khz.size(); ++o) {
      for (std::size_t k = 0; k <= o; ++k) {
        StaticSetting setting;
        setting.action.mapping = MappingId(m);
        setting.action.opp = OppId(o);
        setting.action.park = k == o ? OppId() : OppId(k);
        setting.name = board.mappings[m].name + "@" + std::to_string(slot.freq_khz[o] / 1000);
        if (k != o) setting.name += " park " + std::to_string(slot.freq_khz[k] / 1000);
        settings.push_back(setting);
      }
    }
  }
  return settings;
}

}  // namespace reins::policies
