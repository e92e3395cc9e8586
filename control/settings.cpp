#include "control/settings.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/csv.hpp"

namespace reins::control {
namespace {

/// One knob: its key, its range, and how it is read and written as a number.
struct Knob {
  std::string_view key;
  double low, high;
  double (*get)(const RuntimeConfig&);
  void (*set)(RuntimeConfig&, double);
};

constexpr std::array<Knob, 26> kKnobs{{
    {"queue_limit", 1, 256, [](const RuntimeConfig& c) { return static_cast<double>(c.queue_limit); },
     [](RuntimeConfig& c, double v) { c.queue_limit = static_cast<std::size_t>(v); }},
    {"park_delay_s", 0, 10, [](const RuntimeConfig& c) { return c.park_delay_s; },
     [](RuntimeConfig& c, double v) { c.park_delay_s = v; }},
    {"decision_interval_s", 0, 60, [](const RuntimeConfig& c) { return c.decision_interval_s; },
     [](RuntimeConfig& c, double v) { c.decision_interval_s = v; }},
    {"grow", 0, 1, [](const RuntimeConfig& c) { return c.grow ? 1.0 : 0.0; },
     [](RuntimeConfig& c, double v) { c.grow = v != 0; }},
    {"late_last", 0, 1, [](const RuntimeConfig& c) { return c.late_last ? 1.0 : 0.0; },
     [](RuntimeConfig& c, double v) { c.late_last = v != 0; }},
    {"late_hold", 0, 100, [](const RuntimeConfig& c) { return c.late_hold; },
     [](RuntimeConfig& c, double v) { c.late_hold = v; }},
    {"outlook", 0, 64, [](const RuntimeConfig& c) { return static_cast<double>(c.outlook); },
     [](RuntimeConfig& c, double v) { c.outlook = static_cast<int>(v); }},
    {"rate_tau_s", 0.01, 60, [](const RuntimeConfig& c) { return c.rate_tau_s; },
     [](RuntimeConfig& c, double v) { c.rate_tau_s = v; }},
    {"demand_gain", 0.0001, 1, [](const RuntimeConfig& c) { return c.demand_gain; },
     [](RuntimeConfig& c, double v) { c.demand_gain = v; }},
    {"gap_gain", 0.001, 1, [](const RuntimeConfig& c) { return c.gap_gain; },
     [](RuntimeConfig& c, double v) { c.gap_gain = v; }},
    {"slow_down_gain", 0, 1, [](const RuntimeConfig& c) { return c.slow_down_gain; },
     [](RuntimeConfig& c, double v) { c.slow_down_gain = v; }},
    {"shield.enabled", 0, 1, [](const RuntimeConfig& c) { return c.shield.enabled ? 1.0 : 0.0; },
     [](RuntimeConfig& c, double v) { c.shield.enabled = v != 0; }},
    {"shield.latency_margin", 0, 1, [](const RuntimeConfig& c) { return c.shield.latency_margin; },
     [](RuntimeConfig& c, double v) { c.shield.latency_margin = v; }},
    {"shield.horizon_s", 0.1, 60, [](const RuntimeConfig& c) { return c.shield.horizon_s; },
     [](RuntimeConfig& c, double v) { c.shield.horizon_s = v; }},
    {"shield.thermal_margin_c", 0, 20, [](const RuntimeConfig& c) { return c.shield.thermal_margin_c; },
     [](RuntimeConfig& c, double v) { c.shield.thermal_margin_c = v; }},
    {"shield.dwell_s", 0, 10, [](const RuntimeConfig& c) { return c.shield.dwell_s; },
     [](RuntimeConfig& c, double v) { c.shield.dwell_s = v; }},
    {"shield.rescue", 0, 1, [](const RuntimeConfig& c) { return c.shield.rescue ? 1.0 : 0.0; },
     [](RuntimeConfig& c, double v) { c.shield.rescue = v != 0; }},
    {"shield.start_margin", -0.3, 1, [](const RuntimeConfig& c) { return c.shield.start_margin; },
     [](RuntimeConfig& c, double v) { c.shield.start_margin = v; }},
    {"shield.ease", 0, 1, [](const RuntimeConfig& c) { return c.shield.ease ? 1.0 : 0.0; },
     [](RuntimeConfig& c, double v) { c.shield.ease = v != 0; }},
    {"shield.ease_late", 0, 1, [](const RuntimeConfig& c) { return c.shield.ease_late ? 1.0 : 0.0; },
     [](RuntimeConfig& c, double v) { c.shield.ease_late = v != 0; }},
    {"shield.late_margin", 0, 10, [](const RuntimeConfig& c) { return c.shield.late_margin; },
     [](RuntimeConfig& c, double v) { c.shield.late_margin = v; }},
    {"shield.accuracy_worth", 0, 100, [](const RuntimeConfig& c) { return c.shield.accuracy_worth; },
     [](RuntimeConfig& c, double v) { c.shield.accuracy_worth = v; }},
    {"shield.move", 0, 1, [](const RuntimeConfig& c) { return c.shield.move ? 1.0 : 0.0; },
     [](RuntimeConfig& c, double v) { c.shield.move = v != 0; }},
    {"shield.hurry", 0, 1, [](const RuntimeConfig& c) { return c.shield.hurry ? 1.0 : 0.0; },
     [](RuntimeConfig& c, double v) { c.shield.hurry = v != 0; }},
    {"energy.updates_per_window", 1, 100,
     [](const RuntimeConfig& c) { return static_cast<double>(c.energy.updates_per_window); },
     [](RuntimeConfig& c, double v) { c.energy.updates_per_window = static_cast<int>(v); }},
    {"energy.gain", 0.001, 1, [](const RuntimeConfig& c) { return c.energy.gain; },
     [](RuntimeConfig& c, double v) { c.energy.gain = v; }},
}};

}  // namespace

Result<RuntimeConfig> runtime_from_settings(const std::map<std::string, std::string>& settings,
                                            std::string_view where) {
  RuntimeConfig config;
  for (const auto& [key, text] : settings) {
    const auto knob = std::find_if(kKnobs.begin(), kKnobs.end(), [&key = key](const Knob& k) { return k.key == key; });
    if (knob == kKnobs.end()) {
      return fail(ErrorKind::kMismatch, "unknown runtime setting '" + key + "'", where,
                  "the policy was frozen by another version of reins");
    }
    REINS_ASSIGN(const double value, parse_number(text, std::string(where) + " setting " + key));
    if (value < knob->low || value > knob->high) {
      return fail(ErrorKind::kGarbled, "runtime setting '" + key + "' is out of range: " + text, where);
    }
    knob->set(config, value);
  }
  return config;
}

std::map<std::string, std::string> settings_of(const RuntimeConfig& config) {
  std::map<std::string, std::string> settings;
  for (const Knob& knob : kKnobs) settings.emplace(knob.key, format_number(knob.get(config)));
  return settings;
}

Result<RuntimeConfig> runtime_from_toml(const TomlTable& table) {
  RuntimeConfig config;
  for (const Knob& knob : kKnobs) {
    std::string key(knob.key);
    std::replace(key.begin(), key.end(), '.', '_');
    REINS_ASSIGN(const double value, table.number_or(key, knob.get(config), knob.low, knob.high));
    knob.set(config, value);
  }
  REINS_TRY(table.reject_unknown());
  return config;
}

}  // namespace reins::control
