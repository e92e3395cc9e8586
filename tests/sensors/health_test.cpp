// Failing, stale and stuck sensors told from those that work.
#include "sensors/health.hpp"

#include "tests/support/faulty_sensor.hpp"
#include "tests/support/matchers.hpp"

namespace reins::sensors {
namespace {

using testing::FakeClock;
using testing::FaultySensor;

class Watch : public ::testing::Test {
 protected:
  Health look(std::uint64_t load_changes = 0) {
    const auto reading = sensor_.read();
    return watch_.see(reading, clock_.now_s(), load_changes);
  }
  FakeClock clock_;
  FaultySensor sensor_{{"a15", Quantity::kPowerW, Behaviour::kGauge, 0.2, "fake"}, clock_};
  HealthWatch watch_{sensor_.signal()};
};

TEST_F(Watch, FailsWithItsErrorAndComesBack) {
  EXPECT_EQ(look(), Health::kFine);
  sensor_.fail_nth(1, Error(ErrorKind::kIo, "input/output error", "power1_input"));
  EXPECT_EQ(look(), Health::kFailing);
  EXPECT_EQ(watch_.error().kind(), ErrorKind::kIo);
  EXPECT_EQ(look(), Health::kFine);
  EXPECT_EQ(watch_.failures(), 1U);
  sensor_.die(Error(ErrorKind::kGone, "left", "fake"));
  EXPECT_EQ(look(), Health::kFailing);
  EXPECT_EQ(look(), Health::kFailing);
  EXPECT_EQ(watch_.failures(), 2U) << "once a turn, not once a read";
}

TEST_F(Watch, IsStaleWhenTheDeviceRenewsNothingForSeveralPeriods) {
  EXPECT_EQ(look(), Health::kFine);
  sensor_.go_stale();
  clock_.advance(0.9);
  EXPECT_EQ(look(), Health::kFine) << "a late update is none yet";
  clock_.advance(0.2);
  EXPECT_EQ(look(), Health::kStale);
  sensor_.go_stale(false);
  EXPECT_EQ(look(), Health::kFine);
  EXPECT_EQ(watch_.failures(), 1U);
}

TEST_F(Watch, IsStuckWhenItStaysTheSameWhileTheLoadChanges) {
  sensor_.set(0.84);
  EXPECT_EQ(look(1), Health::kFine);
  clock_.advance(120);
  EXPECT_EQ(look(1), Health::kFine) << "nothing changed: it may well be so";
  EXPECT_EQ(look(2), Health::kStuck);
  sensor_.set(0.85);
  EXPECT_EQ(look(3), Health::kFine);
  clock_.advance(59);
  EXPECT_EQ(look(9), Health::kFine) << "coarse meters repeat themselves";
}

TEST_F(Watch, ATemperatureMayStay) {
  HealthWatch watch({"board", Quantity::kTemperatureC, Behaviour::kGauge, 0.1, "fake"});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(watch.see(Reading{45, clock_.now_s(), 0, static_cast<std::uint64_t>(i)}, clock_.now_s(),
                        static_cast<std::uint64_t>(i)),
              Health::kFine);
    clock_.advance(100);
  }
}

TEST_F(Watch, WhatHasMeasuredNothingYetIsNotFailing) {
  sensor_.die(Error(ErrorKind::kBusy, "nothing measured yet", "fake"));
  EXPECT_EQ(look(), Health::kFine);
  clock_.advance(2);
  EXPECT_EQ(look(), Health::kStale);
}

}  // namespace
}  // namespace reins::sensors
