#include "training/net_batches.hpp"

#include <cmath>
#include <numeric>

namespace reins::training {

Scaling scaling_of(const data::ImageSet& images) {
  const auto channels = static_cast<std::size_t>(images.channels);
  const auto plane = static_cast<std::size_t>(images.height * images.width);
  Scaling scaling;
  for (std::size_t c = 0; c < channels; ++c) {
    double sum = 0;
    double squares = 0;
    for (std::size_t i = 0; i < images.size(); ++i) {
      const auto image = images.image(i).subspan(c * plane, plane);
      for (const std::uint8_t pixel : image) {
        const double v = pixel / 255.0;
        sum += v;
        squares += v * v;
      }
    }
    const double n = std::max(1.0, static_cast<double>(images.size() * plane));
    const double mean = sum / n;
    // A constant channel would divide by zero; 1/255 is the step of a pixel.
    const double deviation = std::max(1 / 255.0, std::sqrt(std::max(0.0, squares / n - mean * mean)));
    scaling.mean.push_back(static_cast<float>(mean));
    scaling.stddev.push_back(static_cast<float>(deviation));
  }
  return scaling;
}

std::vector<std::size_t> shuffled(std::size_t n, Rng& rng) {
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t i = n; i > 1; --i) std::swap(order[i - 1], order[rng.index(i)]);
  return order;
}

Batch make_batch(const data::ImageSet& images, std::span<const std::size_t> indices, const Scaling& scaling,
                 bool augment, Rng& rng) {
  const std::int64_t height = images.height;
  const std::int64_t width = images.width;
  const auto count = static_cast<std::int64_t>(indices.size());
  Batch batch;
  batch.images = torch::zeros({count, images.channels, height, width});
  batch.labels = torch::empty({count}, torch::kInt64);
  float* out = batch.images.data_ptr<float>();
  auto* labels = batch.labels.data_ptr<std::int64_t>();
  for (std::size_t i = 0; i < indices.size(); ++i) {
    labels[i] = images.labels[indices[i]];
    const std::uint8_t* image = images.image(indices[i]).data();
    const std::int64_t dy = augment ? static_cast<std::int64_t>(rng.below(9)) - 4 : 0;
    const std::int64_t dx = augment ? static_cast<std::int64_t>(rng.below(9)) - 4 : 0;
    const bool mirror = augment && rng.below(2) == 1;
    for (std::int64_t c = 0; c < images.channels; ++c) {
      const float scale = 1.0F / (255.0F * scaling.stddev[static_cast<std::size_t>(c)]);
      const float shift = scaling.mean[static_cast<std::size_t>(c)] / scaling.stddev[static_cast<std::size_t>(c)];
      for (std::int64_t y = 0; y < height; ++y, out += width) {
        const std::int64_t from_y = y + dy;
        if (from_y < 0 || from_y >= height) continue;
        const std::uint8_t* row = image + (c * height + from_y) * width;
        for (std::int64_t x = 0; x < width; ++x) {
          const std::int64_t from_x = x + dx;
          if (from_x < 0 || from_x >= width) continue;
          out[mirror ? width - 1 - x : x] = static_cast<float>(row[from_x]) * scale - shift;
        }
      }
    }
  }
  return batch;
}

}  // namespace reins::training
