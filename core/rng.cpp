#include "core/rng.hpp"

#include <bit>
#include <cmath>

namespace reins {
namespace {

std::uint64_t splitmix64(std::uint64_t& x) noexcept {
  x += 0x9E3779B97F4A7C15ULL;
  std::uint64_t z = x;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

}  // namespace

Rng::Rng(std::uint64_t seed) noexcept {
  for (auto& word : state_.words) word = splitmix64(seed);
}

std::uint64_t Rng::next() noexcept {
  auto& s = state_.words;
  const std::uint64_t result = std::rotl(s[1] * 5, 7) * 9;
  const std::uint64_t t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = std::rotl(s[3], 45);
  return result;
}

double Rng::uniform() noexcept { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

std::uint64_t Rng::below(std::uint64_t n) noexcept {
  // Rejection keeps it exactly uniform.
  const std::uint64_t limit = n * (UINT64_MAX / n);
  std::uint64_t x = next();
  while (x >= limit) x = next();
  return x % n;
}

double Rng::normal() noexcept {
  if (state_.has_spare) {
    state_.has_spare = false;
    return state_.spare;
  }
  double u = 0;
  double v = 0;
  double s = 0;
  do {
    u = uniform(-1, 1);
    v = uniform(-1, 1);
    s = u * u + v * v;
  } while (s >= 1 || s == 0);
  const double factor = std::sqrt(-2 * std::log(s) / s);
  state_.spare = v * factor;
  state_.has_spare = true;
  return u * factor;
}

double Rng::exponential(double mean) noexcept { return -mean * std::log1p(-uniform()); }

Rng Rng::fork(std::uint64_t stream) const noexcept {
  std::uint64_t mix = state_.words[0] ^ std::rotl(state_.words[3], 17);
  mix ^= splitmix64(stream);
  return Rng(splitmix64(mix));
}

}  // namespace reins
