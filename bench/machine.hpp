// bench/machine.hpp: which machine a benchmark runs on, and on which of its cores.
#pragma once

#include <string>
#include <vector>

namespace reins::bench {

/// "AMD EPYC, 2 cores, Linux 6.1.0; load 0.10 0.20 0.30": the load as it is now.
std::string machine_line();
/// The first `count` CPUs that this thread may use, each of a core of its own as far as /sys says; fewer where there
/// are fewer.
std::vector<int> separate_cores(std::size_t count);
/// Keeps the calling thread, and those that it makes from now on, to these CPUs.
/// Throws std::runtime_error where one is not there or not allowed.
void keep_to(const std::vector<int>& cpus);
/// What keeps the calling thread now.
std::vector<int> allowed_cpus();
/// "0 1".
std::string joined(const std::vector<int>& cpus);
/// How often others took the processor away from this process so far.
long times_preempted();

}  // namespace reins::bench
