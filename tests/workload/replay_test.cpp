// tests/workload/replay_test.cpp: the open loop against a real server with a fake driver.
#include "workload/replay.hpp"

#include <gtest/gtest.h>

#include "tests/serving/running_server.hpp"
#include "tests/support/matchers.hpp"
#include "workload/summary.hpp"

namespace reins::workload {
namespace {

using ::testing::HasSubstr;
using testing::IsError;
using testing::loopback_options;
using testing::RunningServer;

/// Images whose first byte is their label: what the fake driver answers with.
data::ImageSet images() {
  data::ImageSet set;
  set.name = "synthetic";
  set.height = set.width = 2;
  for (int label = 0; label < 10; ++label) {
    set.labels.push_back(static_cast<std::uint8_t>(label));
    set.pixels.insert(set.pixels.end(), 12, static_cast<std::uint8_t>(label));
  }
  return set;
}

data::Trace steady(std::size_t count, double gap_s) {
  data::Trace trace;
  trace.name = "steady";
  for (std::size_t i = 0; i < count; ++i) {
    data::TraceRow row;
    row.time_s = gap_s * static_cast<double>(i);
    trace.rows.push_back(row);
  }
  trace.end_s = gap_s * static_cast<double>(count);
  return trace;
}

ReplayOptions options_for(const RunningServer& running) {
  ReplayOptions options;
  options.server.endpoint = running.server->endpoint();
  options.connect_timeout_s = 20;
  options.answer_timeout_s = 20;
  return options;
}

TEST(Replay, OffersEveryRequestAndReadsEveryAnswer) {
  RunningServer running;
  const auto result = replay(steady(60, 0.002), images(), options_for(running), {}, {});
  ASSERT_OK(result);
  const Summary s = summarise(*result);
  EXPECT_EQ(s.offered, 60U);
  EXPECT_EQ(s.served, 60U);
  EXPECT_EQ(s.missed, 0U) << "no target, nothing is late";
  EXPECT_EQ(s.correct, 60U);
  EXPECT_EQ(s.levels, (std::map<int, std::size_t>{{2, 60}}));
  ASSERT_TRUE(result->after.has_value());
  EXPECT_EQ(s.energy_j, 0.5 * static_cast<double>(result->after->served)) << "as of the trace's end";
  EXPECT_EQ(s.board, "fake");
  EXPECT_FALSE(s.emulated);
}

TEST(Replay, SendsAtTheTimesOfTheTrace) {
  RunningServer running;
  const auto before = std::chrono::steady_clock::now();
  const auto result = replay(steady(10, 0.05), images(), options_for(running), {}, {});
  ASSERT_OK(result);
  EXPECT_GE(std::chrono::steady_clock::now() - before, std::chrono::milliseconds(500))
      << "it waits for the trace's end";
  for (const RequestRecord& record : result->records) EXPECT_GE(record.latency_s, 0) << "no answer before it was due";
}

TEST(Replay, KeepsSendingWhileAnswersAreMissing) {
  RunningServer running;
  running.driver.hold(true);
  std::thread release([&running] {
    // An open loop sends the last request before the first one is answered.
    while (running.driver.waiting() < 20) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    running.driver.hold(false);
  });
  const auto result = replay(steady(20, 0.01), images(), options_for(running), {}, {});
  release.join();
  ASSERT_OK(result);
  EXPECT_EQ(summarise(*result).served, 20U);
  EXPECT_GE(result->records.front().latency_s, 0.19) << "it waited while nineteen others were sent, 10 ms apart";
}

TEST(Replay, ALateAnswerIsAMissFromWhenTheRequestWasDue) {
  RunningServer running;
  running.driver.hold(true);
  data::Trace trace = steady(5, 0.001);
  for (data::TraceRow& row : trace.rows) row.latency_target_s = 0.05;
  std::thread release([&running] {
    while (running.driver.waiting() < 5) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    running.driver.hold(false);
  });
  const auto result = replay(trace, images(), options_for(running), {}, {});
  release.join();
  ASSERT_OK(result);
  EXPECT_EQ(summarise(*result).late, 5U);
  EXPECT_EQ(summarise(*result).missed, 5U);
}

TEST(Replay, WithoutTargetsOfItsOwnTheServersGoalSaysWhatIsLate) {
  for (const bool goal : {true, false}) {
    RunningServer running;
    if (goal) {
      policies::Goals goals;
      goals.latency_s = 0.05;
      ASSERT_OK(running.driver.set_goals(AppId(0), goals));
    }
    running.driver.hold(true);
    std::thread release([&running] {
      while (running.driver.waiting() < 5) std::this_thread::sleep_for(std::chrono::milliseconds(2));
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      running.driver.hold(false);
    });
    const auto result = replay(steady(5, 0.001), images(), options_for(running), {}, {});
    release.join();
    ASSERT_OK(result);
    const Summary s = summarise(*result);
    EXPECT_EQ(s.late, goal ? 5U : 0U);
    EXPECT_EQ(s.judged, goal ? 5U : 0U);
    EXPECT_EQ(text_of(s).find("5 had no latency target") == std::string::npos, goal) << text_of(s);
  }
}

TEST(Replay, GivesUpMissingAnswersAfterItsTimeOut) {
  RunningServer running;
  running.driver.hold(true);
  ReplayOptions options = options_for(running);
  options.answer_timeout_s = 1;
  const auto result = replay(steady(3, 0.01), images(), options, {}, {});
  ASSERT_OK(result);
  const Summary s = summarise(*result);
  EXPECT_EQ(s.unanswered, 3U);
  EXPECT_EQ(s.missed, 3U);
  EXPECT_FALSE(s.server_lost) << "the server still tells its counters";
}

TEST(Replay, CountsWhatTheServerTurnsAway) {
  serving::ServerOptions server = loopback_options();
  server.queue_limit = 1;
  RunningServer running(std::move(server));
  running.driver.hold(true);
  ReplayOptions options = options_for(running);
  options.answer_timeout_s = 1;
  const auto result = replay(steady(6, 0.01), images(), options, {}, {});
  ASSERT_OK(result);
  const Summary s = summarise(*result);
  EXPECT_EQ(s.rejected, 4U);
  EXPECT_EQ(s.unanswered, 2U);
  EXPECT_EQ(s.missed, 6U);
  EXPECT_THAT(s.first_fault, HasSubstr("waiting already"));
}

TEST(Replay, SendsGoalsWhenTheyChangeAndPutsBackWhatItFound) {
  RunningServer running;
  policies::Goals found;
  found.latency_s = 7;
  found.power_w = 3;
  ASSERT_OK(running.driver.set_goals(AppId(0), found));
  data::Trace trace = steady(6, 0.01);
  trace.rows[0].latency_target_s = 0.5;
  trace.rows[1].latency_target_s = 0.5;  // no change
  trace.rows[3].latency_target_s = 0.2;
  trace.rows[3].accuracy_floor = 0.6;
  const auto result = replay(trace, images(), options_for(running), {}, {});
  ASSERT_OK(result);
  EXPECT_EQ(result->goal_changes, 2U);
  EXPECT_EQ(running.driver.goal_changes(), 1 + 2 + 1) << "the test's, the trace's, and the one that puts them back";
  EXPECT_EQ(result->records[2].target_s, 0.5) << "a row that names none leaves the goal as it was";
  EXPECT_EQ(result->records[4].target_s, 0.2);
  const policies::Goals after = running.driver.goals(AppId(0));
  EXPECT_EQ(after.latency_s, 7);
  EXPECT_EQ(after.power_w, 3);
  EXPECT_EQ(after.accuracy_floor, std::nullopt);
}

TEST(Replay, StopsEarlyWhenAskedAndStillTellsWhatItHas) {
  RunningServer running;
  int asked = 0;
  const auto result = replay(steady(1000, 0.05), images(), options_for(running), {}, [&asked] { return ++asked > 40; });
  ASSERT_OK(result);
  EXPECT_TRUE(result->interrupted);
  EXPECT_LT(result->records.size(), 1000U);
  EXPECT_GT(result->records.size(), 0U);
  EXPECT_TRUE(result->after.has_value());
}

TEST(Replay, TellsItsProgress) {
  RunningServer running;
  std::size_t calls = 0;
  double last_s = 0;
  const auto result = replay(steady(30, 0.02), images(), options_for(running),
                             [&](const Progress& p) {
                               ++calls;
                               EXPECT_GE(p.elapsed_s, last_s);
                               EXPECT_LE(p.elapsed_s, p.total_s);
                               last_s = p.elapsed_s;
                             },
                             {});
  ASSERT_OK(result);
  EXPECT_GE(calls, 2U);
  EXPECT_LE(calls, 40U);
}

TEST(Replay, AServerThatIsLostOnTheWayIsSaid) {
  ReplayOptions options;
  options.answer_timeout_s = 0.3;
  auto running = std::make_unique<RunningServer>();
  options.server.endpoint = running->server->endpoint();
  options.connect_timeout_s = 20;
  std::thread killer([&running] {
    while (running->driver.metrics().served < 3) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    running.reset();
  });
  const auto result = replay(steady(60, 0.02), images(), options, {}, {});
  killer.join();
  ASSERT_OK(result);
  const Summary s = summarise(*result);
  EXPECT_TRUE(s.server_lost);
  EXPECT_GT(s.unanswered + s.rejected, 0U);
  EXPECT_EQ(s.offered, 60U);
}

TEST(Replay, NamesAServerThatIsNotThere) {
  ReplayOptions options;
  options.server.endpoint = "ipc:///nowhere/at/all";
  options.connect_timeout_s = 0.1;
  EXPECT_THAT(replay(steady(1, 0.1), images(), options, {}, {}),
              IsError(ErrorKind::kTimeout, HasSubstr("no server answers")));
  options.server.endpoint = "nonsense";
  EXPECT_THAT(replay(steady(1, 0.1), images(), options, {}, {}), IsError(ErrorKind::kUsage, HasSubstr("nonsense")));
}

TEST(Replay, RefusesImagesThatTheNetworkDoesNotTake) {
  RunningServer running;
  data::ImageSet big = images();
  big.height = big.width = 1;
  EXPECT_THAT(replay(steady(1, 0.1), big, options_for(running), {}, {}),
              IsError(ErrorKind::kUsage, HasSubstr("takes 1x3x2x2 and the images are 1x3x1x1")));
  EXPECT_THAT(replay(data::Trace{}, images(), options_for(running), {}, {}),
              IsError(ErrorKind::kUsage, HasSubstr("without requests")));
}

TEST(Replay, SpeaksCurve) {
  const auto server_keys = protocol::make_curve_keys(), client_keys = protocol::make_curve_keys();
  serving::ServerOptions server = loopback_options();
  server.curve = serving::CurveAccess{*server_keys, {client_keys->public_key}};
  RunningServer running(std::move(server));
  ReplayOptions options = options_for(running);
  options.server.own_keys = *client_keys;
  options.server.server_key = server_keys->public_key;
  const auto result = replay(steady(3, 0.01), images(), options, {}, {});
  ASSERT_OK(result);
  EXPECT_EQ(summarise(*result).served, 3U);
  options.server.own_keys.reset();
  options.connect_timeout_s = 0.3;
  EXPECT_THAT(replay(steady(3, 0.01), images(), options, {}, {}),
              IsError(ErrorKind::kTimeout, HasSubstr("no server answers")));
}

}  // namespace
}  // namespace reins::workload
