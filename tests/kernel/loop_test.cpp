// The loop closed through the kernel's own files: Reins sets frequencies in cpufreq, reins-kernel-plant answers with
// power in the INA226 and temperature in the LM75, Reins reads those through iio and hwmon and decides again.
#include <atomic>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "control/settings.hpp"
#include "core/clock.hpp"
#include "data/trace.hpp"
#include "policies/policy_file.hpp"
#include "policies/profile.hpp"
#include "tests/kernel/fixture.hpp"
#include "tests/kernel/serving.hpp"

namespace reins::kernel_tests {
namespace {

using policies::LayerName;
using testing::Process;

const std::string kProfile = "/tmp/measured.csv";
const std::string kPolicy = "/tmp/thermostat.policy";
const std::string kPlantLog = "/tmp/plant.csv";
/// The load: stretches of requests with rests between them. Quiet ones are those in which at most kMostHeldUp of the
/// plant's energy may be off because the machine outside held the guest up. The load is offered again, three times in
/// all, where less than kEnough_j (of some 40 J) is theirs: one short stretch is compared to within 0.06 J.
constexpr int kStretches = 8, kRequests = 40;
constexpr double kApart_s = 0.12, kRest_s = 2.5;
constexpr double kMostHeldUp = 0.02, kEnough_j = 15;
constexpr double kUpdate_s = 0.2816;  // of the plant's INA226

/// Above these temperatures the policy takes one point less.
constexpr std::array kSteps_c{38.0, 40.0, 42.0, 44.0};

float temperature_feature(double temperature_c) { return static_cast<float>((temperature_c - 25) / 60); }

/// A frozen policy worked out by hand: the big cluster where the full network is asked for, else the little one; the
/// lowest level that is allowed; the cooler, the faster. Weights are those of lines whose upper envelope changes over
/// at kSteps_c.
policies::PolicyFile thermostat(const boards::Board& board, const policies::Profile& profile,
                                const inference::NetworkFacts& facts) {
  policies::PolicyFile file;
  file.space = *policies::ActionSpace::make(board, facts.levels.size());
  const control::ObservationBuilder builder(board, file.space, profile);
  file.observation = builder.spec();
  file.network_fingerprint = facts.fingerprint;
  file.network = policies::PolicyNetwork::zeros(policies::NetworkShape::of(builder.spec().size(), file.space));
  const auto feature = [&](std::string_view name) {
    std::size_t i = 0;
    while (file.observation.features.at(i).name != name) ++i;
    return i;
  };
  const auto connect = [&](LayerName layer, std::size_t in, std::size_t out, double weight) {
    auto& dense = file.network[layer];
    dense.weight[in * dense.out + out] = static_cast<float>(weight);
  };
  // Unit 0: temperature; unit 1: the full network is asked for. Both are at or above zero, so they pass unchanged.
  connect(LayerName::kTrunk1, feature("temperature"), 0, 1);
  connect(LayerName::kTrunk1, feature("floor_level.2"), 1, 1);
  for (const LayerName layer : {LayerName::kTrunk2, LayerName::kMappingHidden, LayerName::kOppHidden}) {
    connect(layer, 0, 0, 1);
    connect(layer, 1, 1, 1);
  }
  connect(LayerName::kMappingOut, 1, 0, 1);
  file.network[LayerName::kMappingOut].bias[1] = 0.5;
  file.network[LayerName::kLevelOut].bias[0] = 1;
  // Point o is worth -o t + (sum of the thresholds t_k below it): o beats o - 1 while t is below t_o.
  const std::size_t points = file.space.max_opps();
  double sum = 0;
  for (std::size_t o = 1; o < points; ++o) {
    sum += temperature_feature(kSteps_c[points - 1 - o]);
    connect(LayerName::kOppOut, 0, o, -static_cast<double>(o));
    file.network[LayerName::kOppOut].bias[o] = static_cast<float>(sum);
  }
  file.settings = control::settings_of({});
  file.training.algorithm = "by hand";
  file.commit = "none";
  for (const double temperature_c : {30.0, 39.0, 50.0}) {
    policies::PolicyExample example;
    example.features.assign(file.observation.size(), 0);
    example.features[feature("temperature")] = temperature_feature(temperature_c);
    example.mask.mappings = 3;
    example.mask.levels = 3;
    for (std::size_t m = 0; m < file.space.mappings.size(); ++m) {
      example.mask.opps[m] = example.mask.park[m] = (std::uint64_t{1} << file.space.opps(MappingId(m))) - 1;
    }
    file.examples.push_back(std::move(example));
  }
  EXPECT_OK(policies::decide_examples(file));
  return file;
}

/// What the kernel counted: 10 ms units in each frequency (cpufreq-stats).
std::map<std::int64_t, double> time_in_state(const std::string& policy) {
  std::ifstream file(policy + "/stats/time_in_state");
  std::map<std::int64_t, double> times;
  std::int64_t khz = 0;
  double ticks = 0;
  while (file >> khz >> ticks) times[khz] = ticks * 0.01;
  return times;
}

/// The plant's own integral.
class PlantLog {
 public:
  PlantLog() {
    std::ifstream file(kPlantLog);
    for (std::string line; std::getline(file, line);) {
      std::array<double, 8> v{};
      std::replace(line.begin(), line.end(), ',', ' ');
      std::istringstream words(line);
      for (double& value : v) words >> value;
      if (words) rows_.push_back({v[0], v[1], v[2], v[3]});
    }
  }
  std::size_t size() const { return rows_.size(); }
  double end_s() const { return rows_.empty() ? 0 : rows_.back().time_s; }
  double energy_j(double time_s) const {
    for (std::size_t i = 1; i < rows_.size(); ++i) {
      const Row &before = rows_[i - 1], &after = rows_[i];
      if (time_s < before.time_s || time_s > after.time_s) continue;
      const double share = (time_s - before.time_s) / (after.time_s - before.time_s);
      return before.energy_j + (after.energy_j - before.energy_j) * share;
    }
    ADD_FAILURE() << "the plant's log does not reach over " << time_s;
    return 0;
  }
  /// By how much a reading may be wrong because the machine outside held the guest up: while the plant's update is
  /// late, its chip shows an old value, and while the reader is, for `late_s` in all, it has one; both are off by half
  /// the range of the powers at most. As a share of the energy; 0 on time.
  double held_up(double begin_s, double end_s, double late_s) const {
    double lowest_w = 1e9, highest_w = 0;
    for (std::size_t i = 1; i < rows_.size(); ++i) {
      if (rows_[i].time_s < begin_s || rows_[i].time_s > end_s) continue;
      late_s += std::max(0.0, rows_[i].time_s - rows_[i - 1].time_s - 1.25 * kUpdate_s);
      lowest_w = std::min(lowest_w, rows_[i].power_w);
      highest_w = std::max(highest_w, rows_[i].power_w);
    }
    return late_s * (highest_w - lowest_w) / 2 / (energy_j(end_s) - energy_j(begin_s));
  }
  double highest_c() const {
    double highest = 0;
    for (const Row& row : rows_) highest = std::max(highest, row.temperature_c);
    return highest;
  }

 private:
  struct Row {
    double time_s, energy_j, power_w, temperature_c;
  };
  std::vector<Row> rows_;
};

/// For how long, in all, a thread of the guest's was kept from waking up when it was due.
class LateWatch {
 public:
  LateWatch() : thread_([this] { watch(); }) {}
  ~LateWatch() {
    stop_ = true;
    thread_.join();
  }
  LateWatch(const LateWatch&) = delete;
  LateWatch& operator=(const LateWatch&) = delete;
  double late_s() const { return late_s_; }

 private:
  // A sensor's reader that is some of its periods late has lost nothing yet.
  static constexpr double kLook_s = 0.01, kSpare_s = 0.05;
  void watch() {
    const MonotonicClock clock;
    for (double before_s = clock.now_s(); !stop_;) {
      std::this_thread::sleep_for(std::chrono::duration<double>(kLook_s));
      const double now_s = clock.now_s();
      late_s_ = late_s_ + std::max(0.0, now_s - before_s - kLook_s - kSpare_s);
      before_s = now_s;
    }
  }
  std::atomic<double> late_s_ = 0;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

/// The full network is asked for in every second stretch, so that both clusters get their share.
data::Trace trace() {
  data::Trace trace;
  for (int i = 0; i < kStretches * kRequests; ++i) {
    data::TraceRow row;
    row.time_s = kApart_s * i + kRest_s * (i / kRequests);
    row.accuracy_floor = (i / kRequests) % 2 == 0 ? 1.0 : 0.0;
    trace.rows.push_back(row);
  }
  trace.end_s = trace.rows.back().time_s + kApart_s;
  return trace;
}

/// What Reins said in a rest, at some moments of it. Power is steady there, so its sensor's age makes no difference,
/// and the mean over many moments makes none of the steps in which the energy grows.
struct Rest {
  std::vector<std::pair<double, double>> said;  ///< s, J
  double late_s = 0;                            ///< LateWatch at its end
  double middle_s() const { return (said.front().first + said.back().first) / 2; }
  /// Energy that Reins has more than the plant.
  double ahead_j(const PlantLog& log) const {
    double sum_j = 0;
    for (const auto& [time_s, energy_j] : said) sum_j += energy_j - log.energy_j(time_s);
    return sum_j / static_cast<double>(said.size());
  }
};

Rest rest(Server& server, const LateWatch& late) {
  using std::chrono::milliseconds;
  const MonotonicClock clock;
  std::this_thread::sleep_for(milliseconds(900));  // until the sensor has said that it is one
  Rest rest;
  for (const double until_s = clock.now_s() + 0.85; clock.now_s() < until_s || rest.said.empty();) {
    const double before_s = clock.now_s();
    if (const auto energy_j = server.metrics().energy_j) {
      rest.said.emplace_back((before_s + clock.now_s()) / 2, *energy_j);
    } else if (clock.now_s() > until_s + 30) {
      ADD_FAILURE() << "no energy is said";
      rest.said.emplace_back(before_s, 0);
    }
    std::this_thread::sleep_for(milliseconds(10));
  }
  rest.late_s = late.late_s();
  return rest;
}

/// A stretch of requests between two rests, as both saw it.
struct Compared {
  double plant_j = 0, reins_j = 0, held_up = 0;
  bool quiet() const { return held_up <= kMostHeldUp; }
};

Compared compare(const PlantLog& log, const Rest& before, const Rest& after) {
  Compared stretch;
  stretch.plant_j = log.energy_j(after.middle_s()) - log.energy_j(before.middle_s());
  stretch.reins_j = stretch.plant_j + after.ahead_j(log) - before.ahead_j(log);
  stretch.held_up = log.held_up(before.middle_s(), after.middle_s(), after.late_s - before.late_s);
  return stretch;
}

class ClosedLoop : public OnTheKernel {
 protected:
  void offer(Server& server, const LateWatch& late);
  void look_until_served(Server& server);

  std::uint64_t asked_ = 0;
  int looks_ = 0, near_ = 0;
  std::vector<Rest> rests_;
  std::vector<Compared> stretches_;
  std::size_t quiet_ = 0;
  double quiet_j_ = 0;
};

/// Meanwhile: what the policy took, beside the temperature that it may have seen.
void ClosedLoop::look_until_served(Server& server) {
  protocol::MetricsAnswer now;
  const bool served = wait_for(
      [&] {
        now = server.metrics();
        if (now.mapping == "big" && now.temperature_c) {
          const auto above =
              std::count_if(kSteps_c.begin(), kSteps_c.end(), [&](double c) { return *now.temperature_c > c; });
          const std::size_t expected = kSteps_c.size() - static_cast<std::size_t>(above);
          const auto at = std::find(kBigKhz.begin(), kBigKhz.end(), now.freq_khz) - kBigKhz.begin();
          const bool as_asked = std::abs(at - static_cast<std::ptrdiff_t>(expected)) <= 1;
          // At rest it is parked at its lowest point, which says nothing of the policy.
          looks_ += at != 0 || as_asked ? 1 : 0;
          near_ += as_asked ? 1 : 0;
        }
        return now.offered >= asked_ && now.served + now.rejected >= asked_;
      },
      std::chrono::seconds(100));
  EXPECT_TRUE(served) << now.served << " of " << asked_ << " served";
}

/// Offers the load once, and compares what both say of its stretches.
void ClosedLoop::offer(Server& server, const LateWatch& late) {
  if (rests_.empty()) rests_.push_back(rest(server, late));
  Process load({"/reins/bin/reins-workload", "--connect", server.endpoint(), "--trace", "/tmp/trace.csv", "--dataset",
                "synthetic", "--json", "--quiet", "--timeout", "60"});
  for (int i = 0; i < kStretches && !HasFailure(); ++i) {
    asked_ += kRequests;
    look_until_served(server);
    Rest after = rest(server, late);
    // Of a slow guest, which was still at work when it should have rested: one stretch with the next.
    if (server.metrics().offered > asked_) continue;
    // The plant's log has a line per update, and must reach over the last look.
    ASSERT_TRUE(wait_for([&] { return PlantLog().end_s() > after.said.back().first; }));
    const Compared stretch = compare(PlantLog(), rests_.back(), after);
    std::printf("stretch %d: energy %.4f J by Reins, %.4f J by the plant (%+.2f %%); held up: %.2f %%\n", i + 1,
                stretch.reins_j, stretch.plant_j, 100 * (stretch.reins_j / stretch.plant_j - 1), 100 * stretch.held_up);
    rests_.push_back(std::move(after));
    stretches_.push_back(stretch);
    if (!stretch.quiet()) continue;
    ++quiet_;
    quiet_j_ += stretch.plant_j;
  }
  EXPECT_EQ(load.code(), 0) << load.text;
}

TEST_F(ClosedLoop, AFrozenPolicyControlsTheBoardThroughTheKernelsFiles) {
  write_network();
  Process plant({"/reins/bin/reins-kernel-plant", kPlantLog});
  ASSERT_TRUE(wait_for([] { return PlantLog().size() > 3; })) << plant.text;

  Process measured({kProgram, "profile", "--board", kBoardFile, "--live", "--network", kNetwork, "--max-seconds", "0.6",
                    "--out", kProfile});
  ASSERT_EQ(measured.code(std::chrono::seconds(150)), 0) << measured.text;
  EXPECT_EQ(frequency_settings(), found_);

  const auto file = inference::NetworkFile::open(kNetwork);
  ASSERT_OK(file);
  const inference::NetworkFacts& facts = file->network().facts;
  const auto space = policies::ActionSpace::make(board_, facts.levels.size());
  ASSERT_OK(space);
  const auto profile = policies::Profile::read(*space, kProfile);
  ASSERT_OK(profile);
  EXPECT_TRUE(profile->complete());
  EXPECT_TRUE(profile->has_energy());
  ASSERT_OK(policies::write_policy(thermostat(board_, *profile, facts), kPolicy));
  std::ofstream("/tmp/trace.csv") << data::format_trace(trace());

  const auto big_before = time_in_state(kBigPolicy), little_before = time_in_state(kLittlePolicy);
  Server server(serve_command({"--policy", kPolicy, "--profile", kProfile}));
  ASSERT_TRUE(server.up()) << server.text();
  ASSERT_TRUE(wait_for([&] { return server.metrics().energy_j.value_or(0) > 0.1; }));
  std::this_thread::sleep_for(std::chrono::seconds(1));
  const LateWatch late;
  for (int again = 0; again < 3 && quiet_j_ < kEnough_j && !HasFailure(); ++again) offer(server, late);
  const protocol::MetricsAnswer now = server.metrics();
  EXPECT_EQ(server.stop(), 0) << server.text();
  plant.signal(SIGTERM);
  EXPECT_EQ(plant.code(), 0) << plant.text;

  EXPECT_GE(static_cast<double>(now.decisions), 0.93 * static_cast<double>(asked_));
  EXPECT_EQ(now.served, asked_);
  EXPECT_EQ(now.energy_source, "measured");
  EXPECT_EQ(frequency_settings(), found_);

  Compared all, left_alone;
  for (const Compared& stretch : stretches_) {
    for (Compared* sum : {&all, &left_alone}) {
      if (sum == &left_alone && !stretch.quiet()) continue;
      sum->plant_j += stretch.plant_j;
      sum->reins_j += stretch.reins_j;
      sum->held_up += stretch.held_up * stretch.plant_j;  // for now in joules
    }
  }
  for (Compared* sum : {&all, &left_alone}) sum->held_up /= sum->plant_j;
  std::printf(
      "%llu decisions, %llu switches; energy %.4f J by Reins, %.4f J by the plant (%+.3f %%); held up: %.2f %%\n",
      static_cast<unsigned long long>(now.decisions), static_cast<unsigned long long>(now.switches), all.reins_j,
      all.plant_j, 100 * (all.reins_j / all.plant_j - 1), 100 * all.held_up);
  std::printf(
      "of it in %zu of %zu stretches that the machine left alone: %.4f J, %.4f J (%+.3f %%); held up: %.2f %%\n",
      quiet_, stretches_.size(), left_alone.reins_j, left_alone.plant_j,
      100 * (left_alone.reins_j / left_alone.plant_j - 1), 100 * left_alone.held_up);
  EXPECT_GE(quiet_j_, kEnough_j) << "the machine outside is too busy for a comparison of energies";
  if (quiet_ > 0) {
    EXPECT_NEAR(left_alone.reins_j / left_alone.plant_j, 1, 0.01);
  }

  // Both policies were moved, and the kernel itself says so; the big one over at least three of its points.
  std::string used;
  const auto points_used = [&](const std::string& policy, const std::map<std::int64_t, double>& before) {
    int points = 0;
    for (const auto& [khz, seconds] : time_in_state(policy)) {
      const double here_s = seconds - before.at(khz);
      if (here_s >= 0.05) ++points;
      used += " " + std::to_string(khz / 1000) + " MHz " + std::to_string(here_s).substr(0, 5) + " s";
    }
    return points;
  };
  const int big_points = points_used(kBigPolicy, big_before), little_points = points_used(kLittlePolicy, little_before);
  std::printf("time in state:%s; hottest %.1f C; %d of %d looks at the point that the temperature asks for, +- 1\n",
              used.c_str(), PlantLog().highest_c(), near_, looks_);
  EXPECT_GE(big_points, 3);
  EXPECT_GE(little_points, 2);
  ASSERT_GT(looks_, 20);
  EXPECT_GE(near_, looks_ * 9 / 10)
      << "the temperature that the plant sets decides the frequency; a host that was busy "
         "while the guest profiled itself spoils this: run it alone";
}

}  // namespace
}  // namespace reins::kernel_tests
