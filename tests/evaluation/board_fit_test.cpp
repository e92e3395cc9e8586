#include "evaluation/board_fit.hpp"

#include <cmath>
#include <filesystem>
#include <functional>

#include "boards/physics.hpp"
#include "core/rng.hpp"
#include "evaluation/board_edit.hpp"
#include "evaluation/fit_check.hpp"
#include "tests/support/matchers.hpp"
#include "tests/support/run_program.hpp"

namespace reins::evaluation {
namespace {

using ::testing::HasSubstr;
using testing::IsError;
using ::testing::Not;

// LongBoardFit: minutes of arithmetic where it is instrumented or emulated; scripts/test.sh and cross.sh leave those
// out there.

constexpr const char* kBoard = R"(# a comment that stays
schema = 1
name = "toy"
[[cluster]]
name = "gpu"
kind = "gpu"
freq_khz = [100000, 200000, 300000, 400000, 500000, 600000, 700000, 800000, 900000, 1000000]
voltage_v = [0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.85, 0.9, 0.95, 1.0]
rail = "in"
[cluster.power]
core_w_per_mhz_v2 = 5e-3   # of another board
leak_w = 0.3
leak_per_c = 0.02
[cluster.time]
macs_per_cycle = 30
bytes_per_s = 2e10
overlap = 0
launch_cycles = 1e4
call_cycles = 0
[[cluster.idle]]
name = "wfi"
[[mapping]]
name = "gpu"
slot = "gpu"
cluster = "gpu"
[[rail]]
name = "in"
accounting = true
constant_w = 1.0
j_per_byte = 1e-10
[thermal]
r_c_per_w = 5
c_j_per_c = 20
throttle_c = 90
release_c = 80
)";
const Workload kWork{{{.macs = 4e9, .bytes = 5e7, .launches = 200}}, true};

boards::Board toy() { return *boards::parse_board(kBoard, "toy.toml"); }

/// The board that was "measured".
boards::Board truth() {
  boards::Board board = toy();
  boards::Cluster& gpu = board.clusters[0];
  gpu.time.macs_per_cycle = 80;
  gpu.time.bytes_per_s = 1.2e10;
  gpu.time.launch_cycles = 5e4;
  gpu.power.core_w_per_mhz_v2 = 8e-3;
  board.rails[0].constant_w = 2.5;
  board.rails[0].j_per_byte = 1.5e-9;
  return board;
}

/// Rows of `board`'s own physics, with relative noise, at every operating point for each batch. In a closed loop.
MeasuredRows rows_of(const boards::Board& board, const std::vector<double>& batches, double sigma, std::uint64_t seed) {
  MeasuredRows data;
  data.workloads = {kWork};
  Rng rng(seed);
  const auto noisy = [&](double value) { return value * std::exp(sigma * rng.normal()); };
  for (std::size_t o = 0; o < board.clusters[0].opps.size(); ++o) {
    for (const double batch : batches) {
      MeasuredRow row;
      row.place = "made:1";
      row.mapping = MappingId(0);
      row.opp = OppId(o);
      row.batch = batch;
      const auto run_s = [&](double n) {
        return boards::inference_time_s(board, row.mapping, row.opp, kWork.layers, n);
      };
      const double latency_s = batch < 2 ? run_s(batch) : run_s(std::ceil(batch / 2)) + run_s(std::floor(batch / 2));
      const double power_w =
          board.rails[0].constant_w +
          boards::cluster_power_w(board.clusters[0], row.opp, 1, 0, board.clusters[0].power.leak_ref_c) +
          board.rails[0].j_per_byte * kWork.layers[0].bytes * batch / latency_s;
      row.latency_s = noisy(latency_s);
      row.power_w = noisy(power_w);
      row.energy_j = *row.latency_s * *row.power_w;
      data.rows.push_back(std::move(row));
    }
  }
  return data;
}

const FittedKey& key_of(const BoardFit& fit, std::string_view key) {
  for (const FittedKey& one : fit.keys) {
    if (one.key == key) return one;
  }
  ADD_FAILURE() << "no " << key;
  return fit.keys.front();
}

const std::vector<double> kBatches = {1, 2, 4, 6, 8, 12, 16};

TEST(BoardFit, RecoversWhatMadeTheRows) {
  const auto fit = fit_board(toy(), rows_of(truth(), kBatches, 0.01, 1), {});
  ASSERT_OK(fit);
  EXPECT_EQ(fit->arrivals, Arrivals::kClosedLoop);
  const boards::Cluster& gpu = fit->board.clusters[0];
  EXPECT_NEAR(gpu.time.macs_per_cycle / 80, 1, 0.03);
  EXPECT_NEAR(gpu.time.bytes_per_s / 1.2e10, 1, 0.1);
  EXPECT_NEAR(gpu.time.launch_cycles / 5e4, 1, 0.1);
  EXPECT_NEAR(gpu.power.core_w_per_mhz_v2 / 8e-3, 1, 0.05);
  EXPECT_NEAR(fit->board.rails[0].constant_w / 2.5, 1, 0.05);
  EXPECT_NEAR(fit->board.rails[0].j_per_byte / 1.5e-9, 1, 0.2) << "0.6 W of 8";
  EXPECT_NEAR(fit->latency_sigma, 0.01, 0.004);
  EXPECT_NEAR(fit->power_sigma, 0.01, 0.004);
}

// Where memory runs beside the arithmetic, it counts only where it takes the longer: a fit has to find its way there
// from a bandwidth so large that nothing depends on it.
TEST(LongBoardFit, RecoversARooflineWhereverItsRidgeLies) {
  for (const double overlap_of_base : {0.0, 1.0}) {
    for (const double ridge : {0.4, 0.6, 0.8}) {  // of the top frequency: above it, memory takes the longer
      SCOPED_TRACE(std::to_string(ridge) + " from overlap " + std::to_string(overlap_of_base));
      boards::Board made = truth();
      boards::TimeModel& time = made.clusters[0].time;
      time.overlap = 1;
      time.bytes_per_s = kWork.layers[0].bytes / kWork.layers[0].macs * time.macs_per_cycle * ridge * 1e9;
      boards::Board base = toy();
      base.clusters[0].time.overlap = overlap_of_base;
      const auto fit = fit_board(base, rows_of(made, kBatches, 0.005, 1), {});
      ASSERT_OK(fit);
      const boards::TimeModel& found = fit->board.clusters[0].time;
      EXPECT_EQ(found.overlap, 1);
      EXPECT_NEAR(found.bytes_per_s / time.bytes_per_s, 1, 0.02);
      EXPECT_NEAR(found.macs_per_cycle / time.macs_per_cycle, 1, 0.02);
      EXPECT_NEAR(fit->latency_sigma, 0.005, 0.002);
    }
  }
}

TEST(LongBoardFit, FindsTheKneeOfTheVoltageThatTheBaseDoesNotHave) {
  boards::Board base = toy();
  auto& opps = base.clusters[0].opps;
  for (std::size_t i = 0; i < opps.size(); ++i) opps[i].voltage_v = 0.6 + 0.4 * static_cast<double>(i + 1) / 10;
  const MeasuredRows rows = rows_of(truth(), kBatches, 0.01, 2);
  const auto fit = fit_board(base, rows, {});
  ASSERT_OK(fit);
  const auto& fitted = fit->board.clusters[0].opps;
  EXPECT_NEAR(fitted.front().voltage_v, 0.8, 0.03);
  EXPECT_NEAR(fitted[5].voltage_v, 0.8, 0.03) << "level to 600 MHz";
  EXPECT_EQ(fitted.back().voltage_v, 1.0) << "no power tells the top";
  const auto kept = fit_board(base, rows, {.keep_voltages = true});
  ASSERT_OK(kept);
  EXPECT_EQ(kept->board.clusters[0].opps[3].voltage_v, base.clusters[0].opps[3].voltage_v);
  EXPECT_GT(kept->power_sigma, 2 * fit->power_sigma);
}

// Each interval holds the truth in 95 of 100 cases; of 40, fewer than 33 do with probability 0.2 % (binomial).
TEST(LongBoardFit, IntervalsHoldTheTruth) {
  int macs = 0, core = 0, constant = 0;
  const int fits = 40;
  for (int seed = 0; seed < fits; ++seed) {
    const auto fit = fit_board(toy(), rows_of(truth(), {1, 4, 16}, 0.02, 100 + static_cast<std::uint64_t>(seed)),
                               {.keep_voltages = true});
    ASSERT_OK(fit);
    const auto holds = [&](const char* key, double value) {
      const Estimate& estimate = key_of(*fit, key).estimate;
      return estimate.low <= value && value <= estimate.high ? 1 : 0;
    };
    macs += holds("macs_per_cycle", 80);
    core += holds("core_w_per_mhz_v2", 8e-3);
    constant += holds("constant_w", 2.5);
  }
  EXPECT_GE(macs, fits * 33 / 40);
  EXPECT_GE(core, fits * 33 / 40);
  EXPECT_GE(constant, fits * 33 / 40);
}

TEST(LongBoardFit, KeepsThePriorOfWhatTheRowsCannotTell) {
  // One batch size: what a batch costs and what an image costs appear together; one temperature: no exponent of it.
  const auto fit = fit_board(toy(), rows_of(truth(), {1}, 0.01, 3), {});
  ASSERT_OK(fit);
  EXPECT_EQ(key_of(*fit, "launch_cycles").estimate.standing, Standing::kPrior);
  EXPECT_EQ(fit->board.clusters[0].time.launch_cycles, 1e4);
  EXPECT_EQ(key_of(*fit, "leak_per_c").estimate.standing, Standing::kPrior);
  EXPECT_EQ(fit->board.clusters[0].power.leak_per_c, 0.02);
  EXPECT_NE(key_of(*fit, "macs_per_cycle").estimate.standing, Standing::kPrior);
  // With both batch sizes they come apart.
  const auto both = fit_board(toy(), rows_of(truth(), {1, 16}, 0.01, 3), {});
  ASSERT_OK(both);
  EXPECT_NE(key_of(*both, "launch_cycles").estimate.standing, Standing::kPrior);
}

// Few rows leave wide intervals, and a prior that they contradict is no better for it.
TEST(LongBoardFit, AFewRowsKeepWhatTheirPriorContradicts) {
  for (const double ridge : {0.4, 0.5, 0.6}) {
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
      SCOPED_TRACE(std::to_string(ridge) + ", seed " + std::to_string(seed));
      boards::Board made = truth();
      boards::TimeModel& time = made.clusters[0].time;
      time.overlap = 1;
      time.launch_cycles = 0;
      time.bytes_per_s = kWork.layers[0].bytes / kWork.layers[0].macs * time.macs_per_cycle * ridge * 1e9;
      MeasuredRows rows = rows_of(made, {1}, 0.02, seed);
      rows.workloads = {{{{.macs = 1, .bytes = 1, .launches = 1}}, false}};  // nobody said what an image costs
      const auto split = hold_out(toy(), rows, "every-other-frequency");
      ASSERT_OK(split);
      const auto fit = fit_board(toy(), split->fitted, {});
      ASSERT_OK(fit);
      EXPECT_LT(errors_of(*fit, split->fitted).latency.mean, 0.05);
      EXPECT_LT(errors_of(*fit, split->held_out).latency.mean, 0.1);
      EXPECT_LT(errors_of(*fit, split->held_out).energy.mean, 0.1);
    }
  }
}

TEST(LongBoardFit, ThreadsDoNotChangeAFigureAndItCanBeStopped) {
  const MeasuredRows rows = rows_of(truth(), kBatches, 0.02, 9);
  FitOptions options;
  std::vector<double> heard;
  options.progress = [&](double share) {
    heard.push_back(share);
    return true;
  };
  const auto alone = fit_board(toy(), rows, options);
  ASSERT_OK(alone);
  EXPECT_TRUE(std::is_sorted(heard.begin(), heard.end()));
  EXPECT_LT(heard.front(), 0.2);
  EXPECT_EQ(heard.back(), 1);
  options.threads = 4;
  const auto together = fit_board(toy(), rows, options);
  ASSERT_OK(together);
  ASSERT_EQ(together->keys.size(), alone->keys.size());
  for (std::size_t k = 0; k < alone->keys.size(); ++k) {
    EXPECT_EQ(together->keys[k].estimate.value, alone->keys[k].estimate.value) << alone->keys[k].key;
    EXPECT_EQ(together->keys[k].estimate.high, alone->keys[k].estimate.high) << alone->keys[k].key;
  }
  for (const double at : {0.0, 0.2, 0.6, 0.9}) {
    options.progress = [&](double share) { return share < at; };
    EXPECT_THAT(fit_board(toy(), rows, options), IsError(ErrorKind::kGone, HasSubstr("stopped"))) << at;
  }
}

TEST(LongBoardFit, OneOutlierMovesLittle) {
  MeasuredRows rows = rows_of(truth(), kBatches, 0.01, 4);
  const MeasuredRows clean = rows;
  rows.rows[20].latency_s = *rows.rows[20].latency_s * 5;
  rows.rows[20].power_w = *rows.rows[20].power_w * 5;
  const auto fit = fit_board(toy(), rows, {});
  ASSERT_OK(fit);
  // Noise alone is 0.8 % on average.
  const RowErrors errors = errors_of(*fit, clean);
  EXPECT_LT(errors.latency.mean, 0.015);
  EXPECT_LT(errors.power.mean, 0.015);
}

TEST(BoardFit, LeakageFollowsTheTemperatureOfIdleRows) {
  boards::Board board = truth();
  MeasuredRows data;
  data.workloads = {kWork};
  Rng rng(5);
  boards::PowerModel& power = board.clusters[0].power;
  power.leak_w = 0.8;
  power.leak_per_c = 0.015;
  for (int i = 0; i < 200; ++i) {
    MeasuredRow row;
    row.mapping = MappingId(0);
    row.opp = OppId(static_cast<std::int64_t>(i % 10));
    row.busy_cores = i % 2;
    row.temperature_c = 40 + rng.uniform() * 40;
    row.power_w = (board.rails[0].constant_w +
                   boards::cluster_power_w(board.clusters[0], row.opp, *row.busy_cores, 0, *row.temperature_c)) *
                  std::exp(0.005 * rng.normal());
    data.rows.push_back(row);
  }
  const auto fit = fit_board(toy(), data, {.keep_voltages = true});
  ASSERT_OK(fit);
  EXPECT_NE(key_of(*fit, "leak_w").estimate.standing, Standing::kPrior);
  EXPECT_NEAR(fit->board.clusters[0].power.leak_per_c, 0.015, 0.005);
  EXPECT_NEAR(fit->board.clusters[0].power.core_w_per_mhz_v2 / 8e-3, 1, 0.03);
}

// Of a bare base file: V(f) is a guess, and nothing but it tells a leakage from a constant.
// Where V(f) is the file's and the board's temperature not known, nothing tells a leakage from a constant.
TEST(BoardFit, ALeakageThatOnlyAnAssumedVoltageTellsKeepsItsPrior) {
  boards::Board leaky = truth();
  leaky.clusters[0].power.leak_w = 2;
  leaky.clusters[0].power.leak_voltage_exponent = 3;
  MeasuredRows rows = rows_of(leaky, kBatches, 0.005, 5);
  const FitOptions keep{.keep_voltages = true};
  const auto untold = fit_board(toy(), rows, keep);
  ASSERT_OK(untold);
  for (const char* key : {"leak_w", "leak_per_c", "leak_voltage_exponent"}) {
    EXPECT_EQ(key_of(*untold, key).estimate.standing, Standing::kPrior) << key;
  }
  EXPECT_EQ(untold->board.clusters[0].power.leak_w, toy().clusters[0].power.leak_w);
  EXPECT_LT(errors_of(*untold, rows).power.mean, 0.03);
  // A prior that alone draws more than the rows do is not kept.
  boards::Board base = toy();
  base.clusters[0].power.leak_w = 20;
  const auto refuted = fit_board(base, rows, keep);
  ASSERT_OK(refuted);
  EXPECT_LT(errors_of(*refuted, rows).power.mean, 0.03);
  // Measured voltages tell it.
  for (MeasuredRow& row : rows.rows) row.voltage_v = leaky.clusters[0].opps[row.opp.index()].voltage_v;
  const auto told = fit_board(toy(), rows, {});
  ASSERT_OK(told);
  EXPECT_EQ(key_of(*told, "leak_w").estimate.standing, Standing::kFitted);
}

TEST(BoardFit, SaysWhereTheVoltageIsTheBasesAndIsToldWhatALatencyIsOf) {
  const MeasuredRows all = rows_of(truth(), {1, 4}, 0.01, 5);
  MeasuredRows few = all;
  std::erase_if(few.rows, [](const MeasuredRow& row) { return row.opp.index() % 4 != 0; });
  const auto three = fit_board(toy(), few, {.arrivals = Arrivals::kClosedLoop});
  ASSERT_OK(three);
  EXPECT_EQ(three->assumed_voltages, std::vector<std::string>{"gpu"});
  EXPECT_EQ(three->arrivals, Arrivals::kClosedLoop);
  const auto vouched = fit_board(toy(), few, {.keep_voltages = true, .arrivals = Arrivals::kAlone});
  ASSERT_OK(vouched);
  EXPECT_TRUE(vouched->assumed_voltages.empty());
  EXPECT_EQ(vouched->arrivals, Arrivals::kAlone);
  const auto ten = fit_board(toy(), all, {});
  ASSERT_OK(ten);
  EXPECT_TRUE(ten->assumed_voltages.empty());
}

TEST(BoardFit, VoltagesBetweenMeasuredPointsLieOnALine) {
  MeasuredRows rows = rows_of(truth(), {1}, 0, 5);
  for (const auto& [opp, volts] : {std::pair{2, 0.7}, std::pair{6, 1.1}}) {
    rows.rows[static_cast<std::size_t>(opp)].voltage_v = volts;
  }
  const auto fit = fit_board(toy(), rows, {});
  ASSERT_OK(fit);
  const std::vector<double> wanted = {0.7, 0.7, 0.7, 0.8, 0.9, 1.0, 1.1, 1.1, 1.1, 1.1};
  for (std::size_t o = 0; o < wanted.size(); ++o) {
    EXPECT_NEAR(fit->board.clusters[0].opps[o].voltage_v, wanted[o], 1e-4) << o;
  }
}

TEST(BoardFit, RowsThatAreAllTheSameLeaveNoIntervalOfNoWidth) {
  MeasuredRows rows = rows_of(truth(), {1}, 0, 5);
  rows.rows = std::vector<MeasuredRow>(6, rows.rows[4]);
  const auto fit = fit_board(toy(), rows, {});
  ASSERT_OK(fit);
  for (const FittedKey& key : fit->keys) {
    if (key.estimate.standing == Standing::kPrior) continue;
    EXPECT_GT(key.estimate.high, key.estimate.value * 1.005) << key.key;
  }
}

TEST(BoardFit, IdleRowsAreOfTheDeepestIdleState) {
  boards::Board board = truth();
  boards::Board base = toy();
  for (boards::Board* one : {&board, &base}) {
    boards::IdleState off;
    off.name = "off";
    off.clock_fraction = 0;
    off.leakage_fraction = 0.1;
    off.residency_s = 0.5;
    one->clusters[0].idle.push_back(off);
    one->clusters[0].power.leak_w = 1.5;
  }
  MeasuredRows data = rows_of(board, kBatches, 0.005, 3);
  for (std::size_t o = 0; o < 10; ++o) {
    MeasuredRow row;
    row.place = "made:1";
    row.mapping = MappingId(0);
    row.opp = OppId(o);
    row.busy_cores = 0;
    row.power_w = board.rails[0].constant_w +
                  boards::cluster_power_w(board.clusters[0], row.opp, 0, 1, board.clusters[0].power.leak_ref_c);
    data.rows.push_back(row);
  }
  const auto fit = fit_board(base, data, {.keep_voltages = true});
  ASSERT_OK(fit);
  EXPECT_NEAR(fit->board.rails[0].constant_w / 2.5, 1, 0.02);
  EXPECT_NEAR(fit->board.clusters[0].power.core_w_per_mhz_v2 / 8e-3, 1, 0.03);
  EXPECT_NEAR(fit->power_w(data.rows.back()) / *data.rows.back().power_w, 1, 0.02);
}

/// Temperatures of a node of 9 K/W and 4 J/K in 30 C, a sample every `step_s`, the heat another every `change_s`.
MeasuredRows heated(double step_s, int samples, double change_s) {
  boards::Thermal node;
  node.r_c_per_w = 9;
  node.c_j_per_c = 4;
  MeasuredRows data;
  data.workloads = {kWork};
  double temperature_c = 35;
  for (int i = 0; i < samples; ++i) {
    MeasuredRow row;
    row.mapping = MappingId(0);
    row.opp = OppId(0);
    row.time_s = step_s * i;
    row.heat_w = static_cast<int>(step_s * i / change_s) % 2 == 0 ? 4.0 : 1.0;
    row.temperature_c = std::round(temperature_c);
    data.rows.push_back(row);
    temperature_c = boards::temperature_after_c(node, temperature_c, 30, *row.heat_w, step_s);
  }
  return data;
}

TEST(BoardFit, HeatIsThatOfTheNodeThatMadeIt) {
  for (const auto& [step_s, samples, change_s] : {std::tuple{0.5, 600, 50.0}, {10.0, 240, 200.0}}) {
    SCOPED_TRACE(step_s);
    const auto fit = fit_board(toy(), heated(step_s, samples, change_s), {});
    ASSERT_OK(fit);
    EXPECT_NEAR(fit->board.thermal.r_c_per_w, 9, 0.3);
    EXPECT_NEAR(fit->board.thermal.c_j_per_c, 4, 0.3);
    EXPECT_NEAR(fit->board.thermal.ambient_c, 30, 1);
  }
}

TEST(BoardFit, SamplesThatFollowNoOtherTellNothingOfHeat) {
  MeasuredRows data = heated(0.5, 60, 10);
  for (MeasuredRow& row : data.rows) row.time_s = -*row.time_s;
  EXPECT_THAT(fit_board(toy(), data, {}), IsError(ErrorKind::kUsage, HasSubstr("identify no constant")));
}

TEST(BoardFit, FileKeepsEverythingElse) {
  const auto fit = fit_board(toy(), rows_of(truth(), kBatches, 0.01, 6), {});
  ASSERT_OK(fit);
  const auto text = edited_board(kBoard, "toy.toml", *fit, "how");
  ASSERT_OK(text);
  EXPECT_THAT(*text, HasSubstr("# how\n"));
  EXPECT_THAT(*text, HasSubstr("# a comment that stays\n"));
  EXPECT_THAT(*text, HasSubstr("leak_per_c = 0.02\n")) << "a kept prior is not touched";
  EXPECT_THAT(*text, Not(HasSubstr("core_w_per_mhz_v2 = 5e-3")));
  const auto back = boards::parse_board(*text, "back");
  ASSERT_OK(back);
  EXPECT_NEAR(back->clusters[0].time.macs_per_cycle / fit->board.clusters[0].time.macs_per_cycle, 1, 1e-4);
  EXPECT_EQ(back->thermal.r_c_per_w, 5);
}

TEST(BoardFit, FileInAnotherLayoutIsRefused) {
  const auto fit = fit_board(toy(), rows_of(truth(), kBatches, 0.01, 6), {});
  ASSERT_OK(fit);
  std::string inline_table = kBoard;
  const std::string from = "[cluster.time]\n";
  inline_table.replace(inline_table.find(from), from.size(), "[ cluster . time ]\n");
  EXPECT_THAT(edited_board(inline_table, "toy.toml", *fit, ""),
              IsError(ErrorKind::kGarbled, HasSubstr("table of its own")));
}

/// A board whose input draws `upstream` watts for each of its GPU's, and rows of both rails.
struct TwoRails {
  boards::Board base = toy();
  MeasuredRows rows = rows_of(truth(), kBatches, 0.01, 6);

  explicit TwoRails(double upstream) {
    add_gpu_rail(base);
    const boards::Board made = truth();
    for (MeasuredRow& row : rows.rows) {
      // rows_of knows one rail: to its power comes what the input draws beyond the GPU's own watts.
      *row.power_w += (upstream - 1) * gpu_w(made, row.opp);
      *row.energy_j = *row.power_w * *row.latency_s;
    }
    MeasuredRow of_gpu = rows.rows.front();
    of_gpu.rail = 1;
    of_gpu.latency_s.reset(), of_gpu.energy_j.reset();
    of_gpu.busy_cores = 1;
    for (std::size_t o = 0; o < made.clusters[0].opps.size(); o += 3) {
      of_gpu.opp = OppId(o);
      of_gpu.power_w = gpu_w(made, of_gpu.opp) * (o % 2 == 0 ? 1.01 : 0.99);
      rows.rows.push_back(of_gpu);
    }
  }
  static void add_gpu_rail(boards::Board& board) {
    board.rails[0].contains = {"gpu"};
    board.rails.emplace_back().name = "gpu";
    board.clusters[0].rail = "gpu";
  }
  static double gpu_w(const boards::Board& board, OppId opp) {
    return boards::cluster_power_w(board.clusters[0], opp, 1, 0, board.clusters[0].power.leak_ref_c);
  }
};

TEST(LongBoardFit, RowsOfARailAndOfTheOneThatContainsItTellWhatTheLatterDrawsMore) {
  const TwoRails two(1.7);
  const auto fit = fit_board(two.base, two.rows, {});
  ASSERT_OK(fit);
  const FittedKey& key = key_of(*fit, "upstream_w_per_w");
  EXPECT_EQ(key.table, "rail gpu");
  EXPECT_EQ(key.estimate.standing, Standing::kFitted);
  EXPECT_NEAR(key.estimate.value, 1.7, 0.1);
  EXPECT_NEAR(fit->board.rails[1].upstream_w_per_w, key.estimate.value, 1e-9);
  EXPECT_LT(errors_of(*fit, two.rows).power.mean, 0.02);
  const Optimum optimum = optimum_of(*fit, two.rows, two.rows);
  EXPECT_EQ(optimum.groups.size(), kBatches.size()) << "rows of the part have no energy of the whole";
}

TEST(LongBoardFit, ConstantsStayInsideTheFilesBounds) {
  TwoRails two(1.0);
  two.base.rails[1].upstream_w_per_w = 1.8;
  const auto upstream = fit_board(two.base, two.rows, {});
  ASSERT_OK(upstream);
  EXPECT_EQ(key_of(*upstream, "upstream_w_per_w").estimate.low, 1);
  EXPECT_GE(upstream->board.rails[1].upstream_w_per_w, 1);
  EXPECT_LT(upstream->board.rails[1].upstream_w_per_w, 1.1);
  // Rows of a leakage that rises more steeply with the voltage than the file takes.
  boards::Board made = truth();
  made.clusters[0].power.leak_w = 1;
  made.clusters[0].power.leak_voltage_exponent = 20;
  MeasuredRows rows = rows_of(made, kBatches, 0.005, 7);
  for (MeasuredRow& row : rows.rows) row.voltage_v = made.clusters[0].opps[row.opp.index()].voltage_v;
  const auto steep = fit_board(toy(), rows, {});
  ASSERT_OK(steep);
  EXPECT_LE(key_of(*steep, "leak_voltage_exponent").estimate.high, 12);
  EXPECT_OK(edited_board(kBoard, "toy.toml", *steep, ""));
}

TEST(LongBoardFit, AnIdleClockOfAnotherBoardsThatAloneDrawsMoreIsNotKept) {
  boards::Board base = toy();
  base.clusters[0].power.idle_clock_w_per_mhz_v2 = 3e-2;  // three times what these rows draw
  const MeasuredRows rows = rows_of(truth(), kBatches, 0.01, 3);
  const auto split = hold_out(base, rows, "every-other-frequency");
  ASSERT_OK(split);
  const auto fit = fit_board(base, split->fitted, {});
  ASSERT_OK(fit);
  EXPECT_LT(errors_of(*fit, split->held_out).power.mean, 0.04);
}

TEST(BoardFit, PowersOfAClusterThatNoCountedRailFeedsAreRefusedInOneLine) {
  boards::Board base = toy();
  base.clusters[0].rail.clear();
  EXPECT_THAT(fit_board(base, rows_of(truth(), kBatches, 0.01, 3), {}),
              IsError(ErrorKind::kUsage, HasSubstr("no counted rail of board toy feeds cluster 'gpu'")));
}

TEST(BoardFit, FileThatDoesNotReadBackIsRefused) {
  auto fit = fit_board(toy(), rows_of(truth(), kBatches, 0.01, 6), {});
  ASSERT_OK(fit);
  fit->board.rails[0].j_per_byte += 1;
  EXPECT_THAT(edited_board(kBoard, "toy.toml", *fit, ""), IsError(ErrorKind::kGarbled, HasSubstr("rail")));
  fit->board.rails[0].j_per_byte -= 1;
  fit->board.thermal.c_j_per_c += 1;
  EXPECT_THAT(edited_board(kBoard, "toy.toml", *fit, ""), IsError(ErrorKind::kGarbled, HasSubstr("[thermal]")));
}

TEST(LongBoardFit, GivesNoVoltageBelowHalfOfTheTop) {
  MeasuredRows rows = rows_of(truth(), {1, 2}, 0.005, 8);
  const double top_khz = static_cast<double>(toy().clusters[0].max_khz());
  for (MeasuredRow& row : rows.rows) {
    // Steeper than any voltage makes it.
    const double f = static_cast<double>(toy().clusters[0].opps[row.opp.index()].freq_khz) / top_khz;
    row.power_w = 1 + 20 * std::pow(f, 8);
    row.energy_j.reset();
  }
  const auto fit = fit_board(toy(), rows, {});
  ASSERT_OK(fit);
  const auto& opps = fit->board.clusters[0].opps;
  EXPECT_GE(opps.front().voltage_v, 0.4999 * opps.back().voltage_v);
}

TEST(HoldOut, EveryOtherFrequencyAndItsCounterpartShareTheRows) {
  const MeasuredRows rows = rows_of(truth(), {1, 2}, 0, 7);
  const auto one = hold_out(toy(), rows, "every-other-frequency");
  const auto other = hold_out(toy(), rows, "other-every-other-frequency");
  ASSERT_OK(one);
  ASSERT_OK(other);
  EXPECT_EQ(one->fitted.rows.size(), 10u);
  EXPECT_EQ(one->held_out.rows.size(), 10u);
  EXPECT_EQ(one->held_out.rows[0].opp, OppId(1));
  EXPECT_EQ(other->held_out.rows[0].opp, OppId(0));
  const auto listed = hold_out(toy(), rows, "300,700");
  ASSERT_OK(listed);
  EXPECT_EQ(listed->held_out.rows.size(), 4u);
  EXPECT_THAT(hold_out(toy(), rows, "half"), IsError(ErrorKind::kUsage, HasSubstr("half")));
  EXPECT_THAT(hold_out(toy(), rows, "350"), IsError(ErrorKind::kUsage, HasSubstr("no row")));
}

TEST(BoardFit, OfAMachineWithoutFrequenciesIsRefusedInOneLine) {
  boards::Board fixed = toy();
  const MeasuredRows rows = rows_of(truth(), kBatches, 0, 8);
  for (boards::Cluster& cluster : fixed.clusters) {
    for (boards::OperatingPoint& opp : cluster.opps) opp.freq_khz = 0;
  }
  EXPECT_THAT(fit_board(fixed, rows, {}),
              IsError(ErrorKind::kUsage, ::testing::AllOf(HasSubstr("'gpu' has no frequency"), HasSubstr("--replay"))));
}

TEST(Optimum, OfRowsWithoutNoiseIsTheMeasuredOne) {
  const MeasuredRows rows = rows_of(truth(), kBatches, 0, 8);
  const auto split = hold_out(toy(), rows, "every-other-frequency");
  ASSERT_OK(split);
  const auto fit = fit_board(toy(), split->fitted, {});
  ASSERT_OK(fit);
  const Optimum optimum = optimum_of(*fit, rows, split->fitted);
  EXPECT_EQ(optimum.fitted.groups, kBatches.size());
  EXPECT_LT(optimum.fitted.worst, 0.005);
  const RowErrors errors = errors_of(*fit, split->held_out);
  EXPECT_LT(errors.latency.worst, 0.01);
  EXPECT_LT(errors.energy.worst, 0.02);
}

// The reported AlexNet: a fit comes within 15 % of every point, the XU3's middle frequencies left out of it, and so
// does the board file as it is.
TEST(ReportedFigures, AreMetByAFit) {
  struct Unit {
    const char *board, *name, *without;
    std::size_t points;
  };
  const std::filesystem::path source = REINS_SOURCE_DIR;
  for (const Unit& unit : {Unit{"odroid-xu3", "xu3", "700,1000", 6}, Unit{"jetson-nano", "nano-cpu", "none", 2},
                           Unit{"jetson-nano", "nano-gpu", "none", 2}}) {
    SCOPED_TRACE(unit.name);
    const testing::Ran ran = testing::run_program("/usr/bin/python3 " + (source / "bench/measured_rows.py").string() +
                                                  " alexnet " + unit.name);
    ASSERT_EQ(ran.code, 0) << ran.output;
    const auto table = CsvTable::parse(ran.output, unit.name);
    ASSERT_OK(table);
    auto board = boards::find_board(unit.board, source / "boards");
    ASSERT_OK(board);
    const auto rows = read_rows(*table, *board, {});
    ASSERT_OK(rows);
    const auto split = hold_out(*board, *rows, unit.without);
    ASSERT_OK(split);
    const auto fit = fit_board(*board, split->fitted, {});
    ASSERT_OK(fit);
    const auto expect_met = [](const RowErrors& errors) {
      EXPECT_LE(errors.latency.worst, 0.15);
      EXPECT_LE(errors.power.worst, 0.15);
      EXPECT_LE(errors.energy.worst, 0.15);
    };
    std::size_t points = 0;
    for (const MeasuredRows& part : {split->fitted, split->held_out}) {
      if (part.rows.empty()) continue;
      points += part.rows.size();
      expect_met(errors_of(*fit, part));
    }
    EXPECT_EQ(points, unit.points);
    BoardFit shipped;
    shipped.board = *board;
    shipped.workloads = rows->workloads;
    expect_met(errors_of(shipped, *rows));
  }
}

// The bars for boards that were measured, with every other frequency left out: latency and energy within 10 % on
// average; energy at the predicted optimum within 3 % of the least at the median over batch sizes (Xavier NX, noisier:
// 5 %), within 10 % at the 90th percentile. Both halves, so that neither is the lucky one. The noisiest also from the
// other boards' files: what a fit starts from must not decide.
TEST(MeasuredJetsons, AreMetAtFrequenciesThatWereLeftOut) {
  const std::filesystem::path source = REINS_SOURCE_DIR;
  const auto file = source / "../shared/measured/loudva_jetson/Profiling.csv";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << "the measured rows are not at " << file;
  const auto table = CsvTable::read(file);
  ASSERT_OK(table);
  struct Device {
    const char *board, *name;
    double median;
    bool own = true;
  };
  const std::vector<Device> devices = {{"jetson-nano", "Nano", 0.03},
                                       {"jetson-xavier-nx", "NX", 0.05},
                                       {"jetson-agx-xavier", "AGX", 0.03},
                                       {"jetson-nano", "NX", 0.05, false},
                                       {"jetson-agx-xavier", "NX", 0.05, false}};
  for (const Device& device : devices) {
    auto board = boards::find_board(device.board, source / "boards");
    ASSERT_OK(board);
    // The shipped constants come from all rows; a fit that leaves some out must not know them, nor V(f).
    for (boards::Cluster& cluster : board->clusters) {
      if (device.own) cluster.time = boards::TimeModel{}, cluster.power = boards::PowerModel{};
      const boards::OperatingPoint top = cluster.opps.back();
      for (boards::OperatingPoint& opp : cluster.opps) {
        opp.voltage_v =
            top.voltage_v * (0.75 + 0.25 * static_cast<double>(opp.freq_khz) / static_cast<double>(top.freq_khz));
      }
    }
    for (boards::Rail& rail : board->rails) {
      if (device.own) rail.constant_w = rail.j_per_byte = 0;
    }
    RowOptions options;
    options.columns = *parse_columns(
        "latency_s=Latency,energy_j=Energy,batch=Batch Size,freq_hz=Frequency,throughput_per_s=Throughput");
    options.where = {{"Directory", device.name}};
    options.mapping = "gpu";
    options.new_frequencies = !device.own;
    options.workload = Workload{{{.macs = 5.71e9, .bytes = 7.2e7, .launches = 370}}, true};
    const auto rows = read_rows(*table, *board, options);
    ASSERT_OK(rows);
    for (const char* how : {"every-other-frequency", "other-every-other-frequency"}) {
      SCOPED_TRACE(std::string(device.name) + " from " + device.board + " " + how);
      const auto split = hold_out(*board, *rows, how);
      ASSERT_OK(split);
      const auto fit = fit_board(*board, split->fitted, {});
      ASSERT_OK(fit);
      const RowErrors errors = errors_of(*fit, split->held_out);
      EXPECT_LT(errors.latency.mean, 0.1);
      EXPECT_LT(errors.energy.mean, 0.1);
      const Optimum optimum = optimum_of(*fit, *rows, split->fitted);
      EXPECT_LE(optimum.fitted.median, device.median);
      EXPECT_LE(optimum.fitted.p90, 0.1);
      EXPECT_EQ(key_of(*fit, "leak_w").estimate.standing, Standing::kPrior) << "nothing in the rows tells it";
    }
  }
}

}  // namespace
}  // namespace reins::evaluation
