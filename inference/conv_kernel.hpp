// inference/conv_kernel.hpp: the arithmetic of one stage of the group network, chosen at run time for the processor at
// hand.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace reins::inference {

/// Channels that buffers and weights are padded to a multiple of.
inline constexpr std::size_t kLanes = 16;
constexpr std::size_t padded(std::size_t channels) noexcept { return (channels + kLanes - 1) / kLanes * kLanes; }

/// How a 3x3 convolution is computed. Winograd's F(2x2, 3x3) takes 16 multiplications where the direct form takes 36
/// (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4.1), and more memory: 16
/// numbers per filter instead of 9. It needs an even size.
enum class ConvForm { kDirect, kWinograd };

/// One 3x3 convolution with bias, ReLU and an optional 2x2 max-pool, over channels-last buffers with a border of zeros.
/// Pointers are the caller's; those marked so are aligned to 64 bytes.
struct StageView {
  ConvForm form = ConvForm::kDirect;
  std::size_t in_channels = 0;        ///< summed over
  std::size_t out_channels = 0;       ///< of the convolution
  std::size_t in_stride = 0;          ///< floats per input pixel; for Winograd a multiple of 16, the input aligned
  std::size_t out_stride = 0;         ///< padded(out_channels) = floats per output pixel
  std::size_t height = 0, width = 0;  ///< of the input without its border; the pool halves the output
  bool pool = false;
  std::size_t out_border = 0;      ///< pixels of border that the output buffer has
  const float* weights = nullptr;  ///< of pack_direct or pack_winograd, aligned
  const float* bias = nullptr;     ///< [out_stride], aligned
  const float* in = nullptr;       ///< [height + 2][width + 2][in_stride]
  float* out = nullptr;            ///< [.. + 2 border][.. + 2 border][out_stride], aligned

  /// What the work can be cut into: output rows, or with Winograd rows of 2x2 tiles.
  std::size_t steps() const noexcept { return form == ConvForm::kWinograd || pool ? height / 2 : height; }
  std::size_t scratch_floats() const noexcept;
};

/// The faster of the two forms, as measured.
ConvForm best_form(std::size_t in_channels, std::size_t height, std::size_t width) noexcept;
/// [out, in, 3, 3] to what the kernels read; what lies beyond the last channel is zero. Of a direct form whose last
/// block of 16 has at most 8 channels, these follow once more, two taps side by side.
std::vector<float> pack_weights(ConvForm form, const float* weights, std::size_t out, std::size_t in);

struct Kernels {
  std::string_view name;  ///< "avx512", "avx2", "baseline"
  /// Steps [first, last) of a stage. `scratch`: scratch_floats() of this thread's own, aligned.
  void (*run_steps)(const StageView& stage, std::size_t first, std::size_t last, float* scratch) = nullptr;
  /// sum of a[i] * b[i]; n a multiple of 16, both aligned.
  float (*dot)(const float* a, const float* b, std::size_t n) = nullptr;
};

/// The fastest that this processor runs. The same on every call.
const Kernels& best_kernels() noexcept;
/// "avx512", "avx2" or "baseline"; nullptr where this processor or build has no such one. For tests.
const Kernels* kernels_named(std::string_view name) noexcept;

}  // namespace reins::inference
