// The page that shows how to add a sensor shows what is there.
#include "tests/support/walkthrough.hpp"

TEST(AddingASensor, QuotesTheRealDriver) {
  EXPECT_GT(reins::testing::expect_quotes_hold(REINS_SOURCE_DIR, "docs/adding-a-sensor.md"), 5);
}
