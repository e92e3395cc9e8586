#include "inference/conv_kernel.hpp"

#include <algorithm>
#include <array>

namespace reins::inference {
namespace {

// The bodies are written once, on GCC's and Clang's vector types, and compiled once per instruction set: they are
// inlined into functions that carry the target attribute. Tile sizes follow the width and the number of registers.
#define REINS_INLINE [[gnu::always_inline]] inline

using Vec4 = float __attribute__((vector_size(16)));
using Vec8 = float __attribute__((vector_size(32)));
using Vec16 = float __attribute__((vector_size(64)));
using Mask16 = int __attribute__((vector_size(64)));
using Doubles8 = double __attribute__((vector_size(64)));

// What one instruction set can hold: floats per register, and of Winograd's products register tiles of pixels x blocks
// of 16 channels.
template <typename V, std::size_t Pixels, std::size_t Blocks>
struct Isa {
  using Vec = V;
  static constexpr std::size_t kWidth = sizeof(Vec) / sizeof(float);
  static constexpr std::size_t kPixels = Pixels;
  static constexpr std::size_t kBlocks = Blocks;
  static constexpr std::size_t kSums = Pixels * Blocks * (kLanes / kWidth);  // registers for them
  static constexpr std::size_t kPerBlock = kLanes / kWidth;
};

template <typename Vec>
REINS_INLINE Vec load(const float* from) {
  return *reinterpret_cast<const Vec*>(from);
}
template <typename Vec>
REINS_INLINE void store(float* to, Vec v) {
  *reinterpret_cast<Vec*>(to) = v;
}
template <typename Vec>
REINS_INLINE Vec larger(Vec a, Vec b) {
  return a > b ? a : b;
}

// Blocks that one pass over the weights serves: threes, and twos where a single one would be left.
constexpr std::size_t blocks_at(std::size_t left) noexcept {
  return left == 4 || left == 2 ? 2 : std::min<std::size_t>(left, 3);
}

// ---- the direct form ----

// Weights: [out / 16][3][3][in][16]. Where the last block has at most 8 channels, half of its work is saved: narrower
// registers leave out what would be padding, and those of 16 take two taps at once (direct_twos); what they need,
// [3][taps by twos][8 channels][2], follows the blocks.
constexpr std::size_t kHalf = kLanes / 2;
constexpr bool ends_in_half(std::size_t out_channels) noexcept {
  return out_channels % kLanes != 0 && out_channels % kLanes <= kHalf;
}

constexpr std::size_t twos_of(std::size_t taps) noexcept { return (taps + 1) / 2; }

template <typename Isa>
constexpr std::size_t vectors(std::size_t blocks, bool half) noexcept {
  return blocks * Isa::kPerBlock + (half ? (Isa::kPerBlock + 1) / 2 : 0);
}

// Rows x Pixels neighbours x (Blocks x 16 and, with Half, 8) output channels, held in registers over the whole sum;
// with two rows, pooled. Dense: how many channels an input pixel has, where that is known and there is no gap; or 0.
template <typename Isa, std::size_t Rows, std::size_t Pixels, std::size_t Blocks, bool Half, std::size_t Dense>
REINS_INLINE void direct_tile(const StageView& s, std::size_t y, std::size_t x, std::size_t block, float* out) {
  using Vec = typename Isa::Vec;
  constexpr std::size_t kVecs = vectors<Isa>(Blocks, Half);
  const std::size_t line = (s.width + 2) * s.in_stride;
  const std::size_t block_weights = 9 * s.in_channels * kLanes;
  const float* const first_weights = s.weights + block * block_weights;
  const float* const bias = s.bias + block * kLanes;
  Vec sum[Rows][Pixels][kVecs];
  for (std::size_t r = 0; r < Rows; ++r) {
    for (std::size_t p = 0; p < Pixels; ++p) {
      for (std::size_t v = 0; v < kVecs; ++v) sum[r][p][v] = load<Vec>(bias + v * Isa::kWidth);
    }
  }
  // Where pixels follow each other without a gap, so do the three taps of a row.
  const std::size_t stride = Dense > 0 ? Dense : s.in_stride;
  const std::size_t channels = Dense > 0 ? Dense : s.in_channels;
  const bool dense = Dense > 0 || stride == channels;
  const std::size_t taps = dense ? 1 : 3;
  const std::size_t run = dense ? 3 * channels : channels;
  for (std::size_t ky = 0; ky < 3; ++ky) {
    for (std::size_t kx = 0; kx < taps; ++kx) {
      // Pointers that advance: with an index GCC keeps one for every pixel, more than there are registers.
      const float* in[Rows];
      for (std::size_t r = 0; r < Rows; ++r) in[r] = s.in + (y + ky + r) * line + (x + kx) * stride;
      const float* weights = first_weights + (ky * 3 + kx) * channels * kLanes;
      for (std::size_t c = 0; c < run; ++c) {
        Vec w[kVecs];
        for (std::size_t v = 0; v < kVecs; ++v) {
          w[v] = load<Vec>(weights + v / Isa::kPerBlock * block_weights + v % Isa::kPerBlock * Isa::kWidth);
        }
        for (std::size_t r = 0; r < Rows; ++r) {
          for (std::size_t p = 0; p < Pixels; ++p) {
            const float value = in[r][p * stride];
            for (std::size_t v = 0; v < kVecs; ++v) sum[r][p][v] += value * w[v];
          }
          ++in[r];
        }
        weights += kLanes;
      }
    }
  }
  const Vec zero = {};
  float* const to = out + block * kLanes;
  for (std::size_t p = 0; p < Pixels; p += Rows) {
    float* const pixel = to + p / Rows * s.out_stride;
    for (std::size_t v = 0; v < kVecs; ++v) {
      Vec best = larger(sum[0][p][v], zero);
      if constexpr (Rows == 2) {
        const Vec upper = larger(sum[0][p][v], sum[0][p + 1][v]);
        const Vec lower = larger(sum[1][p][v], sum[1][p + 1][v]);
        best = larger(larger(upper, lower), zero);
      }
      store(pixel + v * Isa::kWidth, best);
    }
    if constexpr (Half) {
      for (std::size_t v = kVecs; v < (Blocks + 1) * Isa::kPerBlock; ++v) store(pixel + v * Isa::kWidth, zero);
    }
  }
}

// Of registers of 16 floats. Templates, for they are compiled where there are such registers only.
template <typename Vec>
REINS_INLINE Vec everywhere(const float* two) {
  double both;
  __builtin_memcpy(&both, two, sizeof both);
  return reinterpret_cast<Vec>(Doubles8{both, both, both, both, both, both, both, both});
}
template <typename Vec>
REINS_INLINE Vec picked(Vec a, Vec b, Mask16 lanes) {
#if defined(__clang__)
  Vec v;
  for (int i = 0; i < 16; ++i) v[i] = lanes[i] < 16 ? a[lanes[i]] : b[lanes[i] - 16];
  return v;
#else
  return __builtin_shuffle(a, b, lanes);
#endif
}

// The last 8 channels of Rows x Pixels neighbours: two taps of a row, which lie side by side where pixels follow each
// other without a gap, go into one sum's even and odd lanes, and these are added at the end.
template <typename Isa, std::size_t Rows, std::size_t Pixels, std::size_t Channels>
REINS_INLINE void direct_twos(const StageView& s, std::size_t y, std::size_t x, float* out) {
  using Vec = typename Isa::Vec;
  constexpr std::size_t kTaps = 3 * Channels;
  constexpr Mask16 kEven = {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30};
  constexpr Mask16 kLow = {0, 1, 2, 3, 4, 5, 6, 7, 16, 16, 16, 16, 16, 16, 16, 16};
  const std::size_t line = (s.width + 2) * Channels;
  const std::size_t channel = s.out_stride - kLanes;
  const float* weights = s.weights + 9 * Channels * s.out_stride;
  const Vec zero = {};
  Vec sum[Rows][Pixels] = {};
  for (std::size_t ky = 0; ky < 3; ++ky) {
    const float* in[Rows];
    for (std::size_t r = 0; r < Rows; ++r) in[r] = s.in + (y + ky + r) * line + x * Channels;
    for (std::size_t tap = 0; tap + 2 <= kTaps; tap += 2, weights += kLanes) {
      const Vec w = load<Vec>(weights);
      for (std::size_t r = 0; r < Rows; ++r) {
        for (std::size_t p = 0; p < Pixels; ++p) sum[r][p] += everywhere<Vec>(in[r] + p * Channels) * w;
        in[r] += 2;
      }
    }
    if constexpr (kTaps % 2 == 1) {  // the last one by itself: what follows it may lie beyond the buffer
      const Vec w = load<Vec>(weights);
      weights += kLanes;
      for (std::size_t r = 0; r < Rows; ++r) {
        for (std::size_t p = 0; p < Pixels; ++p) sum[r][p] += in[r][p * Channels] * w;
      }
    }
  }
  const Vec bias = load<Vec>(s.bias + channel);
  for (std::size_t p = 0; p < Pixels; p += 2) {
    Vec both = zero;  // eight channels of one pixel, and eight of the next
    for (std::size_t r = 0; r < Rows; ++r) {
      const Vec a = sum[r][p], b = sum[r][std::min(p + 1, Pixels - 1)];
      const Vec whole = picked<Vec>(a, b, kEven) + picked<Vec>(a, b, kEven + 1);
      both = r == 0 ? whole : larger(both, whole);
    }
    const Vec second = picked<Vec>(both, zero, kLow + 8);
    float* const pixel = out + p / Rows * s.out_stride + channel;
    if constexpr (Rows == 2) both = larger(both, second);
    store(pixel, larger(picked<Vec>(both, zero, kLow) + bias, zero));
    if (Rows == 1 && p + 1 < Pixels) store(pixel + s.out_stride, larger(second + bias, zero));
  }
}

// Pixels of a tile whose sums fit the registers, a power of two for widths are.
template <typename Isa, std::size_t Rows, std::size_t Blocks, bool Half>
constexpr std::size_t direct_pixels() noexcept {
  std::size_t pixels = 16;
  while (pixels > 2 && Rows * pixels * vectors<Isa>(Blocks, Half) > Isa::kSums) pixels /= 2;
  return pixels;
}

template <typename Isa, std::size_t Rows, std::size_t Blocks, bool Half, std::size_t Dense>
REINS_INLINE void direct_blocks(const StageView& s, std::size_t row, std::size_t block, float* out) {
  constexpr std::size_t kPixels = direct_pixels<Isa, Rows, Blocks, Half>();
  constexpr std::size_t kLeast = Rows;  // a pool wants two neighbours
  constexpr bool kTwos = Blocks == 0 && Isa::kPerBlock == 1 && Dense > 0;
  const std::size_t y = Rows * row;
  std::size_t x = 0;
  for (; x + kPixels <= s.width; x += kPixels) {
    float* const to = out + x / Rows * s.out_stride;
    if constexpr (kTwos)
      direct_twos<Isa, Rows, kPixels, Dense>(s, y, x, to);
    else
      direct_tile<Isa, Rows, kPixels, Blocks, Half, Dense>(s, y, x, block, to);
  }
  for (; x < s.width; x += kLeast) {
    float* const to = out + x / Rows * s.out_stride;
    if constexpr (kTwos)
      direct_twos<Isa, Rows, kLeast, Dense>(s, y, x, to);
    else
      direct_tile<Isa, Rows, kLeast, Blocks, Half, Dense>(s, y, x, block, to);
  }
}

template <typename Isa, std::size_t Rows, std::size_t Dense>
REINS_INLINE void direct_rows(const StageView& s, std::size_t first, std::size_t last) {
  const bool half = ends_in_half(s.out_channels);
  const std::size_t whole = s.out_stride / kLanes - (half ? 1 : 0);
  const std::size_t out_line = (s.width / Rows + 2 * s.out_border) * s.out_stride;
  // A block and a half at once where two rows' and two pixels' sums fit, and a half is no register by itself.
  constexpr bool kTogether = Isa::kPerBlock > 1 && 3 * Rows * Isa::kPerBlock <= Isa::kSums;
  for (std::size_t row = first; row < last; ++row) {
    float* const out = s.out + (row + s.out_border) * out_line + s.out_border * s.out_stride;
    std::size_t block = 0;
    if constexpr (Isa::kBlocks >= 2) {
      for (; block + 2 <= whole; block += 2) direct_blocks<Isa, Rows, 2, false, Dense>(s, row, block, out);
    }
    for (; block + (half && kTogether ? 1 : 0) < whole; ++block)
      direct_blocks<Isa, Rows, 1, false, Dense>(s, row, block, out);
    if (!half) continue;
    if constexpr (kTogether) {
      if (block < whole) {
        direct_blocks<Isa, Rows, 1, true, Dense>(s, row, block, out);
        continue;
      }
    }
    direct_blocks<Isa, Rows, 0, true, Dense>(s, row, block, out);
  }
}

template <typename Isa, std::size_t Rows>
REINS_INLINE void direct_steps(const StageView& s, std::size_t first, std::size_t last) {
  // An image's three channels: with a distance that is known, every pixel of a tile is reached from one register.
  if (s.in_stride == 3 && s.in_channels == 3) return direct_rows<Isa, Rows, 3>(s, first, last);
  return direct_rows<Isa, Rows, 0>(s, first, last);
}

// ---- Winograd ----

// A step is a row of tiles, each 2x2 outputs of a 4x4 input. Up to kTiles tiles go together through three phases: their
// inputs are transformed, V[16][tile][in_stride]; 16 products with the transformed weights, M[16][tile][3 blocks]; and
// back, with bias, ReLU and pool. Weights: [blocks by threes or twos][16][in][those blocks x 16].
constexpr std::size_t kTiles = 16;
constexpr std::size_t kPassChannels = 3 * kLanes;

template <typename Isa>
REINS_INLINE void transform_input(const StageView& s, std::size_t first, std::size_t count, float* v_out) {
  using Vec = typename Isa::Vec;
  const std::size_t per_row = s.width / 2;
  const std::size_t line = (s.width + 2) * s.in_stride;
  const std::size_t plane = kTiles * s.in_stride;
  const std::size_t channels = padded(s.in_channels);
  for (std::size_t t = 0; t < count; ++t) {
    const std::size_t tile = first + t;
    const float* const in = s.in + tile / per_row * 2 * line + tile % per_row * 2 * s.in_stride;
    for (std::size_t c = 0; c < channels; c += Isa::kWidth) {
      Vec half[4][4];  // B^T d
      for (std::size_t x = 0; x < 4; ++x) {
        const float* const at = in + x * s.in_stride + c;
        const Vec d0 = load<Vec>(at);
        const Vec d1 = load<Vec>(at + line);
        const Vec d2 = load<Vec>(at + 2 * line);
        const Vec d3 = load<Vec>(at + 3 * line);
        half[0][x] = d0 - d2;
        half[1][x] = d1 + d2;
        half[2][x] = d2 - d1;
        half[3][x] = d1 - d3;
      }
      float* const to = v_out + t * s.in_stride + c;
      for (std::size_t y = 0; y < 4; ++y) {
        store(to + (4 * y + 0) * plane, half[y][0] - half[y][2]);
        store(to + (4 * y + 1) * plane, half[y][1] + half[y][2]);
        store(to + (4 * y + 2) * plane, half[y][2] - half[y][1]);
        store(to + (4 * y + 3) * plane, half[y][1] - half[y][3]);
      }
    }
  }
}

// One of a pass's 16 products: of `count` tiles' inputs at v with [in][channels] weights.
struct Product {
  const float* v;
  const float* weights;
  std::size_t channels;
  std::size_t count;
  float* m;
  const float* next;  // weights of the product after this one
};

// Tiles x Blocks x 16 of it, held in registers over the whole sum. Meanwhile these tiles' share of the next weights is
// asked for: they are read once for every 16 tiles, and may well lie outside the core's own caches.
template <typename Isa, std::size_t Tiles, std::size_t Blocks>
REINS_INLINE void product_tile(const StageView& s, const Product& product, std::size_t first) {
  using Vec = typename Isa::Vec;
  constexpr std::size_t kVecs = Blocks * Isa::kPerBlock;
  constexpr std::size_t kShare = Blocks * kLanes * Tiles / kTiles;
  const float* const v_in = product.v + first * s.in_stride;
  const float* const next = product.next + first * Blocks * kLanes / kTiles * s.in_channels;
  Vec sum[Tiles][kVecs] = {};
  for (std::size_t c = 0; c < s.in_channels; ++c) {
    for (std::size_t i = 0; i < kShare; i += kLanes) __builtin_prefetch(next + c * kShare + i);
    Vec w[kVecs];
    for (std::size_t v = 0; v < kVecs; ++v) w[v] = load<Vec>(product.weights + c * product.channels + v * Isa::kWidth);
    for (std::size_t t = 0; t < Tiles; ++t) {
      const float value = v_in[t * s.in_stride + c];
      for (std::size_t v = 0; v < kVecs; ++v) sum[t][v] += value * w[v];
    }
  }
  float* const m = product.m + first * kPassChannels;
  for (std::size_t t = 0; t < Tiles; ++t) {
    for (std::size_t v = 0; v < kVecs; ++v) store(m + t * kPassChannels + v * Isa::kWidth, sum[t][v]);
  }
}

template <typename Isa, std::size_t Blocks>
REINS_INLINE void all_tiles(const StageView& s, const Product& product) {
  std::size_t t = 0;
  for (; t + Isa::kPixels <= product.count; t += Isa::kPixels) product_tile<Isa, Isa::kPixels, Blocks>(s, product, t);
  if constexpr (Isa::kPixels > 4) {
    for (; t + 4 <= product.count; t += 4) product_tile<Isa, 4, Blocks>(s, product, t);
  }
  for (; t < product.count; ++t) product_tile<Isa, 1, Blocks>(s, product, t);
}

// All of a pass's blocks at once where the registers hold them, else one after the other.
template <typename Isa>
REINS_INLINE void multiply(const StageView& s, Product product) {
  const std::size_t blocks = product.channels / kLanes;
  if constexpr (Isa::kBlocks >= 3) {
    if (blocks == 3) return all_tiles<Isa, 3>(s, product);
  }
  if constexpr (Isa::kBlocks >= 2) {
    if (blocks == 2) return all_tiles<Isa, 2>(s, product);
  }
  for (std::size_t b = 0; b < blocks; ++b) {
    all_tiles<Isa, 1>(s, product);
    product.weights += kLanes;
    product.m += kLanes;
    product.next += kLanes * s.in_channels;
  }
}

template <typename Isa>
REINS_INLINE void transform_output(const StageView& s, std::size_t first, std::size_t count, std::size_t block,
                                   std::size_t blocks, const float* m) {
  using Vec = typename Isa::Vec;
  const std::size_t per_row = s.width / 2;
  const std::size_t shrink = s.pool ? 2 : 1;
  const std::size_t out_line = (s.width / shrink + 2 * s.out_border) * s.out_stride;
  constexpr std::size_t kPlane = kTiles * kPassChannels;
  const Vec zero = {};
  for (std::size_t t = 0; t < count; ++t) {
    const std::size_t y = (first + t) / per_row * 2 / shrink + s.out_border;
    const std::size_t x = (first + t) % per_row * 2 / shrink + s.out_border;
    for (std::size_t c = 0; c < blocks * kLanes; c += Isa::kWidth) {
      const float* const from = m + t * kPassChannels + c;
      Vec half[2][4];  // A^T m
      for (std::size_t i = 0; i < 4; ++i) {
        const Vec m0 = load<Vec>(from + i * kPlane);
        const Vec m1 = load<Vec>(from + (4 + i) * kPlane);
        const Vec m2 = load<Vec>(from + (8 + i) * kPlane);
        const Vec m3 = load<Vec>(from + (12 + i) * kPlane);
        half[0][i] = m0 + m1 + m2;
        half[1][i] = m1 - m2 - m3;
      }
      const Vec bias = load<Vec>(s.bias + block * kLanes + c);
      Vec result[2][2];
      for (std::size_t i = 0; i < 2; ++i) {
        result[i][0] = half[i][0] + half[i][1] + half[i][2] + bias;
        result[i][1] = half[i][1] - half[i][2] - half[i][3] + bias;
      }
      float* const to = s.out + y * out_line + x * s.out_stride + block * kLanes + c;
      if (s.pool) {
        const Vec upper = larger(result[0][0], result[0][1]);
        const Vec lower = larger(result[1][0], result[1][1]);
        store(to, larger(larger(upper, lower), zero));
      } else {
        store(to, larger(result[0][0], zero));
        store(to + s.out_stride, larger(result[0][1], zero));
        store(to + out_line, larger(result[1][0], zero));
        store(to + out_line + s.out_stride, larger(result[1][1], zero));
      }
    }
  }
}

template <typename Isa>
REINS_INLINE void winograd_steps(const StageView& s, std::size_t first, std::size_t last, float* scratch) {
  const std::size_t per_row = s.width / 2;
  const std::size_t blocks = s.out_stride / kLanes;
  const std::size_t v_plane = kTiles * s.in_stride;
  float* const v = scratch;
  float* const m = scratch + 16 * v_plane;
  for (std::size_t tile = first * per_row; tile < last * per_row; tile += kTiles) {
    const std::size_t count = std::min(kTiles, last * per_row - tile);
    transform_input<Isa>(s, tile, count, v);
    const float* weights = s.weights;
    for (std::size_t block = 0; block < blocks;) {
      const std::size_t in_pass = blocks_at(blocks - block);
      for (std::size_t p = 0; p < 16; ++p) {
        const float* next = weights + s.in_channels * in_pass * kLanes;
        if (p == 15 && block + in_pass == blocks) next = s.weights;  // the next tiles begin with them
        multiply<Isa>(s, {.v = v + p * v_plane,
                          .weights = weights,
                          .channels = in_pass * kLanes,
                          .count = count,
                          .m = m + p * kTiles * kPassChannels,
                          .next = next});
        weights = next;
      }
      transform_output<Isa>(s, tile, count, block, in_pass, m);
      block += in_pass;
    }
  }
}

template <typename Isa>
REINS_INLINE void run_steps_body(const StageView& s, std::size_t first, std::size_t last, float* scratch) {
  if (s.form == ConvForm::kWinograd) return winograd_steps<Isa>(s, first, last, scratch);
  if (s.pool) return direct_steps<Isa, 2>(s, first, last);
  return direct_steps<Isa, 1>(s, first, last);
}

template <typename Isa>
REINS_INLINE float dot_body(const float* a, const float* b, std::size_t n) {
  using Vec = typename Isa::Vec;
  constexpr std::size_t kChains = 4;  // an addition takes about four cycles: as many sums side by side
  Vec sum[kChains] = {};
  std::size_t i = 0;
  for (; i + kChains * Isa::kWidth <= n; i += kChains * Isa::kWidth) {
    for (std::size_t k = 0; k < kChains; ++k) {
      sum[k] += load<Vec>(a + i + k * Isa::kWidth) * load<Vec>(b + i + k * Isa::kWidth);
    }
  }
  for (; i < n; i += Isa::kWidth) sum[0] += load<Vec>(a + i) * load<Vec>(b + i);
  const Vec all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
  float total = 0;
  for (std::size_t lane = 0; lane < Isa::kWidth; ++lane) total += all[lane];
  return total;
}

// ---- instruction sets ----

#if defined(__x86_64__)
using Avx512 = Isa<Vec16, 8, 3>;   // 24 of 32 registers hold sums
using Avx2 = Isa<Vec8, 6, 1>;      // 12 of 16
using Baseline = Isa<Vec4, 2, 1>;  // 8 of 16: without a fused form, products take registers too

#define REINS_AVX512 [[gnu::target("avx512f,avx512vl,avx512dq,fma")]]
#define REINS_AVX2 [[gnu::target("avx2,fma")]]
REINS_AVX512 void run_steps_avx512(const StageView& s, std::size_t first, std::size_t last, float* scratch) {
  run_steps_body<Avx512>(s, first, last, scratch);
}
REINS_AVX512 float dot_avx512(const float* a, const float* b, std::size_t n) { return dot_body<Avx512>(a, b, n); }
REINS_AVX2 void run_steps_avx2(const StageView& s, std::size_t first, std::size_t last, float* scratch) {
  run_steps_body<Avx2>(s, first, last, scratch);
}
REINS_AVX2 float dot_avx2(const float* a, const float* b, std::size_t n) { return dot_body<Avx2>(a, b, n); }
#else
using Baseline = Isa<Vec4, 6, 1>;  // AArch64: 24 of 32 registers
#endif

void run_steps_baseline(const StageView& s, std::size_t first, std::size_t last, float* scratch) {
  run_steps_body<Baseline>(s, first, last, scratch);
}
float dot_baseline(const float* a, const float* b, std::size_t n) { return dot_body<Baseline>(a, b, n); }

constexpr Kernels kBaseline{.name = "baseline", .run_steps = run_steps_baseline, .dot = dot_baseline};
#if defined(__x86_64__)
constexpr Kernels kAvx2{.name = "avx2", .run_steps = run_steps_avx2, .dot = dot_avx2};
constexpr Kernels kAvx512{.name = "avx512", .run_steps = run_steps_avx512, .dot = dot_avx512};
#endif

// G g G^T, in double: rounded once.
std::array<float, 16> transformed(const float* g) {
  constexpr double kG[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
  std::array<float, 16> result{};
  for (std::size_t y = 0; y < 4; ++y) {
    for (std::size_t x = 0; x < 4; ++x) {
      double sum = 0;
      for (std::size_t i = 0; i < 3; ++i) {
        for (std::size_t j = 0; j < 3; ++j) sum += kG[y][i] * kG[x][j] * static_cast<double>(g[i * 3 + j]);
      }
      result[y * 4 + x] = static_cast<float>(sum);
    }
  }
  return result;
}

std::vector<float> pack_direct(const float* weights, std::size_t out, std::size_t in) {
  const std::size_t blocks = padded(out) * in * 9;
  std::vector<float> packed(blocks + (ends_in_half(out) ? 3 * twos_of(3 * in) * kLanes : 0));
  for (std::size_t o = 0; o < out; ++o) {
    for (std::size_t i = 0; i < in; ++i) {
      for (std::size_t k = 0; k < 9; ++k) {
        float* const lanes = packed.data() + ((o / kLanes * 9 + k) * in + i) * kLanes;
        lanes[o % kLanes] = weights[(o * in + i) * 9 + k];
        if (!ends_in_half(out) || o / kLanes != out / kLanes) continue;
        const std::size_t tap = k % 3 * in + i;
        packed[blocks + ((k / 3 * twos_of(3 * in) + tap / 2) * kHalf + o % kLanes) * 2 + tap % 2] = lanes[o % kLanes];
      }
    }
  }
  return packed;
}

std::vector<float> pack_winograd(const float* weights, std::size_t out, std::size_t in) {
  std::vector<float> packed(padded(out) * in * 16);
  float* pass = packed.data();
  for (std::size_t block = 0; block < padded(out) / kLanes;) {
    const std::size_t channels = blocks_at(padded(out) / kLanes - block) * kLanes;
    for (std::size_t o = block * kLanes; o < std::min(out, block * kLanes + channels); ++o) {
      for (std::size_t i = 0; i < in; ++i) {
        const std::array<float, 16> t = transformed(weights + (o * in + i) * 9);
        for (std::size_t p = 0; p < 16; ++p) pass[(p * in + i) * channels + o - block * kLanes] = t[p];
      }
    }
    pass += 16 * in * channels;
    block += channels / kLanes;
  }
  return packed;
}

}  // namespace

std::size_t StageView::scratch_floats() const noexcept {
  return form == ConvForm::kWinograd ? 16 * kTiles * (in_stride + kPassChannels) : 0;
}

ConvForm best_form(std::size_t in_channels, std::size_t height, std::size_t width) noexcept {
  // Below 16 input channels the transforms cost more than they save.
  return in_channels >= 16 && height % 2 == 0 && width % 2 == 0 ? ConvForm::kWinograd : ConvForm::kDirect;
}

std::vector<float> pack_weights(ConvForm form, const float* weights, std::size_t out, std::size_t in) {
  return form == ConvForm::kWinograd ? pack_winograd(weights, out, in) : pack_direct(weights, out, in);
}

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
