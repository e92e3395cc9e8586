// Batteries (Documentation/ABI/testing/sysfs-class-power): power_now in microwatts, or voltage_now x current_now; the
// sign of current differs between drivers, so `status` decides. While it charges, what flows says nothing about what
// the board uses.
#include <cmath>

#include "sensors/linux/attribute.hpp"

namespace reins::sensors {
namespace {

class BatteryPower final : public Sensor {
 public:
  BatteryPower(std::unique_ptr<Sensor> flow, KernelFile status) noexcept
      : flow_(std::move(flow)), status_(std::move(status)) {}
  const Signal& signal() const noexcept override { return flow_->signal(); }

  Result<Reading> read() noexcept override {
    std::array<char, 64> buffer;
    const auto status = status_.read_text(buffer);
    if (!status) return fail(status.error());
    if (*status != "Discharging") {
      return fail(ErrorKind::kUnsupported, "the battery is not discharging, so its power is not the board's",
                  status_.path(), "unplug the charger to measure");
    }
    auto reading = flow_->read();
    if (reading) reading->value = std::abs(reading->value);
    return reading;
  }

 private:
  std::unique_ptr<Sensor> flow_;
  KernelFile status_;
};

}  // namespace

Opened open_battery(const std::filesystem::path& supply, const Wanted& wanted, const Place& place) {
  Signal signal = signal_of(wanted, Behaviour::kGauge);
  if (wanted.quantity == Quantity::kBatteryFraction) {
    return open_file({supply / "capacity", {}, 1e-2}, std::move(signal), 0, place, {});
  }
  REINS_ASSIGN(KernelFile status, KernelFile::open(supply / "status"));
  std::error_code code;
  const FileSource source = std::filesystem::exists(supply / "power_now", code)
                                ? FileSource{supply / "power_now", {}, 1e-6}
                                : FileSource{supply / "voltage_now", supply / "current_now", 1e-12};
  REINS_ASSIGN(auto flow, open_file(source, std::move(signal), 0, place, {}));
  return std::make_unique<BatteryPower>(std::move(flow), std::move(status));
}

Opened open_power_supply(const Wanted& wanted, const Place& place) {
  for (const auto& supply : find_paths(place.root, "sys/class/power_supply/" + std::string(wanted.address))) {
    if (first_line(supply / "type") == "Battery") return open_battery(supply, wanted, place);
  }
  return fail(ErrorKind::kNotFound, "there is no battery '" + std::string(wanted.address) + "'",
              (place.root / "sys/class/power_supply").native());
}

void discover_power_supply(const Place& place, Found& found) {
  for (const auto& supply : find_paths(place.root, "sys/class/power_supply/*")) {
    if (first_line(supply / "type") != "Battery") continue;
    const std::string name = supply.filename().native();
    for (const Quantity quantity : {Quantity::kPowerW, Quantity::kBatteryFraction}) {
      file_under(open_battery(supply, {{}, name, quantity, 0}, place), name, quantity, found);
    }
  }
}

}  // namespace reins::sensors
