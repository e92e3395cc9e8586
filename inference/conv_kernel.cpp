#include "inference/conv_kernel.hpp"

#include <algorithm>

namespace reins::inference {
namespace {

// The bodies are written once, on GCC's and Clang's vector types, and compiled once per instruction set: they are
// inlined into functions that carry the target attribute. Tile sizes follow the number of registers.
using Vec = float __attribute__((vector_size(64)));
static_assert(sizeof(Vec) == kLanes * sizeof(float));

#define REINS_INLINE [[gnu::always_inline]] inline

// `Pixels` neighbours in a row x `Blocks` x 16 output channels, held in registers over the whole sum.
template <std::size_t Pixels, std::size_t Blocks>
REINS_INLINE void tile(const StageView& s, std::size_t y, std::size_t x, std::size_t block, float* out) {
  const std::size_t line = (s.width + 2) * s.in_stride;
  const std::size_t block_weights = 9 * s.in_channels * kLanes;
  const float* const first_weights = s.weights + block * block_weights;
  Vec sum[Pixels][Blocks];
  for (std::size_t b = 0; b < Blocks; ++b) {
    const Vec bias = *reinterpret_cast<const Vec*>(s.bias + (block + b) * kLanes);
    for (std::size_t p = 0; p < Pixels; ++p) sum[p][b] = bias;
  }
  for (std::size_t ky = 0; ky < 3; ++ky) {
    for (std::size_t kx = 0; kx < 3; ++kx) {
      const float* const in = s.in + (y + ky) * line + (x + kx) * s.in_stride;
      const float* const weights = first_weights + (ky * 3 + kx) * s.in_channels * kLanes;
      for (std::size_t c = 0; c < s.in_channels; ++c) {
        Vec w[Blocks];
        for (std::size_t b = 0; b < Blocks; ++b) {
          w[b] = *reinterpret_cast<const Vec*>(weights + b * block_weights + c * kLanes);
        }
        for (std::size_t p = 0; p < Pixels; ++p) {
          const float value = in[p * s.in_stride + c];
          for (std::size_t b = 0; b < Blocks; ++b) sum[p][b] += value * w[b];
        }
      }
    }
  }
  const Vec zero = {};
  for (std::size_t p = 0; p < Pixels; ++p) {
    for (std::size_t b = 0; b < Blocks; ++b) {
      *reinterpret_cast<Vec*>(out + p * s.out_stride + (block + b) * kLanes) = sum[p][b] > zero ? sum[p][b] : zero;
    }
  }
}

template <std::size_t Pixels, std::size_t Blocks>
REINS_INLINE void row_of_blocks(const StageView& s, std::size_t y, std::size_t block, float* out) {
  std::size_t x = 0;
  for (; x + Pixels <= s.width; x += Pixels) tile<Pixels, Blocks>(s, y, x, block, out + x * s.out_stride);
  for (; x < s.width; ++x) tile<1, Blocks>(s, y, x, block, out + x * s.out_stride);
}

// One row of the convolution: width x out_stride floats to `out`.
template <std::size_t Pixels, std::size_t Blocks>
REINS_INLINE void conv_row(const StageView& s, std::size_t y, float* out) {
  const std::size_t blocks = s.out_stride / kLanes;
  std::size_t block = 0;
  for (; block + Blocks <= blocks; block += Blocks) row_of_blocks<Pixels, Blocks>(s, y, block, out);
  if constexpr (Blocks > 1) {
    for (; block < blocks; ++block) row_of_blocks<Pixels, 1>(s, y, block, out);
  }
}

template <std::size_t Pixels, std::size_t Blocks>
REINS_INLINE void stage_rows_body(const StageView& s, std::size_t first, std::size_t last, float* scratch) {
  const std::size_t out_width = s.pool ? s.width / 2 : s.width;
  const std::size_t out_line = (out_width + 2 * s.out_border) * s.out_stride;
  for (std::size_t row = first; row < last; ++row) {
    float* const out = s.out + (row + s.out_border) * out_line + s.out_border * s.out_stride;
    if (!s.pool) {
      conv_row<Pixels, Blocks>(s, row, out);
      continue;
    }
    float* const below = scratch + s.width * s.out_stride;
    conv_row<Pixels, Blocks>(s, 2 * row, scratch);
    conv_row<Pixels, Blocks>(s, 2 * row + 1, below);
    for (std::size_t x = 0; x < out_width; ++x) {
      for (std::size_t c = 0; c < s.out_stride; c += kLanes) {
        const std::size_t left = 2 * x * s.out_stride + c;
        const std::size_t right = left + s.out_stride;
        const Vec a = *reinterpret_cast<const Vec*>(scratch + left);
        const Vec b = *reinterpret_cast<const Vec*>(scratch + right);
        const Vec d = *reinterpret_cast<const Vec*>(below + left);
        const Vec e = *reinterpret_cast<const Vec*>(below + right);
        const Vec upper = a > b ? a : b;
        const Vec lower = d > e ? d : e;
        *reinterpret_cast<Vec*>(out + x * s.out_stride + c) = upper > lower ? upper : lower;
      }
    }
  }
}

REINS_INLINE float dot_body(const float* a, const float* b, std::size_t n) {
  Vec sum = {};
  for (std::size_t i = 0; i < n; i += kLanes) {
    sum += *reinterpret_cast<const Vec*>(a + i) * *reinterpret_cast<const Vec*>(b + i);
  }
  float total = 0;
  for (std::size_t lane = 0; lane < kLanes; ++lane) total += sum[lane];
  return total;
}

#if defined(__x86_64__)
[[gnu::target("avx512f,avx512vl,avx512dq,fma")]] void stage_rows_avx512(const StageView& s, std::size_t first,
                                                                        std::size_t last, float* scratch) {
  stage_rows_body<8, 2>(s, first, last, scratch);
}
[[gnu::target("avx512f,avx512vl,avx512dq,fma")]] float dot_avx512(const float* a, const float* b, std::size_t n) {
  return dot_body(a, b, n);
}
[[gnu::target("avx2,fma")]] void stage_rows_avx2(const StageView& s, std::size_t first, std::size_t last,
                                                 float* scratch) {
  stage_rows_body<4, 1>(s, first, last, scratch);
}
[[gnu::target("avx2,fma")]] float dot_avx2(const float* a, const float* b, std::size_t n) { return dot_body(a, b, n); }
constexpr std::size_t kBaselinePixels = 2;  // 16 registers of 4 lanes
#else
constexpr std::size_t kBaselinePixels = 4;  // AArch64: 32 registers of 4 lanes
#endif

void stage_rows_baseline(const StageView& s, std::size_t first, std::size_t last, float* scratch) {
  stage_rows_body<kBaselinePixels, 1>(s, first, last, scratch);
}
float dot_baseline(const float* a, const float* b, std::size_t n) { return dot_body(a, b, n); }

constexpr Kernels kBaseline{.name = "baseline", .stage_rows = stage_rows_baseline, .dot = dot_baseline};
#if defined(__x86_64__)
constexpr Kernels kAvx2{.name = "avx2", .stage_rows = stage_rows_avx2, .dot = dot_avx2};
constexpr Kernels kAvx512{.name = "avx512", .stage_rows = stage_rows_avx512, .dot = dot_avx512};
#endif

}  // namespace

const Kernels* kernels_named(std::string_view name) noexcept {
  if (name == kBaseline.name) return &kBaseline;
#if defined(__x86_64__)
  if (name == kAvx2.name && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &kAvx2;
  if (name == kAvx512.name && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq")) {
    return &kAvx512;
  }
#endif
  return nullptr;
}

const Kernels& best_kernels() noexcept {
  for (const std::string_view name : {"avx512", "avx2"}) {
    if (const Kernels* found = kernels_named(name); found != nullptr) return *found;
  }
  return kBaseline;
}

}  // namespace reins::inference
