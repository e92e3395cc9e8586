// inference/answers.hpp: what each level of a network answers for each test image, recorded once: the emulated board's
// answers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/ids.hpp"
#include "core/result.hpp"
#include "data/image_set.hpp"
#include "inference/api/engine.hpp"

namespace reins::inference {

/// A table levels x images of predicted classes, with the right ones. Immutable once made; any number of threads may
/// read.
class Answers {
 public:
  /// `predicted[level][image]`. Errors: mismatch (tables of different lengths, no level, no image, a class above
  /// `classes`).
  static Result<Answers> make(std::string network, std::string network_fingerprint, std::string dataset,
                              std::string dataset_title, std::int64_t classes, std::vector<std::uint8_t> labels,
                              std::vector<std::vector<std::uint8_t>> predicted);
  /// The same where only the data set, the fingerprint and the table are known.
  static Result<Answers> make(std::string dataset, std::string network_fingerprint, std::vector<std::uint8_t> labels,
                              std::vector<std::vector<std::uint8_t>> predicted) {
    return make({}, std::move(network_fingerprint), dataset, dataset, 256, std::move(labels), std::move(predicted));
  }
  /// A msgpack file with a CRC-32. Errors: not_found, denied; garbled; mismatch (another schema).
  static Result<Answers> read(const std::filesystem::path& path);
  static Result<Answers> parse(std::string_view bytes, std::string_view where);
  std::string format() const;
  Status write(const std::filesystem::path& path) const;

  std::size_t levels() const noexcept { return predicted_.size(); }
  std::size_t images() const noexcept { return labels_.size(); }
  std::int64_t classes() const noexcept { return classes_; }
  int label(std::size_t image) const noexcept { return labels_[image]; }
  int predicted(LevelId level, std::size_t image) const noexcept { return predicted_[level.index()][image]; }
  bool correct(LevelId level, std::size_t image) const noexcept { return predicted(level, image) == label(image); }
  /// Share of the images that a level gets right.
  double accuracy(LevelId level) const noexcept { return accuracy_[level.index()]; }
  const std::string& network() const noexcept { return network_; }
  const std::string& network_fingerprint() const noexcept { return network_fingerprint_; }
  const std::string& dataset() const noexcept { return dataset_; }
  const std::string& dataset_title() const noexcept { return dataset_title_; }

 private:
  std::string network_, network_fingerprint_, dataset_, dataset_title_;
  std::int64_t classes_ = 0;
  std::vector<std::uint8_t> labels_;
  std::vector<std::vector<std::uint8_t>> predicted_;
  std::vector<double> accuracy_;
};

/// Runs every image through every level (each image once, growing). `progress(done, total)` now and then.
/// Errors: mismatch (images of another shape or number of classes), and the engine's.
Result<Answers> record_answers(Engine& engine, const data::ImageSet& images,
                               const std::function<void(std::size_t, std::size_t)>& progress = {});

}  // namespace reins::inference
