// policies/profile.hpp: the measured table level x mapping x operating point, and its CSV file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "policies/action.hpp"
#include "policies/goals.hpp"

namespace reins::policies {

/// One measured point. Energy is per inference over the accounting rails, idle of the other clusters at their lowest
/// point included.
struct ProfilePoint {
  LevelId level;
  MappingId mapping;
  OppId opp;
  double latency_s = 0;  ///< mean
  double p50_s = 0, p95_s = 0, p99_s = 0;
  std::optional<double> energy_j;
  std::optional<double> energy_ci_j;    ///< half-width of the 95 % interval
  std::optional<double> power_w;        ///< accounting rails while busy
  std::optional<double> temperature_c;  ///< mean while the power was read
  double accuracy = 0;
  std::int64_t n = 0;
  std::string source;  ///< "measured", "emulated"
};

/// Idle power of the accounting rails with the mapping's cluster idle at `opp` and all others at their lowest point,
/// each in its deepest idle state.
struct IdlePoint {
  MappingId mapping;
  OppId opp;
  double power_w = 0;
  std::optional<double> temperature_c{};  ///< mean while the power was read
};

/// CSV columns: level, mapping, freq_khz, latency_s, p50_s, p95_s, p99_s, energy_j, energy_ci_j, power_w, accuracy, n,
/// source, temperature_c [, batch, voltage_v]; older files have no temperature_c. Levels are written 1..N; an idle row
/// has level 0 and no latency. Comment lines carry version, kernel, board, board fingerprint and network fingerprint as
/// "key = value".
class Profile {
 public:
  Profile() = default;
  explicit Profile(const ActionSpace& space);

  void set(const ProfilePoint& point);
  void set_idle(const IdlePoint& point);
  /// Null where the point was not measured. Constant time.
  const ProfilePoint* at(LevelId level, MappingId mapping, OppId opp) const noexcept;
  const IdlePoint* idle(MappingId mapping, OppId opp) const noexcept;
  std::optional<double> idle_w(MappingId mapping, OppId opp) const noexcept;
  /// Every level x mapping x operating point is there.
  bool complete() const noexcept;
  bool has_energy() const noexcept;
  /// Power of every idle point.
  bool has_idle() const noexcept;
  /// The operating points of `mapping` at which every level was measured, one bit each.
  std::uint64_t measured(MappingId mapping) const noexcept;
  double accuracy(LevelId level) const noexcept;
  std::size_t levels() const noexcept { return levels_; }
  std::size_t mappings() const noexcept { return mappings_; }
  /// How much run times vary: the standard deviation over the mean of a normal distribution with the points' p50 and
  /// p95, at the median point; 0 where no point has both.
  double relative_sigma() const;
  /// The point of a level with the smallest mean latency over all mappings; null where none was measured.
  const ProfilePoint* fastest(LevelId level) const noexcept;
  /// Its mean latency, seconds.
  double fastest_s(LevelId level) const noexcept;

  /// Which of `goals` no profiled point meets, and by how much, in one line; empty where nothing speaks against them. A
  /// goal that is not named may be missed all the same: queues and heat have their say.
  std::string unreachable(const Goals& goals) const;

  std::string board, board_fingerprint, network_fingerprint, kernel, version;

  std::string format(const ActionSpace& space) const;
  Status write(const ActionSpace& space, const std::filesystem::path& path) const;
  /// Binds rows to `space` by mapping name and frequency. Errors: mismatch (another board, a mapping or frequency that
  /// it does not have; `skip_others`: rows of such a mapping are passed over), garbled (with line and column).
  static Result<Profile> read(const ActionSpace& space, const std::filesystem::path& path, bool skip_others = false);
  static Result<Profile> parse(const ActionSpace& space, std::string_view text, std::string_view where,
                               bool skip_others = false);

 private:
  std::size_t index(LevelId level, MappingId mapping, OppId opp) const noexcept;
  std::size_t levels_ = 0, mappings_ = 0;
  std::vector<std::size_t> opps_;
  std::vector<std::optional<ProfilePoint>> points_;
  std::vector<std::optional<IdlePoint>> idle_;
};

}  // namespace reins::policies
