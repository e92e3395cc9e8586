#include <sched.h>

#include <atomic>
#include <cstdio>
#include <thread>

#include "inference/answers.hpp"
#include "inference/conv_kernel.hpp"
#include "inference/engines.hpp"
#include "tests/inference/random_network.hpp"
#include "tests/support/count_allocations.hpp"
#include "tests/support/matchers.hpp"

namespace reins::inference {
namespace {

using reins::testing::IsError;
using reins::testing::random_image;
using reins::testing::random_weights;
using reins::testing::small_architecture;
using reins::testing::view_of;
using ::testing::HasSubstr;

// The network by its definition: seven nested loops, in double.
std::vector<double> reference_logits(const GroupArchitecture& a, const NetworkWeights& w,
                                     const std::vector<std::uint8_t>& image, std::size_t level) {
  std::vector<double> logits(w.bias.values.size());
  for (std::size_t g = 0; g <= level; ++g) {
    auto n = static_cast<std::size_t>(a.size);
    std::vector<double> x(image.size());
    for (std::size_t i = 0; i < image.size(); ++i) {
      const std::size_t c = i / (n * n);
      x[i] = (image[i] / 255.0 - static_cast<double>(w.mean[c])) / static_cast<double>(w.stddev[c]);
    }
    for (std::size_t s = 0; s < a.stages.size(); ++s) {
      const auto in = static_cast<std::size_t>(a.input_channels(s));
      const auto out = static_cast<std::size_t>(a.stages[s].channels);
      std::vector<double> y(out * n * n);
      for (std::size_t o = 0; o < out; ++o) {
        for (std::size_t r = 0; r < n; ++r) {
          for (std::size_t c = 0; c < n; ++c) {
            double sum = static_cast<double>(w.groups[g].conv_biases[s].values[o]);
            for (std::size_t i = 0; i < in; ++i) {
              for (std::size_t k = 0; k < 9; ++k) {
                const auto yy = static_cast<std::ptrdiff_t>(r + k / 3) - 1;
                const auto xx = static_cast<std::ptrdiff_t>(c + k % 3) - 1;
                const auto edge = static_cast<std::ptrdiff_t>(n);
                if (yy < 0 || xx < 0 || yy >= edge || xx >= edge) continue;
                sum += static_cast<double>(w.groups[g].conv_weights[s].values[(o * in + i) * 9 + k]) *
                       x[(i * n + static_cast<std::size_t>(yy)) * n + static_cast<std::size_t>(xx)];
              }
            }
            y[(o * n + r) * n + c] = std::max(0.0, sum);
          }
        }
      }
      if (a.stages[s].pool) {
        const std::size_t half = n / 2;
        std::vector<double> pooled(out * half * half);
        for (std::size_t o = 0; o < out; ++o) {
          for (std::size_t r = 0; r < half; ++r) {
            for (std::size_t c = 0; c < half; ++c) {
              const auto at = [&](std::size_t dy, std::size_t dx) { return y[(o * n + 2 * r + dy) * n + 2 * c + dx]; };
              pooled[(o * half + r) * half + c] = std::max({at(0, 0), at(0, 1), at(1, 0), at(1, 1)});
            }
          }
        }
        y = std::move(pooled);
        n = half;
      }
      x = std::move(y);
    }
    for (std::size_t k = 0; k < logits.size(); ++k) {
      for (std::size_t f = 0; f < x.size(); ++f)
        logits[k] += static_cast<double>(w.groups[g].classifier.values[k * x.size() + f]) * x[f];
    }
  }
  for (std::size_t k = 0; k < logits.size(); ++k) {
    logits[k] = static_cast<double>(w.bias.values[k]) + logits[k] / static_cast<double>(level + 1);
  }
  return logits;
}

std::vector<double> softmax(std::vector<double> logits) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (double& v : logits) sum += v = std::exp(v - top);
  for (double& v : logits) v /= sum;
  return logits;
}

std::unique_ptr<Engine> small_engine(const std::string& backend = "auto") {
  const auto a = small_architecture();
  auto engine = make_engine(describe(a, "small", "none", "none"), random_weights(a, 1), {.backend = backend});
  return engine.has_value() ? std::move(*engine) : nullptr;
}

std::vector<float> run(Engine& engine, const TensorView& view, int level) {
  EXPECT_OK(engine.begin(view, LevelId(level)));
  auto answer = engine.finish();
  EXPECT_OK(answer);
  return {answer->probabilities.begin(), answer->probabilities.end()};
}

class EveryKernel : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (backend_ == "onednn" ? !has_onednn() : kernels_named(backend_) == nullptr) {
      GTEST_SKIP() << "not on this processor or in this build: " << backend_;
    }
  }
  const std::string backend_ = GetParam();
};

TEST_P(EveryKernel, ComputesTheNetworkByItsDefinition) {
  const auto a = small_architecture();
  const auto weights = random_weights(a, 1);
  auto engine = small_engine(backend_);
  ASSERT_NE(engine, nullptr);
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const auto image = random_image(a, seed);
    for (int level = 0; level < 3; ++level) {
      const auto expected = softmax(reference_logits(a, weights, image, static_cast<std::size_t>(level)));
      const auto got = run(*engine, view_of(image, a), level);
      // float32 sums of up to 180 terms, three deep: 1e-5 leaves a factor of ten.
      for (std::size_t k = 0; k < expected.size(); ++k) EXPECT_NEAR(got[k], expected[k], 1e-5) << "class " << k;
    }
  }
}

// Last blocks of 16 channels that are filled by half or less, alone and behind whole ones, pooled and not, where pixels
// follow each other without a gap and where they do not, at widths that leave a rest.
TEST_P(EveryKernel, ComputesWhateverIsLeftOfABlockOfChannels) {
  struct Case {
    int size;
    std::vector<Stage> stages;
  };
  for (const Case& one :
       {Case{12, {{24, true}, {24, false}, {40, true}}}, Case{20, {{8, false}, {24, true}, {40, false}}},
        Case{9, {{24, false}, {40, false}, {8, false}}}, Case{34, {{40, true}, {12, false}}}}) {
    SCOPED_TRACE(one.size);
    GroupArchitecture a = small_architecture();
    a.size = one.size;
    a.stages = one.stages;
    const auto weights = random_weights(a, 4);
    auto engine = make_engine(describe(a, "odd", "none", "none"), weights, {.backend = backend_});
    ASSERT_OK(engine);
    const auto image = random_image(a, 5);
    const auto expected = softmax(reference_logits(a, weights, image, 1));
    const auto got = run(**engine, view_of(image, a), 1);
    for (std::size_t k = 0; k < expected.size(); ++k) EXPECT_NEAR(got[k], expected[k], 1e-5) << "class " << k;
  }
}

INSTANTIATE_TEST_SUITE_P(Engine, EveryKernel, ::testing::Values("baseline", "avx2", "avx512", "onednn"));

TEST(OnednnEngine, GrowsToTheBitsOfAFreshRun) {
  if (!has_onednn()) GTEST_SKIP() << "this build has no oneDNN";
  const auto a = small_architecture();
  const auto image = random_image(a, 7);
  auto engine = small_engine("onednn");
  ASSERT_NE(engine, nullptr);
  for (const int threads : {1, 2, 5}) {
    ASSERT_OK(engine->place({.threads = threads, .cpus = {}}));
    std::vector<std::vector<float>> fresh;
    for (int level = 0; level < 3; ++level) fresh.push_back(run(*engine, view_of(image, a), level));
    ASSERT_OK(engine->begin(view_of(image, a), LevelId(0)));
    for (int level = 1; level < 3; ++level) {
      ASSERT_OK(engine->grow());
      auto answer = engine->finish();
      ASSERT_OK(answer);
      EXPECT_EQ(std::vector<float>(answer->probabilities.begin(), answer->probabilities.end()),
                fresh[static_cast<std::size_t>(level)]);
    }
    EXPECT_THAT(engine->grow(), IsError(ErrorKind::kUsage, HasSubstr("full network")));
  }
  EXPECT_THAT(engine->begin(view_of(image, a), LevelId(3)), IsError(ErrorKind::kUsage, HasSubstr("level")));
  // What oneDNN allocates inside is its own; printed, so that a change is seen.
  const long allocations =
      reins::testing::allocations_in([&] { EXPECT_TRUE(engine->begin(view_of(image, a), LevelId(2)).has_value()); });
  RecordProperty("allocations_per_inference", static_cast<int>(allocations));
  std::printf("oneDNN allocated %ld times in an inference of 3 groups\n", allocations);
}

TEST(EveryEngine, AutoIsOurOwnAndABuildWithoutOnednnSaysSo) {
  const auto a = small_architecture();
  const auto image = random_image(a, 6);
  auto automatic = small_engine("auto");
  auto portable = small_engine("portable");
  ASSERT_NE(automatic, nullptr);
  ASSERT_NE(portable, nullptr);
  EXPECT_EQ(run(*automatic, view_of(image, a), 2), run(*portable, view_of(image, a), 2));
  const auto onednn = make_engine(describe(a, "s", "n", "n"), random_weights(a, 1), {.backend = "onednn"});
  if (has_onednn()) {
    EXPECT_OK(onednn);
  } else {
    EXPECT_THAT(onednn, IsError(ErrorKind::kUnsupported, HasSubstr("no oneDNN")));
  }
}

TEST(EveryEngine, AnswersABatchAsItAnswersItsImages) {
  const auto a = small_architecture();
  for (const std::string backend : {"portable", "onednn"}) {
    if (backend == "onednn" && !has_onednn()) continue;
    auto engine =
        make_engine(describe(a, "small", "none", "none"), random_weights(a, 1), {.backend = backend, .max_batch = 3});
    ASSERT_OK(engine);
    std::vector<std::uint8_t> images;
    std::vector<std::vector<float>> alone;
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
      const auto image = random_image(a, seed);
      alone.push_back(run(**engine, view_of(image, a), 2));
      images.insert(images.end(), image.begin(), image.end());
    }
    for (const std::int64_t count : {2, 3}) {
      TensorView view = view_of(images, a);
      view.shape[0] = count;
      const auto together = run(**engine, view, 2);
      ASSERT_EQ(together.size(), static_cast<std::size_t>(count) * alone[0].size());
      for (std::size_t i = 0; i < together.size(); ++i) {
        EXPECT_NEAR(together[i], alone[i / alone[0].size()][i % alone[0].size()], 1e-5) << backend;
      }
    }
    TensorView four = view_of(images, a);
    four.shape[0] = 4;
    EXPECT_THAT((*engine)->begin(four, LevelId(0)), IsError(ErrorKind::kUsage, HasSubstr("shape")));
  }
}

TEST(PortableEngine, GrowsToTheBitsOfAFreshRunOnAnyNumberOfThreads) {
  const auto a = small_architecture();
  const auto image = random_image(a, 7);
  auto engine = small_engine();
  std::vector<std::vector<float>> fresh;
  for (int level = 0; level < 3; ++level) fresh.push_back(run(*engine, view_of(image, a), level));
  EXPECT_NE(fresh[0], fresh[1]);
  for (const int threads : {1, 2, 3, 7}) {
    ASSERT_OK(engine->place({.threads = threads, .cpus = {}}));
    for (int level = 0; level < 3; ++level)
      EXPECT_EQ(run(*engine, view_of(image, a), level), fresh[static_cast<std::size_t>(level)]) << threads;
    ASSERT_OK(engine->begin(view_of(image, a), LevelId(0)));
    for (int level = 1; level < 3; ++level) {
      ASSERT_OK(engine->grow());
      auto answer = engine->finish();
      ASSERT_OK(answer);
      EXPECT_EQ(answer->level, LevelId(level));
      EXPECT_EQ(std::vector<float>(answer->probabilities.begin(), answer->probabilities.end()),
                fresh[static_cast<std::size_t>(level)]);
    }
  }
}

TEST(PortableEngine, TakesFloatsOfZeroToOneAsItTakesBytes) {
  const auto a = small_architecture();
  const auto image = random_image(a, 8);
  std::vector<float> floats;
  for (const auto pixel : image) floats.push_back(static_cast<float>(pixel) / 255.0F);
  auto engine = small_engine();
  const auto from_bytes = run(*engine, view_of(image, a), 2);
  TensorView view = view_of(image, a);
  view.data = floats.data();
  view.dtype = DType::kFloat32;
  const auto from_floats = run(*engine, view, 2);
  for (std::size_t k = 0; k < from_bytes.size(); ++k) EXPECT_NEAR(from_bytes[k], from_floats[k], 1e-5);
}

TEST(PortableEngine, AllocatesNothingOnceItHasRun) {
  const auto a = small_architecture();
  const auto image = random_image(a, 9);
  auto engine = small_engine();
  const Placement two{.threads = 2, .cpus = {}};
  const Placement one{.threads = 1, .cpus = {}};
  ASSERT_OK(engine->place(two));
  ASSERT_OK(engine->begin(view_of(image, a), LevelId(2)));
  bool well = true;
  const long allocations = reins::testing::allocations_in([&] {
    for (int i = 0; i < 20; ++i) {
      well = well && engine->place(i % 2 == 0 ? one : two).has_value();
      well = well && engine->begin(view_of(image, a), LevelId(0)).has_value();
      well = well && engine->grow().has_value() && engine->grow().has_value() && engine->finish().has_value();
    }
  });
  EXPECT_EQ(allocations, 0);
  EXPECT_TRUE(well);
}

TEST(PortableEngine, PinsWhereAskedAndPutsTheCallerBack) {
  cpu_set_t before;
  ASSERT_EQ(::sched_getaffinity(0, sizeof before, &before), 0);
  int cpu = 0;
  while (!CPU_ISSET(static_cast<std::size_t>(cpu), &before)) ++cpu;
  const auto a = small_architecture();
  const auto image = random_image(a, 10);
  auto engine = small_engine();
  const auto anywhere = run(*engine, view_of(image, a), 2);
  ASSERT_OK(engine->place({.threads = 2, .cpus = {cpu, cpu}}));  // two workers on one core: slow, and right
  EXPECT_EQ(run(*engine, view_of(image, a), 2), anywhere);
  cpu_set_t after;
  ASSERT_EQ(::sched_getaffinity(0, sizeof after, &after), 0);
  EXPECT_TRUE(CPU_EQUAL(&before, &after));
  EXPECT_THAT(engine->place({.threads = 1, .cpus = {CPU_SETSIZE - 1}}),
              IsError(ErrorKind::kUnsupported, HasSubstr("cpu 1023")));
  EXPECT_THAT(engine->place({.threads = 0, .cpus = {}}), IsError(ErrorKind::kUsage, HasSubstr("threads")));
}

TEST(PortableEngine, RefusesWhatTheNetworkDoesNotHave) {
  const auto a = small_architecture();
  const auto image = random_image(a, 11);
  auto engine = small_engine();
  EXPECT_THAT(engine->finish(), IsError(ErrorKind::kUsage, HasSubstr("nothing was begun")));
  EXPECT_THAT(engine->grow(), IsError(ErrorKind::kUsage, HasSubstr("nothing was begun")));
  EXPECT_THAT(engine->begin(view_of(image, a), LevelId(3)), IsError(ErrorKind::kUsage, HasSubstr("level")));
  EXPECT_THAT(engine->begin(view_of(image, a), LevelId(-1)), IsError(ErrorKind::kUsage, HasSubstr("level")));
  TensorView wrong = view_of(image, a);
  wrong.shape[2] = 13;
  EXPECT_THAT(engine->begin(wrong, LevelId(0)), IsError(ErrorKind::kUsage, HasSubstr("shape")));
  ASSERT_OK(engine->begin(view_of(image, a), LevelId(2)));
  EXPECT_THAT(engine->grow(), IsError(ErrorKind::kUsage, HasSubstr("full network")));
  EXPECT_OK(engine->finish());
  EXPECT_THAT(make_portable_engine(describe(a, "s", "n", "n"), random_weights(a, 1), {.backend = "tensorrt"}),
              IsError(ErrorKind::kUsage, HasSubstr("known: auto")));
}

TEST(PortableEngine, TwoInstancesRunSideBySide) {
  const auto a = small_architecture();
  const auto image = random_image(a, 12);
  auto reference = small_engine();
  const auto expected = run(*reference, view_of(image, a), 2);
  std::atomic<int> wrong{0};
  const auto serve = [&] {
    auto engine = small_engine();
    if (!engine->place({.threads = 2, .cpus = {}})) ++wrong;
    for (int i = 0; i < 50; ++i) {
      if (run(*engine, view_of(image, a), 2) != expected) ++wrong;
    }
  };
  std::thread other(serve);
  serve();
  other.join();
  EXPECT_EQ(wrong.load(), 0);
}

TEST(RecordAnswers, AgreesWithFreshRunsAtEveryLevel) {
  GroupArchitecture a = small_architecture();
  a.size = 32;
  auto engine = make_portable_engine(describe(a, "small", "synthetic", "none"), random_weights(a, 2));
  ASSERT_OK(engine);
  const auto images = data::make_synthetic(data::Split::kTest, 1, 20);
  auto answers = record_answers(**engine, images);
  ASSERT_OK(answers);
  for (std::size_t i = 0; i < images.size(); ++i) {
    EXPECT_EQ(answers->label(i), images.labels[i]);
    const TensorView view{.data = images.image(i).data(), .dtype = DType::kUint8, .shape = {1, 3, 32, 32}};
    for (int level = 0; level < 3; ++level) {
      const auto p = run(**engine, view, level);
      EXPECT_EQ(answers->predicted(LevelId(level), i), std::max_element(p.begin(), p.end()) - p.begin());
    }
  }
  EXPECT_THAT(record_answers(*small_engine(), images), IsError(ErrorKind::kMismatch, HasSubstr("shape")));
}

}  // namespace
}  // namespace reins::inference
