// bench/peers/peer.hpp: what our engines are compared with: other libraries, each level a static network of its own.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "inference/group_network.hpp"

namespace reins::bench {

/// One level as a user would export it: per stage one grouped convolution for all its groups, one classifier.
struct StaticNetwork {
  struct Layer {
    std::int64_t in = 0, out = 0, groups = 1;
    std::int64_t size = 0;  ///< height and width of the input
    bool pool = false;
    std::vector<float> weights, bias;  ///< [out, in / groups, 3, 3], [out]
  };
  std::int64_t channels = 3, size = 32, classes = 10, features = 0;
  std::vector<Layer> layers;
  std::vector<float> classifier, bias;  ///< [classes, features] already divided by the number of groups, [classes]
};

StaticNetwork static_network(const inference::GroupArchitecture& architecture, const inference::NetworkWeights& weights,
                             std::int64_t groups);

struct Setting {
  const inference::GroupArchitecture& architecture;
  const inference::NetworkWeights& weights;
  int batch = 1;
  int threads = 1;

  std::vector<StaticNetwork> levels() const;
  std::vector<std::int64_t> input_shape() const {
    return {batch, architecture.channels, architecture.size, architecture.size};
  }
};

/// The same images for all: as pixels, and as the numbers that a network of the libraries takes.
struct Input {
  std::vector<std::uint8_t> pixels;
  std::vector<float> scaled;
};

/// Threads: one caller. Throws what its library throws. Holds a reference to the input that it was made with.
class Peer {
 public:
  virtual ~Peer() = default;
  /// Before a row of inferences: settings that libraries keep per process.
  virtual void take_turn() {}
  virtual void infer(std::size_t level) = 0;
  /// [batch][classes], up to a constant per image; not timed.
  virtual std::vector<float> logits() = 0;
};

using MakePeer = std::unique_ptr<Peer> (*)(const Setting&, Input&);

std::unique_ptr<Peer> make_eager(const Setting& setting, Input& input);
std::unique_ptr<Peer> make_torchscript(const Setting& setting, Input& input);
std::string libtorch_version();

std::unique_ptr<Peer> make_plain_onednn(const Setting& setting, Input& input);
std::string onednn_version();

std::unique_ptr<Peer> make_onnxruntime(const Setting& setting, Input& input);
std::string onnxruntime_version();

std::unique_ptr<Peer> make_ncnn(const Setting& setting, Input& input);
std::string ncnn_version();

}  // namespace reins::bench
