// apps/inventory_print.hpp: the inventory for people: a screenful, or all of it.
#pragma once

#include <cstdint>
#include <string>

#include "sensors/inventory.hpp"

namespace reins::apps {

/// "1800", "49.5": megahertz as people write them.
std::string mhz(std::int64_t khz);

/// To standard output. `all`: every policy, zone, state and writable file, where else alike ones share a line and long
/// lists are cut, which is said.
void print_inventory(const sensors::Inventory& inventory, bool all);

}  // namespace reins::apps
