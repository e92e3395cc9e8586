#include "training/switch_time.hpp"

#include <memory>

#include "core/clock.hpp"
#include "core/rng.hpp"
#include "core/stats.hpp"
#include "inference/engines.hpp"

namespace reins::training {
namespace {

constexpr int kRepeats = 60;  // of every ordered pair
constexpr int kWarmUp = 3;    // inferences at the level that is left
constexpr int kLoads = 5;     // of every file
constexpr double kNano = 1e-9;

/// A level, and the engine that answers at it.
struct Stop {
  inference::Engine* engine;
  LevelId level;
};

Status infer(const Stop& stop, const inference::TensorView& image) {
  REINS_TRY(stop.engine->begin(image, stop.level));
  if (const auto answer = stop.engine->finish(); !answer) return fail(answer.error());
  return {};
}

/// `run(i)` infers at stop i. Median over all ordered pairs of the first inference after a change less the next.
template <typename Run>
Result<double> first_less_next_s(std::size_t stops, const Run& run) {
  const auto timed_s = [&](std::size_t stop) -> Result<double> {
    const std::int64_t begin_ns = monotonic_ns();
    REINS_TRY(run(stop));
    return static_cast<double>(monotonic_ns() - begin_ns) * kNano;
  };
  std::vector<double> extra_s;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    for (std::size_t from = 0; from < stops; ++from) {
      for (std::size_t to = 0; to < stops; ++to) {
        if (from == to) continue;
        for (int i = 0; i < kWarmUp; ++i) REINS_TRY(run(from));
        REINS_ASSIGN(const double first_s, timed_s(to));
        REINS_ASSIGN(const double next_s, timed_s(to));
        extra_s.push_back(first_s - next_s);
      }
    }
  }
  return quantile_of(std::move(extra_s), 0.5);
}

}  // namespace

Result<SwitchTime> measure_switch(const std::vector<std::filesystem::path>& networks) {
  std::vector<std::unique_ptr<inference::Engine>> engines;
  std::vector<double> loads_s;
  for (const auto& path : networks) {
    for (int i = 0; i < kLoads; ++i) {
      const std::int64_t begin_ns = monotonic_ns();
      REINS_ASSIGN(auto engine, inference::open_engine(path));
      loads_s.push_back(static_cast<double>(monotonic_ns() - begin_ns) * kNano);
      if (i == 0) engines.push_back(std::move(engine));
    }
  }
  std::vector<Stop> stops;
  for (const auto& engine : engines) {
    const auto levels = static_cast<int>(engine->facts().levels.size());
    for (int level = networks.size() > 1 ? levels - 1 : 0; level < levels; ++level) {
      stops.push_back({engine.get(), LevelId(level)});
    }
  }
  if (stops.size() < 2) return fail(ErrorKind::kUsage, "a change takes two levels", "switch time");

  const auto& shape = engines.front()->facts().input_shape;
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(shape[1] * shape[2] * shape[3]));
  Rng rng(1);
  for (auto& pixel : pixels) pixel = static_cast<std::uint8_t>(rng.below(256));
  const inference::TensorView image{.data = pixels.data(), .dtype = inference::DType::kUint8, .shape = shape};
  REINS_ASSIGN(const double switch_s,
               first_less_next_s(stops.size(), [&](std::size_t stop) { return infer(stops[stop], image); }));
  SwitchTime time{.switch_s = switch_s, .load_s = {}};
  if (networks.size() > 1) time.load_s = quantile_of(std::move(loads_s), 0.5);
  return time;
}

double measure_libtorch_switch(NetFamily& family, std::int64_t levels, const std::vector<std::int64_t>& shape) {
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const torch::NoGradGuard guard;
  family.module().eval();
  const torch::Tensor image = torch::rand(shape).contiguous(torch::MemoryFormat::ChannelsLast);
  const auto switch_s = first_less_next_s(static_cast<std::size_t>(levels), [&](std::size_t level) -> Status {
    static_cast<void>(family.logits(image, static_cast<std::int64_t>(level)));
    return {};
  });
  at::set_num_threads(threads);
  return *switch_s;
}

}  // namespace reins::training
