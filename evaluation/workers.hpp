// evaluation/workers.hpp: independent pieces of work on several threads.
#pragma once

#include <cstddef>
#include <functional>

namespace reins::evaluation {

/// Calls `work` once with each index below `count`, in any order, from `threads` threads (0: one), the caller's among
/// them. After each, one at a time, `done` hears how many are finished; once it returns false no further one begins.
/// Returns whether all were done.
bool run_all(unsigned threads, std::size_t count, const std::function<void(std::size_t)>& work,
             const std::function<bool(std::size_t)>& done);

}  // namespace reins::evaluation
