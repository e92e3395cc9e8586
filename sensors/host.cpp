#include "sensors/host.hpp"

#include <algorithm>
#include <array>

#include "core/file.hpp"
#include "sensors/linux/inventory_parts.hpp"

namespace reins::sensors {
namespace {

/// What NVIDIA's device trees call the supply that feeds the whole module.
constexpr std::array<std::string_view, 4> kInputs = {"vdd_in", "5v_in", "pom_5v_in", "vin_sys_5v0"};
constexpr double kPeriod_s = 0.1;  // where the driver does not say how often a chip speaks: assumed

/// A name as board files want it.
std::string named(std::string_view label) {
  std::string name;
  for (const char c : label.substr(0, 40)) {
    const bool upper = c >= 'A' && c <= 'Z';
    const bool good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    name += upper ? static_cast<char>(c - 'A' + 'a') : good ? c : '-';
  }
  return name;
}

struct ChipRail {
  boards::Rail rail;
  const PowerMonitor* chip;
};

std::vector<ChipRail> rails_of(const std::vector<PowerMonitor>& monitors) {
  std::vector<ChipRail> rails;
  for (const PowerMonitor& monitor : monitors) {
    const std::string chip = named(monitor.chip);
    if (!chip.starts_with("ina") || !monitor.enabled) continue;
    for (const MonitorChannel& channel : monitor.channels) {
      boards::Rail rail;
      rail.name = named(channel.label);
      // A number or an address says too little by itself.
      if (rail.name.find_first_not_of("0123456789abcdef-") == std::string::npos) {
        const std::string number = monitor.channels.size() > 1 ? "-" + rail.name : "";
        rail.name = chip + (monitor.i2c_device.empty() ? "-" + rail.name : "-" + monitor.i2c_device + number);
      }
      const auto taken = [&](const ChipRail& other) { return other.rail.name == rail.name; };
      if (std::any_of(rails.begin(), rails.end(), taken)) continue;
      rail.sensor = channel.address;
      rail.sensor_period_s = monitor.update_s.value_or(0) > 0 ? *monitor.update_s : kPeriod_s;
      rails.push_back({std::move(rail), &monitor});
    }
  }
  return rails;
}

}  // namespace

Result<boards::Board> discover_board(const std::filesystem::path& root, bool only_usable) {
  REINS_ASSIGN(boards::Board board, boards::discover_host(root, only_usable));
  if (!board.rails.empty()) return board;
  InventoryDraft draft{root, {}};
  survey_monitors(draft);
  const std::vector<ChipRail> rails = rails_of(draft.found.monitors);
  for (const ChipRail& found : rails) board.rails.push_back(found.rail);
  if (board.rails.empty()) return board;
  const auto input = std::find_if(board.rails.begin(), board.rails.end(), [](const boards::Rail& rail) {
    return std::find(kInputs.begin(), kInputs.end(), rail.name) != kInputs.end();
  });
  const std::size_t no_claim = board.notes.find("; no energy source here");
  if (no_claim != std::string::npos) board.notes.erase(no_claim);
  if (board.rails.size() == 1) {
    board.rails.front().accounting = true;  // whatever it measures, it counts once
  } else if (input != board.rails.end()) {
    input->accounting = true;
    // The chip that measures the module's input measures what it feeds; where another one sits, nothing says.
    const auto chip = rails[static_cast<std::size_t>(input - board.rails.begin())].chip;
    for (const ChipRail& found : rails) {
      if (found.chip == chip && found.rail.name != input->name) input->contains.push_back(found.rail.name);
    }
  } else {
    board.notes +=
        "; which of the power monitors' rails contain others is not known, so none is counted and no energy claimed: "
        "set accounting = true on those that do not overlap";
  }
  for (const boards::Rail& rail : board.rails) {
    if (!rail.accounting) continue;
    // Nothing says which of its parts feeds which cluster; what is counted feeds them all.
    for (boards::Cluster& cluster : board.clusters) cluster.rail = rail.name;
  }
  std::string names;
  for (const boards::Rail& rail : board.rails) names += "\n" + rail.name;
  board.fingerprint = fingerprint(board.fingerprint + names);
  return board;
}

}  // namespace reins::sensors
