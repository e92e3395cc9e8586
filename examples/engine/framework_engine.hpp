// examples/engine/framework_engine.hpp: a framework's model as an inference::Engine; docs/adding-an-engine.md walks
// through it.
#pragma once

#include <exception>
#include <string>
#include <vector>

#include "examples/engine/framework.hpp"
#include "inference/api/engine.hpp"

class FrameworkEngine final : public reins::inference::Engine {
 public:
  /// `accuracies`: of each level of `model`, as this framework runs it. `fingerprint`: of the model's file.
  /// The model takes images [1, 3, `size`, `size`] and outlives the engine.
  FrameworkEngine(const framework::Model& model, std::int64_t size, const std::vector<double>& accuracies,
                  std::string fingerprint);

  const reins::inference::NetworkFacts& facts() const noexcept override { return facts_; }
  reins::Status place(const reins::inference::Placement& placement) override;
  reins::Status begin(const reins::inference::TensorView& input, reins::LevelId level) override;
  reins::Status grow() override;
  reins::Result<reins::inference::Answer> finish() override;

  /// For tests.
  const framework::Session& session() const noexcept { return session_; }

 private:
  reins::Status run_to(reins::LevelId level);
  reins::Status failed(const std::exception& thrown) const;

  reins::inference::NetworkFacts facts_;
  framework::Session session_;
  std::vector<float> scaled_, scores_, probabilities_;
  reins::LevelId level_;  // not valid where nothing was begun
};
