// training/net_compare.hpp: the group network beside its rivals: static networks of each size, pruning without
// incremental training, a slimmable and an early-exit network, all trained alike.
#pragma once

#include <array>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "training/net_config.hpp"
#include "training/switch_time.hpp"

namespace reins::training {

/// In the order of the table.
enum class NetRow : std::uint8_t { kIncremental, kPruned, kStaticGroups, kStatic, kSlimmable, kEarlyExit };
inline constexpr std::array kNetRows{NetRow::kIncremental, NetRow::kPruned,    NetRow::kStaticGroups,
                                     NetRow::kStatic,      NetRow::kSlimmable, NetRow::kEarlyExit};
/// "incremental", "pruned", "static-groups", "static", "slimmable", "early-exit".
std::string_view name_of(NetRow row) noexcept;
/// What it is, in half a line.
std::string_view title_of(NetRow row) noexcept;
/// Names joined by commas; empty text: all. Errors: usage (an unknown name, one that stands twice).
Result<std::vector<NetRow>> parse_net_rows(std::string_view text);

struct NetCompareConfig {
  /// Its epochs are those that every weight of every row is trained for. `name` and `teacher` are for one network and
  /// must be empty.
  NetTrainConfig training;
  std::vector<NetRow> rows{kNetRows.begin(), kNetRows.end()};  ///< which are trained now
};

struct ComparedLevel {
  double validation_accuracy = 0, accuracy = 0;  ///< top-1 in [0, 1]; the second on the test images
  double macs = 0, parameters = 0;
};

struct ComparedRow {
  NetRow row = NetRow::kIncremental;
  int models = 1;             ///< weight sets that must be there to answer at every level
  double resident_bytes = 0;  ///< of them all, float32, batch norm folded where the weights allow it
  double training_macs = 0;   ///< of the whole training, a backward pass counted as two forward ones
  std::vector<ComparedLevel> levels;
  std::optional<SwitchTime> switch_time;  ///< absent: no engine of ours runs this family
  double libtorch_switch_s = 0;           ///< measure_libtorch_switch's
};

struct NetComparison {
  std::string dataset_title, provenance;  ///< of the training images
  std::size_t training_images = 0, validation_images = 0;
  NetTrainConfig training;
  std::vector<ComparedRow> rows;  ///< those that are finished, in the order of NetRow
};

/// What a row costs, before any training; accuracies zero. Errors: usage (shapes that cannot be).
Result<ComparedRow> describe_row(NetRow row, const NetTrainConfig& training, std::size_t training_images);

struct NetCompareProgress {
  NetRow row = NetRow::kIncremental;
  NetTrainProgress at;  ///< `done` and `eta_s` are of all rows that are trained now
};

/// Trains the rows that are not finished yet, one after the other, each in <out>/<row>/ with a log and a checkpoint
/// after every epoch. At a row's end its test images are read, once: top-1 of the weights as trained, float32, run by
/// libtorch, goes into result.csv, which makes the row finished; and what our engines run becomes network files of
/// float32 weights. After every row, <out>/comparison.txt, .csv and .json are written anew, with all rows finished so
/// far, whatever `rows` says; switch times are measured each time. Errors: as train_network; mismatch (a row made with
/// other options; epochs may not differ either).
Result<NetComparison> compare_networks(const NetCompareConfig& config,
                                       const std::function<bool(const NetCompareProgress&)>& progress = {});

/// The table for people; the same for programs, SI units in the names.
std::string comparison_text(const NetComparison& comparison);
std::string comparison_csv(const NetComparison& comparison);
std::string comparison_json(const NetComparison& comparison);

}  // namespace reins::training
