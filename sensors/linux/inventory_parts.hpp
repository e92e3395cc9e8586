// sensors/linux/inventory_parts.hpp: what the parts of the inventory share: attributes that are read without failing,
// and what is known about modules; one function per subsystem.
#pragma once

#include <filesystem>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sensors/inventory.hpp"

namespace reins::sensors {

/// Below the root: cpu0, cpufreq, cpuidle ...
inline constexpr std::string_view kCpus = "sys/devices/system/cpu";

/// The inventory being taken, and where.
struct InventoryDraft {
  std::filesystem::path root;
  Inventory found;

  void miss(std::string_view topic, std::string what, std::string command = {}) {
    found.missing.push_back({std::string(topic), std::move(what), std::move(command)});
  }
};

/// The attributes of one folder. What is not there is absent; what is there and cannot be read or makes no sense is
/// absent too and noted in the draft.
class Attributes {
 public:
  Attributes(std::filesystem::path folder, InventoryDraft& draft) : folder_(std::move(folder)), draft_(draft) {}

  const std::filesystem::path& folder() const noexcept { return folder_; }
  /// As people look for it: below the root.
  std::string place() const;
  bool has(std::string_view name) const;
  std::optional<std::string> text(std::string_view name) const;
  std::string text_or_empty(std::string_view name) const { return text(name).value_or(std::string()); }
  std::optional<std::int64_t> integer(std::string_view name) const;
  /// An integer times `scale`.
  std::optional<double> scaled(std::string_view name, double scale) const;
  /// A frequency, from units of which a kilohertz has `per`; none where the file says 0, the kernel's "not known".
  /// One below 0 is noted.
  std::optional<std::int64_t> freq_khz(std::string_view name, std::int64_t per = 1) const;
  std::optional<bool> flag(std::string_view name) const;
  std::vector<std::string> words(std::string_view name) const;
  /// Ascending; what is no number is noted.
  std::vector<std::int64_t> integers(std::string_view name, std::int64_t per = 1) const;
  /// "0-3,8" or "0 1 2 3 8".
  std::vector<int> cpus(std::string_view name) const;
  /// Those that are there and that the effective user may write.
  std::vector<std::string> writable(std::initializer_list<std::string_view> names) const;
  bool may_write(std::string_view name) const { return !writable({name}).empty(); }

 private:
  void note(ErrorKind kind, std::string_view what, std::string_view name) const;
  std::filesystem::path folder_;
  InventoryDraft& draft_;
};

/// True where the effective user can read the file, tried by reading.
bool can_read(const std::filesystem::path& file);

/// What the kernel below the root says of a module.
enum class Module : std::uint8_t { kLoaded, kAvailable, kAbsent, kUnknown };
Module module_state(const std::filesystem::path& root, std::string_view name);
/// "modprobe <name>" where that can help; else what package brings the module, or nothing where none is known.
std::string modprobe(const std::filesystem::path& root, std::string_view name);
/// What gives members of the group reins the files that packaging/99-reins.rules names.
std::string join_group();

/// The first of the board's (device tree, DMI) and the processor's names.
std::string machine_model(const std::filesystem::path& root);
bool is_x86(const std::filesystem::path& root);

void survey_topology(InventoryDraft& draft);
void survey_cpufreq(InventoryDraft& draft);
void survey_cpuidle(InventoryDraft& draft);
void survey_devfreq(InventoryDraft& draft);
void survey_memory(InventoryDraft& draft);  ///< after devfreq
void survey_monitors(InventoryDraft& draft);
void survey_powercap(InventoryDraft& draft);
void survey_thermal(InventoryDraft& draft);
void survey_power_supply(InventoryDraft& draft);
void survey_cgroup(InventoryDraft& draft);
void survey_nvml(InventoryDraft& draft, const std::string& library);

}  // namespace reins::sensors
