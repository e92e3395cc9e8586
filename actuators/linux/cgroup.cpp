// Cpu quota of a control group: cpu.max of v2 (Documentation/admin-guide/cgroup-v2.rst), cpu.cfs_quota_us of v1
// (Documentation/scheduler/ sched-bwc.rst).
#include <charconv>
#include <cmath>
#include <cstdio>

#include "actuators/linux/drivers.hpp"
#include "core/file.hpp"
#include "core/kernel_file.hpp"

namespace reins::actuators {
namespace {

constexpr std::string_view kDelegateHint = "delegate the group to this user (systemd: Delegate=cpu), or run as root";
constexpr std::string_view kNoGroup =
    "start it in a group of its own: systemd-run --scope -p Delegate=yes -p CPUQuota=10000% <command>";
constexpr std::int64_t kLeastQuotaUs = 1000;  // min_cfs_quota_period in kernel/sched/core.c

class CgroupQuota final : public Actuator {
 public:
  CgroupQuota(std::string_view name, const std::filesystem::path& folder, const Site& site)
      : name_(name), folder_(folder), site_(site) {}
  ~CgroupQuota() override { static_cast<void>(restore()); }

  Status open() {
    std::error_code code;
    v2_ = std::filesystem::exists(folder_ / "cpu.max", code);
    const char* file = v2_ ? "cpu.max" : "cpu.cfs_quota_us";
    auto opened = KernelFile::open(folder_ / file, KernelFile::Access::kReadWrite, kDelegateHint);
    if (!opened && opened.error().kind() == ErrorKind::kNotFound) {
      return fail(ErrorKind::kNotFound, "has no cpu quota (neither cpu.max nor cpu.cfs_quota_us)", folder_.native(),
                  kNoGroup);
    }
    REINS_ASSIGN(quota_, std::move(opened));
    std::array<char, 64> buffer;
    REINS_ASSIGN(const std::string_view text, quota_.read_text(buffer));
    found_ = std::string(text);
    if (!v2_) {
      REINS_ASSIGN(const KernelFile period, KernelFile::open(folder_ / "cpu.cfs_period_us"));
      REINS_ASSIGN(period_us_, period.read_integer());
    }
    REINS_TRY(parse(text, period_us_));
    if (period_us_ < kLeastQuotaUs) return fail(ErrorKind::kGarbled, "names a period below 1 ms", quota_.path());
    return {};
  }

  std::string_view name() const noexcept override { return name_; }
  std::string_view source() const noexcept override { return quota_.path(); }

  Result<Setting> apply(const Setting& setting) noexcept override {
    const auto* wanted = std::get_if<QuotaCpus>(&setting);
    if (wanted == nullptr) return fail(ErrorKind::kUnsupported, "takes a quota in cpus", quota_.path());
    if (!(wanted->cpus >= 0) || wanted->cpus > 1024) {
      return fail(ErrorKind::kUsage, "a quota is between 0 (no limit) and 1024 cpus", quota_.path());
    }
    REINS_TRY(save());
    if (wanted->cpus == 0) {
      REINS_TRY(write(-1));
      return Setting(QuotaCpus{0});
    }
    const double exact_us = wanted->cpus * static_cast<double>(period_us_);
    const std::int64_t quota_us = std::max(kLeastQuotaUs, static_cast<std::int64_t>(std::llround(exact_us)));
    REINS_TRY(write(quota_us));
    return present();
  }

  Result<Setting> present() noexcept override {
    std::array<char, 64> buffer;
    const auto text = quota_.read_text(buffer);
    if (!text) return fail(text.error());
    std::int64_t period_us = period_us_;
    const auto quota_us = parse(*text, period_us);
    if (!quota_us) return fail(quota_us.error());
    if (*quota_us < 0) return Setting(QuotaCpus{0});
    return Setting(QuotaCpus{static_cast<double>(*quota_us) / static_cast<double>(period_us)});
  }

  Status restore() noexcept override {
    if (!saved_on_disk_) return {};
    REINS_TRY(quota_.write(found_));
    saved_on_disk_ = false;
    return site_.restore->forget(saved_);
  }

 private:
  /// Quota in microseconds, -1 for none; v2 names the period too.
  Result<std::int64_t> parse(std::string_view text, std::int64_t& period_us) const noexcept {
    std::int64_t quota_us = -1;
    const char* end = text.data() + text.size();
    const char* at = text.data();
    if (v2_ && text.starts_with("max")) {
      at += 3;
    } else {
      const auto [stop, code] = std::from_chars(at, end, quota_us);
      if (code != std::errc()) return fail(ErrorKind::kGarbled, "holds no quota", quota_.path());
      at = stop;
    }
    if (v2_) {
      if (at == end || *at != ' ') return fail(ErrorKind::kGarbled, "names no period", quota_.path());
      const auto [stop, code] = std::from_chars(at + 1, end, period_us);
      if (code != std::errc() || period_us <= 0) return fail(ErrorKind::kGarbled, "names no period", quota_.path());
      at = stop;
    }
    if (at != end) return fail(ErrorKind::kGarbled, "holds more than a quota", quota_.path());
    return quota_us;
  }

  Status write(std::int64_t quota_us) noexcept {
    if (!v2_) return quota_.write_integer(quota_us);
    std::array<char, 64> buffer;
    const int n = quota_us < 0
                      ? std::snprintf(buffer.data(), buffer.size(), "max %lld", static_cast<long long>(period_us_))
                      : std::snprintf(buffer.data(), buffer.size(), "%lld %lld", static_cast<long long>(quota_us),
                                      static_cast<long long>(period_us_));
    return quota_.write({buffer.data(), static_cast<std::size_t>(n)});
  }

  Status save() {
    if (saved_on_disk_) return {};
    if (site_.restore == nullptr)
      return fail(ErrorKind::kUnsupported, "was opened to be looked at, not to be set", name_);
    saved_ = {{std::filesystem::path(quota_.path()).lexically_relative(site_.root).native(), found_}};
    REINS_TRY(site_.restore->add(saved_));
    saved_on_disk_ = true;
    return {};
  }

  std::string name_;
  std::filesystem::path folder_;
  Site site_;
  KernelFile quota_;
  bool v2_ = false;
  std::int64_t period_us_ = 100000;
  std::string found_;
  std::vector<SavedValue> saved_;
  bool saved_on_disk_ = false;
};

/// The controllers of a line of /proc/<pid>/cgroup name "cpu" among others.
bool names_cpu(std::string_view controllers) noexcept {
  while (!controllers.empty()) {
    const std::size_t comma = controllers.find(',');
    if (controllers.substr(0, comma) == "cpu") return true;
    controllers = comma == std::string_view::npos ? std::string_view{} : controllers.substr(comma + 1);
  }
  return false;
}

}  // namespace

Result<std::unique_ptr<Actuator>> make_cgroup_quota(std::string_view name, std::string_view group, const Site& site) {
  auto actuator = std::make_unique<CgroupQuota>(name, site.root / group, site);
  REINS_TRY(actuator->open());
  return actuator;
}

Result<std::string> own_cgroup(const std::filesystem::path& root, int pid) {
  const std::filesystem::path file = root / "proc" / (pid > 0 ? std::to_string(pid) : "self") / "cgroup";
  REINS_ASSIGN(const std::string text, read_file(file, std::size_t{1} << 16));
  std::error_code code;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) return fail(ErrorKind::kGarbled, "a line has no two colons", file.native());
    const std::string controllers(line.substr(first + 1, second - first - 1));
    const std::string path(line.substr(second + 1));
    const bool unified = controllers.empty();
    if (!unified && !names_cpu(controllers)) continue;
    const std::vector<std::string> mounts =
        unified ? std::vector<std::string>{"sys/fs/cgroup", "sys/fs/cgroup/unified"}
                : std::vector<std::string>{"sys/fs/cgroup/" + controllers, "sys/fs/cgroup/cpu"};
    for (const std::string& mount : mounts) {
      const std::string folder = mount + (path == "/" ? "" : path);
      if (std::filesystem::exists(root / folder / (unified ? "cpu.max" : "cpu.cfs_quota_us"), code)) return folder;
    }
  }
  return fail(ErrorKind::kNotFound, "the process is in no control group with a cpu quota", file.native(), kNoGroup);
}

}  // namespace reins::actuators
