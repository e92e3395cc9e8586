// training/net_batches.hpp: image sets as normalised, augmented libtorch batches in a seeded order.
#pragma once

#include <torch/torch.h>

#include <span>
#include <vector>

#include "core/rng.hpp"
#include "data/image_set.hpp"

namespace reins::training {

/// Mean and standard deviation of each channel over the set, of pixel / 255.
struct Scaling {
  std::vector<float> mean, stddev;
};
Scaling scaling_of(const data::ImageSet& images);

/// A random order of 0..n-1 (Fisher-Yates).
std::vector<std::size_t> shuffled(std::size_t n, Rng& rng);

struct Batch {
  torch::Tensor images;  ///< [B, C, H, W] float32, (pixel / 255 - mean) / stddev
  torch::Tensor labels;  ///< [B] int64
  Batch to(torch::Device device) const { return {images.to(device), labels.to(device)}; }
};

/// The images named by `indices`, on the CPU. With `augment`: each is shifted by -4..4 pixels both ways over zeros (of
/// the normalised image: its mean colour) and mirrored with probability 1/2; `rng` advances by three draws an image.
Batch make_batch(const data::ImageSet& images, std::span<const std::size_t> indices, const Scaling& scaling,
                 bool augment, Rng& rng);

}  // namespace reins::training
