// workload/replay.hpp: offers a trace to a server, open loop: a request goes out when it is due, whatever became of the
// last.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "data/image_set.hpp"
#include "data/trace.hpp"
#include "protocol/reply.hpp"
#include "workload/link.hpp"

namespace reins::workload {

struct ReplayOptions {
  ServerAddress server;
  double connect_timeout_s = 3;  ///< for the first answer. 0.01..3600
  double answer_timeout_s = 10;  ///< for answers still missing at the end; then they are given up. 0.01..3600
  std::uint64_t seed = 1;        ///< which images are sent
};

/// How a request went.
enum class Fate : std::uint8_t {
  kUnanswered,  ///< no answer within the time-out
  kServed,
  kRejected,  ///< overloaded, stopping, or it could not even be sent
  kFailed,    ///< another fault
};

struct RequestRecord {
  double due_s = 0;                ///< since the start of the trace
  double sent_late_s = 0;          ///< how far behind its time the generator sent it
  std::optional<double> target_s;  ///< latency target in force: the trace's, else the server's goal as it was found
  Fate fate = Fate::kUnanswered;
  double latency_s = 0;  ///< due to answer; only of what was answered
  int label = -1;
  protocol::InferAnswer answer;  ///< only where served
};

struct ReplayResult {
  std::string trace, dataset;
  double duration_s = 0;
  protocol::StatusAnswer server;   ///< at the start
  protocol::MetricsAnswer before;  ///< at the start
  std::optional<protocol::MetricsAnswer>
      after;  ///< at the trace's fixed end; none where the server said nothing any more
  std::vector<RequestRecord> records;
  std::string first_fault;  ///< message of the first fault, empty where there was none
  std::size_t goal_changes = 0;
  bool interrupted = false;
};

struct Progress {
  double elapsed_s = 0, total_s = 0;
  std::size_t sent = 0, answered = 0;
};

/// `progress` is called at most ten times a second, `stop` asked as often: true ends the replay early. Sends the goals
/// when the trace's goals change, and puts back those that it found. Errors: timeout (no server there, or none any more
/// by the first answer), usage (an address that is none, images that the server's network does not take), garbled.
Result<ReplayResult> replay(const data::Trace& trace, const data::ImageSet& images, const ReplayOptions& options,
                            const std::function<void(const Progress&)>& progress, const std::function<bool()>& stop);

}  // namespace reins::workload
