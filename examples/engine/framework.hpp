// examples/engine/framework.hpp: stands for ncnn, TensorRT or ONNX Runtime, which no build of Reins fetches: a loaded
// model with one output per level, sessions that compute what is asked for and not yet there, and exceptions.
#pragma once

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

namespace framework {

/// Scores of level k: the sum over j <= k of weights[j] x, each [classes][inputs].
struct Model {
  std::size_t inputs = 0, classes = 0;
  std::vector<std::vector<float>> weights;
};

/// One inference after another on a model that outlives it.
class Session {
 public:
  explicit Session(const Model& model)
      : model_(model), input_(model.inputs), outputs_(model.weights.size(), std::vector<float>(model.classes)) {}

  /// Throws where the count is not the model's.
  void set_input(const float* values, std::size_t count) {
    if (count != input_.size()) throw std::runtime_error("input has " + std::to_string(count) + " values");
    input_.assign(values, values + count);
    done_ = 0;
  }

  /// Copies the scores of a level; what an earlier call has computed is not computed again. Throws where there is none.
  void extract(std::size_t level, float* scores) {
    if (level >= outputs_.size()) throw std::runtime_error("no output " + std::to_string(level));
    for (; done_ <= level; ++done_, ++computed_) {
      for (std::size_t k = 0; k < model_.classes; ++k) {
        float sum = done_ == 0 ? 0 : outputs_[done_ - 1][k];
        for (std::size_t i = 0; i < input_.size(); ++i) sum += model_.weights[done_][k * input_.size() + i] * input_[i];
        outputs_[done_][k] = sum;
      }
    }
    std::copy(outputs_[level].begin(), outputs_[level].end(), scores);
  }

  /// Levels computed so far, over all inferences.
  std::size_t computed() const noexcept { return computed_; }

 private:
  const Model& model_;
  std::vector<float> input_;
  std::vector<std::vector<float>> outputs_;
  std::size_t done_ = 0, computed_ = 0;
};

}  // namespace framework
