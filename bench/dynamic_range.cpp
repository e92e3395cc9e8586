// bench/dynamic_range.cpp: how far time and energy of one inference can be moved by mapping and operating point alone,
// by levels alone, and by all together: on the emulated boards, beside the published figures, and on this machine.
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "boards/board.hpp"
#include "boards/by_name.hpp"
#include "boards/physics.hpp"
#include "control/live_board.hpp"
#include "core/stats.hpp"
#include "evaluation/table.hpp"
#include "evaluation/workbench.hpp"
#include "inference/engines.hpp"

namespace {

using namespace reins;  // NOLINT
using evaluation::fixed;
using Levels = std::vector<std::vector<LayerCost>>;

constexpr double kBar = 0.15;

/// Xun et al., MLCAD 2019: the full network on one unit; recalled and not re-read.
struct Reported {
  double mhz, time_ms, power_mw, energy_mj;
};
struct ReportedCluster {
  const char* mapping;
  std::array<Reported, 3> points;  ///< the middle one is held out of the fit
};
constexpr std::array<ReportedCluster, 2> kReported = {
    {{"a15x1", {{{200, 1020, 326, 320}, {1000, 204, 846, 173}, {1800, 117, 2120, 248}}}},
     {"a7x1", {{{200, 1780, 72.4, 129}, {700, 504, 141, 71.4}, {1300, 280, 329, 92.1}}}}}};
/// Million multiply-accumulates of its levels: not published; those of a grouped AlexNet of its description.
constexpr std::array kPaperMmacs = {12.3, 24.2, 36.0, 47.8};

/// max / min of time and energy over a set of points.
class Range {
 public:
  void add(double time_s, double energy_j) {
    low_s_ = std::min(low_s_, time_s), high_s_ = std::max(high_s_, time_s);
    low_j_ = std::min(low_j_, energy_j), high_j_ = std::max(high_j_, energy_j);
  }
  double time() const { return high_s_ / low_s_; }
  double energy() const { return high_j_ / low_j_; }

 private:
  double low_s_ = 1e30, high_s_ = 0, low_j_ = 1e30, high_j_ = 0;
};

struct Ranges {
  Range placed;  ///< mapping and operating point, full network
  Range levels;  ///< levels, at the top operating point of the reference mapping
  Range all;
};

/// A board and what stands behind the reported powers: so many busy cores, and a power that is always drawn.
struct Subject {
  boards::Board board;
  std::array<double, 2> cores{1, 1}, fixed_w{0, 0};  ///< by place in kReported
};

constexpr double kTemperatureC = 60;  // as of the reported powers that the board file was fitted to

MappingId mapping_named(const boards::Board& board, std::string_view name) {
  return MappingId(boards::index_of(board.mappings, name));
}

OppId opp_at(const boards::Cluster& cluster, double mhz) {
  const auto at = std::find_if(cluster.opps.begin(), cluster.opps.end(),
                               [&](const auto& o) { return static_cast<double>(o.freq_khz) == mhz * 1e3; });
  return OppId(at - cluster.opps.begin());
}

double time_s(const Subject& subject, std::size_t unit, OppId opp, const std::vector<LayerCost>& layers) {
  return boards::inference_time_s(subject.board, mapping_named(subject.board, kReported[unit].mapping), opp, layers);
}

double power_w(const Subject& subject, std::size_t unit, OppId opp) {
  const auto& cluster = subject.board.cluster_of(mapping_named(subject.board, kReported[unit].mapping));
  return boards::cluster_power_w(cluster, opp, subject.cores[unit], 0, kTemperatureC) + subject.fixed_w[unit];
}

/// Levels share one time range and one energy range in the physics (their power is the same): the one that is as far
/// below the reported 2.73 as it is above the reported 2.36.
constexpr double kLevelRatio = 2 / (1 / 2.73 + 1 / 2.36);

/// Closed form from the lowest and the highest frequency of each cluster.
Subject fit(const boards::Board& board) {
  Subject fitted{board};
  for (std::size_t unit = 0; unit < kReported.size(); ++unit) {
    const Reported& low = kReported[unit].points.front();
    const Reported& high = kReported[unit].points.back();
    const MappingId mapping = mapping_named(board, kReported[unit].mapping);
    boards::Cluster& cluster = fitted.board.clusters[board.mappings[mapping.index()].cluster.index()];
    // Time: cycles of the full network, the same relative error at both ends; their fixed share from the levels' ratio.
    const double cycles = std::sqrt(low.time_ms * low.mhz * high.time_ms * high.mhz) * 1e3;
    const double full = kPaperMmacs.back() * 1e6;
    const double fixed_macs = (full - kLevelRatio * kPaperMmacs.front() * 1e6) / (kLevelRatio - 1);
    cluster.time.macs_per_cycle = (full + fixed_macs) / cycles;
    cluster.time.call_cycles = fixed_macs / cluster.time.macs_per_cycle;
    // Power: (core * cores + idle clock) f V^2 + leakage + fixed, met at both ends.
    const auto rest_w = [&](const Reported& point) {
      return point.power_mw * 1e-3 - boards::leakage_w(cluster.power,
                                                       cluster.opps[opp_at(cluster, point.mhz).index()].voltage_v,
                                                       kTemperatureC);
    };
    const auto mhz_v2 = [&](const Reported& point) {
      const double v = cluster.opps[opp_at(cluster, point.mhz).index()].voltage_v;
      return point.mhz * v * v;
    };
    const double slope = (rest_w(high) - rest_w(low)) / (mhz_v2(high) - mhz_v2(low));
    fitted.cores[unit] = (slope - cluster.power.idle_clock_w_per_mhz_v2) / cluster.power.core_w_per_mhz_v2;
    fitted.fixed_w[unit] = rest_w(low) - slope * mhz_v2(low);
  }
  return fitted;
}

/// Within the reported frequencies, energy of the busy cluster's rail alone, as reported.
Ranges ranges_of(const Subject& subject, const Levels& levels) {
  Ranges ranges;
  for (std::size_t unit = 0; unit < kReported.size(); ++unit) {
    const auto& points = kReported[unit].points;
    const auto& cluster = subject.board.cluster_of(mapping_named(subject.board, kReported[unit].mapping));
    const OppId top = opp_at(cluster, points.back().mhz);
    for (OppId opp = opp_at(cluster, points.front().mhz); opp <= top; opp = OppId(opp.index() + 1)) {
      for (std::size_t level = 0; level < levels.size(); ++level) {
        const double took_s = time_s(subject, unit, opp, levels[level]);
        const double used_j = took_s * power_w(subject, unit, opp);
        ranges.all.add(took_s, used_j);
        if (level + 1 == levels.size()) ranges.placed.add(took_s, used_j);
        if (unit == 0 && opp == top) ranges.levels.add(took_s, used_j);
      }
    }
  }
  return ranges;
}

std::string percent(double ours, double theirs) {
  const double off = 100 * (ours / theirs - 1);
  return (off >= 0 ? "+" : "") + fixed(off, 1) + " %";
}

/// Prints the fit and how it compares. Returns whether every part is within the bar.
bool against_the_paper(const boards::Board& board, const Levels& own) {
  Levels paper;
  for (const double mmacs : kPaperMmacs) paper.push_back({{.macs = mmacs * 1e6, .bytes = 0, .launches = 0}});
  Subject shipped{board};
  for (std::size_t unit = 0; unit < kReported.size(); ++unit) {
    const std::string& rail = board.cluster_of(mapping_named(board, kReported[unit].mapping)).rail;
    shipped.fixed_w[unit] = board.rails[boards::index_of(board.rails, rail)].constant_w;
  }
  const Subject fitted = fit(board);
  bool within = true;

  std::printf(
      "== Odroid XU3 against Xun et al., MLCAD 2019 (their figures recalled, not re-read)\n\n"
      "Fitted to the lowest and highest frequency of each cluster, in closed form, everything else as in the board "
      "file,\n"
      "at %.0f C: cycles of an inference, and their share that no level saves; busy cores and a fixed power behind "
      "the\n"
      "reported watts. That share follows from the two level ranges themselves (no other figure shows it): levels "
      "alone\n"
      "are fitted, not predicted. The middle frequency of each cluster is held out.\n\n",
      kTemperatureC);
  for (std::size_t unit = 0; unit < kReported.size(); ++unit) {
    const auto& time = fitted.board.cluster_of(mapping_named(board, kReported[unit].mapping)).time;
    std::printf("  %-6s %.3f cycles a MAC, %.1f million cycles a call; %.2f busy cores, %.1f mW fixed\n",
                kReported[unit].mapping, 1 / time.macs_per_cycle, time.call_cycles * 1e-6, fitted.cores[unit],
                fitted.fixed_w[unit] * 1e3);
  }
  std::printf("\n");
  evaluation::Table points({{"unit", evaluation::Align::kLeft},
                            {"MHz"},
                            {"ms\nreported"},
                            {"ms\nours"},
                            {"off"},
                            {"mW\nreported"},
                            {"mW\nours"},
                            {"off"},
                            {"mJ\nreported"},
                            {"mJ\nours"},
                            {"off"},
                            {"", evaluation::Align::kLeft}});
  for (std::size_t unit = 0; unit < kReported.size(); ++unit) {
    for (std::size_t i = 0; i < 3; ++i) {
      const Reported& point = kReported[unit].points[i];
      const auto& cluster = board.cluster_of(mapping_named(board, kReported[unit].mapping));
      const OppId opp = opp_at(cluster, point.mhz);
      const double ms = 1e3 * time_s(fitted, unit, opp, paper.back());
      const double mw = 1e3 * power_w(fitted, unit, opp);
      points.add({kReported[unit].mapping, fixed(point.mhz, 0), fixed(point.time_ms, 0), fixed(ms, 0),
                  percent(ms, point.time_ms), fixed(point.power_mw, 1), fixed(mw, 1), percent(mw, point.power_mw),
                  fixed(point.energy_mj, 1), fixed(ms * mw * 1e-3, 1), percent(ms * mw * 1e-3, point.energy_mj),
                  i == 1 ? "held out" : ""});
      if (i != 1) continue;
      within = within && std::abs(ms / point.time_ms - 1) <= kBar && std::abs(mw / point.power_mw - 1) <= kBar &&
               std::abs(ms * mw * 1e-3 / point.energy_mj - 1) <= kBar;
    }
  }
  std::printf("%s\n", points.text().c_str());

  const Ranges ours = ranges_of(fitted, paper);
  const Ranges as_shipped = ranges_of(shipped, paper);
  const Ranges network = ranges_of(fitted, own);
  evaluation::Table table({{"range, times", evaluation::Align::kLeft},
                           {"paper"},
                           {"fitted"},
                           {"off"},
                           {"board file\nas it is"},
                           {"off"},
                           {"our network,\nfitted"}});
  const auto row = [&](const char* what, double theirs, double value, double file, double own_value) {
    within = within && std::abs(value / theirs - 1) <= kBar;
    table.add({what, fixed(theirs, 2), fixed(value, 2), percent(value, theirs), fixed(file, 2), percent(file, theirs),
               fixed(own_value, 2)});
  };
  row("mapping + DVFS, time", 15.2, ours.placed.time(), as_shipped.placed.time(), network.placed.time());
  row("mapping + DVFS, energy", 4.48, ours.placed.energy(), as_shipped.placed.energy(), network.placed.energy());
  row("levels, time", 2.73, ours.levels.time(), as_shipped.levels.time(), network.levels.time());
  row("levels, energy", 2.36, ours.levels.energy(), as_shipped.levels.energy(), network.levels.energy());
  row("together, time", 41.6, ours.all.time(), as_shipped.all.time(), network.all.time());
  row("together, energy", 10.6, ours.all.energy(), as_shipped.all.energy(), network.all.energy());
  std::printf(
      "%s\nBar: each of 'fitted' and each held-out point within %.0f %%: %s. Within the reported frequencies (A15 200 "
      "to\n"
      "1800 MHz, A7 200 to 1300); energy of the busy cluster's rail alone. The board file was fitted to measured rail "
      "logs\n"
      "and these powers alike, each within 15 %%: its own ranges stand beside, without a bar.\n\n",
      table.text().c_str(), 100 * kBar, within ? "met" : "MISSED");
  return within;
}

void print_ranges(const Ranges& ranges, bool energy) {
  evaluation::Table table({{"range, times", evaluation::Align::kLeft}, {"time"}, {"energy"}});
  const auto row = [&](const char* what, const Range& range) {
    table.add({what, fixed(range.time(), 2), energy ? fixed(range.energy(), 2) : "-"});
  };
  row("mapping + DVFS", ranges.placed);
  row("levels", ranges.levels);
  row("together", ranges.all);
  std::printf("%s\n", table.text().c_str());
}

/// Points that the profile lacks are left out.
Ranges ranges_of(const policies::Profile& profile, const policies::ActionSpace& space, std::size_t levels) {
  const LevelId full(levels - 1);
  const MappingId reference = profile.fastest(full)->mapping;
  Ranges ranges;
  for (std::size_t l = 0; l < levels; ++l) {
    for (std::size_t m = 0; m < space.mappings.size(); ++m) {
      for (std::size_t o = 0; o < space.opps(MappingId(m)); ++o) {
        const policies::ProfilePoint* const point = profile.at(LevelId(l), MappingId(m), OppId(o));
        if (point == nullptr) continue;
        const double energy_j = point->energy_j.value_or(0);
        ranges.all.add(point->latency_s, energy_j);
        if (point->level == full) ranges.placed.add(point->latency_s, energy_j);
        if (point->mapping == reference && o + 1 == space.opps(reference))
          ranges.levels.add(point->latency_s, energy_j);
      }
    }
  }
  return ranges;
}

Status emulated(const boards::Board& board, const inference::NetworkFacts& facts) {
  REINS_ASSIGN(const auto space, policies::ActionSpace::make(board, facts.levels.size()));
  const policies::Profile profile = evaluation::profile_emulated(board, space, facts, 30, 1);
  const MappingId reference = profile.fastest(LevelId(facts.levels.size() - 1))->mapping;
  std::string rails;
  for (const boards::Rail& rail : board.rails) {
    if (rail.accounting) rails += (rails.empty() ? "" : " + ") + rail.name;
  }
  std::printf(
      "== %s, EMULATED, our network (%s)\n\nEvery operating point, through the emulated sensors; energy over the rails "
      "%s, idle parts\n"
      "included; reference mapping %s.\n\n",
      board.title.c_str(), facts.name.c_str(), rails.c_str(), space.mappings[reference.index()].name.c_str());
  print_ranges(ranges_of(profile, space, facts.levels.size()), true);
  return {};
}

/// What `reins profile --board host` measured here: every mapping at every operating point that it could set, with
/// energy where this machine can tell it.
Status profiled(inference::Engine& engine, const std::string& path) {
  REINS_ASSIGN(boards::Board host, boards::discover_host("/", true));
  REINS_ASSIGN(const control::LiveBoard bound, control::bind_board(std::move(host), engine));
  const std::size_t levels = engine.facts().levels.size();
  REINS_ASSIGN(const auto space, policies::ActionSpace::make(bound.board, levels));
  REINS_ASSIGN(const policies::Profile profile, policies::Profile::read(space, path));
  std::printf("== This machine, LIVE, our network (%s), from %s\n\n%zu mapping(s)%s. Full network at best %.0f us.\n\n",
              engine.facts().name.c_str(), path.c_str(), space.mappings.size(),
              profile.has_energy() ? "" : "; no energy is claimed",
              profile.fastest(LevelId(levels - 1))->latency_s * 1e6);
  print_ranges(ranges_of(profile, space, levels), profile.has_energy());
  return {};
}

Status live(inference::Engine& engine) {
  REINS_ASSIGN(boards::Board host, boards::discover_host("/", true));
  REINS_ASSIGN(const control::LiveBoard bound, control::bind_board(std::move(host), engine));
  const auto& shape = engine.facts().input_shape;
  const std::vector<std::uint8_t> image(static_cast<std::size_t>(shape[1] * shape[2] * shape[3]), 128);
  Ranges ranges;
  double fastest_s = 1e30;
  for (const boards::Mapping& mapping : bound.board.mappings) {
    REINS_TRY(engine.place(control::placement_of(bound.board, mapping)));
    Range levels;
    double full_s = 0;
    for (std::size_t level = 0; level < engine.facts().levels.size(); ++level) {
      std::vector<double> samples_s;
      for (int run = 0; run < 300; ++run) {
        const auto began = std::chrono::steady_clock::now();
        REINS_TRY(engine.begin({image.data(), inference::DType::kUint8, shape}, LevelId(level)));
        REINS_TRY(engine.finish());
        samples_s.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
      }
      full_s = quantile_of(std::move(samples_s), 0.5);
      levels.add(full_s, 1);
      ranges.all.add(full_s, 1);
    }
    ranges.placed.add(full_s, 1);
    if (full_s < fastest_s) fastest_s = full_s, ranges.levels = levels;
  }
  std::printf(
      "== This machine, LIVE, our network\n\n%zu mapping(s) as the engine takes them, at whatever frequency the "
      "machine runs (none is set; --profile FILE takes a profile\n"
      "of 'reins profile --board host' instead, which sets them); medians of 300\n"
      "runs, which other work on the machine spreads; no energy is claimed. Full network at best %.0f us.\n\n",
      bound.board.mappings.size(), fastest_s * 1e6);
  print_ranges(ranges, false);
  return {};
}

Result<bool> report(bool with_live, const std::string& profile) {
  const std::string source = REINS_SOURCE_DIR;
  const std::string network = source + "/assets/networks/cifar10-group4/network.rnet";
  REINS_ASSIGN(const auto engine, inference::open_engine(network));
  const inference::NetworkFacts& facts = engine->facts();
  Levels own;
  for (const auto& level : facts.levels) own.push_back(level.layers);
  std::printf(
      "Dynamic range: the largest over the smallest value of one inference's time, and of its energy,\n"
      "  mapping + DVFS: over every mapping and operating point, full network;\n"
      "  levels:         over the levels, at the top operating point of the reference mapping;\n"
      "  together:       over all of them.\n"
      "Time = call cycles / f + sum over layers of max(MACs / (MACs a cycle x f), bytes / bandwidth) + launches. "
      "Energy = time x\n"
      "power. Power = (core x busy cores + idle clock) x f x V^2 + leakage(V, T). Assumptions: the board files' marks; "
      "MACs of the\n"
      "paper's network %.1f / %.1f / %.1f / %.1f million (not published), bound by compute alone.\n\n",
      kPaperMmacs[0], kPaperMmacs[1], kPaperMmacs[2], kPaperMmacs[3]);
  REINS_ASSIGN(const boards::Board xu3, boards::find_board("odroid-xu3", source + "/boards"));
  REINS_ASSIGN(const boards::Board nano, boards::find_board("jetson-nano", source + "/boards"));
  const bool within = against_the_paper(xu3, own);
  REINS_TRY(emulated(xu3, facts));
  REINS_TRY(emulated(nano, facts));
  if (with_live) REINS_TRY(profile.empty() ? live(*engine) : profiled(*engine, profile));
  return within;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view option = argc > 1 ? argv[1] : "";
  const bool emulated_alone = argc == 2 && option == "--emulated";
  const bool from_profile = argc == 3 && option == "--profile";
  if (argc > 1 && !emulated_alone && !from_profile) {
    std::fprintf(
        stderr,
        "bench_dynamic_range: takes --emulated, which leaves out this machine, or --profile FILE, which 'reins "
        "profile --board host' wrote here\n");
    return 2;
  }
  const Result<bool> within = report(!emulated_alone, from_profile ? argv[2] : "");
  if (!within.has_value()) std::fprintf(stderr, "bench_dynamic_range: %s\n", within.error().line().c_str());
  return within.value_or(false) ? 0 : 1;
}
