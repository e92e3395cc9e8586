// bench/peers/threads.hpp: where a library's own threads run. Each library has its own way to say so, or none; this one
// asks the kernel, so that it holds for all of them.
#pragma once

#include <functional>
#include <vector>

namespace reins::bench {

/// Until no thread of this process spins any more, the caller asleep meanwhile; at most some tenths of a second.
void wait_until_quiet();

/// Runs `work` for some time and pins the threads that helped the calling one to cpus[1], cpus[2], ...: the calling
/// thread is on cpus[0].
void pin_helpers(const std::function<void()>& work, const std::vector<int>& cpus);

/// The CPU of each thread that works for `work`, the calling thread's first; -1 for one that may run on several.
std::vector<int> cpus_of(const std::function<void()>& work);

}  // namespace reins::bench
