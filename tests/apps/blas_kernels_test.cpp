#include "apps/blas_kernels.hpp"

#include <gtest/gtest.h>

namespace reins::apps {
namespace {

TEST(BetterKernels, AreThoseOfTheProcessorWhereOpenBlasFellBack) {
  EXPECT_EQ(better_kernels("Prescott", true, true), "SkylakeX");
  EXPECT_EQ(better_kernels("Prescott", true, false), "Haswell");
  EXPECT_EQ(better_kernels("Prescott", false, false), "") << "it may well be one";
  EXPECT_EQ(better_kernels("Zen", true, false), "");
  EXPECT_EQ(better_kernels("SkylakeX", true, true), "");
}

}  // namespace
}  // namespace reins::apps
