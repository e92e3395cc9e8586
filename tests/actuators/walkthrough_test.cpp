// The page that shows how to add an actuator shows what is there.
#include "tests/support/walkthrough.hpp"

TEST(AddingAnActuator, QuotesTheRealDriver) {
  EXPECT_GT(reins::testing::expect_quotes_hold(REINS_SOURCE_DIR, "docs/adding-an-actuator.md"), 5);
}
