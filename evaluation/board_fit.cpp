#include "evaluation/board_fit.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <functional>
#include <limits>
#include <mutex>
#include <set>

#include "boards/physics.hpp"
#include "core/stats.hpp"
#include "evaluation/workers.hpp"

namespace reins::evaluation {
namespace {

using Rows = std::vector<const MeasuredRow*>;

constexpr double kBetter = 6;             // by which 2 log-likelihood must rise to leave the simpler form
constexpr std::size_t kVoltageFreqs = 4;  // that a shape of V(f) takes
constexpr std::size_t kVoltageRows = 16;  // where they are no more
constexpr double kMemoryShare = 0.1;      // of the time, where a fit starts
constexpr double kLeakShare = 0.5;        // of a row's power: a leakage above it is not kept unseen
constexpr const char* kUpstream = "upstream_w_per_w";

double log_ratio(double ours, double measured) {
  return ours > 0 ? std::log(ours / measured) : std::numeric_limits<double>::infinity();
}

/// Schwarz's criterion: the lower, the better.
double information(const LeastSquares& fit) {
  const auto n = static_cast<double>(fit.residuals);
  return n * std::log(std::max(fit.cost, 1e-30) / n) + static_cast<double>(fit.fitted) * std::log(n);
}

/// How the clients of the measurement behaved.
struct Clients {
  Arrivals arrivals = Arrivals::kAlone;
  double think_s = 0, lone_s = 0;
};

double latency_of(const boards::Board& board, const std::vector<Workload>& workloads, const Clients& clients,
                  const MeasuredRow& row) {
  const auto run_s = [&](double batch) {
    return boards::inference_time_s(board, row.mapping, row.opp, workloads[row.workload].layers, batch);
  };
  if (clients.arrivals == Arrivals::kAlone) return run_s(row.batch);
  if (row.batch < 2) return run_s(row.batch) + clients.lone_s;
  return run_s(std::ceil(row.batch / 2)) + run_s(std::floor(row.batch / 2));
}

// ---- time ----

/// One constant of a time model. `get` and `set` speak in the unit that is fitted: times grow with it.
struct TimeKey {
  const char* key;
  double most;  ///< of the file's number that is one over what is fitted, as the file's validator has it; 0: no inverse
  double boards::TimeModel::*field;
};
// The last of those that only appear together keeps its prior.
constexpr std::array kTimeKeys = {TimeKey{"macs_per_cycle", 1e6, &boards::TimeModel::macs_per_cycle},
                                  TimeKey{"launch_cycles", 0, &boards::TimeModel::launch_cycles},
                                  TimeKey{"launch_s", 0, &boards::TimeModel::launch_s},
                                  TimeKey{"bytes_per_s", 1e15, &boards::TimeModel::bytes_per_s},
                                  TimeKey{"call_cycles", 0, &boards::TimeModel::call_cycles},
                                  TimeKey{"parallel_fraction", 0, &boards::TimeModel::parallel_fraction}};
constexpr std::size_t kMemory = 3, kParallel = 5;
constexpr std::size_t kLone = kTimeKeys.size();  // behind them: Clients::lone_s

void set_time(boards::TimeModel& time, std::size_t key, double value) {
  double& field = time.*kTimeKeys[key].field;
  const double most = kTimeKeys[key].most;
  field = most > 0 ? 1 / std::max(value, 1 / most) : value;
}

struct TimeFit {
  LeastSquares fit;
  Clients clients;
  double overlap = 1;
};

std::vector<Parameter> time_parameters(const boards::Board& base, const boards::TimeModel& prior,
                                       const std::vector<Workload>& workloads, const Rows& rows) {
  // Where a fit starts: the median row's cycles, shared out.
  std::vector<double> cycles, seconds, macs, bytes, launches;
  bool known = true;
  std::set<int> cores;
  for (const MeasuredRow* row : rows) {
    const auto& cluster = base.cluster_of(row->mapping);
    const double freq_hz = std::max(static_cast<double>(cluster.opps[row->opp.index()].freq_khz), 1.0) * 1e3;
    cycles.push_back(*row->latency_s * (freq_hz > 1e3 ? freq_hz : 1e9));
    seconds.push_back(*row->latency_s);
    double sum_macs = 0, sum_bytes = 0, sum_launches = 0;
    for (const LayerCost& layer : workloads[row->workload].layers) {
      sum_macs += layer.macs * row->batch, sum_bytes += layer.bytes * row->batch, sum_launches += layer.launches;
    }
    macs.push_back(sum_macs), bytes.push_back(sum_bytes), launches.push_back(sum_launches);
    known = known && workloads[row->workload].known;
    cores.insert(base.mappings[row->mapping.index()].cores);
  }
  const auto typical = [](const std::vector<double>& samples) { return quantile_of(samples, 0.5); };
  const double cycles_at = typical(cycles), seconds_at = typical(seconds);
  const std::array<double, 6> starts = {0.5 * cycles_at / std::max(typical(macs), 1.0),
                                        0.2 * cycles_at / std::max(typical(launches), 1.0),
                                        0.1 * seconds_at / std::max(typical(launches), 1.0),
                                        kMemoryShare * seconds_at / std::max(typical(bytes), 1.0),
                                        0.2 * cycles_at,
                                        0.8};
  std::vector<Parameter> parameters;
  for (std::size_t k = 0; k < kTimeKeys.size(); ++k) {
    Parameter parameter;
    parameter.name = kTimeKeys[k].key;
    const double in_file = prior.*kTimeKeys[k].field;
    parameter.prior = kTimeKeys[k].most > 0 ? 1 / in_file : in_file;
    parameter.start = parameter.scale = starts[k];
    parameter.tier = static_cast<int>(k);
    if (k == kParallel) {
      parameter.domain = Domain::kFraction;
      parameter.held = cores.size() < 2;
    } else if (!known && k != 0) {
      parameter.prior = 0;  // the file's are in other units
      parameter.held = k == 4;
    }
    if (k == kMemory && typical(bytes) == 0) parameter.held = true;
    if ((k == 1 || k == 2) && typical(launches) == 0) parameter.held = true;
    parameters.push_back(std::move(parameter));
  }
  const double lone_s = 0.05 * quantile_of(seconds, 0.1);
  parameters.push_back({"lone_s", Domain::kPositive, 0, lone_s, lone_s});
  return parameters;
}

/// Fits from several starts, on several threads, and how far all of them are. What runs long calls beat().
class Starts {
 public:
  Starts(const FitOptions& options, std::size_t expected) : options_(options), expected_(expected) {}

  /// What `fit` gives from each of the first `count` starts, in their order. Of no use once it was stopped.
  std::vector<LeastSquares> run(std::size_t count, const std::function<LeastSquares(std::size_t)>& fit) {
    std::vector<LeastSquares> fits(count);
    const bool all = run_all(
        options_.threads, count, [&](std::size_t i) { fits[i] = fit(i); },
        [&](std::size_t) {
          ++done_;
          return tell();
        });
    if (!all) stopped_ = true;
    return fits;
  }

  /// Called from a residual function: so often that a stop is heard soon, and asked so seldom that it costs nothing.
  /// False: the result is wanted no more.
  bool beat() {
    constexpr std::size_t kEach = 256;
    if (++beats_ % kEach == 0 && !tell()) stopped_ = true;
    return !stopped_;
  }
  bool stopped() const noexcept { return stopped_; }

 private:
  bool tell() {
    if (!options_.progress || stopped_) return !stopped_;
    const std::lock_guard<std::mutex> lock(mutex_);
    return options_.progress(std::min(static_cast<double>(done_) / static_cast<double>(expected_), 1.0));
  }

  const FitOptions& options_;
  const std::size_t expected_;
  std::mutex mutex_;
  std::atomic<std::size_t> done_{0}, beats_{0};
  std::atomic<bool> stopped_{false};
};

/// Of a time model: memory then counts only where it takes the longer, and from too short a time nothing leads to it.
constexpr std::array kMemoryShares = {kMemoryShare, 0.5, 1.0, 2.0};

TimeFit fit_time(const boards::Board& base, ClusterId cluster, const std::vector<Workload>& workloads, const Rows& rows,
                 std::span<const Arrivals> forms, Starts& starts) {
  const boards::TimeModel& prior = base.clusters[cluster.index()].time;
  const std::vector<Parameter> parameters = time_parameters(base, prior, workloads, rows);
  struct Start {
    Arrivals form;
    double overlap, memory_share;
  };
  std::vector<Start> from;
  for (const Arrivals form : forms) {
    for (const double overlap : {prior.overlap, prior.overlap == 0 ? 1.0 : 0.0}) {
      for (const double share : kMemoryShares) {
        if (overlap > 0 || share == kMemoryShare) from.push_back({form, overlap, share});
      }
    }
  }
  const bool lone = std::any_of(rows.begin(), rows.end(), [](const MeasuredRow* row) { return row->batch < 2; });
  std::vector<LeastSquares> fits = starts.run(from.size(), [&](std::size_t i) {
    const Start& start = from[i];
    boards::Board board = base;
    boards::TimeModel& time = board.clusters[cluster.index()].time;
    time.overlap = start.overlap;
    std::vector<Parameter> of_start = parameters;
    of_start[kMemory].start *= start.memory_share / kMemoryShare;
    // Behind the board's own: what a request pays that nobody waits behind.
    of_start[kLone].held = start.form == Arrivals::kAlone || !lone;
    return least_squares(std::move(of_start), rows.size(), [&](std::span<const double> values, std::span<double> out) {
      if (!starts.beat()) return std::fill(out.begin(), out.end(), 0.0);
      for (std::size_t k = 0; k < kTimeKeys.size(); ++k) set_time(time, k, values[k]);
      const Clients clients{start.form, 0, values[kLone]};
      for (std::size_t r = 0; r < rows.size(); ++r) {
        out[r] = log_ratio(latency_of(board, workloads, clients, *rows[r]), *rows[r]->latency_s);
      }
    });
  });
  TimeFit best;
  if (starts.stopped()) return best;
  const auto n = static_cast<double>(rows.size());
  for (std::size_t i = 0; i < from.size();) {
    // Of the starts of one form the best; of the forms the simpler, declared first, unless the next is much better.
    std::size_t chosen = i, next = i + 1;
    for (; next < from.size() && from[next].form == from[i].form && from[next].overlap == from[i].overlap; ++next) {
      if (information(fits[next]) < information(fits[chosen])) chosen = next;
    }
    LeastSquares& fit = fits[chosen];
    const bool better = i == 0 || n * std::log(best.fit.cost / std::max(fit.cost, 1e-30)) >= kBetter;
    const Start& of = from[i];
    i = next;
    if (!better) continue;
    const double lone_s = fit.estimates[kLone].value;
    best = {std::move(fit), {of.form, 0, lone_s}, of.overlap};
  }
  return best;
}

// ---- power ----

/// What a row's power is of: the rails that are counted, by place in the board.
struct Scope {
  std::optional<std::size_t> rail;         ///< that the rows name; none: the accounting rails
  std::vector<double> w_per_w;             ///< per rail, boards::counted_w_per_w
  std::vector<double> clusters;            ///< the same of the rail that feeds each cluster; 0: none that counts
  std::size_t constant = 0, per_byte = 0;  ///< rails whose constants are fitted for all of it

  void weigh(const boards::Board& board) {
    w_per_w = boards::counted_w_per_w(board, rail);
    clusters.assign(board.clusters.size(), 0);
    for (std::size_t c = 0; c < clusters.size(); ++c) {
      const std::size_t feeds = boards::rail_of(board, board.clusters[c]);
      if (feeds < w_per_w.size()) clusters[c] = w_per_w[feeds];
    }
  }
};

Scope scope_of(const boards::Board& board, std::optional<std::size_t> rail, std::size_t cluster_rail) {
  Scope scope;
  scope.rail = rail;
  scope.weigh(board);
  std::vector<std::size_t> roots;
  for (std::size_t i = 0; i < board.rails.size(); ++i) {
    if (rail ? i == *rail : board.rails[i].accounting) roots.push_back(i);
  }
  scope.constant = scope.per_byte = roots.empty() ? cluster_rail : roots.front();
  for (const std::size_t i : roots) {
    if (board.rails[i].constant_w > board.rails[scope.constant].constant_w) scope.constant = i;
  }
  for (const std::size_t i : roots) {
    if (board.rails[i].j_per_byte > board.rails[scope.per_byte].j_per_byte) scope.per_byte = i;
  }
  return scope;
}

/// A row's power but for the constants: times by the fitted time models.
struct PowerRow {
  const MeasuredRow* row;
  std::size_t scope = 0;
  double busy_cores = 0;
  double duty = 1;           ///< share of the time that it is busy
  double gap_s = 0;          ///< how long it waits, then, for a request
  double bytes_per_s = 0;    ///< while busy
  double temperature_c = 0;  ///< of the leakage; NaN is never used: `own` says whether the row has one
  bool own_temperature = false;
};

PowerRow power_row(const boards::Board& board, const std::vector<Workload>& workloads, const Clients& clients,
                   const MeasuredRow& row) {
  PowerRow out{&row};
  out.own_temperature = row.temperature_c.has_value();
  out.temperature_c = row.temperature_c.value_or(0);
  if (!row.latency_s) {
    out.busy_cores = row.busy_cores.value_or(0);
    return out;
  }
  out.busy_cores = board.mappings[row.mapping.index()].cores;
  const double latency_s = latency_of(board, workloads, clients, row);
  out.bytes_per_s = boards::bytes_of(workloads[row.workload].layers) * row.batch / latency_s;
  if (clients.arrivals == Arrivals::kAlone || row.batch < 2) {
    out.duty = latency_s / (latency_s + clients.think_s);
    out.gap_s = clients.think_s;
  }
  return out;
}

/// A row that is idle, and all clusters but a row's own, are in their deepest idle state: what was measured was a
/// settled board.
double power_of(const boards::Board& board, const Scope& scope, const PowerRow& at) {
  const MeasuredRow& row = *at.row;
  const ClusterId active = board.mappings[row.mapping.index()].cluster;
  double rest_w = 0, per_byte = 0;
  for (std::size_t i = 0; i < board.rails.size(); ++i) {
    rest_w += scope.w_per_w[i] * board.rails[i].constant_w;
    per_byte += scope.w_per_w[i] * board.rails[i].j_per_byte;
  }
  double idle_w = 0, busy_w = 0;
  for (std::size_t c = 0; c < board.clusters.size(); ++c) {
    const boards::Cluster& cluster = board.clusters[c];
    const double w_per_w = scope.clusters[c];
    if (w_per_w == 0) continue;
    const double temperature_c = at.own_temperature ? at.temperature_c : cluster.power.leak_ref_c;
    if (c != active.index()) {
      rest_w += w_per_w * boards::cluster_power_at_w(cluster, cluster.opps.front(), 0,
                                                     boards::deepest_idle_state(cluster), temperature_c);
      continue;
    }
    boards::OperatingPoint point = cluster.opps[row.opp.index()];
    if (row.voltage_v) point.voltage_v = *row.voltage_v;
    busy_w = w_per_w * boards::cluster_power_at_w(cluster, point, at.busy_cores, boards::deepest_idle_state(cluster),
                                                  temperature_c);
    const std::size_t between = boards::idle_state_after(cluster, at.gap_s);
    if (at.duty < 1) idle_w = w_per_w * boards::cluster_power_at_w(cluster, point, 0, between, temperature_c);
  }
  return rest_w + at.duty * (busy_w + per_byte * at.bytes_per_s) + (1 - at.duty) * idle_w;
}

bool takes_shape(std::size_t freqs, std::size_t rows) noexcept {
  return freqs > kVoltageFreqs || (freqs == kVoltageFreqs && rows >= kVoltageRows);
}

/// V(f) as a level part up to a knee and a straight line from there to the top, whose voltage no power can tell.
struct VoltageShape {
  double lowest = 1;  ///< of the top voltage
  double knee = 0;    ///< of the top frequency
};

/// No rail of a processor falls below half of its top voltage: a shape that fits better there fits something else. What
/// is fitted is the share of the other half.
constexpr double kLeastVoltage = 0.5;
double lowest_of(double share) noexcept { return kLeastVoltage + (1 - kLeastVoltage) * share; }
double share_of(double lowest) noexcept { return std::clamp((lowest - kLeastVoltage) / (1 - kLeastVoltage), 0.0, 1.0); }

void bend(boards::Cluster& cluster, double top_v, const VoltageShape& shape) {
  const auto top_khz = static_cast<double>(cluster.max_khz());
  for (boards::OperatingPoint& opp : cluster.opps) {
    const double f = static_cast<double>(opp.freq_khz) / top_khz;
    const double rise = shape.knee < 1 ? std::clamp((f - shape.knee) / (1 - shape.knee), 0.0, 1.0) : 0.0;
    opp.voltage_v = top_v * (shape.lowest + (1 - shape.lowest) * rise);
  }
}

/// A constant of the power model: where it stands and how it is set.
struct PowerKey {
  std::string table, key;
  Parameter parameter;
  std::function<void(boards::Board&, double)> set;
};

struct PowerProblem {
  std::vector<PowerRow> rows;
  std::vector<Scope> scopes;
  std::vector<PowerKey> keys;
  struct Bend {
    std::size_t cluster, lowest, knee;  ///< places of its parameters
    double top_v;
  };
  std::vector<Bend> bends;

  void apply(boards::Board& board, std::span<const double> values) const {
    for (std::size_t k = 0; k < keys.size(); ++k) {
      if (keys[k].set) keys[k].set(board, values[k]);
    }
    for (const Bend& one : bends) {
      bend(board.clusters[one.cluster], one.top_v, {lowest_of(values[one.lowest]), values[one.knee]});
    }
  }
};

void add_cluster_keys(PowerProblem& problem, const boards::Board& base, std::size_t c, bool shape) {
  const boards::Cluster& cluster = base.clusters[c];
  const boards::PowerModel& prior = cluster.power;
  std::set<std::size_t> opps;
  double least_w = 1e300, most_w = 0, hot_c = -300, cold_c = 1000;
  double least_v = 1e300, most_v = 0;  // as measured: the base's V(f) is an assumption
  bool idle = false, resting = false, busy = false, leak_refuted = false;
  boards::Cluster leaks_alone = cluster;
  leaks_alone.power.core_w_per_mhz_v2 = leaks_alone.power.idle_clock_w_per_mhz_v2 = 0;
  const std::size_t deepest = boards::deepest_idle_state(cluster);
  for (const PowerRow& at : problem.rows) {
    if (base.mappings[at.row->mapping.index()].cluster.index() != c) continue;
    opps.insert(at.row->opp.index());
    least_w = std::min(least_w, *at.row->power_w), most_w = std::max(most_w, *at.row->power_w);
    boards::OperatingPoint point = cluster.opps[at.row->opp.index()];
    if (at.row->voltage_v) {
      point.voltage_v = *at.row->voltage_v;
      least_v = std::min(least_v, point.voltage_v), most_v = std::max(most_v, point.voltage_v);
    }
    const double leak_w = problem.scopes[at.scope].clusters[c] *
                          boards::cluster_power_at_w(leaks_alone, point, at.busy_cores, deepest,
                                                     at.own_temperature ? at.temperature_c : prior.leak_ref_c);
    leak_refuted = leak_refuted || leak_w > kLeakShare * *at.row->power_w;
    if (at.own_temperature) hot_c = std::max(hot_c, at.temperature_c), cold_c = std::min(cold_c, at.temperature_c);
    idle = idle || at.busy_cores == 0 || at.duty < 1;
    resting = resting || at.busy_cores == 0;
    busy = busy || at.busy_cores > 0;
  }
  if (opps.empty()) return;
  const auto top = cluster.opps[*opps.rbegin()];
  const double mhz_v2 = std::max(static_cast<double>(top.freq_khz), 1.0) * 1e-3 * top.voltage_v * top.voltage_v;
  const std::string table = "cluster " + cluster.name + " power";
  const auto add = [&](const char* key, double boards::PowerModel::*field, double start, double most, bool held) {
    Parameter parameter{key, Domain::kPositive, prior.*field, start, start, held};
    parameter.most = most;  // the file's bound
    problem.keys.push_back({table, key, std::move(parameter), [c, field](boards::Board& board, double value) {
                              board.clusters[c].power.*field = value;
                            }});
  };
  const double range_w = std::max(most_w - least_w, 0.05 * most_w);
  add("core_w_per_mhz_v2", &boards::PowerModel::core_w_per_mhz_v2, 0.5 * range_w / mhz_v2, 1, !busy);
  // Without an idle row it cannot be told from the core's; its prior stands, unless that alone is more than was
  // measured.
  add("idle_clock_w_per_mhz_v2", &boards::PowerModel::idle_clock_w_per_mhz_v2, 0.1 * range_w / mhz_v2, 1,
      !idle && !busy);
  if (shape) {
    const double share = share_of(cluster.opps.front().voltage_v / cluster.opps.back().voltage_v);
    PowerKey low{"cluster " + cluster.name, "voltage_v", {"lowest", Domain::kFraction, share, share, 0.2}, {}};
    PowerKey knee{"cluster " + cluster.name, "knee", {"knee", Domain::kFraction, 0, 0.5, 0.5}, {}};
    problem.bends.push_back({c, problem.keys.size(), problem.keys.size() + 1, cluster.opps.back().voltage_v});
    problem.keys.push_back(std::move(low));
    problem.keys.push_back(std::move(knee));
  }
  // A leakage is told from a constant by temperatures, by measured voltages, or by an idle state that cuts it off.
  // Without any of them it would take what an assumed V(f) gets wrong; its prior stands, unless that alone is most of
  // what was measured.
  const bool warms = hot_c - cold_c >= 5, volts = most_v - least_v >= 0.05;
  const bool cut_off = resting && busy && cluster.idle[deepest].leakage_fraction < 0.9;
  add("leak_w", &boards::PowerModel::leak_w, 0.1 * least_w, 100, !warms && !volts && !cut_off && !leak_refuted);
  const double per_c = std::max(prior.leak_per_c, 0.01);
  add("leak_per_c", &boards::PowerModel::leak_per_c, per_c, 0.2, !warms);
  add("leak_voltage_exponent", &boards::PowerModel::leak_voltage_exponent, 2, 12, !volts);
}

void add_rail_keys(PowerProblem& problem, const boards::Board& base, bool known_workload) {
  std::set<std::pair<std::size_t, bool>> done;
  for (std::size_t s = 0; s < problem.scopes.size(); ++s) {
    const Scope& scope = problem.scopes[s];
    double least_w = 1e300;
    std::vector<double> bytes_per_s, power_w;
    for (const PowerRow& at : problem.rows) {
      if (at.scope != s) continue;
      least_w = std::min(least_w, *at.row->power_w);
      if (at.bytes_per_s > 0) bytes_per_s.push_back(at.bytes_per_s), power_w.push_back(*at.row->power_w);
    }
    const auto add = [&](const char* key, double boards::Rail::*field, std::size_t i, double start, double scale,
                         double most) {
      Parameter parameter{key, Domain::kPositive, base.rails[i].*field, start, scale};
      parameter.most = most;  // the file's bound
      problem.keys.push_back({"rail " + base.rails[i].name, key, std::move(parameter),
                              [i, field](boards::Board& board, double value) { board.rails[i].*field = value; }});
    };
    if (done.emplace(scope.constant, false).second) {
      add("constant_w", &boards::Rail::constant_w, scope.constant, 0.5 * least_w, 0.2 * least_w, 1000);
    }
    if (!bytes_per_s.empty() && done.emplace(scope.per_byte, true).second) {
      const double start = 0.05 * quantile_of(power_w, 0.5) / quantile_of(bytes_per_s, 0.5);
      // Of an image where nobody said how many bytes one is: then it is not the file's.
      add("j_per_byte", &boards::Rail::j_per_byte, scope.per_byte, start, start, known_workload ? 1e-3 : 1e300);
    }
  }
}

/// What a containing rail draws for each watt of one inside it, where rows tell of both.
void add_upstream_keys(PowerProblem& problem, const boards::Board& base) {
  for (const Scope& part : problem.scopes) {
    if (!part.rail) continue;
    const std::size_t i = *part.rail;
    const bool seen_from_above = std::any_of(problem.scopes.begin(), problem.scopes.end(), [&](const Scope& whole) {
      return whole.rail != part.rail && whole.w_per_w[i] > 0 &&
             !(whole.rail ? *whole.rail == i : base.rails[i].accounting);
    });
    if (!seen_from_above) continue;
    Parameter parameter{kUpstream, Domain::kPositive, base.rails[i].upstream_w_per_w, 1.2, 1};
    parameter.least = 1, parameter.most = 10;  // the file's bounds
    problem.keys.push_back({"rail " + base.rails[i].name, kUpstream, std::move(parameter),
                            [i](boards::Board& board, double value) { board.rails[i].upstream_w_per_w = value; }});
  }
}

/// How soon a constant of the power model goes back to its prior where rows are few.
int tier_of(std::string_view key) {
  constexpr std::array<std::string_view, 10> kTiers = {
      "core_w_per_mhz_v2",       "constant_w", kUpstream,    "j_per_byte",           "voltage_v", "knee",
      "idle_clock_w_per_mhz_v2", "leak_w",     "leak_per_c", "leak_voltage_exponent"};
  return static_cast<int>(std::find(kTiers.begin(), kTiers.end(), key) - kTiers.begin());
}

struct PowerFit {
  PowerProblem problem;
  LeastSquares fit;
};

LeastSquares solve(const PowerProblem& problem, const boards::Board& base, std::vector<Parameter> parameters,
                   Starts& starts) {
  boards::Board board = base;
  std::vector<Scope> scopes = problem.scopes;
  const bool shares =
      std::any_of(problem.keys.begin(), problem.keys.end(), [](const PowerKey& key) { return key.key == kUpstream; });
  return least_squares(std::move(parameters), problem.rows.size(),
                       [&](std::span<const double> values, std::span<double> out) {
                         if (!starts.beat()) return std::fill(out.begin(), out.end(), 0.0);
                         problem.apply(board, values);
                         if (shares) {
                           for (Scope& scope : scopes) scope.weigh(board);
                         }
                         for (std::size_t r = 0; r < problem.rows.size(); ++r) {
                           const PowerRow& at = problem.rows[r];
                           out[r] = log_ratio(power_of(board, scopes[at.scope], at), *at.row->power_w);
                         }
                       });
}

constexpr std::array kKnees = {0.05, 0.25, 0.45, 0.6, 0.7, 0.8};  // shares of the top frequency where a fit starts

PowerFit fit_power(const boards::Board& base, std::vector<PowerRow> rows, std::vector<Scope> scopes,
                   const std::vector<bool>& shapes, bool known_workload, Starts& starts) {
  PowerFit result{{std::move(rows), std::move(scopes), {}, {}}, {}};
  PowerProblem& problem = result.problem;
  add_rail_keys(problem, base, known_workload);
  add_upstream_keys(problem, base);
  for (std::size_t c = 0; c < base.clusters.size(); ++c) add_cluster_keys(problem, base, c, shapes[c]);
  std::vector<Parameter> parameters;
  for (const PowerKey& key : problem.keys) {
    parameters.push_back(key.parameter);
    parameters.back().tier = tier_of(key.key);
    if (key.key == "j_per_byte" && !known_workload) parameters.back().prior = 0;
  }
  if (problem.bends.empty()) {
    result.fit = starts.run(1, [&](std::size_t) { return solve(problem, base, parameters, starts); }).front();
    return result;
  }
  // The shape stays while others go back to their priors: it has no prior of its own, and the caller weighs all of it
  // against the board's V(f). The knee has local minima between operating points: several starts, the best at the end.
  for (const PowerProblem::Bend& one : problem.bends) parameters[one.lowest].kept = parameters[one.knee].kept = true;
  const std::vector<LeastSquares> fits = starts.run(kKnees.size(), [&](std::size_t i) {
    std::vector<Parameter> from = parameters;
    for (const PowerProblem::Bend& one : problem.bends) {
      from[one.knee].start = kKnees[i];
      from[one.lowest].start = share_of(0.85);
    }
    return solve(problem, base, std::move(from), starts);
  });
  for (const LeastSquares& fit : fits) {
    if (result.fit.residuals == 0 || information(fit) < information(result.fit)) result.fit = fit;
  }
  return result;
}

// ---- voltages, heat ----

/// Measured voltages: the mean at each operating point. They never fall as frequency rises (the file's validator).
std::vector<FittedKey> take_voltages(boards::Board& board, const MeasuredRows& data) {
  std::vector<FittedKey> keys;
  for (std::size_t c = 0; c < board.clusters.size(); ++c) {
    boards::Cluster& cluster = board.clusters[c];
    std::vector<std::vector<double>> samples(cluster.opps.size());
    std::size_t measured = 0;
    for (const MeasuredRow& row : data.rows) {
      if (board.mappings[row.mapping.index()].cluster.index() != c || !row.voltage_v) continue;
      measured += samples[row.opp.index()].empty() ? 1 : 0;
      samples[row.opp.index()].push_back(*row.voltage_v);
    }
    if (measured == 0) continue;
    const double prior = cluster.opps.front().voltage_v;
    double least = 0;
    for (std::size_t i = 0; i < samples.size(); ++i) {
      if (samples[i].empty()) continue;
      cluster.opps[i].voltage_v = least = std::max(std::round(mean_of(samples[i]) * 1e5) / 1e5, least);
    }
    // Points that nobody measured: on a line between their measured neighbours; beyond those the base's, as far as
    // voltages that never fall allow.
    std::optional<std::size_t> below;
    for (std::size_t i = 0; i < samples.size(); ++i) {
      if (samples[i].empty()) continue;
      for (std::size_t k = below ? *below + 1 : 0; k < i; ++k) {
        boards::OperatingPoint& at = cluster.opps[k];
        const boards::OperatingPoint& high = cluster.opps[i];
        if (!below) {
          at.voltage_v = std::min(at.voltage_v, high.voltage_v);
          continue;
        }
        const boards::OperatingPoint& low = cluster.opps[*below];
        const double share =
            static_cast<double>(at.freq_khz - low.freq_khz) / static_cast<double>(high.freq_khz - low.freq_khz);
        at.voltage_v = std::round((low.voltage_v + share * (high.voltage_v - low.voltage_v)) * 1e5) / 1e5;
      }
      below = i;
    }
    for (std::size_t i = *below + 1; i < samples.size(); ++i) {
      cluster.opps[i].voltage_v = std::max(cluster.opps[i].voltage_v, cluster.opps[i - 1].voltage_v);
    }
    FittedKey key{"cluster " + cluster.name, "voltage_v", prior, {}, true, {}, {}};
    for (const boards::OperatingPoint& opp : cluster.opps) key.numbers.push_back(opp.voltage_v);
    const double v = cluster.opps.front().voltage_v;
    key.estimate = {v, v, v, Standing::kFitted};
    key.note = "measured at " + std::to_string(measured) + " of " + std::to_string(samples.size()) + " points";
    keys.push_back(std::move(key));
  }
  return keys;
}

struct Heat {
  double time_s, power_w, temperature_c;
};

/// Stretches of samples without a gap: the node's temperature is run from the first sample of each.
std::vector<std::vector<Heat>> stretches_of(const MeasuredRows& data) {
  constexpr double kGap_s = 5;  // at the least; of rows that are further apart, three of their steps
  std::vector<Heat> samples;
  for (const MeasuredRow& row : data.rows) {
    if (!row.time_s || !row.temperature_c || !(row.heat_w || row.power_w)) continue;
    samples.push_back({*row.time_s, row.heat_w ? *row.heat_w : *row.power_w, *row.temperature_c});
  }
  std::vector<double> steps_s;
  for (std::size_t i = 1; i < samples.size(); ++i) {
    if (samples[i].time_s > samples[i - 1].time_s) steps_s.push_back(samples[i].time_s - samples[i - 1].time_s);
  }
  if (steps_s.empty()) return {};
  const double gap_s = std::max(kGap_s, 3 * quantile_of(std::move(steps_s), 0.5));
  std::vector<std::vector<Heat>> stretches;
  for (const Heat& heat : samples) {
    const bool fresh = stretches.empty() || heat.time_s < stretches.back().back().time_s ||
                       heat.time_s > stretches.back().back().time_s + gap_s;
    if (fresh) stretches.emplace_back();
    stretches.back().push_back(heat);
  }
  // One sample by itself says nothing of how the node warms.
  std::erase_if(stretches, [](const std::vector<Heat>& stretch) { return stretch.size() < 2; });
  return stretches;
}

Status fit_heat(BoardFit& fit, const MeasuredRows& data, Starts& starts) {
  constexpr std::size_t kLeast = 20;
  const auto stretches = stretches_of(data);
  std::size_t samples = 0;
  double hot_c = -300, cold_c = 1000, span_s = 0;
  for (const auto& stretch : stretches) {
    samples += stretch.size();
    span_s = std::max(span_s, stretch.back().time_s - stretch.front().time_s);
    for (const Heat& at : stretch)
      hot_c = std::max(hot_c, at.temperature_c), cold_c = std::min(cold_c, at.temperature_c);
  }
  if (samples < kLeast || hot_c - cold_c < 3) return {};
  boards::Thermal& thermal = fit.board.thermal;
  const boards::Thermal prior = thermal;
  std::vector<Parameter> parameters = {
      {"r_c_per_w", Domain::kPositive, prior.r_c_per_w, prior.r_c_per_w, prior.r_c_per_w},
      {"c_j_per_c", Domain::kPositive, prior.c_j_per_c, prior.c_j_per_c, prior.c_j_per_c},
      {"ambient_c", Domain::kPositive, std::max(prior.ambient_c, 0.0), std::max(prior.ambient_c, 1.0), 25}};
  // The file's bounds.
  parameters[0].least = 1e-3, parameters[0].most = 1000;
  parameters[1].least = 1e-4, parameters[1].most = 1e5;
  parameters[2].most = 100;
  const auto residuals = [&](std::span<const double> values, std::span<double> out) {
    if (!starts.beat()) return std::fill(out.begin(), out.end(), 0.0);
    boards::Thermal at = prior;
    at.r_c_per_w = values[0];
    at.c_j_per_c = values[1];
    std::size_t i = 0;
    for (const auto& stretch : stretches) {
      double temperature_c = stretch.front().temperature_c;
      for (std::size_t s = 0; s < stretch.size(); ++s, ++i) {
        if (s > 0) {
          temperature_c = boards::temperature_after_c(at, temperature_c, values[2], stretch[s - 1].power_w,
                                                      stretch[s].time_s - stretch[s - 1].time_s);
        }
        out[i] = temperature_c - stretch[s].temperature_c;
      }
    }
  };
  const LeastSquares heat =
      starts.run(1, [&](std::size_t) { return least_squares(parameters, samples, residuals); }).front();
  if (starts.stopped()) return {};
  fit.temperature_sigma_c = heat.sigma;
  thermal.r_c_per_w = heat.estimates[0].value;
  thermal.c_j_per_c = heat.estimates[1].value;
  if (heat.estimates[2].standing != Standing::kPrior) thermal.ambient_c = heat.estimates[2].value;
  for (std::size_t k = 0; k < parameters.size(); ++k) {
    fit.keys.push_back({"thermal", parameters[k].name, parameters[k].prior, heat.estimates[k], true, {}, {}});
  }
  return {};
}

// ---- all of it ----

/// The estimate of a constant that the file has one over.
Estimate inverted(const Estimate& estimate, double most) {
  const auto over = [](double value) { return value > 0 ? 1 / value : std::numeric_limits<double>::infinity(); };
  return {std::min(over(estimate.value), most), over(estimate.high), over(estimate.low), estimate.standing};
}

void fit_times(BoardFit& fit, const boards::Board& base, const MeasuredRows& data, const FitOptions& options,
               Starts& starts) {
  std::vector<Rows> of_cluster(base.clusters.size());
  bool batches = false;
  std::vector<double> gaps_s;
  for (const MeasuredRow& row : data.rows) {
    if (!row.latency_s) continue;
    of_cluster[base.mappings[row.mapping.index()].cluster.index()].push_back(&row);
    batches = batches || row.batch >= 2;
    fit.known_workload = fit.known_workload && data.workloads[row.workload].known;
  }
  std::vector<Arrivals> forms = {Arrivals::kAlone};
  if (options.arrivals) {
    forms = {*options.arrivals};
  } else if (batches) {
    forms.push_back(Arrivals::kClosedLoop);
  }
  // The clients behave alike on all clusters: the one with the most rows decides.
  std::vector<std::size_t> order(base.clusters.size());
  for (std::size_t c = 0; c < order.size(); ++c) order[c] = c;
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return of_cluster[a].size() > of_cluster[b].size(); });
  double squares = 0;
  std::size_t rows = 0;
  for (const std::size_t c : order) {
    if (of_cluster[c].empty()) continue;
    const TimeFit time = fit_time(base, ClusterId(c), data.workloads, of_cluster[c], forms, starts);
    if (starts.stopped()) return;
    forms = {time.clients.arrivals};
    fit.arrivals = time.clients.arrivals;
    if (c == order.front()) fit.lone_s = time.clients.lone_s;
    boards::TimeModel& model = fit.board.clusters[c].time;
    const std::string table = "cluster " + base.clusters[c].name + " time";
    for (std::size_t k = 0; k < kTimeKeys.size(); ++k) {
      Estimate estimate = time.fit.estimates[k];
      double prior = base.clusters[c].time.*kTimeKeys[k].field;
      const bool writable = fit.known_workload || k == kParallel;
      if (estimate.standing != Standing::kPrior || !writable) set_time(model, k, estimate.value);
      if (kTimeKeys[k].most > 0) estimate = inverted(estimate, kTimeKeys[k].most);
      if (!writable) prior = 0;
      if (k == kParallel && estimate.standing == Standing::kPrior && time.fit.estimates.size() == 1) continue;
      fit.keys.push_back({table, kTimeKeys[k].key, prior, estimate, writable, {}, {}});
    }
    model.overlap = time.overlap;
    if (time.overlap != base.clusters[c].time.overlap) {
      const Estimate chosen{time.overlap, time.overlap, time.overlap, Standing::kFitted};
      fit.keys.push_back({table, "overlap", base.clusters[c].time.overlap, chosen, true, {}, "chosen of 0 and 1"});
    }
    squares += time.fit.sigma * time.fit.sigma * static_cast<double>(of_cluster[c].size());
    rows += of_cluster[c].size();
  }
  if (rows > 0) fit.latency_sigma = std::sqrt(squares / static_cast<double>(rows));
  for (const MeasuredRow& row : data.rows) {
    if (!row.latency_s || !row.throughput_per_s) continue;
    if (fit.arrivals == Arrivals::kAlone || row.batch < 2) {
      gaps_s.push_back(std::max(0.0, row.batch / *row.throughput_per_s - *row.latency_s));
    }
  }
  fit.think_s = gaps_s.empty() ? 0 : quantile_of(std::move(gaps_s), 0.5);
}

Status fit_powers(BoardFit& fit, const MeasuredRows& data, const FitOptions& options, Starts& starts) {
  const boards::Board base = fit.board;  // with the fitted times and the measured voltages
  std::vector<PowerRow> rows;
  std::vector<Scope> scopes;
  std::vector<std::set<std::size_t>> opps(base.clusters.size());
  std::vector<std::size_t> of_cluster(base.clusters.size(), 0);
  const std::vector<double> w_per_w = boards::counted_w_per_w(base);
  const bool counts = std::any_of(w_per_w.begin(), w_per_w.end(), [](double share) { return share > 0; });
  std::vector<bool> has_voltage(base.clusters.size(), false);
  for (const MeasuredRow& row : data.rows) {
    const std::size_t c = base.mappings[row.mapping.index()].cluster.index();
    has_voltage[c] = has_voltage[c] || row.voltage_v.has_value();
    if (!row.power_w) continue;
    const std::size_t feeds = boards::rail_of(base, base.clusters[c]);
    if (!row.rail && counts && (feeds == base.rails.size() || w_per_w[feeds] == 0)) {
      return fail(ErrorKind::kUsage,
                  "no counted rail of board " + base.name + " feeds cluster '" + base.clusters[c].name +
                      "', so these powers say nothing of it",
                  row.place, "give the cluster a rail in the board file, or say with --rail what the powers are of");
    }
    PowerRow at = power_row(base, data.workloads, {fit.arrivals, fit.think_s, fit.lone_s}, row);
    const auto known = std::find_if(scopes.begin(), scopes.end(), [&](const Scope& s) { return s.rail == row.rail; });
    at.scope = static_cast<std::size_t>(known - scopes.begin());
    if (known == scopes.end()) {
      scopes.push_back(scope_of(base, row.rail, feeds));
      if (scopes.back().constant >= base.rails.size()) {
        return fail(ErrorKind::kUsage, "board " + base.name + " counts no rail that these powers could be of",
                    row.place, "name one with --rail, or mark one accounting = true");
      }
    }
    opps[c].insert(row.opp.index());
    ++of_cluster[c];
    rows.push_back(at);
  }
  if (rows.empty()) return {};
  std::vector<bool> shapes(base.clusters.size(), false);
  bool any_shape = false;
  for (std::size_t c = 0; c < shapes.size(); ++c) {
    shapes[c] = !options.keep_voltages && !has_voltage[c] && takes_shape(opps[c].size(), of_cluster[c]);
    any_shape = any_shape || shapes[c];
    if (!options.keep_voltages && !has_voltage[c] && opps[c].size() > 1 && !shapes[c]) {
      fit.assumed_voltages.push_back(base.clusters[c].name);
    }
  }
  PowerFit power =
      fit_power(base, rows, scopes, std::vector<bool>(base.clusters.size(), false), fit.known_workload, starts);
  if (any_shape) {
    PowerFit bent = fit_power(base, rows, scopes, shapes, fit.known_workload, starts);
    // Akaike and Bayes agree on less; 10 is "very strong".
    if (!starts.stopped() && information(bent.fit) < information(power.fit) - 10) power = std::move(bent);
  }
  if (starts.stopped()) return {};
  std::vector<double> values;
  for (const Estimate& estimate : power.fit.estimates) values.push_back(estimate.value);
  power.problem.apply(fit.board, values);
  fit.power_sigma = power.fit.sigma;
  std::vector<bool> is_bend(values.size(), false);
  for (const PowerProblem::Bend& one : power.problem.bends) {
    is_bend[one.lowest] = is_bend[one.knee] = true;
    boards::Cluster& cluster = fit.board.clusters[one.cluster];
    const Estimate& lowest = power.fit.estimates[one.lowest];
    const Estimate& knee = power.fit.estimates[one.knee];
    FittedKey key{"cluster " + cluster.name,
                  "voltage_v",
                  base.clusters[one.cluster].opps.front().voltage_v,
                  {one.top_v * lowest_of(lowest.value), one.top_v * lowest_of(lowest.low),
                   one.top_v * lowest_of(lowest.high), lowest.standing},
                  true,
                  {},
                  {}};
    if (lowest.standing == Standing::kPrior && knee.standing == Standing::kPrior) {
      cluster.opps = base.clusters[one.cluster].opps;
    } else {
      key.estimate.standing = Standing::kFitted;
      for (boards::OperatingPoint& opp : cluster.opps) {
        opp.voltage_v = std::round(opp.voltage_v * 1e4) / 1e4;
        key.numbers.push_back(opp.voltage_v);
      }
      const double top_mhz = static_cast<double>(cluster.max_khz()) * 1e-3;
      char note[160];
      std::snprintf(note, sizeof note, "level to %.0f MHz (%.0f to %.0f), the top kept at %g V", knee.value * top_mhz,
                    knee.low * top_mhz, knee.high * top_mhz, one.top_v);
      key.note = note;
    }
    fit.keys.push_back(std::move(key));
  }
  for (std::size_t k = 0; k < values.size(); ++k) {
    if (is_bend[k]) continue;
    const PowerKey& key = power.problem.keys[k];
    const bool writable = fit.known_workload || key.key != "j_per_byte";
    fit.keys.push_back(
        {key.table, key.key, writable ? key.parameter.prior : 0, power.fit.estimates[k], writable, {}, {}});
  }
  return {};
}

}  // namespace

double BoardFit::latency_s(const MeasuredRow& row) const {
  return latency_of(board, workloads, {arrivals, think_s, lone_s}, row);
}

double BoardFit::power_w(const MeasuredRow& row) const {
  const std::size_t rail = boards::rail_of(board, board.cluster_of(row.mapping));
  return power_of(board, scope_of(board, row.rail, rail),
                  power_row(board, workloads, {arrivals, think_s, lone_s}, row));
}

namespace {

/// How many fits a board's rows take, about: what progress is measured in.
std::size_t expected_starts(const boards::Board& base, const MeasuredRows& data, const FitOptions& options) {
  std::vector<std::set<std::size_t>> opps(base.clusters.size());
  std::vector<std::size_t> powers(base.clusters.size(), 0);
  std::set<std::size_t> timed;
  bool batches = false, voltages = options.keep_voltages, heat = false;
  for (const MeasuredRow& row : data.rows) {
    const std::size_t c = base.mappings[row.mapping.index()].cluster.index();
    if (row.latency_s) timed.insert(c);
    if (row.power_w) opps[c].insert(row.opp.index()), ++powers[c];
    batches = batches || (!options.arrivals && row.latency_s && row.batch >= 2);
    voltages = voltages || row.voltage_v;
    heat = heat || row.time_s;
  }
  bool any_power = false, shape = false;
  for (std::size_t c = 0; c < powers.size(); ++c) {
    any_power = any_power || powers[c] > 0;
    shape = shape || (!voltages && takes_shape(opps[c].size(), powers[c]));
  }
  const std::size_t per_form = kMemoryShares.size() + 1;
  return per_form * (timed.size() + (batches ? 1 : 0)) + (any_power ? 1 : 0) + (shape ? kKnees.size() : 0) +
         (heat ? 1 : 0);
}

}  // namespace

Result<BoardFit> fit_board(const boards::Board& base, const MeasuredRows& rows, const FitOptions& options) {
  const auto fails = [](const std::string& what, const MeasuredRows& given) {
    return fail(ErrorKind::kUsage, "too few rows: " + what, given.rows.empty() ? "--data" : given.rows.front().place,
                "measure at two frequencies at least, on every mapping that is to be fitted");
  };
  for (const MeasuredRow& row : rows.rows) {
    if (!row.mapping.valid()) continue;
    const boards::Cluster& cluster = base.cluster_of(row.mapping);
    if (cluster.max_khz() > 0) continue;
    return fail(ErrorKind::kUsage,
                "cluster '" + cluster.name + "' has no frequency, and time and power are fitted by it", row.place,
                "its profile can be drawn from as it is: reins train and reins eval with --replay");
  }
  const auto told = std::count_if(rows.rows.begin(), rows.rows.end(),
                                  [](const MeasuredRow& row) { return row.latency_s || row.power_w; });
  if (told == 1) return fails("one latency or power is no fit", rows);
  BoardFit fit;
  fit.board = base;
  fit.workloads = rows.workloads;
  for (FittedKey& key : take_voltages(fit.board, rows)) fit.keys.push_back(std::move(key));
  const boards::Board with_voltages = fit.board;
  Starts starts(options, expected_starts(base, rows, options));
  fit_times(fit, with_voltages, rows, options, starts);
  REINS_TRY(fit_powers(fit, rows, options, starts));
  REINS_TRY(fit_heat(fit, rows, starts));
  if (starts.stopped()) return fail(ErrorKind::kGone, "the fit was stopped; nothing is written", "board fit");
  const bool any = std::any_of(fit.keys.begin(), fit.keys.end(),
                               [](const FittedKey& key) { return key.estimate.standing != Standing::kPrior; });
  if (!any) return fails(std::to_string(rows.rows.size()) + " identify no constant", rows);
  return fit;
}

}  // namespace reins::evaluation
