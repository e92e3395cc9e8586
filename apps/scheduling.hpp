// apps/scheduling.hpp: how the kernel schedules a server: its class, its memory kept resident, cpus of server and
// sampler.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace reins::apps {

struct SchedulingOptions {
  std::string sched = "other";                ///< other, batch, idle, fifo:1..99 or rr:1..99
  bool mlock = false;                         ///< of the whole process, for good
  std::string server_cpus{}, sampler_cpus{};  ///< as the kernel writes lists: 0,2-3. Empty: as they are
};

/// --sched, --mlock, --server-cpus, --sampler-cpus.
void add_scheduling_options(CLI::App& command, SchedulingOptions& options);

/// "0,2-3" -> 0, 2, 3. Errors: usage.
Result<std::vector<int>> parse_cpu_list(std::string_view text);

/// What makes no sense, before anything is begun. Errors: usage.
Status check_scheduling(const SchedulingOptions& options);

/// Locks all memory of the process, present and future. Errors: denied, with how to get it.
Status lock_memory(const SchedulingOptions& options);

enum class Role : std::uint8_t { kServer, kSampler };
/// Puts the calling thread into its class and on its cpus. Threads that it makes later start on its cpus, and without
/// `inherit` in no real-time class, as an engine's workers shall. Errors: denied, not_found (no such cpu).
Status schedule_thread(const SchedulingOptions& options, Role role, bool inherit);

}  // namespace reins::apps
