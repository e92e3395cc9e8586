// apps/inventory_json.hpp: the inventory for machines; its keys are described in docs/board-json.md.
#pragma once

#include <nlohmann/json.hpp>

#include "sensors/inventory.hpp"

namespace reins::apps {

/// What a kernel does not publish is null, or an empty list.
nlohmann::json inventory_json(const sensors::Inventory& inventory);

}  // namespace reins::apps
