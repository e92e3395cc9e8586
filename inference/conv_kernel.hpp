// inference/conv_kernel.hpp: the arithmetic of one stage of the group network, chosen at run time for the processor at
// hand.
#pragma once

#include <cstddef>
#include <string_view>

namespace reins::inference {

/// Channels that one vector of the kernels holds; buffers and weights are padded to a multiple of it.
inline constexpr std::size_t kLanes = 16;
constexpr std::size_t padded(std::size_t channels) noexcept { return (channels + kLanes - 1) / kLanes * kLanes; }

/// One 3x3 convolution with bias, ReLU and an optional 2x2 max-pool, over channels-last buffers with a border of zeros.
/// Pointers are the caller's; those marked so are aligned to 64 bytes.
struct StageView {
  std::size_t in_channels = 0;        ///< summed over
  std::size_t in_stride = 0;          ///< floats per input pixel
  std::size_t out_stride = 0;         ///< padded(out channels) = floats per output pixel
  std::size_t height = 0, width = 0;  ///< of the input without its border; the pool halves the output
  bool pool = false;
  std::size_t out_border = 0;      ///< pixels of border that the output buffer has
  const float* weights = nullptr;  ///< [out_stride / 16][3][3][in_channels][16], aligned
  const float* bias = nullptr;     ///< [out_stride], aligned
  const float* in = nullptr;       ///< [height + 2][width + 2][in_stride]
  float* out = nullptr;            ///< [.. + 2 border][.. + 2 border][out_stride], aligned
};

struct Kernels {
  std::string_view name;  ///< "avx512", "avx2", "baseline"
  /// Output rows [first, last) (behind the pool). `scratch`: 2 * width * out_stride floats of this thread's own,
  /// aligned.
  void (*stage_rows)(const StageView& stage, std::size_t first, std::size_t last, float* scratch) = nullptr;
  /// sum of a[i] * b[i]; n a multiple of 16, both aligned.
  float (*dot)(const float* a, const float* b, std::size_t n) = nullptr;
};

/// The fastest that this processor runs. The same on every call.
const Kernels& best_kernels() noexcept;
/// "avx512", "avx2" or "baseline"; nullptr where this processor or build has no such one. For tests.
const Kernels* kernels_named(std::string_view name) noexcept;

}  // namespace reins::inference
