// inference/api/engine.hpp: what an inference engine is. Put your own (TensorRT, ONNX Runtime, ncnn) behind it.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/ids.hpp"
#include "core/layer_cost.hpp"
#include "core/result.hpp"

namespace reins::inference {

enum class DType : std::uint8_t { kFloat32, kUint8 };

/// A tensor somebody else owns, C-order. uint8 images mean 0..255 and are scaled by the engine as the network asks.
struct TensorView {
  const void* data = nullptr;
  DType dtype = DType::kFloat32;
  std::array<std::int64_t, 4> shape{};  ///< [N, C, H, W]; N is 1 unless the engine was made for more
};

/// What one level of a dynamic network is.
struct LevelFacts {
  double macs = 0;
  double bytes = 0;  ///< weights and activations touched by one inference
  double parameters = 0;
  double accuracy = 0;  ///< top-1 in [0, 1] of the weights as shipped, on the test images
  std::vector<LayerCost> layers;
};

/// What an engine serves. Levels ascend in cost; the last one is the full network.
struct NetworkFacts {
  std::string name;
  std::string dataset;      ///< e.g. "cifar10-jpeg", "synthetic"
  std::string fingerprint;  ///< of the network file
  std::array<std::int64_t, 4> input_shape{1, 3, 32, 32};
  std::int64_t classes = 10;
  std::vector<LevelFacts> levels;
};

enum class Unit : std::uint8_t { kCpu, kGpu };

/// Where the next inference runs. Set per inference: no global state that leaks between applications.
struct Placement {
  Unit unit = Unit::kCpu;
  int threads = 1;        ///< of a CPU
  std::vector<int> cpus;  ///< one worker per entry, pinned; empty: wherever the kernel puts `threads` workers
};

struct Answer {
  int predicted = -1;                    ///< argmax class, of the first image
  LevelId level;                         ///< where the inference ended
  std::span<const float> probabilities;  ///< [N][classes], valid until the next begin()
};

/// Threads: one instance, one caller at a time. No call allocates after the first inference at the largest level.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual const NetworkFacts& facts() const noexcept = 0;
  /// Takes effect at the next begin(). What an engine takes here is what it can run: mappings that it refuses are not
  /// offered. Errors: unsupported (a unit that it does not run on, a core that is not there).
  virtual Status place(const Placement& placement) = 0;
  /// True where move() works.
  virtual bool moves() const noexcept { return false; }
  /// Moves what runs to the cores of `placement`, as many as it runs on, at once. The one call that another thread may
  /// make while begin() or grow() runs. Errors: unsupported (it cannot, another number of cores, a core that is not
  /// there); what the kernel answers: then all stays where it was, and the loop that asked for it ends.
  virtual Status move(const Placement& placement) {
    static_cast<void>(placement);
    return fail(ErrorKind::kUnsupported, "this engine cannot move an inference while it runs", "placement");
  }
  /// Runs levels 0..level on `input`. Errors: usage (shape or level that the network does not have).
  virtual Status begin(const TensorView& input, LevelId level) = 0;
  /// Adds the next group to the partial sums already there. Errors: usage (already at the full network, nothing begun).
  virtual Status grow() = 0;
  /// The answer of what has run so far. Errors: usage (nothing begun).
  virtual Result<Answer> finish() = 0;
};

}  // namespace reins::inference
