// tests/support/matchers.hpp: matchers for Result and Status.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/result.hpp"

namespace reins::testing {

/// A Result or Status that holds an error of `kind` whose line matches `line_matcher`.
MATCHER_P2(IsError, kind, line_matcher, "is an error of the wanted kind") {
  if (arg.has_value()) {
    *result_listener << "which holds a value";
    return false;
  }
  *result_listener << "which is " << name_of(arg.error().kind()) << ": " << arg.error().line();
  return arg.error().kind() == kind && ::testing::Matches(line_matcher)(arg.error().line());
}

MATCHER(IsOk, "is not an error") {
  if (!arg.has_value()) *result_listener << "which is: " << arg.error().line();
  return arg.has_value();
}

}  // namespace reins::testing

#define ASSERT_OK(expr) ASSERT_THAT((expr), ::reins::testing::IsOk())
#define EXPECT_OK(expr) EXPECT_THAT((expr), ::reins::testing::IsOk())
