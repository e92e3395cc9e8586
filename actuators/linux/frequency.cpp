#include "actuators/linux/frequency.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <utility>

#include "core/kernel_file.hpp"
#include "core/text.hpp"

namespace reins::actuators {
namespace {

constexpr std::string_view kDeniedHint = "run as root, or install packaging/99-reins.rules and join the group reins";
constexpr std::string_view kUserspace = "userspace";

/// The whole numbers of a line, ascending.
std::vector<std::int64_t> numbers_in(std::string_view text) {
  std::vector<std::int64_t> all;
  while (!text.empty()) {
    if (text.front() == ' ' || text.front() == '\t') {
      text.remove_prefix(1);
      continue;
    }
    std::int64_t value = 0;
    const auto [stop, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (code != std::errc()) return {};
    all.push_back(value);
    text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

/// Min and max are written in the order in which the range never turns over: older kernels refuse a minimum above the
/// maximum. Frequencies below are in the files' own units until they leave.
class Frequency final : public FrequencyActuator {
 public:
  Frequency(std::string_view name, const std::filesystem::path& folder, const FrequencyLayout& layout, const Site& site)
      : name_(name), folder_(folder), layout_(layout), site_(site) {}
  ~Frequency() override {
    static_cast<void>(restore());
    if (lock_ >= 0) ::close(lock_);
  }
  Frequency(const Frequency&) = delete;
  Frequency& operator=(const Frequency&) = delete;

  Status open() {
    if (site_.restore != nullptr) REINS_TRY(lock());
    const auto access = KernelFile::Access::kReadWrite;
    REINS_ASSIGN(governor_, KernelFile::open(folder_ / layout_.governor, access, kDeniedHint));
    REINS_ASSIGN(min_, KernelFile::open(folder_ / layout_.min, access, kDeniedHint));
    REINS_ASSIGN(max_, KernelFile::open(folder_ / layout_.max, access, kDeniedHint));
    governors_ = first_line(folder_ / layout_.governors);
    table_ = numbers_in(first_line(folder_ / layout_.available));
    for (const std::int64_t value : table_) available_khz_.push_back(value / layout_.units_per_khz);
    pins_ = !holds_word(governors_, kUserspace);
    return find();
  }

  std::string_view name() const noexcept override { return name_; }
  std::string_view source() const noexcept override { return folder_.native(); }
  std::span<const std::int64_t> available_khz() const noexcept override { return available_khz_; }
  bool pins() const noexcept override { return pins_; }

  Result<Setting> apply(const Setting& setting) noexcept override {
    if (const auto* freq = std::get_if<FreqKhz>(&setting)) return apply_freq(*freq);
    if (const auto* governor = std::get_if<GovernorName>(&setting)) return apply_governor(*governor);
    return fail(ErrorKind::kUnsupported, "takes a frequency or a governor", folder_.native());
  }

  Result<Setting> present() noexcept override {
    std::array<char, 64> buffer;
    const auto governor = governor_.read_text(buffer);
    if (!governor) return fail(governor.error());
    if (*governor == kUserspace && set_.is_open()) {
      const auto value = set_.read_integer();
      if (value) return Setting(FreqKhz{*value / layout_.units_per_khz});
    }
    const auto low = min_.read_integer();
    const auto high = max_.read_integer();
    if (!low) return fail(low.error());
    if (!high) return fail(high.error());
    if (*low == *high) return Setting(FreqKhz{*low / layout_.units_per_khz});
    return Setting(GovernorName(*governor));
  }

  Result<std::int64_t> cap_khz() noexcept override {
    const auto cap = cap_now();
    if (!cap) return fail(cap.error());
    return *cap / layout_.units_per_khz;
  }

  Status restore() noexcept override {
    if (!saved_on_disk_) return {};
    // What cannot be read is written to, so that the error is the write's.
    static_cast<void>(look());
    Status status;
    if (!governor_foreign_) status = governor_.write(found_governor_.text());
    const Status limits = put_limits_back();
    if (status && !limits) status = limits;
    if (status && !governor_foreign_ && found_governor_.text() == kUserspace && set_.is_open() && found_set_ > 0)
      status = set_.write_integer(found_set_);
    taken_ = false;
    if (!status) return status;  // what was saved stays on disk for `reins restore`
    saved_on_disk_ = false;
    capped_below_ = 0;
    governor_foreign_ = min_foreign_ = false;
    ours_governor_ = found_governor_;
    ours_min_ = found_min_;
    return site_.restore->forget(saved_);
  }

  Result<Foreign> look() noexcept override {
    if (!saved_on_disk_) return foreign();
    std::array<char, 64> buffer;
    const auto governor = governor_.read_text(buffer);
    if (!governor) return fail(governor.error());
    const auto low = min_.read_integer();
    if (!low) return fail(low.error());
    const bool governor_foreign = *governor != ours_governor_.text();
    bool min_foreign = *low != ours_min_;
    if (min_foreign && *low < ours_min_) {
      // A cap below the minimum takes it along.
      const auto high = max_.read_integer();
      if (!high) return fail(high.error());
      min_foreign = *low != *high;
    }
    const bool other = (governor_foreign && *governor != seen_governor_.text()) || (min_foreign && *low != seen_min_);
    if (other) ++foreign_changes_;
    governor_foreign_ = governor_foreign;
    min_foreign_ = min_foreign;
    seen_governor_ = GovernorName(*governor);
    seen_min_ = *low;
    return foreign();
  }

  Foreign foreign() const noexcept override {
    return {foreign_changes_, governor_foreign_ || min_foreign_, seen_governor_};
  }

 private:
  /// One process sets a control, whatever state file it was given: the lock on the control's own folder goes with the
  /// process.
  Status lock() {
    lock_ = ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock_ < 0) return {};  // what is missing is said by the files themselves
    if (::flock(lock_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return {};
    return fail(ErrorKind::kBusy, "a running reins sets this already", folder_.native(),
                "stop it; it puts back itself what it found");
  }

  /// Nothing over another program's minimum; a maximum is ours only while we pin.
  Status put_limits_back() noexcept {
    const bool max_is_ours = pins_ && taken_;
    if (max_is_ours) return min_foreign_ ? max_.write_integer(found_max_) : write_limits(found_min_, found_max_);
    if (min_foreign_) return {};
    const auto present_max = max_.read_integer();
    if (!present_max) return fail(present_max.error());
    // A maximum below it has taken the minimum along.
    return *present_max < found_min_ ? Status{} : min_.write_integer(found_min_);
  }

  /// Governor and limits as they are in force before anything is changed.
  Status read_found() {
    std::array<char, 64> buffer;
    REINS_ASSIGN(const std::string_view governor, governor_.read_text(buffer));
    if (governor.empty()) return fail(ErrorKind::kGarbled, "names no governor", governor_.path());
    found_governor_ = ours_governor_ = seen_governor_ = GovernorName(governor);
    REINS_ASSIGN(found_min_, min_.read_integer());
    ours_min_ = seen_min_ = found_min_;
    REINS_ASSIGN(found_max_, max_.read_integer());
    return {};
  }

  Status find() {
    REINS_TRY(read_found());
    lowest_ = found_min_;
    highest_ = found_max_;
    if (!table_.empty()) {
      lowest_ = table_.front();
      highest_ = table_.back();
    } else if (!layout_.lowest.empty()) {
      for (const auto& [name, limit] : {std::pair(layout_.lowest, &lowest_), std::pair(layout_.highest, &highest_)}) {
        if (const auto file = KernelFile::open(folder_ / name)) {
          REINS_ASSIGN(*limit, file->read_integer());
        }
      }
    }
    if (!pins_ && found_governor_.text() == kUserspace) {
      REINS_TRY(open_set());
      const auto value = set_.read_integer();
      found_set_ = value ? *value : 0;
    }
    return {};
  }

  Status open_set() {
    if (set_.is_open()) return {};
    if (!layout_.target.empty()) {
      if (auto target = KernelFile::open(folder_ / layout_.target)) target_ = std::move(*target);
    }
    REINS_ASSIGN(set_, KernelFile::open(folder_ / layout_.set, KernelFile::Access::kReadWrite, kDeniedHint));
    return {};
  }

  Status save() {
    if (saved_on_disk_) return {};
    if (site_.restore == nullptr)
      return fail(ErrorKind::kUnsupported, "was opened to be looked at, not to be set", name_);
    // Somebody may have chosen another governor or other limits since the start: that is what is found, then.
    REINS_TRY(read_found());
    saved_ = {{saved_path(layout_.governor), std::string(found_governor_.text())},
              {saved_path(layout_.max), std::to_string(found_max_)},
              {saved_path(layout_.min), std::to_string(found_min_)}};
    for (SavedValue& value : saved_) value.ours = ours_of(value);
    told_.clear();
    if (found_set_ > 0) saved_.push_back({saved_path(layout_.set), std::to_string(found_set_)});
    REINS_TRY(site_.restore->add(saved_));
    saved_on_disk_ = true;
    return look_behind_cap();
  }

  std::string saved_path(std::string_view file) const {
    return folder_.lexically_relative(site_.root).native() + "/" + std::string(file);
  }

  /// What this run puts into a saved file, so that `reins restore` can tell another program's value from it. While it
  /// pins it puts any frequency into the limits.
  std::string ours_of(const SavedValue& value) const {
    if (value.path.ends_with(layout_.governor)) {
      return pins_ ? value.value : std::string(kUserspace) + " " + value.value;
    }
    if (pins_) return {};
    return value.value + " " + std::to_string(value.path.ends_with(layout_.max) ? highest_ : lowest_);
  }

  /// Tells the restore file what changes now; a governor is added to those told before.
  Status tell_restore_file(std::string_view governor) {
    if (!governor.empty() && std::find(told_.begin(), told_.end(), GovernorName(governor)) != told_.end()) return {};
    for (SavedValue& value : saved_) {
      if (value.path.ends_with(layout_.set)) continue;
      std::string ours = ours_of(value);
      if (value.path.ends_with(layout_.governor)) {
        ours = value.ours.empty() ? ours : value.ours;
        if (!governor.empty() && !holds_word(ours, governor)) ours += " " + std::string(governor);
      }
      if (ours == value.ours) continue;
      REINS_TRY(site_.restore->amend(value.path, ours));
      value.ours = std::move(ours);
    }
    if (!governor.empty()) told_.emplace_back(governor);
    return {};
  }

  /// A maximum below the top is what somebody asked for (a user, a power mode), or what a cooling device makes of more.
  /// Which of the two only shows when the top is asked for: granted, it was a request, and is put back at once; cut to
  /// the same, it is a device's, which will lift it: then the top is ours to use, and the cap no request to put back.
  /// (A request that lies between such a cap and the top cannot be seen, and is taken for the top.)
  Status look_behind_cap() {
    if (found_max_ >= highest_ || !max_.write_integer(highest_)) return {};
    const auto made = max_.read_integer();
    if (!made) return fail(made.error());
    if (*made != found_max_) return max_.write_integer(found_max_);
    REINS_TRY(site_.restore->forget(saved_));
    found_max_ = highest_;
    for (SavedValue& value : saved_) {
      if (!value.path.ends_with(layout_.max)) continue;
      value.value = std::to_string(found_max_);
      value.ours = ours_of(value);
    }
    return site_.restore->add(saved_);
  }

  Status write_limits(std::int64_t low, std::int64_t high) noexcept {
    const auto present_max = max_.read_integer();
    if (!present_max) return fail(present_max.error());
    if (low > *present_max) {
      REINS_TRY(max_.write_integer(high));
      return min_.write_integer(low);
    }
    REINS_TRY(min_.write_integer(low));
    return max_.write_integer(high);
  }

  /// The lowest step at or above `wanted`, as the kernel's CPUFREQ_RELATION_L and devfreq's find_freq_ceil choose;
  /// above the top, the top. Then the highest step within `cap`.
  std::int64_t rounded(std::int64_t wanted, std::int64_t cap) const noexcept {
    if (table_.empty()) return std::clamp(wanted, std::min(lowest_, cap), cap);
    auto at = std::lower_bound(table_.begin(), table_.end(), wanted);
    if (at == table_.end()) --at;
    while (at != table_.begin() && *at > cap) --at;
    return *at;
  }

  /// While we pin, the maximum is our own number: a lower cap shows in what the kernel makes of it, a higher one does
  /// not, and is the one last seen.
  Result<std::int64_t> cap_now() noexcept {
    const auto present = max_.read_integer();
    if (!present || !taken_ || !pins_) return present;
    if (*present < pinned_) return *present;
    // No cooling device raises what we asked for: another program did, and that is the range it wants.
    if (*present > pinned_) found_max_ = *present, capped_below_ = 0;
    if (capped_below_ < pinned_) capped_below_ = 0;  // it would show
    return capped_below_ > 0 ? std::min(capped_below_, found_max_) : found_max_;
  }

  /// Whether a cap above our own maximum still stands shows only when we ask for more. The minimum, which is below,
  /// stays.
  Status look_for_cap() noexcept {
    if (!taken_ || !pins_) return {};
    const auto seen = cap_now();
    if (!seen) return fail(seen.error());
    if (*seen >= found_max_) return {};
    REINS_TRY(max_.write_integer(found_max_));
    const auto made = max_.read_integer();
    if (!made) return fail(made.error());
    pinned_ = found_max_;
    capped_below_ = *made < found_max_ ? *made : 0;
    return {};
  }

  /// Busy where another program has changed what is set here.
  Status must_be_ours() noexcept {
    if (!saved_on_disk_) return {};
    const auto seen = look();
    if (!seen) return fail(seen.error());
    if (governor_foreign_) {
      return fail(ErrorKind::kBusy, "another program changed the governor", governor_.path(),
                  "stop it, or leave frequencies to it");
    }
    if (min_foreign_) {
      return fail(ErrorKind::kBusy, "another program changed the minimum", min_.path(),
                  "stop it, or leave frequencies to it");
    }
    return {};
  }

  Result<Setting> apply_freq(FreqKhz wanted) noexcept {
    if (wanted.khz <= 0) return fail(ErrorKind::kUsage, "a frequency is above zero", folder_.native());
    REINS_TRY(must_be_ours());
    REINS_TRY(save());
    REINS_TRY(look_for_cap());
    const auto cap = cap_now();
    if (!cap) return fail(cap.error());
    const std::int64_t value = rounded(wanted.khz * layout_.units_per_khz, *cap);
    if (!pins_) {
      const auto made = set_by_governor(value);
      if (made) return Setting(FreqKhz{*made / layout_.units_per_khz});
      if (made.error().kind() != ErrorKind::kUnsupported) return fail(made.error());
      pins_ = true;  // the kernel lists `userspace` and will not have it
      REINS_TRY(tell_restore_file({}));
    }
    taken_ = true;
    REINS_TRY(write_limits(value, value));
    const auto low = min_.read_integer();
    const auto high = max_.read_integer();
    if (!low) return fail(low.error());
    if (!high) return fail(high.error());
    pinned_ = value;
    ours_min_ = seen_min_ = *low;
    capped_below_ = *high < value ? *high : *cap < found_max_ ? *cap : 0;
    return Setting(FreqKhz{std::min(std::max(value, *low), *high) / layout_.units_per_khz});
  }

  /// Hands out what the kernel made of it.
  Result<std::int64_t> set_by_governor(std::int64_t value) noexcept {
    if (!taken_) {
      // A minimum above what is wanted would hold the set point up.
      if (found_min_ > lowest_) REINS_TRY(min_.write_integer(lowest_));
      const Status governor = governor_.write(kUserspace);
      if (!governor) {
        if (governor.error().kind() != ErrorKind::kUsage) return fail(governor.error());
        return fail(ErrorKind::kUnsupported, "has no userspace governor after all", governor_.path());
      }
      REINS_TRY(open_set());
      taken_ = true;
      ours_governor_ = seen_governor_ = GovernorName(kUserspace);
      const auto low = min_.read_integer();
      if (!low) return fail(low.error());
      ours_min_ = seen_min_ = *low;
    }
    REINS_TRY(set_.write_integer(value));
    const auto made = target_.is_open() ? target_.read_integer() : set_.read_integer();
    if (!made) return fail(made.error());
    return *made > 0 ? *made : value;
  }

  Result<Setting> apply_governor(const GovernorName& wanted) noexcept {
    if (!holds_word(governors_, wanted.text())) {
      return fail(ErrorKind::kUsage, "no such governor here", governor_.path(),
                  "load its module; the file with the s lists what there is");
    }
    REINS_TRY(must_be_ours());
    REINS_TRY(save());
    REINS_TRY(tell_restore_file(wanted.text()));
    REINS_TRY(put_limits_back());
    REINS_TRY(governor_.write(wanted.text()));
    taken_ = false;
    capped_below_ = 0;
    const auto low = min_.read_integer();
    if (!low) return fail(low.error());
    ours_min_ = seen_min_ = *low;
    std::array<char, 64> buffer;
    const auto made = governor_.read_text(buffer);
    if (!made) return fail(made.error());
    ours_governor_ = seen_governor_ = GovernorName(*made);
    return Setting(ours_governor_);
  }

  std::string name_;
  std::filesystem::path folder_;
  FrequencyLayout layout_;
  Site site_;
  KernelFile governor_, min_, max_, set_, target_;
  int lock_ = -1;
  std::string governors_;
  std::vector<std::int64_t> table_;
  std::vector<std::int64_t> available_khz_;
  bool pins_ = false;
  GovernorName found_governor_;
  std::int64_t found_min_ = 0, found_max_ = 0, found_set_ = 0;
  std::int64_t lowest_ = 0, highest_ = 0;  ///< that the device has
  std::vector<SavedValue> saved_;
  std::vector<GovernorName> told_;  ///< that the restore file knows to be ours
  bool saved_on_disk_ = false;
  bool taken_ = false;             ///< frequencies are ours: the governor is userspace, or min = max
  std::int64_t pinned_ = 0;        ///< while pinning: the maximum we asked for
  std::int64_t capped_below_ = 0;  ///< while pinning: the cap last seen; 0: none

  GovernorName ours_governor_;  ///< as it was left here last
  std::int64_t ours_min_ = 0;
  GovernorName seen_governor_;  ///< of the last look
  std::int64_t seen_min_ = 0;
  bool governor_foreign_ = false, min_foreign_ = false;
  std::uint64_t foreign_changes_ = 0;
};

/// Policies that are set together, as on PCs, where every cpu has one of its own. They are alike; the first speaks for
/// all.
class Together final : public FrequencyActuator {
 public:
  explicit Together(std::vector<std::unique_ptr<Frequency>> parts) : parts_(std::move(parts)) {}
  std::string_view name() const noexcept override { return parts_.front()->name(); }
  std::string_view source() const noexcept override { return parts_.front()->source(); }
  std::span<const std::int64_t> available_khz() const noexcept override { return parts_.front()->available_khz(); }
  bool pins() const noexcept override { return parts_.front()->pins(); }
  Result<Setting> present() noexcept override { return parts_.front()->present(); }

  Result<std::int64_t> cap_khz() noexcept override {
    auto lowest = parts_.front()->cap_khz();
    for (const auto& part : parts_) {
      const auto cap = part->cap_khz();
      if (!cap) return cap;
      if (lowest && *cap < *lowest) lowest = cap;
    }
    return lowest;
  }
  Result<Foreign> look() noexcept override {
    for (const auto& part : parts_) {
      const auto seen = part->look();
      if (!seen) return seen;
    }
    return foreign();
  }
  Foreign foreign() const noexcept override {
    Foreign all = parts_.front()->foreign();
    for (std::size_t i = 1; i < parts_.size(); ++i) {
      const Foreign one = parts_[i]->foreign();
      all.changes += one.changes;
      if (one.taken && !all.taken) all.governor = one.governor;
      all.taken = all.taken || one.taken;
    }
    return all;
  }
  Result<Setting> apply(const Setting& setting) noexcept override {
    // All or none: a part that another program has says so before the others are set.
    static_cast<void>(look());
    for (const auto& part : parts_) {
      if (part->foreign().taken) return part->apply(setting);
    }
    Result<Setting> first = parts_.front()->apply(setting);
    for (std::size_t i = 1; first && i < parts_.size(); ++i) {
      auto next = parts_[i]->apply(setting);
      if (!next) return next;
    }
    return first;
  }
  Status restore() noexcept override {
    Status first;
    for (const auto& part : parts_) {
      const Status status = part->restore();
      if (!status && first) first = status;
    }
    return first;
  }

 private:
  std::vector<std::unique_ptr<Frequency>> parts_;
};

}  // namespace

Result<std::unique_ptr<FrequencyActuator>> make_with_layout(std::string_view name,
                                                            std::span<const std::filesystem::path> folders,
                                                            const FrequencyLayout& layout, const Site& site) {
  std::vector<std::unique_ptr<Frequency>> parts;
  for (const std::filesystem::path& folder : folders) {
    parts.push_back(std::make_unique<Frequency>(name, folder, layout, site));
    REINS_TRY(parts.back()->open());
  }
  if (parts.size() == 1) return std::move(parts.front());
  return std::make_unique<Together>(std::move(parts));
}

Result<std::unique_ptr<FrequencyActuator>> make_frequency(std::string_view name, std::string_view folder,
                                                          const Site& site) {
  return folder.find("cpufreq") != std::string_view::npos ? make_cpufreq(name, folder, site)
                                                          : make_devfreq(name, folder, site);
}

}  // namespace reins::actuators
