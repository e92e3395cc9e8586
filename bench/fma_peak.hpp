// bench/fma_peak.hpp: what this core could do at most: the measure of every share that the benchmarks print.
#pragma once

#include <cstddef>

namespace reins::bench {

/// Multiply-adds a second of independent chains that never leave the registers, on the calling thread's core.
double fma_per_s();
/// Bytes a second that this core reads in a row, the same `working_set` bytes again and again: from the caches that
/// hold so many, or from memory.
double read_bytes_per_s(std::size_t working_set);

}  // namespace reins::bench
