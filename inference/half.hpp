// inference/half.hpp: IEEE 754 binary16 to and from float, in integer arithmetic, the same on every machine.
#pragma once

#include <bit>
#include <cstdint>

namespace reins::inference {

/// Largest finite half.
inline constexpr float kMaxHalf = 65504.0F;

/// Exact: every half is a float.
constexpr float from_half(std::uint16_t half) noexcept {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000U) << 16U;
  const std::uint32_t exponent = (half >> 10U) & 0x1fU;
  const std::uint32_t mantissa = half & 0x3ffU;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000U | (mantissa << 13U));
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23U) | (mantissa << 13U));
  // Subnormal: mantissa * 2^-24, exact in float.
  const float value = static_cast<float>(mantissa) * 0x1.0p-24F;
  return sign != 0 ? -value : value;
}

/// Nearest half, ties to even. Above the largest half: infinity. NaN stays NaN.
constexpr std::uint16_t to_half(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16U) & 0x8000U);
  const std::uint32_t magnitude = bits & 0x7fffffffU;
  if (magnitude > 0x7f800000U) return static_cast<std::uint16_t>(sign | 0x7e00U);
  if (magnitude >= 0x477ff000U) return static_cast<std::uint16_t>(sign | 0x7c00U);  // 65520 and above round to infinity
  if (magnitude >= 0x38800000U) {                                                   // normal half
    const std::uint32_t rounded = magnitude + 0xfffU + ((magnitude >> 13U) & 1U);
    return static_cast<std::uint16_t>(sign | ((rounded - 0x38000000U) >> 13U));
  }
  if (magnitude < 0x33000000U) return sign;  // below half of the smallest subnormal
  const std::uint32_t shift = 126U - (magnitude >> 23U);
  const std::uint32_t mantissa = (magnitude & 0x7fffffU) | 0x800000U;
  const std::uint32_t kept = mantissa >> shift;
  const std::uint32_t rest = mantissa & ((1U << shift) - 1U);
  const std::uint32_t middle = 1U << (shift - 1U);
  const bool up = rest > middle || (rest == middle && (kept & 1U) != 0);
  return static_cast<std::uint16_t>(sign | (kept + (up ? 1U : 0U)));
}

}  // namespace reins::inference
