#include "evaluation/profiler.hpp"

#include <cmath>
#include <limits>

#include "boards/board.hpp"
#include "tests/support/matchers.hpp"

namespace reins::evaluation {
namespace {

/// Runs until it is settled; 0 where that takes more than 1000.
int runs_until_settled(double first_s, double shrink, double last_s) {
  WarmUp warm_up(0.03);
  double latency_s = first_s;
  for (int run = 1; run <= 1000; ++run) {
    if (warm_up.settled(latency_s)) return run;
    latency_s = std::max(last_s, latency_s * shrink);
  }
  return 0;
}

TEST(WarmUp, StretchesAreOfFiveRunsAndTwentyMilliseconds) {
  EXPECT_EQ(runs_until_settled(0.1, 1, 0.1), 10);
  EXPECT_EQ(runs_until_settled(0.0015625, 1, 0.0015625), 26) << "13 runs of 1.5625 ms are 20 ms";
}

TEST(WarmUp, WaitsForTimesThatStillFall) {
  // From 0.4 s down to 0.1 s, a tenth a run: 14 runs; the stretch in which that happens and the one after it differ.
  EXPECT_EQ(runs_until_settled(0.4, 0.9, 0.1), 25);
}

TEST(WarmUp, NeverSettlesWhereTimesKeepFalling) {
  WarmUp warm_up(0.03);
  double latency_s = 1e9;
  for (int run = 0; run < 100; ++run, latency_s *= 0.98) EXPECT_FALSE(warm_up.settled(latency_s)) << run;
}

constexpr const char* kProfiledBoard = R"(schema = 1
name = "toy"
[[cluster]]
name = "cpu"
kind = "cpu"
cpus = [0]
freq_khz = [500000, 1000000]
voltage_v = [0.8, 1.0]
rail = "in"
[cluster.power]
core_w_per_mhz_v2 = 1e-3
[cluster.time]
macs_per_cycle = 1
[[cluster.idle]]
name = "wfi"
[[cluster.idle]]
name = "off"
residency_s = 0.7
[[mapping]]
name = "one"
slot = "big-one"
cluster = "cpu"
cores = 1
[[rail]]
name = "in"
accounting = true
sensor_period_s = 0.2
[thermal]
r_c_per_w = 5
c_j_per_c = 20
throttle_c = 90
release_c = 80
)";

/// In its own time, which goes by as it is asked for: an inference takes 0.25 s and 10 W, idle are 4 W, after 0.7 s 2
/// W. A chip that averages over 0.2 s is read as often, and told as the mean of its last two readings, as a live
/// board's.
class LaggingMeter final : public control::Plant {
 public:
  double now_s() override { return now_s_; }
  Status apply(const policies::Action&) override { return {}; }
  Status park(const policies::Action&) override { return {}; }
  Status start(LevelId, const inference::TensorView&) override {
    ends_s_ = now_s_ + 0.25;
    return {};
  }
  Status grow(LevelId) override { return {}; }
  bool poll_telemetry(double, control::Telemetry& out) override {
    step();
    if (!told_) return false;
    out = *told_;
    told_.reset();
    return true;
  }
  Result<std::optional<control::PlantCompletion>> poll_completion(double) override {
    step();
    if (ends_s_ > now_s_) return std::optional<control::PlantCompletion>();
    idle_since_s_ = now_s_;
    ends_s_ = kNever;
    return std::optional(control::PlantCompletion{});
  }
  double next_event_s() override { return 0; }
  control::PlantReport report() override {
    control::PlantReport report;
    report.energy_j = 0;
    return report;
  }
  bool emulated() const noexcept override { return false; }
  Status restore() override { return {}; }

 private:
  static constexpr double kNever = std::numeric_limits<double>::infinity(), kStep_s = 0.005;

  void step() {
    const double power_w = ends_s_ < kNever ? 10 : now_s_ - idle_since_s_ < 0.7 ? 4 : 2;
    now_s_ += kStep_s;
    sum_j_ += power_w * kStep_s;
    if (++steps_ % 40 != 0) return;
    const double reading_w = std::exchange(sum_j_, 0.0) / 0.2;
    told_.emplace();
    told_->at_s = now_s_;
    told_->window_s = 0.2;
    told_->power_w = (std::exchange(reading_w_, reading_w) + reading_w) / 2;
    told_->temperature_c = 40;
  }

  double now_s_ = 0, ends_s_ = kNever, idle_since_s_ = 0, sum_j_ = 0, reading_w_ = 2;
  int steps_ = 0;
  std::optional<control::Telemetry> told_;
};

struct Toy {
  boards::Board board = *boards::parse_board(kProfiledBoard, "toy.toml");
  policies::ActionSpace space = *policies::ActionSpace::make(board, 2);
  inference::NetworkFacts network;
  LaggingMeter meter;

  Toy() {
    network.input_shape = {3, 2, 2};
    network.levels.resize(2);
  }
};

TEST(Profiler, TakesNoPowerFromBeforeAPointForThePoint) {
  Toy toy;
  const auto profiled = profile_live(toy.board, toy.space, toy.network, toy.meter, {});
  ASSERT_OK(profiled);
  for (const std::size_t opp : {0, 1}) {
    const policies::IdlePoint* idle = profiled->profile.idle(MappingId(0), OppId(opp));
    ASSERT_NE(idle, nullptr);
    EXPECT_NEAR(idle->power_w, 2, 1e-9) << "neither what was busy before nor the shallow state is in it";
    EXPECT_EQ(idle->temperature_c, 40);
    for (const std::size_t level : {0, 1}) {
      const policies::ProfilePoint* busy = profiled->profile.at(LevelId(level), MappingId(0), OppId(opp));
      ASSERT_NE(busy, nullptr);
      EXPECT_NEAR(*busy->power_w, 10, 0.3) << "a step of rest between two runs is the plant's, at 4 W";
    }
  }
}

TEST(Profiler, WaitsForTheReadingsOfASensorThatIsSlowBesideTheTimeOfAPoint) {
  Toy toy;
  ProfilerConfig config;
  config.max_seconds = 0.2;
  const auto profiled = profile_live(toy.board, toy.space, toy.network, toy.meter, config);
  ASSERT_OK(profiled);
  EXPECT_TRUE(profiled->profile.has_energy());
  EXPECT_TRUE(profiled->profile.has_idle());
  EXPECT_NEAR(*profiled->profile.at(LevelId(0), MappingId(0), OppId(0))->power_w, 10, 0.3);
  EXPECT_NEAR(*profiled->profile.idle_w(MappingId(0), OppId(0)), 2, 1e-9);
}

TEST(Profiler, CountsRunsOverALeastTimeHoweverShortTheyAre) {
  Toy toy;
  ProfilerConfig config;
  config.sensor_updates = 1;
  config.max_seconds = 8;
  config.least_share = 0.5;
  const auto profiled = profile_live(toy.board, toy.space, toy.network, toy.meter, config);
  ASSERT_OK(profiled);
  const policies::ProfilePoint* point = profiled->profile.at(LevelId(0), MappingId(0), OppId(0));
  EXPECT_GE(static_cast<double>(point->n) * point->latency_s, 3.9);
  EXPECT_LT(static_cast<double>(point->n) * point->latency_s, 4.5);
}

TEST(Profiler, CountsPointsThatAreSlowerThanTheNextLevel) {
  Toy toy;
  policies::Profile profile(toy.space);
  auto set = [&](std::size_t level, std::size_t opp, double latency_s) {
    policies::ProfilePoint point;
    point.level = LevelId(level);
    point.mapping = MappingId(0);
    point.opp = OppId(opp);
    point.latency_s = latency_s;
    profile.set(point);
  };
  set(0, 0, 0.109);
  set(1, 0, 0.1);
  EXPECT_EQ(disordered_points(profile, toy.space), 0U) << "within a tenth; the other operating point is not there";
  set(0, 1, 0.111);
  set(1, 1, 0.1);
  EXPECT_EQ(disordered_points(profile, toy.space), 1U);
}

TEST(Profiler, StopsWhileItWaitsForRest) {
  Toy toy;
  ProfilerConfig config;
  config.progress = [](double, std::string_view point) { return point.find("idle") == std::string_view::npos; };
  const auto profiled = profile_live(toy.board, toy.space, toy.network, toy.meter, config);
  EXPECT_THAT(profiled, testing::IsError(ErrorKind::kGone, ::testing::HasSubstr("stopped")));
  EXPECT_LT(toy.meter.now_s(), 10);
}

}  // namespace
}  // namespace reins::evaluation
