#include "training/rivals.hpp"

#include <cmath>

namespace reins::training {
namespace {

using inference::GroupArchitecture;

constexpr double kTaps = 9;  // of a 3x3 convolution

GroupArchitecture one_path(GroupArchitecture a) {
  a.groups = 1;
  return a;
}

GroupArchitecture widened(const GroupArchitecture& path, double factor) {
  GroupArchitecture wide = path;
  for (auto& stage : wide.stages) stage.channels = std::llround(factor * static_cast<double>(stage.channels));
  return wide;
}

}  // namespace

Result<GroupArchitecture> dense_of(const GroupArchitecture& groups, std::int64_t level_index) {
  REINS_TRY(groups.validate());
  const GroupArchitecture path = one_path(groups);
  const double wanted = groups.macs_of_level(level_index);
  GroupArchitecture best = path;
  // Twice the channels are about four times the work, so the factor lies between 1 and the number of groups. It is
  // walked in small steps from below: the costs only rise, and the first past the mark ends it.
  constexpr double kStep = 1e-3;
  for (int i = 1; best.macs_of_level(0) < wanted; ++i) {
    const GroupArchitecture next = widened(path, 1 + i * kStep);
    const double macs = next.macs_of_level(0);
    if (std::abs(macs - wanted) < std::abs(best.macs_of_level(0) - wanted)) best = next;
    if (macs >= wanted) break;
  }
  if (const Status status = best.validate(); !status) {
    return fail(ErrorKind::kUsage, "a dense network as costly as all groups together needs more than 512 channels",
                "--stages", "give fewer channels, or compare the families with groups alone");
  }
  return best;
}

Result<SlimmableArchitecture> SlimmableArchitecture::of(const GroupArchitecture& groups) {
  SlimmableArchitecture slimmable;
  for (std::int64_t level = 0; level < groups.groups; ++level) {
    REINS_ASSIGN(auto width, dense_of(groups, level));
    slimmable.widths.push_back(std::move(width));
  }
  return slimmable;
}

double SlimmableArchitecture::macs(std::int64_t level_index) const {
  return widths[static_cast<std::size_t>(level_index)].macs_of_level(0);
}

double SlimmableArchitecture::parameters(std::int64_t level_index) const {
  // A folded network has a bias per channel; here there is a scale beside it.
  const GroupArchitecture& width = widths[static_cast<std::size_t>(level_index)];
  double parameters = width.parameters_of_level(0);
  for (const auto& stage : width.stages) parameters += static_cast<double>(stage.channels);
  return parameters;
}

double SlimmableArchitecture::resident_parameters() const {
  const auto last = static_cast<std::int64_t>(widths.size()) - 1;
  double resident = parameters(last);
  for (std::int64_t level = 0; level < last; ++level) {
    for (const auto& stage : widths[static_cast<std::size_t>(level)].stages) {
      resident += 2 * static_cast<double>(stage.channels);
    }
  }
  return resident;
}

Result<EarlyExitArchitecture> EarlyExitArchitecture::of(const GroupArchitecture& groups) {
  REINS_TRY(groups.validate());
  EarlyExitArchitecture a;
  a.trunk = one_path(groups);
  for (std::int64_t level = 1; level < groups.groups; ++level) {
    const double wanted = groups.macs_of_level(level);
    a.widths.push_back(1);
    double behind = a.macs(level);  // of the width before, always short of the mark
    while (a.macs(level) < wanted) {
      behind = a.macs(level);
      ++a.widths.back();
    }
    if (a.widths.back() > 1 && wanted - behind < a.macs(level) - wanted) --a.widths.back();
  }
  return a;
}

std::int64_t EarlyExitArchitecture::channels(std::int64_t level_index) const noexcept {
  return level_index == 0 ? trunk.stages.back().channels : widths[static_cast<std::size_t>(level_index - 1)];
}

std::int64_t EarlyExitArchitecture::features(std::int64_t level_index) const noexcept {
  const std::int64_t last = trunk.size_at(trunk.stages.size());
  return channels(level_index) * last * last;
}

double EarlyExitArchitecture::exit_macs(std::int64_t level_index) const noexcept {
  return static_cast<double>(trunk.classes * features(level_index));
}

double EarlyExitArchitecture::macs(std::int64_t level_index) const noexcept {
  double macs = trunk.macs_of_level(0) - exit_macs(0) + exit_macs(level_index);
  for (std::int64_t level = 1; level <= level_index; ++level) {
    const auto in = static_cast<double>(channels(level - 1));
    const auto out = static_cast<double>(channels(level));
    macs += kTaps * (in * out + out * out) * static_cast<double>(size() * size());
  }
  return macs;
}

double EarlyExitArchitecture::parameters(std::int64_t level_index) const noexcept {
  double parameters = trunk.parameters_of_level(0) - exit_macs(0) + exit_macs(level_index);
  for (std::int64_t level = 1; level <= level_index; ++level) {
    const auto in = static_cast<double>(channels(level - 1));
    const auto out = static_cast<double>(channels(level));
    parameters += out * (kTaps * in + 1) + out * (kTaps * out + 1);
  }
  return parameters;
}

double EarlyExitArchitecture::resident_parameters() const noexcept {
  double resident = parameters(levels() - 1);
  for (std::int64_t level = 0; level + 1 < levels(); ++level) {
    resident += exit_macs(level) + static_cast<double>(trunk.classes);
  }
  return resident;
}

}  // namespace reins::training
