// agent/replay.hpp: the newest transitions, in plain arrays, sampled uniformly.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/n_step.hpp"
#include "core/rng.hpp"

namespace reins::agent {

/// B transitions side by side: what one update reads. Row b of `obs` is obs[b * features .. (b + 1) * features).
struct Batch {
  std::size_t size = 0;
  std::vector<float> obs, next_obs;                      ///< B x O
  std::vector<float> reward, penalty, time_s, discount;  ///< B
  std::vector<policies::ActionMask> mask, next_mask;
  std::vector<policies::HeadChoice> choice;
};

/// A ring of fixed capacity: the oldest transition gives way (Lin 1992; Mnih et al. 2015).
class Replay {
 public:
  Replay(std::size_t capacity, std::size_t features);

  void add(const Transition& transition);
  /// `count` transitions, uniformly and with replacement. Not while empty. Allocates on the first call with a batch.
  void sample(Rng& rng, std::size_t count, Batch& batch) const;
  /// Transition `i` of size(), in the order they lie.
  Transition at(std::size_t i) const noexcept;

  std::size_t size() const noexcept { return size_; }
  std::size_t capacity() const noexcept { return capacity_; }

  /// All contents as bytes of this machine's layout, and back. Errors: garbled (another capacity, another length).
  std::string save() const;
  Status restore(std::string_view bytes);

 private:
  struct Row {
    policies::ActionMask mask, next_mask;
    policies::HeadChoice choice;
    float reward = 0, penalty = 0, time_s = 0, discount = 0;
  };
  std::size_t capacity_, features_;
  std::size_t size_ = 0, next_ = 0;
  std::vector<float> obs_, next_obs_;
  std::vector<Row> rows_;
};

}  // namespace reins::agent
