#include "evaluation/comparison.hpp"

#include <algorithm>
#include <cmath>

#include "core/csv.hpp"
#include "core/stats.hpp"
#include "evaluation/oracle.hpp"
#include "evaluation/workers.hpp"
#include "policies/baselines.hpp"

namespace reins::evaluation {

std::string_view name_of(RowKind kind) noexcept {
  switch (kind) {
    case RowKind::kStatic:
      return "static";
    case RowKind::kBestStatic:
      return "best static";
    case RowKind::kManager:
      return "manager";
    case RowKind::kLearned:
      return "learned";
    case RowKind::kOracle:
      return "oracle";
  }
  return "static";
}

const Row* CellResult::row(std::string_view name) const noexcept {
  for (const Row& row : rows) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

namespace {

/// One policy on one trace.
struct Run {
  std::string name;
  RowKind kind = RowKind::kStatic;
  std::string detail;
  env::EpisodeResult result;
  std::optional<env::RewardConfig> reward = {};  ///< absent: the comparison's
};

control::RuntimeConfig runtime_of(const Contender& contender, const CompareConfig& config) {
  control::RuntimeConfig runtime = contender.runtime.value_or(config.runtime);
  runtime.shield.enabled = runtime.shield.enabled && contender.shield;
  return runtime;
}

LevelId level_for_highest_floor(const env::Episode& episode, const data::Trace& trace) {
  policies::Goals goals;
  for (const data::TraceRow& row : trace.rows) {
    if (row.accuracy_floor.has_value())
      goals.accuracy_floor = std::max(goals.accuracy_floor.value_or(0), *row.accuracy_floor);
  }
  return episode.runtime().builder().floor_level(goals);
}

/// The better of two static runs in hindsight: the cheapest that misses at most `limit`; where none does, the fewest
/// misses.
bool better_static(const env::EpisodeResult& a, const env::EpisodeResult& b, double limit) {
  const bool a_ok = a.miss_rate() <= limit;
  const bool b_ok = b.miss_rate() <= limit;
  if (a_ok != b_ok) return a_ok;
  if (!a_ok && a.missed != b.missed) return a.missed < b.missed;
  return a.energy_j < b.energy_j;
}

double reward_per_offered(const env::EpisodeResult& result, const env::RewardConfig& reward, double energy_ref_j) {
  if (result.offered == 0) return 0;
  const double total = reward.w_acc * result.accuracy_sum - reward.w_energy * result.energy_j / energy_ref_j -
                       reward.w_latency * result.overrun_sum - reward.w_miss * static_cast<double>(result.missed) -
                       reward.w_switch * static_cast<double>(result.counters.switches);
  return total / static_cast<double>(result.offered);
}

/// All policies on one trace.
std::vector<Run> run_trace(const env::World& world, const data::Trace& trace, std::uint64_t seed,
                           const std::vector<Contender>& contenders, const CompareConfig& config) {
  control::RuntimeConfig bare = config.runtime;
  bare.shield.enabled = false;
  env::Episode plain(world, bare);
  const env::BoardConditions conditions = conditions_of(seed);
  const LevelId full(world.space->levels - 1);
  const LevelId floor = level_for_highest_floor(plain, trace);
  std::vector<Run> runs;

  auto run_static = [&](const policies::StaticSetting& setting, LevelId level) {
    policies::Action action = setting.action;
    action.level = level;
    policies::StaticPolicy policy(setting.name, action);
    return env::run_episode(plain, policy, trace, conditions, seed);
  };
  Run best{"best static", RowKind::kBestStatic, "", {}};
  bool have_best = false;
  auto consider = [&](const std::string& detail, const env::EpisodeResult& result) {
    if (have_best && !better_static(result, best.result, config.best_static_miss)) return;
    best.result = result;
    best.detail = detail;
    have_best = true;
  };
  for (const policies::StaticSetting& setting : policies::governor_settings(*world.board)) {
    for (const bool at_floor : {false, true}) {
      Run run{setting.name + (at_floor ? " floor level" : " full"), RowKind::kStatic, "", {}};
      if (at_floor && floor == full) {
        run.result = runs.back().result;  // the same run: a row needs one for every trace
      } else {
        run.result = run_static(setting, at_floor ? floor : full);
        consider(run.name, run.result);
      }
      runs.push_back(std::move(run));
    }
  }
  if (config.statics) {
    Run rule{"floor rule", RowKind::kManager, "", {}};
    bool have_rule = false;
    for (const policies::StaticSetting& setting : policies::fixed_settings(*world.board, *world.space)) {
      for (const bool at_floor : {false, true}) {
        if (at_floor && floor == full) continue;
        consider(setting.name + (at_floor ? " floor level" : " full"), run_static(setting, at_floor ? floor : full));
      }
      policies::FloorRulePolicy policy(setting.name, setting.action);
      env::EpisodeResult result = env::run_episode(plain, policy, trace, conditions, seed);
      if (!have_rule || better_static(result, rule.result, config.best_static_miss)) {
        rule.result = std::move(result);
        rule.detail = setting.name;
        have_rule = true;
      }
    }
    runs.push_back(std::move(best));
    runs.push_back(std::move(rule));
  }
  {
    policies::ParetoPolicy policy(*world.space, *world.profile, config.pareto_margin);
    runs.push_back({"pareto", RowKind::kManager, "margin " + format_number(config.pareto_margin),
                    env::run_episode(plain, policy, trace, conditions, seed)});
    // As `reins serve --policy pareto` runs it; beside it a learned row shows what learning adds to the shield.
    env::Episode shielded(world, config.runtime);
    runs.push_back({std::string(kShieldedPareto), RowKind::kManager, "",
                    env::run_episode(shielded, policy, trace, conditions, seed)});
  }
  {
    OraclePolicy policy{env::Foresight(plain)};
    runs.push_back({"oracle", RowKind::kOracle, "myopic", env::run_episode(plain, policy, trace, conditions, seed)});
  }
  for (const Contender& contender : contenders) {
    env::Episode episode(world, runtime_of(contender, config));
    const auto policy = contender.make(env::Foresight(episode));
    runs.push_back({contender.name, contender.kind, "", env::run_episode(episode, *policy, trace, conditions, seed),
                    contender.reward});
  }
  return runs;
}

/// Adds up the runs of one policy over a cell's traces.
class RowBuilder {
 public:
  void add(const Run& run, const env::RewardConfig& reward, double energy_ref_j) {
    const env::EpisodeResult& r = run.result;
    row_.name = run.name;
    row_.kind = run.kind;
    if (!run.detail.empty()) {
      if (!row_.detail.empty() && row_.detail != run.detail)
        row_.detail = "varies by trace";
      else
        row_.detail = run.detail;
    }
    const double offered = std::max<double>(1, static_cast<double>(r.offered));
    const double served = std::max<double>(1, static_cast<double>(r.served));
    ++n_;
    row_.energy_per_offered_j += r.energy_per_offered_j();
    row_.active_energy_per_offered_j += r.active_energy_j / offered;
    row_.energy_per_served_j += r.energy_j / served;
    row_.miss_rate += r.miss_rate();
    row_.mean_accuracy += r.mean_accuracy();
    row_.measured_accuracy += static_cast<double>(r.correct) / served;
    row_.floor_kept += r.floor_kept;
    row_.reward += reward_per_offered(r, reward, energy_ref_j);
    row_.switches += static_cast<double>(r.counters.switches) / offered;
    row_.shield_interventions += static_cast<double>(r.counters.shield_interventions) / offered;
    row_.offered += static_cast<double>(r.offered);
    row_.served += static_cast<double>(r.served);
    row_.max_temperature_c = std::max(row_.max_temperature_c, r.max_temperature_c);
    row_.energy_by_trace_j.push_back(r.energy_per_offered_j());
    row_.miss_by_trace.push_back(r.miss_rate());
    latencies_.insert(latencies_.end(), r.latencies_s.begin(), r.latencies_s.end());
  }
  Row finish() {
    const double n = std::max(1.0, static_cast<double>(n_));
    for (double* mean :
         {&row_.energy_per_offered_j, &row_.active_energy_per_offered_j, &row_.energy_per_served_j, &row_.miss_rate,
          &row_.mean_accuracy, &row_.measured_accuracy, &row_.reward, &row_.switches, &row_.shield_interventions}) {
      *mean /= n;
    }
    row_.floor_kept = (row_.floor_kept - 1) / n;  // the sum began at 1
    std::sort(latencies_.begin(), latencies_.end());
    row_.p50_s = quantile(latencies_, 0.5);
    row_.p95_s = quantile(latencies_, 0.95);
    row_.p99_s = quantile(latencies_, 0.99);
    return row_;
  }

 private:
  Row row_;
  std::size_t n_ = 0;
  std::vector<double> latencies_;
};

}  // namespace

env::BoardConditions conditions_of(std::uint64_t seed) {
  env::BoardConditions conditions;
  conditions.seed = seed;
  return conditions;
}

Result<std::vector<CellResult>> compare(const env::World& world, std::vector<Cell> cells,
                                        const std::vector<Contender>& contenders, const CompareConfig& config) {
  struct Job {
    std::size_t cell, trace;
  };
  std::vector<Job> jobs;
  std::vector<std::vector<std::vector<Run>>> runs(cells.size());
  for (std::size_t c = 0; c < cells.size(); ++c) {
    if (cells[c].traces.empty() || cells[c].seeds.size() != cells[c].traces.size()) {
      return fail(ErrorKind::kUsage, "a cell of the grid has no traces, or not one seed for each", cells[c].arrivals);
    }
    runs[c].resize(cells[c].traces.size());
    for (std::size_t t = 0; t < cells[c].traces.size(); ++t) jobs.push_back({c, t});
  }
  const double energy_ref_j = control::ObservationBuilder(*world.board, *world.space, *world.profile).energy_ref_j();
  const bool all = run_all(
      config.threads, jobs.size(),
      [&](std::size_t j) {
        const Job& job = jobs[j];
        const Cell& cell = cells[job.cell];
        runs[job.cell][job.trace] = run_trace(world, cell.traces[job.trace], cell.seeds[job.trace], contenders, config);
      },
      [&](std::size_t done) {
        return !config.progress || config.progress(static_cast<double>(done) / static_cast<double>(jobs.size()));
      });
  if (!all) return fail(ErrorKind::kGone, "the comparison was stopped", "eval");

  std::vector<CellResult> results;
  for (std::size_t c = 0; c < cells.size(); ++c) {
    CellResult result;
    result.trace_count = cells[c].traces.size();
    // Rows by name, in the order of first appearance: a floor-level row is absent where a trace's highest floor is the
    // full network.
    std::vector<std::string> order;
    for (const auto& of_trace : runs[c]) {
      for (const Run& run : of_trace) {
        if (std::find(order.begin(), order.end(), run.name) == order.end()) order.push_back(run.name);
      }
    }
    for (const std::string& name : order) {
      RowBuilder builder;
      std::size_t seen = 0;
      for (const auto& of_trace : runs[c]) {
        for (const Run& run : of_trace) {
          if (run.name != name) continue;
          builder.add(run, run.reward.value_or(config.reward), energy_ref_j);
          ++seen;
        }
      }
      if (seen == runs[c].size()) result.rows.push_back(builder.finish());
    }
    result.cell = std::move(cells[c]);
    result.cell.traces.clear();
    results.push_back(std::move(result));
  }
  return results;
}

Result<std::vector<Cell>> make_grid(const GridConfig& config, const env::World& world, double full_latency_s) {
  const std::vector<double> floors = env::floors_of(world);
  std::vector<Cell> cells;
  std::uint64_t seed = config.seed;
  std::vector<std::string> arrivals = config.arrivals;
  if (!config.camera_files.empty()) arrivals.push_back("camera");
  for (const double load : config.loads) {
    for (const std::string& arrival : arrivals) {
      for (const std::string& target : config.targets) {
        if (arrival == "camera" && &target != &config.targets.front())
          continue;  // camera requests carry their own deadlines
        for (const std::string& floor : config.floors) {
          Cell cell;
          cell.load = load;
          cell.arrivals = arrival;
          cell.targets = arrival == "camera" ? "own" : target == "changing" ? target : target + "x";
          cell.floors = floor;
          const std::size_t count = arrival == "camera" ? config.camera_files.size() : config.traces;
          for (std::size_t t = 0; t < count; ++t) {
            Rng rng(++seed);
            data::TraceConfig trace;
            trace.load = load;
            trace.full_latency_s = full_latency_s;
            trace.duration_s = config.requests * full_latency_s / load;
            const bool changing = target == "changing" || floor == "changing";
            if (changing) trace.segment_s = trace.duration_s / 10;
            if (target == "changing") {
              trace.target_factors = {1.1, 1.5, 2.5, 5};
            } else {
              REINS_ASSIGN(const double factor, parse_number(target, "--targets"));
              trace.target_factors = {factor};
            }
            if (floor == "changing") {
              trace.floors = floors;
            } else if (floor == "top") {
              trace.floors = {floors.back()};
            } else if (floor == "drawn") {
              trace.floors = {floors[rng.index(floors.size())]};
            } else {
              return fail(ErrorKind::kUsage, "floors are 'drawn', 'changing' or 'top', not '" + floor + "'",
                          "--floors");
            }
            if (arrival == "camera") {
              REINS_ASSIGN(data::Trace camera,
                           data::read_camera_trace(config.camera_files[t], load, full_latency_s,
                                                   full_latency_s / config.camera_reference_s, trace.duration_s));
              // The files carry deadlines but no accuracy floors: those are drawn per segment as everywhere.
              double segment_end_s = -1;
              double accuracy_floor = floors.back();
              for (data::TraceRow& row : camera.rows) {
                if (row.time_s > segment_end_s) {
                  accuracy_floor = trace.floors[rng.index(trace.floors.size())];
                  segment_end_s = changing ? row.time_s + rng.exponential(trace.segment_s) : 1e300;
                }
                row.accuracy_floor = accuracy_floor;
              }
              if (camera.rows.empty()) continue;
              cell.traces.push_back(std::move(camera));
            } else {
              const auto arrivals = data::arrivals_named(arrival);
              if (!arrivals) {
                return fail(ErrorKind::kUsage,
                            "arrivals are periodic, poisson, bursty or batched, not '" + arrival + "'", "--arrivals");
              }
              trace.arrivals = *arrivals;
              cell.traces.push_back(data::generate_trace(trace, rng.next()));
            }
            cell.seeds.push_back(rng.next());
          }
          if (!cell.traces.empty()) cells.push_back(std::move(cell));
        }
      }
    }
  }
  return cells;
}

Saving saving_over(const std::vector<CellResult>& cells, std::string_view row, std::string_view base,
                   const std::function<bool(const Cell&)>& take) {
  Saving saving;
  double ratio_sum = 0;
  double miss_sum = 0;
  for (const CellResult& cell : cells) {
    const Row* a = cell.row(row);
    const Row* b = cell.row(base);
    if (a == nullptr || b == nullptr || !take(cell.cell) || b->energy_per_offered_j <= 0) continue;
    ratio_sum += a->energy_per_offered_j / b->energy_per_offered_j;
    miss_sum += 100 * (a->miss_rate - b->miss_rate);
    ++saving.cells;
  }
  if (saving.cells > 0) {
    saving.energy_ratio = ratio_sum / static_cast<double>(saving.cells);
    saving.miss_points = miss_sum / static_cast<double>(saving.cells);
  }
  return saving;
}

env::EpisodeResult timeline_of(const env::World& world, const Contender& contender, const data::Trace& trace,
                               std::uint64_t seed, const CompareConfig& config) {
  env::Episode episode(world, runtime_of(contender, config));
  const auto policy = contender.make(env::Foresight(episode));
  return env::run_episode(episode, *policy, trace, conditions_of(seed), seed, true);
}

}  // namespace reins::evaluation
