// inference/answers.hpp: the recorded answers of a network: which test images each level gets right.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/ids.hpp"
#include "core/result.hpp"

namespace reins::inference {

/// levels x images predicted classes, with the labels. The emulated board answers with it. Read-only after it is made.
class Answers {
 public:
  /// `predicted[level][image]`, `labels[image]`; all rows as long as `labels`.
  static Result<Answers> make(std::string dataset, std::string network_fingerprint, std::vector<std::uint8_t> labels,
                              std::vector<std::vector<std::uint8_t>> predicted);
  static Result<Answers> read(const std::filesystem::path& path);
  Status write(const std::filesystem::path& path) const;

  std::size_t levels() const noexcept { return predicted_.size(); }
  std::size_t images() const noexcept { return labels_.size(); }
  bool correct(LevelId level, std::size_t image) const noexcept {
    return predicted_[level.index()][image] == labels_[image];
  }
  int predicted(LevelId level, std::size_t image) const noexcept { return predicted_[level.index()][image]; }
  int label(std::size_t image) const noexcept { return labels_[image]; }
  /// Share of images that a level gets right.
  double accuracy(LevelId level) const noexcept;

  const std::string& dataset() const noexcept { return dataset_; }
  const std::string& network_fingerprint() const noexcept { return network_fingerprint_; }

 private:
  std::string dataset_, network_fingerprint_;
  std::vector<std::uint8_t> labels_;
  std::vector<std::vector<std::uint8_t>> predicted_;
};

}  // namespace reins::inference
