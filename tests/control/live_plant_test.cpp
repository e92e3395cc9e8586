// This machine as a plant, on a tree laid out like /sys: what is applied, what is read, what is put back.
#include "control/live_plant.hpp"

#include "inference/engines.hpp"
#include "tests/control/live_world.hpp"
#include "tests/inference/random_network.hpp"
#include "tests/support/matchers.hpp"

namespace reins::control {
namespace {

using testing::act;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsError;
using testing::LiveWorld;

const std::array<unsigned char, 4> kBlack{};
const inference::TensorView kImage{kBlack.data(), inference::DType::kUint8, {1, 1, 2, 2}};
const auto kAny = [](const Telemetry&) { return true; };

TEST(LivePlant, PutsMappingAndPointInForceAndTheUnusedClusterLow) {
  LiveWorld world;
  const auto plant = world.plant();
  ASSERT_OK(plant->apply(act(2, 0, 3)));
  EXPECT_EQ(world.at(1, "scaling_setspeed"), "1600000");
  EXPECT_EQ(world.at(0, "scaling_setspeed"), "200000");
  ASSERT_EQ(world.engine.placements.size(), 1U);
  EXPECT_THAT(world.engine.placements[0].cpus, ElementsAre(2, 3));
  ASSERT_OK(plant->apply(act(2, 0, 4)));
  EXPECT_EQ(world.engine.placements.size(), 1U) << "placed once";
  ASSERT_OK(plant->apply(act(0, 0, 2)));
  EXPECT_THAT(world.engine.placements.back().cpus, ElementsAre(0, 1));
  EXPECT_EQ(world.at(0, "scaling_setspeed"), "1000000");
  EXPECT_EQ(world.at(1, "scaling_setspeed"), "400000");
}

TEST(LivePlant, ParksTheUsedCluster) {
  LiveWorld world;
  const auto plant = world.plant();
  ASSERT_OK(plant->apply(act(2, 0, 4, 1)));
  ASSERT_OK(plant->park(act(2, 0, 4, 1)));
  EXPECT_EQ(world.at(1, "scaling_setspeed"), "800000");
  EXPECT_EQ(world.at(0, "scaling_setspeed"), "200000");
}

TEST(LivePlant, LeavesClustersToAGovernorWhereOneIsAskedFor) {
  LiveWorld world;
  const auto plant = world.plant();
  policies::Action action = act(2, 0, 0);
  action.governor = boards::Governor::kOndemand;
  ASSERT_OK(plant->apply(action));
  EXPECT_EQ(world.at(0, "scaling_governor"), "ondemand");
  EXPECT_EQ(world.at(1, "scaling_governor"), "ondemand");
}

TEST(LivePlant, PutsEverythingBackWhenItIsToldToAndWhenItGoes) {
  LiveWorld world;
  const auto before = world.tree.snapshot("sys");
  {
    const auto plant = world.plant();
    ASSERT_OK(plant->apply(act(2, 0, 3)));
    EXPECT_EQ(world.at(1, "scaling_governor"), "userspace");
    EXPECT_TRUE(std::filesystem::exists(world.tree.path("run/state.toml")));
    ASSERT_OK(plant->restore());
    EXPECT_EQ(world.at(1, "scaling_governor"), "schedutil");
    EXPECT_FALSE(std::filesystem::exists(world.tree.path("run/state.toml")));
  }
  LiveWorld pinning(LiveWorld::kPinning);
  const auto found = pinning.tree.snapshot("sys");
  ASSERT_OK(pinning.plant()->apply(act(2, 0, 3)));  // the plant goes with the statement
  EXPECT_EQ(pinning.tree.snapshot("sys"), found);
}

TEST(LivePlant, RunsAnInferenceAndHandsOutItsEndOnce) {
  LiveWorld world;
  const auto plant = world.plant();
  ASSERT_OK(plant->apply(act(2, 1, 4)));
  const std::array<unsigned char, 4> image = {27, 0, 0, 0};
  ASSERT_OK(plant->start(LevelId(1), {image.data(), inference::DType::kUint8, {1, 1, 2, 2}}));
  plant->bell().wait(20);
  const double due_s = plant->next_event_s();
  EXPECT_LE(due_s, plant->now_s()) << "an end to hand out is due at once";
  const auto ended = plant->poll_completion(plant->now_s());
  ASSERT_OK(ended);
  ASSERT_TRUE(ended->has_value());
  EXPECT_EQ((*ended)->level, LevelId(1));
  EXPECT_EQ((*ended)->predicted, 7);
  const auto again = plant->poll_completion(plant->now_s());
  ASSERT_OK(again);
  EXPECT_FALSE(again->has_value());
}

TEST(LivePlant, RaisesThePointOfAnInferenceUnderWay) {
  LiveWorld world;
  world.engine.while_running = [&world] { world.await_other_than(1, "400000"); };
  const auto plant = world.plant();
  ASSERT_OK(plant->apply(act(2, 1, 0)));
  ASSERT_OK(plant->start(LevelId(1), kImage));
  EXPECT_FALSE(plant->poll_completion(plant->now_s())->has_value());
  EXPECT_THAT(plant->apply(act(1, 1, 0)), IsError(ErrorKind::kBusy, HasSubstr("mapping")));
  EXPECT_THAT(plant->start(LevelId(1), kImage), IsError(ErrorKind::kBusy, HasSubstr("runs already")));
  ASSERT_OK(plant->apply(act(2, 1, 3)));
  EXPECT_EQ(world.at(1, "scaling_setspeed"), "1600000");
  ASSERT_TRUE(LiveWorld::end(*plant)->has_value());
  EXPECT_OK(plant->apply(act(1, 1, 0)));
}

TEST(LivePlant, HandsOutAnInferencesErrorAsItsEnd) {
  LiveWorld world;
  const auto plant = world.plant();
  ASSERT_OK(plant->apply(act(2, 0, 0)));
  ASSERT_OK(plant->start(LevelId(0), {kBlack.data(), inference::DType::kUint8, {1, 1, 1, 1}}));
  EXPECT_THAT(LiveWorld::end(*plant), IsError(ErrorKind::kUsage, HasSubstr("another shape")));
  ASSERT_OK(plant->start(LevelId(0), kImage));
  EXPECT_TRUE(LiveWorld::end(*plant)->has_value()) << "the next one runs";
}

TEST(LivePlant, GrowsTheInferenceThatHasEnded) {
  LiveWorld world;
  std::atomic<bool> may_end = false;
  world.engine.while_growing = [&] {
    while (!may_end) std::this_thread::yield();
  };
  const auto plant = world.plant();
  ASSERT_OK(plant->apply(act(2, 0, 0)));
  ASSERT_OK(plant->start(LevelId(0), kImage));
  ASSERT_TRUE(LiveWorld::end(*plant)->has_value());
  ASSERT_OK(plant->grow(LevelId(1)));
  EXPECT_THAT(plant->grow(LevelId(2)), IsError(ErrorKind::kBusy, HasSubstr("runs already")));
  EXPECT_FALSE(plant->poll_completion(plant->now_s())->has_value());
  ASSERT_OK(plant->apply(act(2, 0, 3))) << "its point may rise meanwhile";
  may_end = true;
  const auto ended = LiveWorld::end(*plant);
  ASSERT_TRUE(ended.has_value() && ended->has_value());
  EXPECT_EQ((*ended)->level, LevelId(1));
  EXPECT_EQ((*ended)->predicted, 1) << "the new answer, not the first";
  EXPECT_EQ(world.engine.levels.size(), 1U) << "begun once";
}

TEST(LivePlant, TheFirstAnswerStandsWhereTheEngineDoesNotGrow) {
  LiveWorld world;
  world.engine.grows = false;
  const auto plant = world.plant();
  const std::array<unsigned char, 4> image = {27, 0, 0, 0};
  ASSERT_OK(plant->start(LevelId(1), {image.data(), inference::DType::kUint8, {1, 1, 2, 2}}));
  ASSERT_TRUE(LiveWorld::end(*plant)->has_value());
  ASSERT_OK(plant->grow(LevelId(2)));
  const auto ended = LiveWorld::end(*plant);
  ASSERT_TRUE(ended.has_value() && ended->has_value());
  EXPECT_EQ((*ended)->level, LevelId(1));
  EXPECT_EQ((*ended)->predicted, 7);
  ASSERT_OK(plant->start(LevelId(0), kImage));
  EXPECT_EQ((**LiveWorld::end(*plant)).predicted, 0) << "the next one is its own";
}

TEST(LivePlant, AGrownAnswerOfTheRealEngineIsAFreshRunsThere) {
  const auto a = testing::small_architecture();
  const auto image = testing::random_image(a, 4);
  const auto view = testing::view_of(image, a);
  const auto network = inference::describe(a, "small", "none", "none");
  LiveWorld world;
  for (const std::string backend : {"baseline", "onednn"}) {
    if (backend == "onednn" && !inference::has_onednn()) continue;
    auto engine = inference::make_engine(network, testing::random_weights(a, 1), {.backend = backend});
    ASSERT_OK(engine);
    const auto plant = world.plant_of(**engine);
    for (int level = 1; level < 3; ++level) {
      ASSERT_OK(plant->start(LevelId(level), view));
      const auto fresh = LiveWorld::end(*plant);
      ASSERT_TRUE(fresh.has_value() && fresh->has_value());
      ASSERT_OK(plant->start(LevelId(0), view));
      auto grown = LiveWorld::end(*plant);
      for (int next = 1; next <= level; ++next) {
        ASSERT_OK(plant->grow(LevelId(next)));
        grown = LiveWorld::end(*plant);
      }
      ASSERT_TRUE(grown.has_value() && grown->has_value());
      EXPECT_EQ((*grown)->level, LevelId(level));
      EXPECT_EQ((*grown)->predicted, (*fresh)->predicted);
      EXPECT_THAT((*grown)->probabilities, ::testing::Pointwise(::testing::FloatNear(1e-5F), (*fresh)->probabilities));
    }
  }
}

TEST(LivePlant, PutsBackWhenTheInferenceUnderWayHasEnded) {
  LiveWorld world;
  std::atomic<bool> ended = false;
  std::atomic<bool> began = false;
  world.engine.while_running = [&] {
    began = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    ended = true;
  };
  const auto plant = world.plant();
  ASSERT_OK(plant->apply(act(2, 0, 0)));
  ASSERT_OK(plant->start(LevelId(0), kImage));
  while (!began) std::this_thread::yield();
  ASSERT_OK(plant->restore());
  EXPECT_TRUE(ended);
  EXPECT_EQ(world.at(1, "scaling_governor"), "schedutil");
  EXPECT_TRUE(plant->poll_completion(plant->now_s())->has_value()) << "its end is still there";
  EXPECT_THAT(plant->start(LevelId(0), kImage), IsError(ErrorKind::kGone, HasSubstr("put back")));
}

TEST(LivePlant, RefusesAMappingThatTheEngineDoesNotRun) {
  LiveWorld world;
  world.made.board.clusters[1].kind = boards::UnitKind::kGpu;
  const auto plant = world.plant();
  EXPECT_THAT(plant->apply(act(2, 0, 3)), IsError(ErrorKind::kUnsupported, HasSubstr("CPUs alone")));
  EXPECT_TRUE(world.engine.placements.empty()) << "a GPU's mapping must not be timed on CPU threads";
}

TEST(LivePlant, TellsTheCapsThatOthersPutInForce) {
  LiveWorld world;
  const auto plant = world.plant();
  auto seen = LiveWorld::telemetry(*plant, kAny);
  ASSERT_TRUE(seen.has_value());
  EXPECT_EQ(seen->cap[0], 2);
  EXPECT_EQ(seen->cap[1], 4);
  world.put(1, "scaling_max_freq", "1300000");
  seen = LiveWorld::telemetry(*plant, kAny);
  ASSERT_TRUE(seen.has_value());
  EXPECT_EQ(seen->cap[0], 2);
  EXPECT_EQ(seen->cap[1], 2) << "1300 MHz allow 1200";
}

TEST(LivePlant, TakesItsOwnPinForNoCap) {
  LiveWorld world(LiveWorld::kPinning);
  const auto plant = world.plant();
  ASSERT_OK(plant->apply(act(2, 0, 1)));
  EXPECT_EQ(world.at(1, "scaling_max_freq"), "800000");
  auto seen = LiveWorld::telemetry(*plant, kAny);
  ASSERT_TRUE(seen.has_value());
  EXPECT_EQ(seen->cap[0], 2);
  EXPECT_EQ(seen->cap[1], 4);
  world.put(1, "scaling_max_freq", "400000");  // a cooling device, below the pin
  seen = LiveWorld::telemetry(*plant, kAny);
  ASSERT_TRUE(seen.has_value());
  EXPECT_EQ(seen->cap[1], 0);
}

TEST(LivePlant, LimitsTheCpuTimeOfAMappingWithAQuota) {
  LiveWorld world;
  world.made.board.mappings[2].cpu_quota = 0.5;  // of two cores
  world.tree.put("proc/self/cgroup", "0::/app").put("sys/fs/cgroup/app/cpu.max", "max 100000");
  const auto max = [&] { return world.tree.read("sys/fs/cgroup/app/cpu.max"); };
  const auto plant = world.plant();
  ASSERT_OK(plant->apply(act(2, 0, 3)));
  EXPECT_EQ(max(), "100000 100000");
  ASSERT_OK(plant->apply(act(1, 0, 3)));
  EXPECT_EQ(max(), "max 100000") << "the other mappings have none";
  ASSERT_OK(plant->apply(act(2, 0, 3)));
  EXPECT_EQ(max(), "100000 100000");
  ASSERT_OK(plant->restore());
  EXPECT_EQ(max(), "max 100000");
}

TEST(LivePlant, SaysSoWhereAQuotaCannotBeSet) {
  LiveWorld world;
  world.made.board.mappings[2].cpu_quota = 0.5;
  const auto plant = world.plant();
  EXPECT_FALSE(plant->apply(act(2, 0, 3)).has_value());
}

TEST(LivePlant, LeavesAClusterAloneThatNoMappingUsesAndNobodyMaySet) {
  LiveWorld world;
  world.tree.remove(world.made.board.clusters[0].control);
  world.made.board.mappings.erase(world.made.board.mappings.begin());
  const auto plant = world.plant();
  EXPECT_OK(plant->apply(act(1, 0, 3)));
  EXPECT_EQ(world.at(1, "scaling_setspeed"), "1600000");
}

TEST(LivePlant, MovesAnInferenceToOtherCoresWhileItRuns) {
  LiveWorld world;
  const auto plant = world.plant();
  std::atomic<bool> go_on = false;
  world.engine.while_running = [&] {
    while (!go_on) std::this_thread::yield();
  };
  ASSERT_OK(plant->apply(act(0, 1, 2)));
  ASSERT_OK(plant->start(LevelId(1), kImage));
  ASSERT_OK(plant->apply(act(2, 1, 3)));
  {
    const std::lock_guard<std::mutex> lock(world.engine.moving);
    ASSERT_EQ(world.engine.moved.size(), 1U);
    EXPECT_THAT(world.engine.moved[0].cpus, ElementsAre(2, 3));
  }
  EXPECT_EQ(world.at(1, "scaling_setspeed"), "1600000");
  EXPECT_EQ(world.at(0, "scaling_setspeed"), "200000") << "where it was nobody is now";
  EXPECT_THAT(plant->apply(act(1, 1, 3)), IsError(ErrorKind::kBusy, HasSubstr("mapping"))) << "one core is not as many";
  world.engine.can_move = false;
  EXPECT_FALSE(plant->moves());
  EXPECT_THAT(plant->apply(act(0, 1, 2)), IsError(ErrorKind::kBusy, HasSubstr("mapping")));
  go_on = true;
  EXPECT_OK(LiveWorld::end(*plant));
  ASSERT_OK(plant->apply(act(2, 1, 4)));
  EXPECT_EQ(world.engine.placements.size(), 1U) << "it is there already";
}

TEST(LivePlant, SaysWhatCannotBeSetFromTheStart) {
  LiveWorld world;
  const auto plant = world.plant();
  world.tree.remove(world.made.board.clusters[1].control);
  EXPECT_THAT(plant->apply(act(2, 0, 4)), IsError(ErrorKind::kGone, HasSubstr("policy2")));
}

TEST(LivePlant, SaysWhichGovernorIsNotThereThoughFrequenciesWereSet) {
  LiveWorld world;
  const auto plant = world.plant();
  ASSERT_OK(plant->apply(act(2, 0, 3)));
  policies::Action governed = act(2, 0, 3);
  governed.governor = boards::Governor::kConservative;  // the kernel lists four others
  EXPECT_THAT(plant->apply(governed), IsError(ErrorKind::kUsage, HasSubstr("no such governor")));
}

TEST(LivePlant, GoesOnWithoutAClusterThatLeavesUntilItIsBack) {
  LiveWorld world;
  const auto plant = world.plant();
  ASSERT_OK(plant->apply(act(2, 0, 3)));
  const std::string lowest = world.at(1, "scaling_min_freq");
  world.put(1, "scaling_min_freq", "?");  // as little to be read as a policy whose processors are offline
  ASSERT_OK(plant->apply(act(2, 0, 4)));
  EXPECT_THAT(plant->report().warning, AllOf(HasSubstr("big cannot be set now"), HasSubstr("scaling_min_freq")));
  EXPECT_EQ(plant->report().adjusted_settings, 1U);
  EXPECT_TRUE(LiveWorld::telemetry(*plant, [](const Telemetry& t) { return t.lost == 2; }).has_value());
  ASSERT_OK(plant->apply(act(0, 0, 1)));
  EXPECT_EQ(world.at(0, "scaling_setspeed"), "600000") << "the other one is set";
  world.put(1, "scaling_min_freq", lowest);
  ASSERT_OK(plant->apply(act(0, 0, 2)));
  EXPECT_EQ(world.at(1, "scaling_setspeed"), "400000");
  EXPECT_EQ(plant->report().warning, "");
  EXPECT_TRUE(LiveWorld::telemetry(*plant, [](const Telemetry& t) { return t.lost == 0; }).has_value());
}

TEST(LivePlant, SaysWhatIsInForceWhereItIsNotWhatWasAskedFor) {
  LiveWorld world;
  const auto plant = world.plant();
  ASSERT_OK(plant->apply(act(2, 0, 3)));
  EXPECT_EQ(plant->report().freq_khz, 1600000);
  EXPECT_EQ(plant->report().adjusted_settings, 0U);
  world.put(1, "scaling_max_freq", "1300000");
  ASSERT_OK(plant->apply(act(2, 0, 4)));
  EXPECT_EQ(plant->report().freq_khz, 1200000);
  EXPECT_EQ(plant->report().adjusted_settings, 1U);
}

TEST(LivePlant, LeavesAClusterToAnotherProgramUntilItIsGivenBack) {
  LiveWorld world;
  const auto plant = world.plant();
  ASSERT_OK(plant->apply(act(2, 0, 3)));
  world.put(1, "scaling_governor", "performance");
  world.put(1, "scaling_cur_freq", "1600000");
  const auto held = LiveWorld::telemetry(*plant, [](const Telemetry& t) { return t.held != 0 && t.cap[1] == 3; });
  ASSERT_TRUE(held.has_value()) << "seen without an apply";
  EXPECT_EQ(held->held, 2U);
  EXPECT_THAT(plant->report().warning, HasSubstr("big: another program set the governor"));
  EXPECT_EQ(plant->report().foreign_changes, 1U);
  EXPECT_EQ(plant->report().freq_khz, 1600000) << "where it runs";
  ASSERT_OK(plant->apply(act(2, 0, 0))) << "reported, not an end of everything";
  EXPECT_EQ(world.at(1, "scaling_governor"), "performance") << "not fought over";
  EXPECT_EQ(world.at(1, "scaling_setspeed"), "1600000");
  EXPECT_EQ(plant->report().adjusted_settings, 1U);
  ASSERT_OK(plant->apply(act(0, 0, 2)));
  EXPECT_EQ(world.at(0, "scaling_setspeed"), "1000000") << "the other cluster is still ours";

  world.put(1, "scaling_governor", "userspace");
  ASSERT_TRUE(LiveWorld::telemetry(*plant, [](const Telemetry& t) { return t.held == 0; }).has_value());
  EXPECT_EQ(plant->report().warning, "");
  ASSERT_OK(plant->apply(act(2, 0, 1)));
  EXPECT_EQ(world.at(1, "scaling_setspeed"), "800000");
  EXPECT_EQ(plant->report().foreign_changes, 1U);
}

TEST(LivePlant, CountsAForeignChangeAndSaysItInTheSameReport) {
  LiveWorld world;
  const auto plant = world.plant();
  ASSERT_OK(plant->apply(act(2, 0, 3)));
  world.put(1, "scaling_governor", "performance");
  ASSERT_OK(plant->apply(act(2, 0, 4))) << "no telemetry is asked for in between";
  const PlantReport report = plant->report();
  EXPECT_EQ(report.foreign_changes, 1U);
  EXPECT_THAT(report.warning,
              HasSubstr("big: another program set the governor or the minimum (governor now performance)"));
}

TEST(LivePlant, PutsNothingBackOverWhatAnotherProgramChose) {
  LiveWorld world;
  const auto plant = world.plant();
  ASSERT_OK(plant->apply(act(2, 0, 3)));
  world.put(1, "scaling_governor", "performance");
  ASSERT_OK(plant->restore());
  EXPECT_EQ(world.at(1, "scaling_governor"), "performance");
  EXPECT_EQ(world.at(0, "scaling_governor"), "schedutil");
  EXPECT_FALSE(std::filesystem::exists(world.tree.path("run/state.toml"))) << "nothing is left to do";
}

TEST(LivePlant, HandsOutWhatItsSamplingThreadCouldNotDo) {
  LiveWorld world;
  auto actuators = actuators::ActuatorSet::make(world.made.board, {world.tree.root(), {}});
  LivePlant plant(world.made.board, world.engine, std::move(actuators), {}, world.clock,
                  {.on_sampler = [] { return Status(fail(ErrorKind::kDenied, "no such class", "--sched")); }});
  EXPECT_THAT(plant.sampler_status(), IsError(ErrorKind::kDenied, HasSubstr("--sched")));
}

/// A RAPL package whose counter the test turns.
class Counted : public ::testing::Test {
 protected:
  static boards::Rail rail(const std::string& name, const std::string& sensor) {
    boards::Rail rail;
    rail.name = name;
    rail.accounting = true;
    rail.sensor = sensor;
    rail.sensor_period_s = 0.001;
    return rail;
  }
  void lay_package() {
    world_.tree.put(kZone + "/name", "package-0").put(kZone + "/max_energy_range_uj", "262143328850");
    turn(1'000'000);
    world_.made.board.rails = {rail("package-0", kZone)};
  }
  void turn(std::int64_t microjoules) { world_.tree.put(kZone + "/energy_uj", std::to_string(microjoules)); }
  const std::string kZone = "sys/class/powercap/intel-rapl:0";
  LiveWorld world_;
};

TEST_F(Counted, EnergyIsWhatTheCounterGrewBy) {
  lay_package();
  const auto plant = world_.plant();
  EXPECT_TRUE(plant->has_energy());
  EXPECT_EQ(plant->report().energy_j, 0.0);
  // Its first round has set the counter's start once a round has been seen.
  ASSERT_TRUE(LiveWorld::telemetry(*plant, kAny).has_value());
  ASSERT_TRUE(LiveWorld::telemetry(*plant, kAny).has_value());
  turn(3'500'000);
  const auto seen = LiveWorld::telemetry(*plant, [](const Telemetry& t) { return t.power_w.value_or(0) > 0; });
  ASSERT_TRUE(seen.has_value());
  EXPECT_NEAR(*plant->report().energy_j, 2.5, 1e-9);
  EXPECT_NEAR(*seen->power_w * seen->window_s, 2.5, 1e-6) << "power x window is the energy";
}

TEST_F(Counted, CountsAcrossTheTurnOfTheCounter) {
  lay_package();
  world_.tree.put(kZone + "/max_energy_range_uj", "4000000");
  const auto plant = world_.plant();
  ASSERT_TRUE(LiveWorld::telemetry(*plant, kAny).has_value());
  ASSERT_TRUE(LiveWorld::telemetry(*plant, kAny).has_value());
  turn(3'500'000);
  ASSERT_TRUE(LiveWorld::telemetry(*plant, [](const Telemetry& t) { return t.power_w.value_or(0) > 0; }).has_value());
  turn(500'000);
  ASSERT_TRUE(LiveWorld::telemetry(*plant, [](const Telemetry& t) { return t.power_w.value_or(0) > 0; }).has_value());
  EXPECT_NEAR(*plant->report().energy_j, 3.5, 1e-9);
}

/// Waits until the plant says so.
template <typename Wanted>
bool comes_true(Wanted wanted) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (std::chrono::steady_clock::now() < until) {
    if (wanted()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

TEST_F(Counted, ASensorThatFailsForAWhileIsReportedAndWidensTheInterval) {
  const std::string chip = world_.tree.hwmon(0, "ina231");
  world_.tree.put(chip + "/power1_input", "2000000");
  boards::Rail slow = rail("big", chip + "/power1_input");
  slow.sensor_period_s = 0.01;
  world_.made.board.rails = {slow};
  const auto plant = world_.plant();
  const auto has_power = [](const Telemetry& t) { return t.power_w.has_value(); };
  ASSERT_TRUE(LiveWorld::telemetry(*plant, has_power).has_value());
  EXPECT_EQ(plant->report().warning, "");

  world_.tree.put(chip + "/power1_input", "rubbish");
  const auto lost = LiveWorld::telemetry(*plant, [](const Telemetry& t) { return t.power_lost; });
  ASSERT_TRUE(lost.has_value());
  EXPECT_EQ(lost->power_w, std::nullopt) << "the last good value is not handed out again";
  const PlantReport amiss = plant->report();
  EXPECT_EQ(amiss.energy_j, std::nullopt);
  EXPECT_EQ(amiss.sensor_failures, 1U);
  EXPECT_THAT(amiss.warning, ::testing::AllOf(HasSubstr("big power_w is failing"), HasSubstr("power1_input"),
                                              HasSubstr("energy is not measured meanwhile")));

  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  world_.tree.put(chip + "/power1_input", "2000000");
  ASSERT_TRUE(comes_true([&] { return plant->report().energy_j.has_value(); }));
  const PlantReport back = plant->report();
  EXPECT_EQ(back.warning, "");
  EXPECT_EQ(back.sensor_failures, 1U);
  EXPECT_GE(*back.energy_ci_j, 2 * 0.2) << "all of what the gap may have held";
  ASSERT_TRUE(LiveWorld::telemetry(*plant, has_power).has_value());
}

TEST_F(Counted, ASensorThatLeavesLeavesNoEnergyBehind) {
  lay_package();
  const auto plant = world_.plant();
  ASSERT_TRUE(LiveWorld::telemetry(*plant, kAny).has_value());
  world_.tree.remove(kZone);
  ASSERT_TRUE(comes_true([&] { return !plant->report().energy_j.has_value(); }));
  EXPECT_THAT(plant->report().warning, HasSubstr("package-0 energy_j is failing"));
  ASSERT_OK(plant->restore());
  EXPECT_EQ(plant->report().energy_j, std::nullopt);
}

TEST_F(Counted, NoEnergyIsClaimedWhereARailIsMissing) {
  lay_package();
  world_.made.board.rails.push_back(rail("memory", "sys/class/powercap/nowhere"));
  const auto plant = world_.plant();
  EXPECT_FALSE(plant->has_energy());
  EXPECT_EQ(plant->report().energy_j, std::nullopt);
  const auto seen = LiveWorld::telemetry(*plant, kAny);
  ASSERT_TRUE(seen.has_value());
  EXPECT_EQ(seen->power_w, std::nullopt);
}

TEST_F(Counted, PowerComesAsOftenAsASlowSensorSpeaks) {
  const std::string chip = world_.tree.hwmon(0, "ina231");
  world_.tree.put(chip + "/power1_input", "2000000");
  boards::Rail slow = rail("big", chip + "/power1_input");
  slow.sensor_period_s = 0.05;
  world_.made.board.rails = {slow};
  const double began_s = world_.clock.now_s();
  const auto plant = world_.plant();
  ASSERT_TRUE(plant->has_energy());
  int spoken = 0;
  for (int round = 0; round < 40; ++round) {
    const auto seen = LiveWorld::telemetry(*plant, kAny);
    ASSERT_TRUE(seen.has_value());
    if (!seen->power_w.has_value()) continue;
    ++spoken;
    EXPECT_NEAR(*seen->power_w, 2, 1e-9);
  }
  const double elapsed_s = world_.clock.now_s() - began_s;
  EXPECT_GE(spoken, 1);
  EXPECT_LE(spoken, elapsed_s / 0.05 + 2) << "a value that was read again is no new one";
  const double energy_j = *plant->report().energy_j;
  EXPECT_GT(energy_j, 0);
  EXPECT_LE(energy_j, 2 * (world_.clock.now_s() - began_s) + 1e-9);
}

}  // namespace
}  // namespace reins::control
