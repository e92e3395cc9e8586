#include "examples/engine/framework_engine.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <exception>
#include <thread>

using reins::ErrorKind;
using reins::fail;
using reins::LevelId;
using reins::Result;
using reins::Status;
using namespace reins::inference;

FrameworkEngine::FrameworkEngine(const framework::Model& model, std::int64_t size,
                                 const std::vector<double>& accuracies, std::string fingerprint)
    : session_(model),
      scaled_(static_cast<std::size_t>(3 * size * size)),
      scores_(model.classes),
      probabilities_(model.classes) {
  facts_.name = "my-network";
  facts_.dataset = "cifar10";
  facts_.fingerprint = std::move(fingerprint);
  facts_.input_shape = {1, 3, size, size};
  facts_.classes = static_cast<std::int64_t>(model.classes);
  for (const double accuracy : accuracies) {
    LevelFacts level;
    if (!facts_.levels.empty()) level = facts_.levels.back();
    const auto added = static_cast<double>(model.inputs * model.classes);
    level.layers.push_back({.macs = added, .bytes = 4 * added, .launches = 1});
    level.macs += added;
    level.bytes += 4 * added;
    level.parameters += added;
    level.accuracy = accuracy;
    facts_.levels.push_back(level);
  }
}

Status FrameworkEngine::place(const Placement& placement) {
  if (placement.unit != Unit::kCpu) {
    return fail(ErrorKind::kUnsupported, "runs on CPUs alone", facts_.name,
                "build the framework with its GPU back end");
  }
  const auto online = static_cast<int>(std::thread::hardware_concurrency());
  const auto absent = [online](int cpu) { return cpu < 0 || cpu >= online; };
  if (placement.threads != 1 || std::any_of(placement.cpus.begin(), placement.cpus.end(), absent)) {
    return fail(ErrorKind::kUnsupported, "runs on one thread, on a core that is there", facts_.name);
  }
  return {};
}

Status FrameworkEngine::begin(const TensorView& input, LevelId level) {
  level_ = LevelId();
  if (input.shape != facts_.input_shape || input.data == nullptr || !level.valid() ||
      level.index() >= facts_.levels.size()) {
    return fail(ErrorKind::kUsage, "not a shape or level of this network", facts_.name);
  }
  const auto* bytes = static_cast<const unsigned char*>(input.data);
  for (std::size_t i = 0; i < scaled_.size(); ++i) {
    float pixel = 0;
    if (input.dtype == DType::kUint8) {
      pixel = static_cast<float>(bytes[i]) / 255;
    } else {
      std::memcpy(&pixel, bytes + i * sizeof pixel, sizeof pixel);  // a client's floats need not be aligned
    }
    scaled_[i] = (pixel - 0.5F) / 0.25F;  // as the model was trained
  }
  try {
    session_.set_input(scaled_.data(), scaled_.size());
  } catch (const std::exception& thrown) {
    return failed(thrown);
  }
  return run_to(level);
}

Status FrameworkEngine::grow() {
  if (!level_.valid()) return fail(ErrorKind::kUsage, "nothing was begun", facts_.name, "call begin first");
  if (level_.index() + 1 >= facts_.levels.size()) {
    return fail(ErrorKind::kUsage, "the full network has run already", facts_.name);
  }
  return run_to(LevelId(level_.index() + 1));
}

Status FrameworkEngine::run_to(LevelId level) {
  level_ = LevelId();
  try {
    session_.extract(level.index(), scores_.data());
  } catch (const std::exception& thrown) {
    return failed(thrown);
  }
  level_ = level;
  return {};
}

Result<Answer> FrameworkEngine::finish() {
  if (!level_.valid()) return fail(ErrorKind::kUsage, "nothing was begun", facts_.name, "call begin first");
  const auto best = std::max_element(scores_.begin(), scores_.end());
  float sum = 0;
  for (std::size_t k = 0; k < scores_.size(); ++k) sum += probabilities_[k] = std::exp(scores_[k] - *best);
  for (float& probability : probabilities_) probability /= sum;
  return Answer{static_cast<int>(best - scores_.begin()), level_, probabilities_};
}

Status FrameworkEngine::failed(const std::exception& thrown) const {
  return fail(ErrorKind::kInternal, thrown.what(), facts_.name, "is this the model that the facts were made for?");
}
