// workload/summary.hpp: what came of a replay, in figures, for people and for machines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "workload/histogram.hpp"
#include "workload/replay.hpp"

namespace reins::workload {

/// Latencies run from when a request was due to its answer, and are of served requests; whatever got no such answer is
/// a miss.
struct Summary {
  std::size_t offered = 0, served = 0, rejected = 0, failed = 0, unanswered = 0;
  std::size_t judged = 0;  ///< requests with a latency target; no other can be late
  std::size_t late = 0;    ///< served, but behind the target
  std::size_t missed = 0;  ///< late + rejected + failed + unanswered
  double p50_s = 0, p95_s = 0, p99_s = 0, max_s = 0;
  std::vector<Bin> bins;
  std::size_t correct = 0;            ///< served with the label's class
  bool labels_apply = true;           ///< the server's network was made for this data set
  std::map<int, std::size_t> levels;  ///< by level 1..N, of what was served
  std::map<std::string, std::size_t> mappings;
  double sent_late_p99_s = 0, sent_late_max_s = 0;  ///< how well the generator kept its own times
  double duration_s = 0;
  std::size_t goal_changes = 0;
  std::string trace, dataset;
  std::string board, network, policy;
  bool emulated = false;
  std::string energy_source = "none";
  std::optional<double> energy_j;  ///< the server's, over the trace; idle included; absent: no claim
  std::optional<std::uint64_t> switches,
      shield_interventions;  ///< the server's, over the trace; absent where it was gone
  std::string first_fault;
  bool interrupted = false, server_lost = false;

  /// Of the server's switches over the trace; absent where they are, or where the trace took no time.
  std::optional<double> switches_per_s() const noexcept {
    if (!switches || duration_s <= 0) return std::nullopt;
    return static_cast<double>(*switches) / duration_s;
  }
  double miss_rate() const noexcept {
    return offered == 0 ? 0 : static_cast<double>(missed) / static_cast<double>(offered);
  }
  double accuracy() const noexcept {
    return served == 0 ? 0 : static_cast<double>(correct) / static_cast<double>(served);
  }
};

Summary summarise(const ReplayResult& result);

/// Several lines, the last one ended; says "emulated" wherever time or energy is.
std::string text_of(const Summary& summary);
/// One JSON object, SI units in the keys.
std::string json_of(const Summary& summary);

}  // namespace reins::workload
