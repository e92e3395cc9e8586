// protocol/reply.hpp: what a server answers: one reply per op, or a fault; their encoding and the checks on what came
// back.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/pack.hpp"
#include "core/result.hpp"
#include "protocol/fault.hpp"
#include "protocol/request.hpp"

namespace reins::protocol {

/// How an energy was come by: "measured", "attributed", "modelled", or "none" (no claim; `energy_j` is absent).
bool known_energy_source(std::string_view source) noexcept;

/// Answer to "infer".
struct InferAnswer {
  int predicted = -1;                 ///< wire key "class"
  std::vector<double> probabilities;  ///< [classes] where asked for
  int level = 0;                      ///< 1..N, as people count; N is the full network. Where it ended
  int started_level = 0;              ///< 1..N: where it started; below `level` where it has grown. 0: not said
  std::string mapping;
  std::int64_t freq_khz = 0;  ///< in force, as it was read back
  double queue_s = 0;         ///< arrival to start of service
  double latency_s = 0;       ///< arrival to reply
  std::optional<double> energy_j;
  std::optional<double> energy_ci_j;  ///< half-width of its interval, about 95 %
  std::string energy_source = "none";
  std::int64_t decision_ns = 0;
  bool missed = false;    ///< the deadline (or latency goal) was not met
  bool emulated = false;  ///< time and energy are an emulated board's
};

/// Answer to "goal", and part of the answer to "status": the goals now in force.
struct GoalsInForce {
  std::optional<double> latency_s, energy_j, power_w, accuracy;
  std::string warning;  ///< which of them cannot be met by what was profiled, in one line; not on the wire where empty
  bool emulated = false;  ///< the board that they are for is; in a status, that says so itself
  friend bool operator==(const GoalsInForce&, const GoalsInForce&) = default;
};

/// Answer to "status": what is served, and how it stands.
struct StatusAnswer {
  std::string board, network, dataset, policy;
  std::array<std::int64_t, 4> input_shape{};  ///< [N, C, H, W]
  std::int64_t classes = 0;
  std::vector<double> accuracies;              ///< validated accuracy per level, level 1 first
  std::uint64_t waiting = 0, queue_limit = 0;  ///< behind the one in service, and how many may
  double uptime_s = 0;
  GoalsInForce goals;
  std::string warning;  ///< what is amiss now with sensors and controls, in one line; not on the wire where empty
  bool emulated = false;
};

/// Answer to "metrics", and what the telemetry socket publishes. Counters and energy run since the server's start.
struct MetricsAnswer {
  std::uint64_t offered = 0, served = 0, missed = 0, rejected = 0;
  std::uint64_t decisions = 0, switches = 0, shield_interventions = 0;
  double switches_per_s = 0;            ///< changes of operating point or mapping over the last ten seconds
  std::uint64_t grown = 0;              ///< requests answered at a higher level than they were started at
  std::uint64_t malformed = 0;          ///< messages answered with a fault, overload aside
  std::uint64_t sensor_failures = 0;    ///< times a sensor turned from measuring to failing, stale or stuck
  std::uint64_t foreign_changes = 0;    ///< times another program changed a governor or limit that is set here
  std::uint64_t adjusted_settings = 0;  ///< settings in force otherwise than asked for: rounded, capped, left
  std::string warning;                  ///< what is amiss now, in one line; not on the wire where empty
  std::optional<double> energy_j;       ///< accounting rails, idle included
  std::optional<double> energy_ci_j;    ///< half-width of its interval, about 95 %; absent where nothing was measured
  std::string energy_source = "none";
  std::optional<double> p50_s, p95_s, p99_s;  ///< arrival to reply; none before anything was served
  double uptime_s = 0;
  std::optional<double> mean_accuracy;  ///< of the levels served; none before any
  std::optional<double> temperature_c, power_w;
  std::string board, mapping;
  std::int64_t freq_khz = 0;
  int level = 0;  ///< 1..N; 0 before the first decision
  bool emulated = false;
};

struct Reply {
  Value id;  ///< the request's; nil where it could not be read
  std::variant<Fault, InferAnswer, GoalsInForce, StatusAnswer, MetricsAnswer> body;
};

std::string encode_reply(const Reply& reply);
/// Errors: garbled (no reply of this protocol), mismatch (another version).
Result<Reply> decode_reply(std::string_view bytes);

}  // namespace reins::protocol
