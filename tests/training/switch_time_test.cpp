// What a change of level is taken to cost. That of our engines is tested with the comparison (net_compare_test.cpp).
#include "training/switch_time.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <thread>

namespace reins::training {
namespace {

/// Takes a millisecond for a change of level, and next to nothing else.
class SlowToChange final : public NetFamily {
 public:
  torch::nn::Module& module() override { return *module_; }
  std::vector<Part> parts() override { return {}; }
  void begin(std::int64_t) override {}
  void train_only(std::int64_t) override {}
  Step step(std::int64_t, const torch::Tensor&, const torch::Tensor&, bool) override { return {}; }
  torch::Tensor logits(const torch::Tensor& images, std::int64_t level) override {
    EXPECT_EQ(images.sizes(), (std::vector<std::int64_t>{1, 3, 8, 8}));
    EXPECT_FALSE(module_->is_training());
    EXPECT_FALSE(torch::GradMode::is_enabled());
    EXPECT_EQ(at::get_num_threads(), 1);
    if (level != last_) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      changes.insert({last_, level});
    }
    last_ = level;
    return images;
  }
  std::set<std::pair<std::int64_t, std::int64_t>> changes;

 private:
  torch::nn::Linear module_{1, 1};
  std::int64_t last_ = 0;
};

TEST(LibtorchSwitch, IsWhatTheFirstInferenceAfterAChangeTakesMore) {
  const int threads = at::get_num_threads();
  SlowToChange family;
  const double switch_s = measure_libtorch_switch(family, 3, {1, 3, 8, 8});
  EXPECT_GT(switch_s, 0.5e-3) << "a sleep takes no less than asked for; the next inference, now and then, something";
  EXPECT_EQ(family.changes.size(), 6U) << "every level from every other";
  EXPECT_EQ(at::get_num_threads(), threads);
}

}  // namespace
}  // namespace reins::training
