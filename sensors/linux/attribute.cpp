#include "sensors/linux/attribute.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace reins::sensors {
namespace {

/// A pattern has one '#', which stands for a number; a name without one is matched whole.
struct Row {
  std::string_view pattern;
  AttributeKind kind;
};

constexpr std::array kTable = {
    Row{"power#_input", {Quantity::kPowerW, Behaviour::kGauge, 1e-6}},
    Row{"power#_average", {Quantity::kPowerW, Behaviour::kGauge, 1e-6}},
    Row{"energy#_input", {Quantity::kEnergyJ, Behaviour::kCounter, 1e-6}},
    Row{"temp#_input", {Quantity::kTemperatureC, Behaviour::kGauge, 1e-3}},
    Row{"in_power#_input", {Quantity::kPowerW, Behaviour::kGauge, 1e-3}},
    Row{"in_temp#_input", {Quantity::kTemperatureC, Behaviour::kGauge, 1e-3}},
    Row{"in_temp_input", {Quantity::kTemperatureC, Behaviour::kGauge, 1e-3}},
    Row{"sensor_W", {Quantity::kPowerW, Behaviour::kGauge, 1}},
    Row{"energy_uj", {Quantity::kEnergyJ, Behaviour::kCounter, 1e-6}},
    Row{"power_now", {Quantity::kPowerW, Behaviour::kGauge, 1e-6}},
    Row{"capacity", {Quantity::kBatteryFraction, Behaviour::kGauge, 1e-2}},
    Row{"temp", {Quantity::kTemperatureC, Behaviour::kGauge, 1e-3}},
    Row{"scaling_cur_freq", {Quantity::kFreqKhz, Behaviour::kGauge, 1}},
    Row{"cur_freq", {Quantity::kFreqKhz, Behaviour::kGauge, 1e-3}},
};

bool matches(std::string_view pattern, std::string_view name) noexcept {
  const std::size_t hash = pattern.find('#');
  if (hash == std::string_view::npos) return pattern == name;
  const std::string_view head = pattern.substr(0, hash);
  const std::string_view tail = pattern.substr(hash + 1);
  if (name.size() <= head.size() + tail.size() || !name.starts_with(head) || !name.ends_with(tail)) return false;
  const std::string_view digits = name.substr(head.size(), name.size() - head.size() - tail.size());
  return digits.find_first_not_of("0123456789") == std::string_view::npos;
}

class FileSensor final : public Sensor {
 public:
  FileSensor(Signal signal, KernelFile file, KernelFile factor, double scale, double offset, double wrap,
             const Clock& clock) noexcept
      : signal_(std::move(signal)),
        file_(std::move(file)),
        factor_(std::move(factor)),
        scale_(scale),
        offset_(offset),
        wrap_(wrap),
        clock_(clock),
        fresh_(signal_.period_s) {}

  const Signal& signal() const noexcept override { return signal_; }

  Result<Reading> read() noexcept override {
    const auto raw = file_.read_number();
    if (!raw) return fail(raw.error());
    double value = *raw;
    if (factor_.is_open()) {
      const auto other = factor_.read_number();
      if (!other) return fail(other.error());
      value *= *other;
    }
    Reading reading;
    reading.time_s = clock_.now_s();
    fresh_.stamp(value, reading);
    if (signal_.behaviour == Behaviour::kCounter) {
      const auto total = count(value);
      if (!total) return fail(total.error());
      value = *total;
    }
    reading.value = (value + offset_) * scale_;
    return reading;
  }

 private:
  /// Growth since the first read, in file units.
  Result<double> count(double raw) noexcept {
    const double before = std::exchange(last_raw_, raw);
    if (std::exchange(counting_, true)) {
      if (raw >= before) {
        total_ += raw - before;
      } else if (wrap_ > 0) {
        total_ += wrap_ - before + raw;
      } else {
        return fail(ErrorKind::kGarbled, "counter ran backwards", file_.path(),
                    "the device was reset; counting goes on from here");
      }
    }
    return total_;
  }

  Signal signal_;
  KernelFile file_;
  KernelFile factor_;
  double scale_;
  double offset_;
  double wrap_;
  const Clock& clock_;
  Freshness fresh_;
  double last_raw_ = 0;
  double total_ = 0;
  bool counting_ = false;
};

}  // namespace

std::optional<AttributeKind> kind_of_attribute(std::string_view file_name) noexcept {
  for (const Row& row : kTable) {
    if (matches(row.pattern, file_name)) return row.kind;
  }
  return std::nullopt;
}

void Freshness::stamp(double raw, Reading& reading) noexcept {
  const double now_s = reading.time_s;
  if (updates_ == 0) {
    updates_ = 1;
    counted_s_ = now_s;
    newest_s_ = now_s - period_s_;
  } else if (raw != last_raw_) {
    // It changed since the last read, so it is no older than that, nor than the period.
    ++updates_;
    counted_s_ = now_s;
    newest_s_ = std::max(last_read_s_, now_s - period_s_);
  } else {
    // A whole period after the last value was counted, the same text is a new value that happens to be equal.
    if (period_s_ > 0 && now_s - counted_s_ >= period_s_) {
      ++updates_;
      counted_s_ = now_s;
    }
    newest_s_ = std::max(newest_s_, now_s - period_s_);
  }
  last_raw_ = raw;
  last_read_s_ = now_s;
  reading.age_s = now_s - newest_s_;
  reading.updates = updates_;
}

Signal signal_of(const Wanted& wanted, Behaviour behaviour) {
  return {std::string(wanted.name), wanted.quantity, behaviour, wanted.period_s, {}};
}

std::pair<std::string_view, std::string_view> split_address(std::string_view address) noexcept {
  const std::size_t colon = address.find(':');
  if (colon == std::string_view::npos) return {address, {}};
  return {address.substr(0, colon), address.substr(colon + 1)};
}

std::string shown(const std::filesystem::path& path, const std::filesystem::path& root) {
  const std::string text = path.lexically_normal().native();
  std::string base = root.lexically_normal().native();
  while (!base.empty() && base.back() == '/') base.pop_back();
  return text.starts_with(base) ? text.substr(base.size()) : text;
}

Opened open_file(const FileSource& source, Signal signal, double wrap, const Place& place, std::string_view hint) {
  REINS_ASSIGN(KernelFile file, KernelFile::open(source.file, KernelFile::Access::kRead, hint));
  KernelFile factor;
  if (!source.factor.empty()) {
    REINS_ASSIGN(factor, KernelFile::open(source.factor, KernelFile::Access::kRead, hint));
  }
  if (signal.source.empty()) {
    signal.source = shown(source.file, place.root);
    if (!source.factor.empty()) signal.source += " x " + source.factor.filename().native();
  }
  auto sensor = std::make_unique<FileSensor>(std::move(signal), std::move(file), std::move(factor), source.scale,
                                             source.offset, wrap, *place.clock);
  REINS_TRY(sensor->read());
  return sensor;
}

Result<FileSource> iio_channel(const std::filesystem::path& folder, std::string_view type, std::string_view index) {
  const std::string stem = "in_" + std::string(type) + std::string(index);
  std::error_code code;
  // iio's processed values and raw x scale are both in milliwatts, millivolts, milliamperes, millidegrees.
  if (std::filesystem::exists(folder / (stem + "_input"), code))
    return FileSource{folder / (stem + "_input"), {}, 1e-3};
  if (!std::filesystem::exists(folder / (stem + "_raw"), code)) {
    return fail(ErrorKind::kNotFound, "has neither " + stem + "_input nor " + stem + "_raw", folder.native());
  }
  for (const std::string& name : {stem + "_scale", "in_" + std::string(type) + "_scale"}) {
    const auto scale_file = KernelFile::open(folder / name);
    if (!scale_file) continue;
    REINS_ASSIGN(const double scale, scale_file->read_number());
    const auto offset_file = KernelFile::open(folder / (stem + "_offset"));
    double offset = 0;
    if (offset_file) {
      REINS_ASSIGN(offset, offset_file->read_number());
    }
    return FileSource{folder / (stem + "_raw"), {}, scale * 1e-3, offset};
  }
  return FileSource{folder / (stem + "_raw"), {}, 1e-3};
}

void file_under(Opened opened, std::string_view name, Quantity quantity, Found& found) {
  if (opened) {
    found.sensors.push_back(std::move(*opened));
  } else {
    found.missing.push_back({std::string(name), quantity, opened.error()});
  }
}

}  // namespace reins::sensors
