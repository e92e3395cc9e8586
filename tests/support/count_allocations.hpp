// tests/support/count_allocations.hpp: counts calls of operator new, aligned or not. A test program that uses it lists
// count_allocations.cpp as a source.
#pragma once

namespace reins::testing {

/// Calls of operator new by all threads so far.
long allocations_so_far() noexcept;

/// Allocations made by all threads while `body` runs.
template <typename Body>
long allocations_in(Body&& body) {
  const long before = allocations_so_far();
  body();
  return allocations_so_far() - before;
}

}  // namespace reins::testing
