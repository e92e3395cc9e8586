// bench/fma_peak.hpp: what this core could do at most: the measure of every share that the benchmarks print.
#pragma once

namespace reins::bench {

/// Multiply-adds a second of independent chains that never leave the registers, on the calling thread's core.
double fma_per_s();

}  // namespace reins::bench
