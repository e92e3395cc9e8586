// The live loop on a live plant: replies, caps, errors, and what is put back when it stops.
#include "control/control_loop.hpp"

#include <poll.h>

#include <chrono>
#include <future>
#include <thread>

#include "tests/control/live_world.hpp"
#include "tests/support/matchers.hpp"

namespace reins::control {
namespace {

using testing::act;
using ::testing::HasSubstr;
using testing::IsError;
using testing::LiveWorld;

/// The highest point of big-x2 that the mask allows.
class AsFastAsAllowed final : public policies::Policy {
 public:
  std::string_view name() const noexcept override { return "as fast as allowed"; }
  policies::Action decide(const policies::Observation& observation) noexcept override {
    if (may_decide.valid()) may_decide.wait();
    policies::Action action = act(2, 2, 0, 0);
    while (action.opp.value < 4 && observation.mask.allows(action.mapping, OppId(action.opp.value + 1)))
      action.opp = OppId(action.opp.value + 1);
    return action;
  }
  void reset() noexcept override {}

  std::future<void> may_decide;  // where there is one: the first decision waits for it
};

/// The lowest point of big-x2.
class Slowest final : public policies::Policy {
 public:
  std::string_view name() const noexcept override { return "slowest"; }
  policies::Action decide(const policies::Observation&) noexcept override { return act(2, 2, 0, 0); }
  void reset() noexcept override {}
};

/// The lowest level, as fast as it goes.
class Coarse final : public policies::Policy {
 public:
  std::string_view name() const noexcept override { return "coarse"; }
  policies::Action decide(const policies::Observation&) noexcept override { return act(2, 0, 4, 0); }
  void reset() noexcept override {}
};

class Loop : public ::testing::Test {
 protected:
  void start(double sample_s = 0.005) {
    plant_ = world_.plant(sample_s);
    LoopSetup setup;
    setup.board = &world_.made.board;
    setup.space = &world_.made.space;
    setup.profile = &world_.made.profile;
    setup.network = &world_.engine.facts();
    setup.policy = policy_;
    setup.plant = plant_.get();
    loop_ = std::make_unique<ControlLoop>(setup, config_, policies::Goals{});
    ASSERT_OK(loop_->start());
  }
  Status submit(std::uint64_t token, unsigned char first = 0, std::optional<double> deadline_s = {}) {
    const std::array<unsigned char, 4> image = {first, 0, 0, 0};
    InferRequest request;
    request.token = token;
    request.deadline_s = deadline_s;
    return loop_->submit(request, {image.data(), inference::DType::kUint8, {1, 1, 2, 2}});
  }
  /// The next reply, within a patient deadline.
  std::optional<InferReply> reply() {
    InferReply out;
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (std::chrono::steady_clock::now() < until) {
      if (loop_->next(out)) return out;
      pollfd item{loop_->event_fd(), POLLIN, 0};
      ::poll(&item, 1, 100);
    }
    return std::nullopt;
  }

  LiveWorld world_;
  AsFastAsAllowed as_fast_as_allowed_;
  Slowest slowest_;
  Coarse coarse_;
  RuntimeConfig config_;
  policies::Policy* policy_ = &as_fast_as_allowed_;
  std::unique_ptr<LivePlant> plant_;
  std::unique_ptr<ControlLoop> loop_;
};

TEST_F(Loop, EnergySinceTheStartDoesNotFallWhenItsSensorLeaves) {
  const std::string zone = "sys/class/powercap/intel-rapl:0";
  world_.tree.put(zone + "/name", "package-0")
      .put(zone + "/max_energy_range_uj", "262143328850")
      .put(zone + "/energy_uj", "1000000");
  boards::Rail rail;
  rail.name = "package-0";
  rail.accounting = true;
  rail.sensor = zone;
  rail.sensor_period_s = 0.001;
  world_.made.board.rails = {rail};
  start();
  const auto comes = [&](auto&& wanted) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!wanted(loop_->metrics()) && std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return wanted(loop_->metrics());
  };
  // It says "measured" before its first reading, from which on it counts: it has begun once it has counted something.
  std::int64_t counted_uj = 1'000'000;
  ASSERT_TRUE(comes([&](const DriverMetrics& m) {
    if (m.energy_source == "measured" && m.energy_j.value_or(0) > 0) return true;
    world_.tree.put(zone + "/energy_uj", std::to_string(counted_uj += 10'000));
    return false;
  }));
  // Far beyond the account of power x time, and short of the 100 J a millisecond that would be taken for a reset.
  world_.tree.put(zone + "/energy_uj", std::to_string(counted_uj + 99'500'000));
  ASSERT_TRUE(comes([](const DriverMetrics& m) { return m.energy_j.value_or(0) > 99; }));
  world_.tree.remove(zone);
  ASSERT_TRUE(comes([](const DriverMetrics& m) { return m.energy_source != "measured"; }));
  EXPECT_GT(loop_->metrics().energy_j.value_or(0), 99);
  EXPECT_LT(loop_->metrics().energy_j.value_or(0), 190) << "counted once";
}

TEST_F(Loop, AnswersOnTheBoardAndPutsItBackWhenStopped) {
  const auto before = world_.tree.snapshot("sys");
  start();
  ASSERT_OK(submit(7, 13));
  const auto answer = reply();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(loop_->metrics().served, 1U) << "the counters are never behind the replies";
  EXPECT_EQ(loop_->metrics().offered, 1U);
  EXPECT_FALSE(answer->error.has_value());
  EXPECT_EQ(answer->token, 7U);
  EXPECT_EQ(answer->predicted, 3);
  EXPECT_EQ(answer->level, LevelId(2));
  EXPECT_EQ(answer->mapping, "big-x2");
  EXPECT_EQ(answer->freq_khz, 2000000);
  EXPECT_FALSE(answer->emulated);
  EXPECT_EQ(world_.at(1, "scaling_governor"), "userspace");
  ASSERT_OK(loop_->stop());
  EXPECT_EQ(world_.at(0, "scaling_governor"), "schedutil");
  EXPECT_EQ(world_.at(1, "scaling_governor"), "schedutil");
  EXPECT_EQ(loop_->metrics().served, 1U);
  EXPECT_THAT(submit(8), IsError(ErrorKind::kGone, HasSubstr("stopping")));
}

TEST_F(Loop, CountsWhatItDidNotAnswerBeforeItStopped) {
  std::promise<void> go;
  as_fast_as_allowed_.may_decide = go.get_future();
  start();
  for (std::uint64_t token = 1; token <= 3; ++token) ASSERT_OK(submit(token));
  auto stopped = std::async(std::launch::async, [this] { return loop_->stop(); });
  std::uint64_t offered = 3;
  for (Status submitted = submit(4); submitted.has_value() || submitted.error().kind() != ErrorKind::kGone;
       submitted = submit(offered + 1))
    ++offered;
  go.set_value();
  ASSERT_OK(stopped.get());
  EXPECT_EQ(loop_->metrics().offered, offered);
  EXPECT_EQ(loop_->metrics().served + loop_->metrics().missed, offered);
  EXPECT_LE(loop_->metrics().served, 1U) << "the one that was decided upon";
  InferReply last;
  while (loop_->next(last)) {
  }
  EXPECT_TRUE(last.missed);
}

TEST_F(Loop, ServesOnWhereAnotherProgramTakesTheGovernor) {
  start();
  ASSERT_OK(submit(1));
  ASSERT_TRUE(reply().has_value());
  world_.put(1, "scaling_cur_freq", "800000");
  world_.put(1, "scaling_governor", "performance");
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  // Until both are seen: the frequency comes with the next sample.
  while ((loop_->metrics().warning.empty() || loop_->metrics().freq_khz != 800000) &&
         std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ASSERT_OK(submit(2));
  const auto answer = reply();
  ASSERT_TRUE(answer.has_value());
  EXPECT_FALSE(answer->error.has_value());
  EXPECT_EQ(answer->freq_khz, 800000) << "held at the point it runs at";
  const DriverMetrics metrics = loop_->metrics();
  EXPECT_EQ(metrics.foreign_changes, 1U);
  EXPECT_THAT(metrics.warning, HasSubstr("another program"));
  ASSERT_OK(loop_->stop());
  EXPECT_EQ(world_.at(1, "scaling_governor"), "performance");
  EXPECT_EQ(world_.at(0, "scaling_governor"), "schedutil");
}

TEST_F(Loop, SaysWhatItsThreadCouldNotDo) {
  plant_ = world_.plant();
  LoopSetup setup{&world_.made.board, &world_.made.space, &world_.made.profile, &world_.engine.facts(), policy_,
                  plant_.get()};
  setup.on_thread = [] { return Status(fail(ErrorKind::kDenied, "no such class", "--sched")); };
  ControlLoop loop(setup, config_, policies::Goals{});
  EXPECT_THAT(loop.start(), IsError(ErrorKind::kDenied, HasSubstr("--sched")));
}

TEST_F(Loop, AnswersTheEarliestDeadlineFirstEachWithItsOwnImage) {
  std::promise<void> all_in;
  as_fast_as_allowed_.may_decide = all_in.get_future();
  start();
  ASSERT_OK(submit(1, 11));
  ASSERT_OK(submit(2, 12));
  ASSERT_OK(submit(3, 13, 200.0));
  ASSERT_OK(submit(4, 14, 100.0));
  all_in.set_value();
  using Answer = std::pair<std::uint64_t, int>;
  std::vector<Answer> answers;
  for (int i = 0; i < 4; ++i) {
    const auto answer = reply();
    ASSERT_TRUE(answer.has_value());
    answers.emplace_back(answer->token, answer->predicted);
  }
  EXPECT_THAT(answers, ::testing::ElementsAre(Answer{1, 1}, Answer{4, 4}, Answer{3, 3}, Answer{2, 2}))
      << "without a deadline comes last";
}

TEST_F(Loop, RaisesThePointOfAnInferenceThatAnotherRequestJoins) {
  policy_ = &slowest_;
  config_.shield.ease = false;  // with a deadline so far it would take the lowest level
  std::atomic<int> begun = 0;
  world_.engine.while_running = [&] {
    if (++begun == 1) world_.await_other_than(1, "400000");
  };
  start();
  ASSERT_OK(submit(1, 0, 100.0));
  while (begun == 0) std::this_thread::yield();
  EXPECT_EQ(world_.at(1, "scaling_setspeed"), "400000");
  ASSERT_OK(submit(2, 0, 0.5));  // two at the lowest point take 0.8 s
  const auto first = reply();
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->token, 1U);
  EXPECT_GT(first->freq_khz, 400000);
  const auto second = reply();
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->token, 2U);
}

TEST_F(Loop, AnswersOnceWithWhatHasGrownFromTheRequestsOwnImage) {
  policy_ = &coarse_;
  config_.grow = true;
  start();
  ASSERT_OK(submit(1, 13, 1000.0));
  const auto answer = reply();
  ASSERT_TRUE(answer.has_value());
  EXPECT_FALSE(answer->error.has_value());
  EXPECT_EQ(answer->token, 1U);
  EXPECT_EQ(answer->predicted, 5) << "3, and one for each growth";
  EXPECT_EQ(answer->level, LevelId(2));
  EXPECT_EQ(answer->started_level, LevelId(0));
  ASSERT_OK(submit(2, 13));  // without a deadline nothing says how long it may take
  const auto coarse = reply();
  ASSERT_TRUE(coarse.has_value());
  EXPECT_EQ(coarse->token, 2U);
  EXPECT_EQ(coarse->predicted, 3);
  EXPECT_EQ(coarse->level, LevelId(0));
  ASSERT_OK(loop_->stop());
  const DriverMetrics metrics = loop_->metrics();
  EXPECT_EQ(metrics.served, 2U);
  EXPECT_EQ(metrics.grown, 1U);
  EXPECT_EQ(metrics.level, 1) << "of the last one";
  EXPECT_NEAR(metrics.mean_accuracy, (0.7 + 0.5) / 2, 1e-12);
}

TEST_F(Loop, NoticesAnEndPromptly) {
  start(10);  // nothing but the bell wakes it before its longest nap of 50 ms
  double least_s = 1;
  for (std::uint64_t token = 1; token <= 20; ++token) {
    ASSERT_OK(submit(token));
    const auto answer = reply();
    ASSERT_TRUE(answer.has_value());
    least_s = std::min(least_s, answer->latency_s);
  }
  EXPECT_LT(least_s, 0.01);
}

TEST_F(Loop, StopsWhenTheInferenceUnderWayHasEnded) {
  std::atomic<bool> begun = false, ended = false;
  world_.engine.while_running = [&] {
    begun = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    ended = true;
  };
  start();
  ASSERT_OK(submit(1));
  ASSERT_OK(submit(2));
  while (!begun) std::this_thread::yield();
  ASSERT_OK(loop_->stop());
  EXPECT_TRUE(ended);
  for (int i = 0; i < 2; ++i) {
    const auto answer = reply();
    ASSERT_TRUE(answer.has_value());
    ASSERT_TRUE(answer->error.has_value());
    EXPECT_EQ(answer->error->kind(), ErrorKind::kGone);
  }
  EXPECT_EQ(world_.at(1, "scaling_governor"), "schedutil");
}

TEST_F(Loop, ParksTheBoardWhenItsQueueIsEmpty) {
  start();
  ASSERT_OK(submit(1));
  ASSERT_TRUE(reply().has_value());
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (world_.at(1, "scaling_setspeed") != "400000" && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(world_.at(1, "scaling_setspeed"), "400000");
  ASSERT_OK(loop_->stop());
  EXPECT_EQ(loop_->metrics().switches, 1U);
  EXPECT_GT(loop_->metrics().switches_per_s, 0);
}

TEST_F(Loop, OffersNothingAboveACapOfTheMachine) {
  start();
  world_.put(1, "scaling_max_freq", "1200000");
  // The cap comes with the next round of telemetry.
  std::optional<InferReply> answer;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  do {
    ASSERT_OK(submit(1));
    answer = reply();
    ASSERT_TRUE(answer.has_value());
  } while (answer->freq_khz != 1200000 && std::chrono::steady_clock::now() < until);
  EXPECT_EQ(answer->freq_khz, 1200000);
  world_.put(1, "scaling_max_freq", "2000000");
  do {
    ASSERT_OK(submit(2));
    answer = reply();
    ASSERT_TRUE(answer.has_value());
  } while (answer->freq_khz != 2000000 && std::chrono::steady_clock::now() < until);
  EXPECT_EQ(answer->freq_khz, 2000000) << "and it goes";
}

TEST_F(Loop, ServesOnWithoutAClusterThatLeaves) {
  start();
  ASSERT_OK(submit(1));
  ASSERT_TRUE(reply().has_value());
  world_.tree.remove(world_.made.board.clusters[1].control);
  std::string mapping = "big-x2";
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (mapping != "little-x2" && std::chrono::steady_clock::now() < until) {
    ASSERT_OK(submit(2));
    const auto answer = reply();
    ASSERT_TRUE(answer.has_value());
    ASSERT_FALSE(answer->error.has_value());
    mapping = answer->mapping;
  }
  EXPECT_EQ(mapping, "little-x2");
  EXPECT_FALSE(loop_->failure().has_value());
  EXPECT_THAT(loop_->stop(), IsError(ErrorKind::kGone, HasSubstr("policy2"))) << "it cannot be put back";
}

TEST_F(Loop, HandsABoardsErrorToWhoeverAsksNext) {
  start();
  world_.tree.remove(world_.made.board.clusters[1].control);
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  Status refused;
  while ((refused = submit(2)).has_value() && std::chrono::steady_clock::now() < until) static_cast<void>(reply());
  EXPECT_THAT(refused, IsError(ErrorKind::kGone, HasSubstr("policy2")));
  ASSERT_TRUE(loop_->failure().has_value());
  EXPECT_THAT(loop_->stop(), IsError(ErrorKind::kGone, HasSubstr("policy2")));
  EXPECT_EQ(world_.at(0, "scaling_governor"), "schedutil") << "what is still there is put back";
}

TEST_F(Loop, RefusesAnotherShape) {
  start();
  const std::array<unsigned char, 4> image{};
  EXPECT_THAT(loop_->submit({}, {image.data(), inference::DType::kUint8, {1, 4, 1, 1}}),
              IsError(ErrorKind::kUsage, HasSubstr("shape")));
}

}  // namespace
}  // namespace reins::control
