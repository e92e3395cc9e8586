// actuators/actuator.hpp: one knob of the machine, which remembers what it found and puts it back.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "core/result.hpp"

namespace reins::actuators {

struct FreqKhz {
  std::int64_t khz = 0;
  friend bool operator==(const FreqKhz&, const FreqKhz&) noexcept = default;
};

/// A governor by the kernel's name ("schedutil", "nvhost_podgov"). Cut at 31 characters, beyond which the kernel has
/// none.
class GovernorName {
 public:
  GovernorName() noexcept = default;
  explicit GovernorName(std::string_view name) noexcept {
    std::copy_n(name.begin(), std::min(name.size(), text_.size() - 1), text_.begin());
  }
  std::string_view text() const noexcept { return {text_.data()}; }
  friend bool operator==(const GovernorName&, const GovernorName&) noexcept = default;

 private:
  std::array<char, 32> text_{};
};

/// Cpu time per time, in cpus: 0.5 is half a cpu. 0: no limit.
struct QuotaCpus {
  double cpus = 0;
  friend bool operator==(const QuotaCpus&, const QuotaCpus&) noexcept = default;
};

/// What an actuator is set to. Each takes its own kinds: a frequency actuator FreqKhz and GovernorName, a quota
/// QuotaCpus. Where threads run is no setting here: each engine places its own workers (inference::Placement).
using Setting = std::variant<FreqKhz, GovernorName, QuotaCpus>;

/// What other programs have done to a control since it was first set here.
struct Foreign {
  std::uint64_t changes = 0;  ///< times that its governor or minimum was found other than it was left here
  bool taken = false;         ///< it is so now: nothing is written here until both are given back
  GovernorName governor;      ///< the one last seen
};

/// Threads: one instance, one thread. Owns its file descriptors. Goes -> restores.
class Actuator {
 public:
  virtual ~Actuator() = default;
  /// What it sets, e.g. "a15": a cluster's name, or what it was given.
  virtual std::string_view name() const noexcept = 0;
  /// The file, folder or call behind it, as people look for it.
  virtual std::string_view source() const noexcept = 0;

  /// Puts `setting` in force and hands out what is in force then, read back: rounded and capped as the kernel does.
  /// The first call also saves what was found, and returns only once that is on disk. It allocates, as does the first
  /// with another governor; no other one does.
  /// Errors: unsupported (another kind of setting), usage (a value it cannot take), denied, gone, busy (somebody else
  /// sets it), io.
  virtual Result<Setting> apply(const Setting& setting) noexcept = 0;

  /// What is in force now. Never allocates.
  virtual Result<Setting> present() noexcept = 0;

  /// Puts back what was found before the first apply(); nothing where there was none, and nothing over what another
  /// program has put there since. May be called again, and apply() after it.
  virtual Status restore() noexcept = 0;
};

/// A frequency actuator knows what it may be set to.
class FrequencyActuator : public Actuator {
 public:
  /// Ascending; empty where the driver takes any value between its limits.
  virtual std::span<const std::int64_t> available_khz() const noexcept = 0;
  /// The highest frequency that may be set now: what users and power modes asked for at the start, lowered by cooling
  /// devices while they cool. Read, never fought; the first apply() tells the two apart, by asking for the top once.
  /// While a driver pins (min = max) the maximum in force is its own, so that a cap above it does not show: it is then
  /// the one last seen, and each apply() looks whether it still stands.
  virtual Result<std::int64_t> cap_khz() noexcept = 0;
  /// True where frequencies are set by min = max because the `userspace` governor is missing.
  virtual bool pins() const noexcept = 0;
  /// Whether the control is as it was left here: one read each of governor, minimum and maximum. apply() looks too.
  /// What another program has taken is left alone (apply: busy) until its governor and minimum are again as they were
  /// left here. A maximum is no taking: it is kept to, as a cap.
  virtual Result<Foreign> look() noexcept = 0;
  /// What the last look saw.
  virtual Foreign foreign() const noexcept = 0;
};

}  // namespace reins::actuators
