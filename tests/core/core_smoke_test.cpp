#include <gtest/gtest.h>
#include "core/pack.hpp"
TEST(Pack, RoundTripsAMap) {
  const reins::Value v(reins::Value::Map{{"a", 1}, {"b", 2.5}});
  const auto back = reins::unpack(reins::pack(v), "here");
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(*back, v);
}
