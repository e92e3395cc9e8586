#include "actuators/actuator_set.hpp"

#include <algorithm>
#include <charconv>

#include "actuators/linux/drivers.hpp"
#include "core/kernel_file.hpp"

namespace reins::actuators {
namespace {

std::vector<std::int64_t> numbers_of(const std::string& line) {
  std::vector<std::int64_t> all;
  const char* at = line.data();
  const char* const end = at + line.size();
  while (at != end) {
    std::int64_t value = 0;
    const auto [stop, code] = std::from_chars(at, end, value);
    if (code == std::errc()) all.push_back(value);
    at = code == std::errc() ? stop : at + 1;
  }
  std::sort(all.begin(), all.end());
  return all;
}

bool is_cpufreq(const boards::Cluster& cluster) { return cluster.control.find("cpufreq") != std::string::npos; }

/// devfreq speaks hertz.
std::int64_t units_per_khz(const boards::Cluster& cluster) { return is_cpufreq(cluster) ? 1 : 1000; }

std::string list_of(const std::vector<std::int64_t>& values) {
  std::string text;
  for (const std::int64_t value : values) text += (text.empty() ? "" : " ") + std::to_string(value);
  return text;
}

}  // namespace

bool has_mapping(const boards::Board& board, ClusterId cluster) noexcept {
  return std::any_of(board.mappings.begin(), board.mappings.end(),
                     [&](const boards::Mapping& mapping) { return mapping.cluster == cluster; });
}

Setting governed_by(boards::Governor governor) noexcept { return GovernorName(boards::name_of(governor)); }
Setting governed_by(boards::GpuGovernor governor) noexcept { return GovernorName(boards::name_of(governor)); }

ActuatorSet ActuatorSet::make(const boards::Board& board, const Options& options) {
  ActuatorSet set;
  const bool quota =
      std::any_of(board.mappings.begin(), board.mappings.end(), [](const auto& m) { return m.cpu_quota < 1; });
  const bool any =
      std::any_of(board.clusters.begin(), board.clusters.end(), [](const auto& c) { return !c.control.empty(); });
  Site site{options.root, nullptr};
  std::optional<Error> unsafe;  // what cannot be put back is not changed
  if (!options.state_file.empty()) {
    // Where nothing is set too: another controller's load is on the same cores.
    auto restore = RestoreFile::open(options.state_file, options.root);
    if (restore) {
      site.restore = std::move(*restore);
    } else if (quota || any) {
      unsafe = restore.error();
    } else if (restore.error().kind() == ErrorKind::kBusy) {
      set.missing_.push_back({"board", restore.error(), true});
    }
  }
  for (const boards::Cluster& cluster : board.clusters) {
    set.cluster_names_.push_back(cluster.name);
    set.opps_khz_.emplace_back();
    for (const boards::OperatingPoint& opp : cluster.opps) set.opps_khz_.back().push_back(opp.freq_khz);
    set.frequency_.emplace_back();
    set.refused_.emplace_back();
    if (cluster.control.empty()) continue;
    auto made = unsafe ? Result<std::unique_ptr<FrequencyActuator>>(fail(*unsafe))
                       : make_frequency(cluster.name, cluster.control, site);
    if (made) {
      set.frequency_.back() = std::move(*made);
    } else {
      set.refused_.back() = made.error();
      const ClusterId id(set.frequency_.size() - 1);
      set.missing_.push_back({cluster.name, made.error(), cluster.opps.size() > 1 && has_mapping(board, id)});
    }
  }
  if (quota) {
    auto group = unsafe ? Result<std::string>(fail(*unsafe)) : own_cgroup(options.root, 0);
    auto made =
        group ? make_cgroup_quota("quota", *group, site) : Result<std::unique_ptr<Actuator>>(fail(group.error()));
    if (made) {
      set.quota_ = std::move(*made);
    } else {
      set.quota_refused_ = made.error();
      set.missing_.push_back({"quota", made.error(), true});
    }
  }
  set.restore_ = std::move(site.restore);
  return set;
}

FrequencyActuator* ActuatorSet::frequency(ClusterId cluster) const noexcept {
  return cluster.valid() && cluster.index() < frequency_.size() ? frequency_[cluster.index()].get() : nullptr;
}

Result<Setting> ActuatorSet::apply(const ClusterSetting& wanted) noexcept {
  if (!wanted.cluster.valid() || wanted.cluster.index() >= frequency_.size()) {
    return fail(ErrorKind::kUsage, "the board has no such cluster", "actuators");
  }
  const std::size_t index = wanted.cluster.index();
  if (frequency_[index] != nullptr) return frequency_[index]->apply(wanted.setting);
  if (refused_[index]) return fail(*refused_[index]);
  const auto* freq = std::get_if<FreqKhz>(&wanted.setting);
  if (freq != nullptr && opps_khz_[index].size() == 1 && freq->khz == opps_khz_[index].front()) return wanted.setting;
  return fail(ErrorKind::kUnsupported, "the frequency of this cluster cannot be set", cluster_names_[index],
              "the board file names no control for it");
}

std::optional<Foreign> ActuatorSet::look(ClusterId cluster) noexcept {
  FrequencyActuator* const actuator = frequency(cluster);
  if (actuator == nullptr) return std::nullopt;
  const auto seen = actuator->look();
  return seen ? *seen : actuator->foreign();
}

std::optional<Foreign> ActuatorSet::foreign(ClusterId cluster) const noexcept {
  const FrequencyActuator* const actuator = frequency(cluster);
  return actuator == nullptr ? std::nullopt : std::optional(actuator->foreign());
}

Status ActuatorSet::apply(std::span<const ClusterSetting> wanted, std::span<Setting> applied) noexcept {
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const auto done = apply(wanted[i]);
    if (!done) return fail(done.error());
    if (i < applied.size()) applied[i] = *done;
  }
  return {};
}

std::optional<OppId> ActuatorSet::cap(ClusterId cluster) noexcept {
  FrequencyActuator* const actuator = frequency(cluster);
  if (actuator == nullptr) return std::nullopt;
  const auto cap_khz = actuator->cap_khz();
  if (!cap_khz) return std::nullopt;
  const std::vector<std::int64_t>& opps = opps_khz_[cluster.index()];
  const auto above = std::upper_bound(opps.begin(), opps.end(), *cap_khz);
  return OppId(static_cast<std::int64_t>(std::max<std::ptrdiff_t>(0, above - opps.begin() - 1)));
}

Result<double> ActuatorSet::limit_cpus(double cpus) noexcept {
  if (quota_ == nullptr) {
    if (quota_refused_) return fail(*quota_refused_);
    return fail(ErrorKind::kUnsupported, "no mapping of this board has a quota", "actuators");
  }
  const auto done = quota_->apply(QuotaCpus{cpus});
  if (!done) return fail(done.error());
  return std::get<QuotaCpus>(*done).cpus;
}

Status ActuatorSet::restore() noexcept {
  Status first;
  const auto keep = [&first](const Status& status) {
    if (!status && first) first = status;
  };
  for (const auto& actuator : frequency_) {
    if (actuator != nullptr) keep(actuator->restore());
  }
  if (quota_ != nullptr) keep(quota_->restore());
  return first;
}

std::vector<Error> differences(const boards::Board& board, const std::filesystem::path& root) {
  std::vector<Error> found;
  for (std::size_t c = 0; c < board.clusters.size(); ++c) {
    const boards::Cluster& cluster = board.clusters[c];
    if (cluster.control.empty()) continue;
    const auto folders = find_paths(root, cluster.control);
    if (folders.empty()) {
      if (!has_mapping(board, ClusterId(c))) continue;
      found.emplace_back(ErrorKind::kMismatch, cluster.name + ": this machine has no such frequency control",
                         (root / cluster.control).native());
      continue;
    }
    const std::filesystem::path& folder = folders.front();
    const bool cpufreq = is_cpufreq(cluster);
    const std::int64_t per_khz = units_per_khz(cluster);
    std::vector<std::int64_t> here =
        numbers_of(first_line(folder / (cpufreq ? "scaling_available_frequencies" : "available_frequencies")));
    for (std::int64_t& value : here) value /= per_khz;
    std::vector<std::int64_t> absent;
    for (const boards::OperatingPoint& opp : cluster.opps) {
      if (!here.empty() && !std::binary_search(here.begin(), here.end(), opp.freq_khz)) absent.push_back(opp.freq_khz);
    }
    if (!absent.empty()) {
      found.emplace_back(ErrorKind::kMismatch, cluster.name + ": this kernel has no " + list_of(absent) + " kHz",
                         folder.native(), "it has " + list_of(here) + "; correct a copy of the board file");
    }
    if (cpufreq) {
      std::vector<std::int64_t> cpus;
      for (const auto& policy : folders) {
        const std::vector<std::int64_t> some = numbers_of(first_line(policy / "related_cpus"));
        cpus.insert(cpus.end(), some.begin(), some.end());
      }
      std::sort(cpus.begin(), cpus.end());
      std::vector<std::int64_t> wanted(cluster.cpus.begin(), cluster.cpus.end());
      std::sort(wanted.begin(), wanted.end());
      if (!cpus.empty() && cpus != wanted) {
        found.emplace_back(ErrorKind::kMismatch, cluster.name + ": the board file has cpus " + list_of(wanted),
                           folder.native(), "this machine's kernel has " + list_of(cpus));
      }
    }
  }
  return found;
}

std::vector<Error> caps(const boards::Board& board, const std::filesystem::path& root) {
  std::vector<Error> found;
  for (const boards::Cluster& cluster : board.clusters) {
    if (cluster.control.empty()) continue;
    for (const std::filesystem::path& folder : find_paths(root, cluster.control)) {
      const auto top = numbers_of(first_line(folder / (is_cpufreq(cluster) ? "scaling_max_freq" : "max_freq")));
      if (top.size() != 1 || top[0] / units_per_khz(cluster) >= cluster.max_khz()) continue;
      found.emplace_back(ErrorKind::kBusy,
                         cluster.name + ": capped at " + std::to_string(top[0] / units_per_khz(cluster)) +
                             " kHz, the board file's top is " + std::to_string(cluster.max_khz()),
                         folder.native(),
                         "a cooling device, power mode or another program caps it; it is kept to, not fought");
      break;  // one line a cluster
    }
  }
  return found;
}

}  // namespace reins::actuators
