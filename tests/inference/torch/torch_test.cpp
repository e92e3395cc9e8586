#include <torch/torch.h>

#include "inference/engines.hpp"
#include "inference/torch/group_module.hpp"
#include "inference/torch/torch_engine.hpp"
#include "tests/inference/random_network.hpp"
#include "tests/support/matchers.hpp"

namespace reins::inference {
namespace {

using reins::testing::random_image;
using reins::testing::random_weights;
using reins::testing::small_architecture;
using reins::testing::view_of;

std::vector<float> run(Engine& engine, const TensorView& view, int level) {
  EXPECT_OK(engine.begin(view, LevelId(level)));
  auto answer = engine.finish();
  EXPECT_OK(answer);
  return {answer->probabilities.begin(), answer->probabilities.end()};
}

// Relative to the largest probability; 1e-4 covers float32 sums of 864 terms in two orders, four deep.
void expect_close(const std::vector<float>& a, const std::vector<float>& b) {
  const float top = *std::max_element(b.begin(), b.end());
  for (std::size_t k = 0; k < a.size(); ++k) EXPECT_NEAR(a[k], b[k], 1e-4F * top);
}

void agrees_with_libtorch(const std::string& backend) {
  const GroupArchitecture a;
  const auto network = describe(a, "default", "none", "none");
  const auto weights = random_weights(a, 5);
  auto fast = make_engine(network, weights, {.backend = backend});
  auto slow = make_torch_engine(network, weights);
  ASSERT_OK(fast);
  ASSERT_OK(slow);
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    const auto image = random_image(a, seed);
    for (int level = 0; level < a.groups; ++level) {
      expect_close(run(**fast, view_of(image, a), level), run(**slow, view_of(image, a), level));
    }
  }
}

TEST(PortableEngine, AgreesWithLibtorchAtEveryLevelOfTheDefaultNetwork) { agrees_with_libtorch("portable"); }

TEST(OnednnEngine, AgreesWithLibtorchAtEveryLevelOfTheDefaultNetwork) {
  if (!has_onednn()) GTEST_SKIP() << "this build has no oneDNN";
  agrees_with_libtorch("onednn");
}

TEST(TorchEngine, GrowsToAFreshRun) {
  const auto a = small_architecture();
  auto engine = make_torch_engine(describe(a, "small", "none", "none"), random_weights(a, 1));
  ASSERT_OK(engine);
  const auto image = random_image(a, 1);
  const auto fresh = run(**engine, view_of(image, a), 1);
  ASSERT_OK((*engine)->begin(view_of(image, a), LevelId(0)));
  ASSERT_OK((*engine)->grow());
  auto grown = (*engine)->finish();
  ASSERT_OK(grown);
  for (std::size_t k = 0; k < fresh.size(); ++k) EXPECT_NEAR(grown->probabilities[k], fresh[k], 1e-5F);
}

TEST(GroupModule, FoldsBatchNormIntoTheConvolutions) {
  torch::manual_seed(3);
  const auto a = small_architecture();
  GroupModule module(a);
  {
    // Statistics and scales that are far from their initial 0 and 1.
    torch::NoGradGuard no_grad;
    for (auto& item : module->named_buffers()) {
      if (item.key().find("running_mean") != std::string::npos) item.value().normal_(0, 0.5);
      if (item.key().find("running_var") != std::string::npos) item.value().uniform_(0.3, 3);
    }
    for (auto& item : module->named_parameters()) {
      if (item.key().find("norm") != std::string::npos) item.value().normal_(0.8, 0.4);
    }
    module->bias().normal_();
  }
  module->eval();
  const auto weights = fold(*module, {0.5F, 0.5F, 0.5F}, {0.25F, 0.25F, 0.25F});
  auto engine = make_torch_engine(describe(a, "small", "none", "none"), weights);
  ASSERT_OK(engine);
  const auto image = random_image(a, 2);
  std::vector<float> normalised;
  for (const auto pixel : image) normalised.push_back((static_cast<float>(pixel) / 255.0F - 0.5F) / 0.25F);
  torch::NoGradGuard no_grad;
  const auto x = torch::from_blob(normalised.data(), {1, a.channels, a.size, a.size});
  for (int level = 0; level < a.groups; ++level) {
    const auto p = torch::softmax(module->forward(x, level).flatten(), 0).contiguous();
    expect_close(run(**engine, view_of(image, a), level), {p.data_ptr<float>(), p.data_ptr<float>() + p.numel()});
  }
}

}  // namespace
}  // namespace reins::inference
