// training/switch_time.hpp: what a change of level costs on this machine, with one weight set or with separate models.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "core/result.hpp"
#include "training/net_loop.hpp"

namespace reins::training {

struct SwitchTime {
  /// Median over all ordered pairs of levels of the first inference after a change less the one behind it, seconds;
  /// every model is in memory, batch 1, one thread, the engine "auto". Around zero where nothing is to be done, so
  /// below zero at times.
  double switch_s = 0;
  /// With separate models: median of opening, checking and packing one from a file that the system has cached, seconds:
  /// what a change costs where they are not all kept in memory.
  std::optional<double> load_s;
};

/// One file: its levels are changed between. Several: their largest levels are, each in an engine of its own. Takes a
/// second or two. Errors: those of inference::open_engine; usage (fewer than two levels in all).
Result<SwitchTime> measure_switch(const std::vector<std::filesystem::path>& networks);

/// The same difference where libtorch runs the family's modules: eager, on the CPU, batch 1, one thread, all models in
/// memory, seconds; so that families which no engine of ours runs have one too. It rests on shapes, not on weights.
/// Puts the module into evaluation mode. `shape`: [1, C, H, W]; `levels` >= 2.
double measure_libtorch_switch(NetFamily& family, std::int64_t levels, const std::vector<std::int64_t>& shape);

}  // namespace reins::training
