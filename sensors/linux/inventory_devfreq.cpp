// devfreq devices (Documentation/ABI/testing/sysfs-class-devfreq), in hertz; memory clocks from devfreq, the clock tree
// in debugfs (Tegra's EMC) and the firmware's table (SMBIOS 3.4, type 17).
#include <algorithm>

#include "core/file.hpp"
#include "core/kernel_file.hpp"
#include "sensors/linux/attribute.hpp"
#include "sensors/linux/inventory_parts.hpp"

namespace reins::sensors {
namespace {

constexpr std::int64_t kPerKhz = 1000;

bool names_any(std::string_view name, std::initializer_list<std::string_view> parts) {
  return std::any_of(parts.begin(), parts.end(),
                     [&](std::string_view part) { return name.find(part) != std::string_view::npos; });
}

/// gv11b, ga10b, gp10b: Tegra's GPUs by their architecture's names.
std::string role_of(std::string_view name) {
  if (names_any(name, {"gpu", "mali", "gv11b", "ga10b", "gp10b", "v3d"})) return "gpu";
  if (names_any(name, {"emc", "dmc", "memory-controller", "ddr", "dram", "bus_mif", "llcc"})) return "memory";
  return {};
}

void read_dmi(InventoryDraft& draft) {
  const auto folders = find_paths(draft.root, "sys/firmware/dmi/entries/17-*");
  bool denied = false;
  for (const auto& folder : folders) {
    const auto raw = read_file(folder / "raw", std::size_t{1} << 12);
    if (!raw) {
      denied = denied || raw.error().kind() == ErrorKind::kDenied;
      continue;
    }
    // Configured speed, mega-transfers a second, a word at 0x20; an empty slot has size 0 (a word at 0x0c).
    const auto word = [&](std::size_t at) {
      const auto byte = [&](std::size_t i) { return static_cast<unsigned>(static_cast<unsigned char>((*raw)[i])); };
      return raw->size() > at + 1 ? static_cast<std::int64_t>(byte(at) | byte(at + 1) << 8) : 0;
    };
    if (word(0x0c) == 0 || word(0x20) == 0 || word(0x20) == 0xffff) continue;
    draft.found.memory.push_back({shown(folder, draft.root), std::nullopt, word(0x20), false});
  }
  if (denied) {
    draft.miss("memory", "the firmware's memory table is readable by root alone", "sudo reins board");
  }
}

}  // namespace

void survey_devfreq(InventoryDraft& draft) {
  for (const auto& folder :
       find_paths(draft.root, "sys/class/devfreq/*|sys/devices/*/devfreq/*|sys/devices/platform/*/devfreq/*")) {
    const Attributes at(folder, draft);
    DevfreqDevice device;
    device.name = folder.filename().native();
    device.folder = at.place();
    // Some are devfreq0, devfreq1, ...: the device behind says more.
    std::error_code code;
    const auto behind = std::filesystem::canonical(folder / "device", code);
    device.role = role_of(device.name);
    if (device.role.empty() && !code) device.role = role_of(behind.filename().native());
    device.governor = at.text_or_empty("governor");
    device.governors = at.words("available_governors");
    device.freqs_khz = at.integers("available_frequencies", kPerKhz);
    device.min_khz = at.freq_khz("min_freq", kPerKhz);
    device.max_khz = at.freq_khz("max_freq", kPerKhz);
    device.now_khz = at.freq_khz("cur_freq", kPerKhz);
    device.set_point = at.has("userspace/set_freq");
    device.writable = at.writable({"governor", "min_freq", "max_freq", "userspace/set_freq"});
    if (device.role == "gpu" && device.writable.empty()) {
      draft.miss("devfreq",
                 "the frequency of " + device.name +
                     " is not this user's to set; a member of the group reins may, once logged in anew",
                 join_group());
    }
    draft.found.devfreq.push_back(std::move(device));
  }
}

void survey_memory(InventoryDraft& draft) {
  for (const DevfreqDevice& device : draft.found.devfreq) {
    if (device.role != "memory") continue;
    const bool writable =
        std::find(device.writable.begin(), device.writable.end(), "max_freq") != device.writable.end();
    draft.found.memory.push_back({device.folder, device.now_khz, std::nullopt, writable});
  }
  // Tegra: T210 has it in clk, T186 and later in bpmp's.
  for (const auto& clock : find_paths(draft.root,
                                      "sys/kernel/debug/bpmp/debug/clk/emc|sys/kernel/debug/clk/override.emc|"
                                      "sys/kernel/debug/clk/emc|sys/kernel/debug/tegra_bpmp/debug/clk/emc")) {
    const Attributes at(clock, draft);
    for (const char* file : {"rate", "clk_rate"}) {
      if (const auto khz = at.freq_khz(file, kPerKhz))
        draft.found.memory.push_back({at.place() + "/" + file, khz, std::nullopt, at.may_write(file)});
    }
  }
  read_dmi(draft);
  if (!draft.found.memory.empty()) return;
  const std::string& model = draft.found.topology.model;
  if (model.find("Jetson") != std::string::npos || model.find("NVIDIA") != std::string::npos) {
    draft.miss("memory", "the memory (EMC) clock is in debugfs, which root alone may read",
               "mount -t debugfs none /sys/kernel/debug; sudo reins board");
  } else if (model.find("ODROID-XU") != std::string::npos || model.find("Odroid XU") != std::string::npos) {
    draft.miss("memory", "no devfreq device is the memory controller", modprobe(draft.root, "exynos5422-dmc"));
  }
}

}  // namespace reins::sensors
