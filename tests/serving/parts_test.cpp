// tests/serving/parts_test.cpp: addresses, and who may connect.
#include <gtest/gtest.h>

#include "protocol/curve_keys.hpp"
#include "serving/endpoint.hpp"
#include "serving/zap.hpp"
#include "tests/support/matchers.hpp"

namespace reins::serving {
namespace {

using ::testing::HasSubstr;
using testing::IsError;

TEST(Endpoint, KnowsWhatOtherMachinesReach) {
  for (const char* text :
       {"tcp://127.0.0.1:5555", "tcp://127.9.9.9:1", "tcp://localhost:80", "tcp://[::1]:5", "ipc:///tmp/x"}) {
    EXPECT_TRUE(parse_endpoint(text)->loopback) << text;
  }
  for (const char* text : {"tcp://0.0.0.0:5555", "tcp://*:5555", "tcp://128.0.0.1:5", "tcp://eth0:5", "tcp://[::]:5",
                           "tcp://127.0.0.1.example.com:5"}) {
    EXPECT_FALSE(parse_endpoint(text)->loopback) << text;
  }
}

TEST(Endpoint, SaysWhatZeroMqBinds) {
  EXPECT_EQ(parse_endpoint("tcp://localhost:0")->text, "tcp://127.0.0.1:*");
  EXPECT_EQ(parse_endpoint("tcp://[::1]:*")->text, "tcp://[::1]:*");
}

TEST(Endpoint, RefusesWhatIsNoAddress) {
  for (const char* text : {"", "5555", "127.0.0.1:5555", "tcp://", "tcp://:5", "tcp://localhost", "tcp://a:b",
                           "tcp://a:65536", "tcp://a:-1", "udp://a:5", "inproc://x", "ipc://"}) {
    EXPECT_THAT(parse_endpoint(text), IsError(ErrorKind::kUsage, HasSubstr("tcp://127.0.0.1:5555"))) << text;
  }
  EXPECT_THAT(parse_endpoint("ipc://" + std::string(200, 'p')), IsError(ErrorKind::kUsage, HasSubstr("107")));
}

TEST(CurveGate, LetsInListedKeysAlone) {
  const std::string key(32, 'k'), other(32, 'o');
  const CurveGate gate({*protocol::curve_key_text(key)});
  const std::vector<std::string_view> good = {"1.0", "7", "reins", "127.0.0.1", "", "CURVE", key};
  const ZapVerdict verdict = gate.judge(good);
  EXPECT_TRUE(verdict.allowed);
  ASSERT_EQ(verdict.reply.size(), 6U);
  EXPECT_EQ(verdict.reply[1], "7");
  EXPECT_EQ(verdict.reply[2], "200");
  auto bad = good;
  bad[6] = other;
  EXPECT_FALSE(gate.judge(bad).allowed);
  EXPECT_EQ(gate.judge(bad).reply[2], "400");
  bad = good;
  bad[5] = "PLAIN";
  EXPECT_FALSE(gate.judge(bad).allowed);
  bad = {"1.0", "7", "reins", "127.0.0.1", "", "NULL"};
  EXPECT_FALSE(gate.judge(bad).allowed);
  EXPECT_TRUE(gate.judge({"1.0", "7"}).reply.empty());
  EXPECT_TRUE(gate.judge({}).reply.empty());
}

}  // namespace
}  // namespace reins::serving
