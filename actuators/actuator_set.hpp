// actuators/actuator_set.hpp: the actuators of one board: frequency per cluster, cpu quota; applied and undone
// together.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "actuators/actuator.hpp"
#include "actuators/restore_file.hpp"
#include "boards/board.hpp"
#include "boards/governors.hpp"
#include "boards/gpu_governors.hpp"

namespace reins::actuators {

struct ClusterSetting {
  ClusterId cluster;
  Setting setting;  ///< FreqKhz or GovernorName
};

/// The setting that leaves a cluster to one of the kernel's governors.
Setting governed_by(boards::Governor governor) noexcept;
Setting governed_by(boards::GpuGovernor governor) noexcept;

/// Threads: one instance, one thread. Goes -> everything is put back.
class ActuatorSet {
 public:
  struct Options {
    std::filesystem::path root;  ///< "/" on a machine
    std::filesystem::path
        state_file;  ///< where what was found is saved; see RestoreFile. Empty: only to look, apply() refuses
  };
  /// A control that is not there or not writable, and how to get it.
  struct Missing {
    std::string name;
    Error error;
    bool needed = false;  ///< some mapping of the board cannot be put in force without it
  };

  /// Opens what `board` names; changes nothing, except that it puts back what a killed run left. What cannot be opened
  /// is listed in missing() and refused by apply(): whether to go on without is the caller's choice. So is a board that
  /// another process controls, one with nothing to set too.
  static ActuatorSet make(const boards::Board& board, const Options& options);
  ActuatorSet(ActuatorSet&&) noexcept = default;
  ActuatorSet& operator=(ActuatorSet&&) noexcept = default;

  const std::vector<Missing>& missing() const noexcept { return missing_; }
  /// Null where the cluster's frequency cannot be set.
  FrequencyActuator* frequency(ClusterId cluster) const noexcept;
  /// Null where no mapping has a quota, or the group of this process cannot be limited.
  Actuator* quota() const noexcept { return quota_.get(); }

  /// In force when it returns; hands out what is in force, rounded and capped. A cluster without a control (a host
  /// without DVFS) takes the one frequency its board file names, as a no-op. Errors: as in Actuator, and those of
  /// missing(). After the first call for a cluster it allocates nothing.
  Result<Setting> apply(const ClusterSetting& wanted) noexcept;
  /// The same for several; stops at the first error. `applied` has room for all of them.
  Status apply(std::span<const ClusterSetting> wanted, std::span<Setting> applied) noexcept;
  /// Index of the highest operating point that caps allow now; none where the cluster has no control.
  std::optional<OppId> cap(ClusterId cluster) noexcept;

  /// What other programs have done to the cluster's control; `look` reads it anew. None where it has none.
  std::optional<Foreign> look(ClusterId cluster) noexcept;
  std::optional<Foreign> foreign(ClusterId cluster) const noexcept;

  /// Cpu time of this process's control group, in cpus; 0: no limit. Only where a mapping of the board has a quota.
  Result<double> limit_cpus(double cpus) noexcept;

  /// Puts everything back. Hands out the first error, after having tried all.
  Status restore() noexcept;

 private:
  ActuatorSet() = default;
  std::vector<std::string> cluster_names_;
  std::vector<std::vector<std::int64_t>> opps_khz_;
  std::vector<std::unique_ptr<FrequencyActuator>> frequency_;
  std::vector<std::optional<Error>> refused_;
  std::unique_ptr<Actuator> quota_;
  std::optional<Error> quota_refused_;
  std::vector<Missing> missing_;
  std::shared_ptr<RestoreFile> restore_;  ///< whose lock makes this the board's only controller
};

/// True where some mapping of `board` runs on this cluster.
bool has_mapping(const boards::Board& board, ClusterId cluster) noexcept;

/// Where the machine below `root` is another than the board file's: a frequency control that is not there (of a cluster
/// that a mapping uses), other operating points, other cpus. Empty: it fits.
std::vector<Error> differences(const boards::Board& board, const std::filesystem::path& root);

/// Clusters that may not go up to the board file's top now. They are kept to, not fought.
std::vector<Error> caps(const boards::Board& board, const std::filesystem::path& root);

}  // namespace reins::actuators
