// core/rng.hpp: seeded random numbers with the same stream on every machine and standard library.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace reins {

/// xoshiro256** (Blackman & Vigna, 2018), seeded through SplitMix64. Distributions are written out here because the
/// standard's are not the same from one library to the next. One instance, one thread.
class Rng {
 public:
  explicit Rng(std::uint64_t seed) noexcept;

  std::uint64_t next() noexcept;
  /// Uniform in [0, 1), 53 bits.
  double uniform() noexcept;
  double uniform(double low, double high) noexcept { return low + (high - low) * uniform(); }
  /// Uniform in {0, ..., n-1}; n > 0.
  std::uint64_t below(std::uint64_t n) noexcept;
  /// The same, of things in memory.
  std::size_t index(std::size_t n) noexcept { return static_cast<std::size_t>(below(n)); }
  /// Standard normal (Marsaglia's polar method).
  double normal() noexcept;
  /// Exponential with the given mean.
  double exponential(double mean) noexcept;
  /// A generator whose stream is independent of this one and of every other `stream` number.
  Rng fork(std::uint64_t stream) const noexcept;

  /// The whole state, to save and restore: a resumed run goes on bit for bit.
  struct State {
    std::array<std::uint64_t, 4> words{};
    double spare = 0;
    bool has_spare = false;
  };
  State state() const noexcept { return state_; }
  void restore(const State& state) noexcept { state_ = state; }

 private:
  State state_;
};

}  // namespace reins
