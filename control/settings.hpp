// control/settings.hpp: the Runtime's knobs as text: from TOML, and into and out of a policy file, so that a policy is
// deployed with the settings it was trained under.
#pragma once

#include <map>
#include <string>

#include "control/runtime.hpp"
#include "core/toml.hpp"

namespace reins::control {

/// Keys such as "shield.latency_margin". Absent keys keep their defaults. Errors: garbled (unknown key, out of range).
Result<RuntimeConfig> runtime_from_settings(const std::map<std::string, std::string>& settings, std::string_view where);
std::map<std::string, std::string> settings_of(const RuntimeConfig& config);
/// The same keys as a TOML table, without nesting: "shield.latency_margin" is written shield_latency_margin.
Result<RuntimeConfig> runtime_from_toml(const TomlTable& table);

}  // namespace reins::control
