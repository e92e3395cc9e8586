// tests/protocol/reply_test.cpp: replies survive a round trip, and a client is told what is wrong with one that does
// not.
#include "protocol/reply.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "core/rng.hpp"
#include "tests/support/matchers.hpp"

namespace reins::protocol {
namespace {

using ::testing::HasSubstr;
using testing::IsError;

template <typename Body>
Body round_trip(Body body) {
  const auto reply = decode_reply(encode_reply(Reply{Value(3), std::move(body)}));
  if (!reply) {
    ADD_FAILURE() << reply.error().line();
    return {};
  }
  EXPECT_EQ(reply->id, Value(3));
  return std::get<Body>(reply->body);
}

InferAnswer answer() {
  InferAnswer a;
  a.predicted = 4;
  a.probabilities = {0.25, 0.75};
  a.level = 2;
  a.started_level = 1;
  a.mapping = "a15x4";
  a.freq_khz = 1'400'000;
  a.queue_s = 0.001;
  a.latency_s = 0.02;
  a.energy_j = 0.031;
  a.energy_source = "modelled";
  a.decision_ns = 310;
  a.missed = true;
  a.emulated = true;
  return a;
}

TEST(Reply, InferSurvivesARoundTrip) {
  const InferAnswer got = round_trip(answer());
  EXPECT_EQ(got.predicted, 4);
  EXPECT_EQ(got.probabilities, (std::vector<double>{0.25, 0.75}));
  EXPECT_EQ(got.level, 2);
  EXPECT_EQ(got.started_level, 1);
  EXPECT_EQ(got.mapping, "a15x4");
  EXPECT_EQ(got.freq_khz, 1'400'000);
  EXPECT_EQ(got.latency_s, 0.02);
  EXPECT_EQ(got.energy_j, 0.031);
  EXPECT_EQ(got.energy_source, "modelled");
  EXPECT_EQ(got.decision_ns, 310);
  EXPECT_TRUE(got.missed);
  EXPECT_TRUE(got.emulated);
}

TEST(Reply, AbsentEnergyStaysAbsent) {
  InferAnswer a = answer();
  a.energy_j.reset();
  a.energy_source = "none";
  EXPECT_EQ(round_trip(a).energy_j, std::nullopt);
}

TEST(Reply, ANumberThatIsNotFiniteNeverReachesTheWire) {
  InferAnswer a = answer();
  a.energy_j = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(round_trip(a).energy_j, std::nullopt);
}

TEST(Reply, StatusGoalsAndMetricsSurviveARoundTrip) {
  StatusAnswer status;
  status.board = "odroid-xu3";
  status.network = "group4";
  status.dataset = "cifar10";
  status.policy = "dqn";
  status.input_shape = {1, 3, 32, 32};
  status.classes = 10;
  status.accuracies = {0.6, 0.7};
  status.waiting = 3;
  status.queue_limit = 64;
  status.uptime_s = 12.5;
  status.goals.latency_s = 0.1;
  status.warning = "a15 power_w is failing";
  const StatusAnswer got = round_trip(status);
  EXPECT_EQ(got.input_shape, status.input_shape);
  EXPECT_EQ(got.accuracies, status.accuracies);
  EXPECT_EQ(got.goals, status.goals);
  EXPECT_EQ(got.waiting, 3U);
  EXPECT_EQ(got.warning, status.warning);
  EXPECT_EQ(round_trip(status.goals), status.goals);

  MetricsAnswer metrics;
  metrics.offered = 10;
  metrics.served = 9;
  metrics.rejected = 1;
  metrics.malformed = 2;
  metrics.grown = 3;
  metrics.switches_per_s = 2.5;
  metrics.energy_j = 5.5;
  metrics.energy_ci_j = 0.25;
  metrics.sensor_failures = 4;
  metrics.foreign_changes = 5;
  metrics.adjusted_settings = 6;
  metrics.warning = "big: another program";
  metrics.energy_source = "measured";
  metrics.p99_s = 0.2;
  metrics.temperature_c = 61;
  metrics.level = 4;
  const MetricsAnswer back = round_trip(metrics);
  EXPECT_EQ(back.offered, 10U);
  EXPECT_EQ(back.served, 9U);
  EXPECT_EQ(back.malformed, 2U);
  EXPECT_EQ(back.grown, 3U);
  EXPECT_EQ(back.switches_per_s, 2.5);
  EXPECT_EQ(back.energy_j, 5.5);
  EXPECT_EQ(back.energy_ci_j, 0.25);
  EXPECT_EQ(back.sensor_failures, 4U);
  EXPECT_EQ(back.foreign_changes, 5U);
  EXPECT_EQ(back.adjusted_settings, 6U);
  EXPECT_EQ(back.warning, metrics.warning);
  EXPECT_EQ(back.temperature_c, 61);
  EXPECT_EQ(back.power_w, std::nullopt);
}

TEST(Reply, AFaultSurvivesARoundTrip) {
  for (const Code code : {Code::kMalformed, Code::kVersion, Code::kUnknownOp, Code::kInvalid, Code::kTooLarge,
                          Code::kMismatch, Code::kOverloaded, Code::kStopping, Code::kInternal}) {
    EXPECT_EQ(round_trip(Fault{code, "why", false}), (Fault{code, "why", false}));
    EXPECT_EQ(round_trip(Fault{code, "why", true}), (Fault{code, "why", true}));
  }
}

TEST(Reply, RefusesWhatIsNoReply) {
  EXPECT_THAT(decode_reply("\x01"), IsError(ErrorKind::kGarbled, HasSubstr("server's reply")));
  EXPECT_THAT(decode_reply(pack(Value(Value::Map{{"v", 9}, {"id", 1}, {"ok", true}}))),
              IsError(ErrorKind::kMismatch, HasSubstr("version")));
  EXPECT_THAT(decode_reply(pack(Value(Value::Map{{"v", 1}, {"id", 1}, {"ok", true}, {"op", "infer"}}))),
              IsError(ErrorKind::kGarbled, HasSubstr("'class'")));
  InferAnswer a = answer();
  a.energy_source = "guessed";
  EXPECT_THAT(decode_reply(encode_reply(Reply{Value(1), a})), IsError(ErrorKind::kGarbled, HasSubstr("energy source")));
  MetricsAnswer metrics;
  metrics.p50_s = -0.1;
  EXPECT_THAT(decode_reply(encode_reply(Reply{Value(1), metrics})), IsError(ErrorKind::kGarbled, HasSubstr("'p50_s'")));
}

TEST(ReplyProperty, DamagedRepliesNeverCrashAClient) {
  Rng rng(7);
  const std::string good = encode_reply(Reply{Value(1), answer()});
  int refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = good;
    for (std::uint64_t edits = 1 + rng.below(3); edits > 0; --edits) {
      bytes[rng.index(bytes.size())] = static_cast<char>(rng.below(256));
    }
    if (rng.below(3) == 0) bytes.resize(rng.index(bytes.size()));
    if (!decode_reply(bytes)) ++refused;
  }
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace reins::protocol
