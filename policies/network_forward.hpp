// policies/network_forward.hpp: the forward pass of a conditional policy network, head by head, in plain float32.
#pragma once

#include <array>
#include <cstdint>
#include <new>
#include <span>
#include <vector>

#include "policies/policy_network.hpp"

namespace reins::policies {

/// What every head holds an action to be worth. Entries the mask forbids are computed too.
struct HeadValues {
  std::array<float, kMaxMappings> mapping{};
  std::array<float, kMaxLevels> level{};  ///< given the mapping
  std::array<float, kMaxOpps> opp{};      ///< given mapping and level
  std::array<float, kMaxOpps> park{};     ///< given mapping, level and operating point
  float value = 0;                        ///< of the state; to be added to each of the above
};

/// Replaces a head's greedy choice: below 0 greedy, else allowed choice number `draw % number of allowed choices`.
using HeadDraws = std::array<std::int64_t, 4>;
inline constexpr HeadDraws kGreedy = {-1, -1, -1, -1};

/// Weights packed for speed, and the forward pass on them. The same bits on every IEEE machine and for every
/// instruction set: each output adds its inputs in order (axpy), and no multiply-add is fused. Const functions may run
/// on several threads. Deciding allocates nothing.
class NetworkForward {
 public:
  /// Errors: those of PolicyNetwork::check; mismatch where the space does not fit the network.
  static Result<NetworkForward> make(const PolicyNetwork& network, const ActionSpace& space);

  /// Takes over new weights of the same shape. Allocates nothing.
  void load(const PolicyNetwork& network) noexcept;

  /// Masked argmax head by head (the lowest index among equals), or as drawn. `features` has shape().features entries.
  /// The choice respects `mask`, which must be empty nowhere it is asked.
  HeadChoice choose(std::span<const float> features, const ActionMask& mask,
                    const HeadDraws& draws = kGreedy) const noexcept;

  /// The value of the state and of a park point given what was chosen before it: value + park[choice.park].
  float park_value(std::span<const float> features, const HeadChoice& choice) const noexcept;

  /// All heads along the prefix `choice`. For tests and figures; slower.
  HeadValues values(std::span<const float> features, const HeadChoice& choice) const noexcept;

  const NetworkShape& shape() const noexcept { return shape_; }

  /// What is told of an operating point besides which it is.
  struct Points {
    std::array<std::array<float, kMaxOpps>, kMaxMappings> relative{};
    ReachTable reach{};
    float reached(const float* features, std::size_t mapping, std::size_t opp) const noexcept {
      const std::size_t feature = reach[mapping][opp];
      return feature != 0 ? features[feature - 1] : 0;
    }
  };
  const Points& points() const noexcept { return points_; }

 private:
  // On cache lines of its own: wide loads then never straddle two.
  template <typename T>
  struct CacheLines {
    using value_type = T;
    CacheLines() noexcept = default;
    template <typename U>
    explicit CacheLines(const CacheLines<U>&) noexcept {}
    T* allocate(std::size_t n) { return static_cast<T*>(::operator new (n * sizeof(T), std::align_val_t{64})); }
    void deallocate(T* p, std::size_t) noexcept { ::operator delete (p, std::align_val_t{64}); }
    friend bool operator==(const CacheLines&, const CacheLines&) noexcept { return true; }
  };

  NetworkShape shape_;
  std::vector<float, CacheLines<float>> packed_;
  Points points_;
};

}  // namespace reins::policies
