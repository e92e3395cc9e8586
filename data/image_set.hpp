// data/image_set.hpp: labelled images in memory: CIFAR-10 from its binary files, and a synthetic set drawn by code.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace reins::data {

/// Training images, those that choose epochs and settings, and those that are read once, at the end.
enum class Split : std::uint8_t { kTrain, kValidation, kTest };
std::string_view name_of(Split split) noexcept;

/// Labelled uint8 images, [N, C, H, W] in C-order. Owns its pixels.
struct ImageSet {
  std::string name;        ///< what network files carry: "cifar10", "cifar10-jpeg", "synthetic"
  std::string title;       ///< what people read: "CIFAR-10 (JPEG-recompressed copy)"
  std::string provenance;  ///< which checksums the files matched, or the seed that drew them
  bool verified = true;    ///< false where no checksum vouches for the pixels
  std::int64_t classes = 10;
  std::int64_t channels = 3;
  std::int64_t height = 32;
  std::int64_t width = 32;
  std::vector<std::uint8_t> pixels;
  std::vector<std::uint8_t> labels;  ///< each below `classes`

  std::size_t size() const noexcept { return labels.size(); }
  std::size_t image_bytes() const noexcept { return static_cast<std::size_t>(channels * height * width); }
  std::span<const std::uint8_t> image(std::size_t i) const noexcept {
    return {pixels.data() + i * image_bytes(), image_bytes()};
  }
};

/// CIFAR-10's binary version (Krizhevsky 2009) from `folder`: data_batch_1..5.bin and test_batch.bin, 10,000 records of
/// one label byte and 3 x 32 x 32 pixel bytes each. The first 45,000 training images are kTrain, the last 5,000
/// kValidation. Only the files that the split needs are opened. Their MD5 sums are compared with those of copies that
/// are known, and with a MD5SUMS file beside them; `provenance` says which of the two matched, or that neither did;
/// `verified` is false then. Errors: not_found, denied; garbled (a wrong length, a label above 9, a sum other than
/// MD5SUMS says, files of which some alone are those of a known copy).
Result<ImageSet> load_cifar10(const std::filesystem::path& folder, Split split);

/// Images of the synthetic set: 8,000 / 1,000 / 2,000 by split.
std::size_t synthetic_size(Split split) noexcept;

/// Ten classes, five shapes x two textures, at random place, size, angle and colours, over clutter and noise. The same
/// seed and split give the same bytes (on one C library: sines are its). `count` 0: synthetic_size(split).
ImageSet make_synthetic(Split split, std::uint64_t seed, std::size_t count = 0);

/// The records of one file of that layout, however many; nothing vouches for them. Errors: not_found, denied; garbled
/// (no whole record, or more than whole ones, a label above 9).
Result<ImageSet> load_cifar10_records(const std::filesystem::path& file);

/// `dataset` is "cifar10" (needs `folder`) or "synthetic" (needs `seed`). `most` above 0: the first so many alone, no
/// more are drawn. Errors: usage (another name, no folder), and as above.
Result<ImageSet> load_images(std::string_view dataset, const std::filesystem::path& folder, Split split,
                             std::uint64_t seed, std::size_t most = 0);

/// MD5 (RFC 1321) as 32 hexadecimal digits: integrity of downloads, no security.
std::string md5(std::string_view bytes);

}  // namespace reins::data
