#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "core/rng.hpp"
#include "data/image_set.hpp"

namespace reins::data {
namespace {

constexpr int kSize = 32;
constexpr int kPlane = kSize * kSize;

struct Colour {
  double r = 0, g = 0, b = 0;
};

Colour random_colour(Rng& rng) { return {rng.uniform(20, 235), rng.uniform(20, 235), rng.uniform(20, 235)}; }

double distance(const Colour& a, const Colour& b) {
  return std::abs(a.r - b.r) + std::abs(a.g - b.g) + std::abs(a.b - b.b);
}

// In the shape's own frame (unit radius): disc, square, triangle, ring, cross.
bool inside(std::size_t shape, double x, double y) {
  const double r = std::hypot(x, y);
  switch (shape) {
    case 0:
      return r < 0.95;
    case 1:
      return std::max(std::abs(x), std::abs(y)) < 0.82;
    case 2:
      return y > -0.6 && y < 1.1 - 1.75 * std::abs(x) - 0.05;
    case 3:
      return r < 1.05 && r > 0.55;
    default:
      return (std::abs(x) < 0.33 && std::abs(y) < 1.0) || (std::abs(y) < 0.33 && std::abs(x) < 1.0);
  }
}

// Two textures that differ in their statistics, not in their colours: stripes, and a checkerboard.
bool lit(std::size_t texture, double u, double v) {
  const bool a = std::sin(u) > 0;
  return texture == 0 ? a : a != (std::sin(v) > 0);
}

struct Stamp {
  double x, y, radius, cosine, sine, period, phase;
  std::size_t shape, texture;
  Colour light, dark;
};

Stamp random_stamp(Rng& rng, std::size_t shape, std::size_t texture, double low_radius, double high_radius) {
  Stamp s{};
  s.radius = rng.uniform(low_radius, high_radius);
  s.x = rng.uniform(s.radius * 0.8, kSize - s.radius * 0.8);
  s.y = rng.uniform(s.radius * 0.8, kSize - s.radius * 0.8);
  const double angle = rng.uniform(0, 2 * std::numbers::pi);
  s.cosine = std::cos(angle);
  s.sine = std::sin(angle);
  s.period = rng.uniform(3.2, 5.5);
  s.phase = rng.uniform(0, 2 * std::numbers::pi);
  s.shape = shape;
  s.texture = texture;
  s.light = random_colour(rng);
  do {
    s.dark = random_colour(rng);
  } while (distance(s.light, s.dark) < 140);
  return s;
}

void draw(const Stamp& s, double opacity, std::array<double, 3 * kPlane>& canvas) {
  const double scale = 2 * std::numbers::pi / s.period;
  for (int py = 0; py < kSize; ++py) {
    for (int px = 0; px < kSize; ++px) {
      const double dx = px + 0.5 - s.x;
      const double dy = py + 0.5 - s.y;
      const double u = s.cosine * dx + s.sine * dy;
      const double v = -s.sine * dx + s.cosine * dy;
      if (!inside(s.shape, u / s.radius, v / s.radius)) continue;
      const Colour& c = lit(s.texture, u * scale + s.phase, v * scale + s.phase) ? s.light : s.dark;
      const auto at = static_cast<std::size_t>(py * kSize + px);
      canvas[at] += opacity * (c.r - canvas[at]);
      canvas[at + kPlane] += opacity * (c.g - canvas[at + kPlane]);
      canvas[at + 2 * kPlane] += opacity * (c.b - canvas[at + 2 * kPlane]);
    }
  }
}

void draw_image(Rng& rng, std::size_t label, std::array<double, 3 * kPlane>& canvas) {
  // Background: a slope between two colours.
  const Colour from = random_colour(rng);
  const Colour to = random_colour(rng);
  const double angle = rng.uniform(0, 2 * std::numbers::pi);
  const double gx = std::cos(angle) / kSize;
  const double gy = std::sin(angle) / kSize;
  for (int py = 0; py < kSize; ++py) {
    for (int px = 0; px < kSize; ++px) {
      const double t = std::clamp(0.5 + gx * (px - 16) + gy * (py - 16), 0.0, 1.0);
      const auto at = static_cast<std::size_t>(py * kSize + px);
      canvas[at] = from.r + t * (to.r - from.r);
      canvas[at + kPlane] = from.g + t * (to.g - from.g);
      canvas[at + 2 * kPlane] = from.b + t * (to.b - from.b);
    }
  }
  // Clutter: small stamps of any class, half hidden, so that the texture alone or one edge alone tells little.
  const std::uint64_t clutter = 1 + rng.below(3);
  for (std::uint64_t i = 0; i < clutter; ++i) {
    draw(random_stamp(rng, rng.index(5), rng.index(2), 3, 5.5), 0.7, canvas);
  }
  draw(random_stamp(rng, label / 2, label % 2, 7, 11.5), rng.uniform(0.75, 1), canvas);
  const double sigma = rng.uniform(8, 30);
  for (double& value : canvas) value += sigma * rng.normal();
}

}  // namespace

std::size_t synthetic_size(Split split) noexcept {
  return split == Split::kTrain ? 8'000 : split == Split::kValidation ? 1'000 : 2'000;
}

ImageSet make_synthetic(Split split, std::uint64_t seed, std::size_t count) {
  if (count == 0) count = synthetic_size(split);
  ImageSet images;
  images.name = "synthetic";
  images.title = "synthetic textured shapes";
  images.provenance = "drawn by code, seed " + std::to_string(seed) + ", " + std::string(name_of(split)) + " split";
  images.pixels.resize(count * images.image_bytes());
  images.labels.resize(count);
  const Rng root = Rng(seed).fork(1 + static_cast<std::uint64_t>(split));
  std::array<double, 3 * kPlane> canvas{};
  for (std::size_t i = 0; i < count; ++i) {
    Rng rng = root.fork(i);  // an image depends on its number alone, not on how many are asked for
    const std::size_t label = rng.index(10);
    draw_image(rng, label, canvas);
    images.labels[i] = static_cast<std::uint8_t>(label);
    std::transform(canvas.begin(), canvas.end(), images.pixels.begin() + static_cast<std::ptrdiff_t>(i * 3 * kPlane),
                   [](double v) { return static_cast<std::uint8_t>(std::clamp(std::lround(v), 0L, 255L)); });
  }
  return images;
}

}  // namespace reins::data
