#include "sensors/linux/inventory_parts.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "core/file.hpp"
#include "core/kernel_file.hpp"
#include "sensors/linux/attribute.hpp"

namespace reins::sensors {
namespace {

constexpr std::string_view kSpaces = " \t\n";

/// Splits at white space.
std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> all;
  while (true) {
    const std::size_t begin = text.find_first_not_of(kSpaces);
    if (begin == std::string_view::npos) return all;
    text.remove_prefix(begin);
    const std::string_view word = text.substr(0, text.find_first_of(kSpaces));
    all.emplace_back(word);
    text.remove_prefix(word.size());
  }
}

template <typename T>
bool parse_whole(std::string_view text, T& value) {
  const auto [stop, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  return code == std::errc() && stop == text.data() + text.size();
}

std::string release_of(const std::filesystem::path& root) { return first_line(root / "proc/sys/kernel/osrelease"); }

}  // namespace

std::string Attributes::place() const { return shown(folder_, draft_.root); }

void Attributes::note(ErrorKind kind, std::string_view what, std::string_view name) const {
  draft_.found.unreadable.emplace_back(kind, what, shown(folder_ / name, draft_.root));
}

bool Attributes::has(std::string_view name) const {
  std::error_code code;
  return std::filesystem::exists(folder_ / name, code);
}

std::optional<std::string> Attributes::text(std::string_view name) const {
  // An attribute is at most a page; some machines' pages are 64 KiB.
  std::string buffer((std::size_t{1} << 16) + 1, '\0');
  const std::filesystem::path file = folder_ / name;
  const auto noted = [&](const Error& error) {
    draft_.found.unreadable.push_back(
        Error(error.kind(), error.what(), shown(file, draft_.root), {}, error.sys_errno()));
    return std::nullopt;
  };
  const auto opened = KernelFile::open(file);
  if (!opened) return opened.error().kind() == ErrorKind::kNotFound ? std::nullopt : noted(opened.error());
  const auto read = opened->read_text(buffer);
  if (!read) return noted(read.error());
  return std::string(*read);
}

std::optional<std::int64_t> Attributes::integer(std::string_view name) const {
  const auto read = text(name);
  std::int64_t value = 0;
  if (!read || *read == "<unknown>" || *read == "<unsupported>") return std::nullopt;
  if (parse_whole(*read, value)) return value;
  note(ErrorKind::kGarbled, read->empty() ? "is empty, a number is wanted" : "holds no number", name);
  return std::nullopt;
}

std::optional<double> Attributes::scaled(std::string_view name, double scale) const {
  const auto value = integer(name);
  if (!value) return std::nullopt;
  return static_cast<double>(*value) * scale;
}

std::optional<std::int64_t> Attributes::freq_khz(std::string_view name, std::int64_t per) const {
  const auto value = integer(name);
  if (!value || *value == 0) return std::nullopt;
  if (*value > 0) return *value / per;
  note(ErrorKind::kGarbled, "holds a frequency below 0", name);
  return std::nullopt;
}

std::optional<bool> Attributes::flag(std::string_view name) const {
  const auto value = integer(name);
  if (!value) return std::nullopt;
  return *value != 0;
}

std::vector<std::string> Attributes::words(std::string_view name) const { return split(text_or_empty(name)); }

std::vector<std::int64_t> Attributes::integers(std::string_view name, std::int64_t per) const {
  std::vector<std::int64_t> all;
  for (const std::string& word : words(name)) {
    std::int64_t value = 0;
    if (parse_whole(word, value)) {
      all.push_back(value / per);
    } else {
      note(ErrorKind::kGarbled, "holds '" + word.substr(0, 24) + "' among its numbers", name);
      break;
    }
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

std::vector<int> Attributes::cpus(std::string_view name) const {
  std::string list = text_or_empty(name);
  std::replace(list.begin(), list.end(), ',', ' ');
  std::vector<int> all;
  for (const std::string& range : split(list)) {
    const std::size_t dash = range.find('-');
    int first = 0;
    int last = 0;
    const bool good = parse_whole(std::string_view(range).substr(0, dash), first) &&
                      (dash == std::string::npos || parse_whole(std::string_view(range).substr(dash + 1), last));
    if (dash == std::string::npos) last = first;
    if (!good || first < 0 || last < first || last > 4095) {
      note(ErrorKind::kGarbled, "holds no list of cpus", name);
      return {};
    }
    for (int cpu = first; cpu <= last; ++cpu) all.push_back(cpu);
  }
  return all;
}

std::vector<std::string> Attributes::writable(std::initializer_list<std::string_view> names) const {
  std::vector<std::string> all;
  for (const std::string_view name : names) {
    if (reins::may_write(folder_ / name)) all.emplace_back(name);
  }
  return all;
}

bool can_read(const std::filesystem::path& file) {
  const auto opened = KernelFile::open(file);
  std::array<char, 4096> buffer;
  return opened && opened->read_text(buffer).has_value();
}

Module module_state(const std::filesystem::path& root, std::string_view name) {
  std::error_code code;
  if (std::filesystem::exists(root / "sys/module" / name, code)) return Module::kLoaded;
  const std::filesystem::path modules = root / "lib/modules" / release_of(root);
  const auto listed = read_file(modules / "modules.dep", std::size_t{16} << 20);
  if (!listed) return Module::kUnknown;
  // File names are written with '-' or '_', whichever the source has.
  std::string dashed(name);
  std::replace(dashed.begin(), dashed.end(), '_', '-');
  std::string underscored(name);
  std::replace(underscored.begin(), underscored.end(), '-', '_');
  const std::string built_in = read_file(modules / "modules.builtin", std::size_t{16} << 20).value_or(std::string());
  for (const std::string& spelt : {dashed, underscored, std::string(name)}) {
    if (built_in.find("/" + spelt + ".ko") != std::string::npos) return Module::kLoaded;
    if (listed->find("/" + spelt + ".ko") != std::string::npos) return Module::kAvailable;
  }
  return Module::kAbsent;
}

std::string modprobe(const std::filesystem::path& root, std::string_view name) {
  switch (module_state(root, name)) {
    case Module::kLoaded:
      return {};
    case Module::kAvailable:
    case Module::kUnknown:
      return "modprobe " + std::string(name);
    case Module::kAbsent:
      break;
  }
  const std::string release = release_of(root);
  const std::string system = read_file(root / "etc/os-release", std::size_t{1} << 16).value_or(std::string());
  if (system.find("ID=ubuntu") != std::string::npos) {
    return "apt install linux-modules-extra-" + release + " && modprobe " + std::string(name);
  }
  if (release.find("-cloud-") != std::string::npos) {
    const std::string kind = release.substr(release.rfind('-') + 1);
    return "apt install linux-image-" + kind + " && reboot (the cloud kernel has no " + std::string(name) + ")";
  }
  return {};
}

std::string join_group() {
  return "groupadd -rf reins && usermod -aG reins \"${SUDO_USER:-$USER}\" && cp packaging/99-reins.rules "
         "/etc/udev/rules.d/ && udevadm control --reload && udevadm trigger";
}

std::string machine_model(const std::filesystem::path& root) {
  std::string model = first_line(root / "proc/device-tree/model");
  std::erase(model, '\0');
  if (!model.empty()) return model;
  for (const char* file : {"product_name", "board_name"}) {
    const std::string name = first_line(root / "sys/class/dmi/id" / file);
    const std::string vendor = first_line(root / "sys/class/dmi/id/sys_vendor");
    if (!name.empty()) return vendor.empty() ? name : vendor + " " + name;
  }
  const std::string cpuinfo = read_file(root / "proc/cpuinfo", std::size_t{16} << 20).value_or(std::string());
  const std::size_t at = cpuinfo.find("model name");
  const std::size_t colon = at == std::string::npos ? at : cpuinfo.find(": ", at);
  return colon == std::string::npos ? std::string() : cpuinfo.substr(colon + 2, cpuinfo.find('\n', colon) - colon - 2);
}

bool is_x86(const std::filesystem::path& root) {
  const std::string cpuinfo = read_file(root / "proc/cpuinfo", std::size_t{16} << 20).value_or(std::string());
  return cpuinfo.find("vendor_id") != std::string::npos;
}

}  // namespace reins::sensors
