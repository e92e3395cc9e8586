// core/ids.hpp: small strong types for what is counted and could be mistaken for each other.
#pragma once

#include <compare>
#include <cstdint>

namespace reins {

/// An index that does not mix with others. -1 means none.
template <typename Tag>
struct Id {
  std::int32_t value = -1;

  constexpr Id() noexcept = default;
  constexpr explicit Id(std::int64_t v) noexcept : value(static_cast<std::int32_t>(v)) {}
  constexpr explicit Id(std::size_t v) noexcept : value(static_cast<std::int32_t>(v)) {}
  constexpr explicit Id(int v) noexcept : value(v) {}
  constexpr bool valid() const noexcept { return value >= 0; }
  constexpr std::size_t index() const noexcept { return static_cast<std::size_t>(value); }
  friend constexpr auto operator<=>(const Id&, const Id&) noexcept = default;
};

/// Level of a dynamic network: 0 is the smallest, levels-1 the full network. (People read level 1..N: add one to
/// print.)
using LevelId = Id<struct LevelTag>;
/// Index into Board::mappings.
using MappingId = Id<struct MappingTag>;
/// Index into Cluster::opps, ascending in frequency.
using OppId = Id<struct OppTag>;
/// Index into Board::clusters.
using ClusterId = Id<struct ClusterTag>;
/// A running application; 0 where there is one.
using AppId = Id<struct AppTag>;

}  // namespace reins
