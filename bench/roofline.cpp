// bench/roofline.cpp: how near our engine comes to what one core can do: the share of the FMA peak of each level, and
// of each layer the share of its roofline (Williams, Waterman, Patterson, "Roofline", CACM 2009): the longer of what
// its multiplications and its bytes would take at the rates measured in the same run. Batch 1, one thread, pinned.
#include <benchmark/benchmark.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/fma_peak.hpp"
#include "bench/machine.hpp"
#include "bench/support.hpp"
#include "inference/aligned_floats.hpp"
#include "inference/conv_kernel.hpp"
#include "inference/engines.hpp"
#include "inference/network_file.hpp"
#include "tests/inference/random_network.hpp"

namespace {

using namespace reins;             // NOLINT
using namespace reins::bench;      // NOLINT
using namespace reins::inference;  // NOLINT
using Clock = std::chrono::steady_clock;
using Us = std::chrono::duration<double, std::micro>;

constexpr const char* kNetwork = REINS_SOURCE_DIR "/assets/networks/cifar10-group4/network.rnet";
constexpr std::size_t kMemory = std::size_t{256} << 20U;  // beyond any cache of the machines that this is run on

/// The portable engine's arithmetic, layer by layer, with a clock between them: the same kernels in the same order
/// over buffers of the same sizes, so that the caches hold what they hold in an inference.
class Layers {
 public:
  Layers(const GroupArchitecture& a, const NetworkWeights& weights) : kernels_(best_kernels()), a_(a) {
    const auto size = static_cast<std::size_t>(a.size);
    const auto channels = static_cast<std::size_t>(a.channels);
    input_ = keep(std::vector<float>((size + 2) * (size + 2) * channels, 0.5F));
    std::size_t scratch = 1;
    for (const GroupWeights& of : weights.groups) {
      std::vector<StageView>& stages = groups_.emplace_back();
      for (std::size_t s = 0; s < a.stages.size(); ++s) {
        const auto out = static_cast<std::size_t>(a.stages[s].channels);
        StageView v;
        v.in_channels = static_cast<std::size_t>(a.input_channels(s));
        v.in_stride = s == 0 ? channels : padded(v.in_channels);
        v.out_channels = out;
        v.out_stride = padded(out);
        v.height = v.width = static_cast<std::size_t>(a.size_at(s));
        v.form = s == 0 ? ConvForm::kDirect : best_form(v.in_channels, v.height, v.width);
        v.pool = a.stages[s].pool;
        v.out_border = s + 1 == a.stages.size() ? 0 : 1;
        v.weights = keep(pack_weights(v.form, of.conv_weights[s].values.data(), out, v.in_channels));
        std::vector<float> bias = of.conv_biases[s].values;
        bias.resize(v.out_stride);
        v.bias = keep(bias);
        v.in = s == 0 ? input_ : stages.back().out;
        const std::size_t side = static_cast<std::size_t>(a.size_at(s + 1)) + 2 * v.out_border;
        v.out = keep(std::vector<float>(side * side * v.out_stride));
        features_ = side * side * v.out_stride;
        scratch = std::max(scratch, v.scratch_floats());
        stages.push_back(v);
      }
      classifiers_.push_back(keep(std::vector<float>(static_cast<std::size_t>(a.classes) * features_, 0.01F)));
    }
    scratch_ = keep(std::vector<float>(scratch));
  }

  std::size_t count() const noexcept { return groups_.front().size() + 1; }
  const StageView& view(std::size_t layer) const { return groups_.front()[layer]; }

  /// Appends what each layer took, in microseconds, all groups of the level together; the classifier's is the last.
  void run(std::size_t level, std::vector<std::vector<double>>& times) {
    auto began = Clock::now();
    const auto lap = [&](std::size_t layer) {
      const auto now = Clock::now();
      times[layer].push_back(Us(now - began).count());
      began = now;
    };
    for (std::size_t s = 0; s + 1 < count(); ++s) {
      for (std::size_t g = 0; g <= level; ++g) {
        kernels_.run_steps(groups_[g][s], 0, groups_[g][s].steps(), scratch_);
      }
      lap(s);
    }
    for (std::size_t g = 0; g <= level; ++g) {
      for (std::size_t k = 0; k < static_cast<std::size_t>(a_.classes); ++k) {
        sum_ += kernels_.dot(groups_[g].back().out, classifiers_[g] + k * features_, features_);
      }
    }
    benchmark::DoNotOptimize(sum_);
    lap(count() - 1);
  }

 private:
  float* keep(const std::vector<float>& values) { return buffers_.emplace_back(values).get(); }

  const Kernels& kernels_;
  const GroupArchitecture& a_;
  std::vector<Floats> buffers_;
  float* input_ = nullptr;
  float* scratch_ = nullptr;
  std::vector<std::vector<StageView>> groups_;
  std::vector<float*> classifiers_;
  std::size_t features_ = 0;
  float sum_ = 0;
};

struct Limits {
  double macs_per_s = 0;
  double bytes_per_s = 0;  ///< of a working set as large as the full level's
};

/// The best that was seen so far: a share of less would flatter us.
void measure(Limits& limits, double working_set) {
  limits.macs_per_s = std::max(limits.macs_per_s, fma_per_s());
  limits.bytes_per_s = std::max(limits.bytes_per_s, read_bytes_per_s(static_cast<std::size_t>(working_set)));
}

/// Medians [level][layer] in microseconds, the engine's whole inference behind the layers.
struct Times {
  std::vector<std::vector<double>> layers;
  std::vector<double> engine;
};

Times run(Engine& engine, Layers& layers, const TensorView& image, int rounds, Limits& limits) {
  const std::vector<LevelFacts>& levels = engine.facts().levels;
  std::vector<std::vector<std::vector<double>>> of_layers(levels.size(),
                                                          std::vector<std::vector<double>>(layers.count()));
  std::vector<std::vector<double>> of_engine(levels.size());
  for (int round = 0; round < rounds; ++round) {
    if (round % 10 == 0) measure(limits, levels.back().bytes);
    for (std::size_t level = 0; level < levels.size(); ++level) {
      std::vector<std::vector<double>> warm_up(layers.count());
      layers.run(level, warm_up);
      for (int i = 0; i < 10; ++i) layers.run(level, of_layers[level]);
      for (int i = 0; i < 11; ++i) {
        const auto began = Clock::now();
        must(engine.begin(image, LevelId(level)));
        must(engine.finish());
        if (i > 0) of_engine[level].push_back(Us(Clock::now() - began).count());
      }
    }
  }
  Times times;
  for (std::size_t level = 0; level < levels.size(); ++level) {
    times.engine.push_back(median(of_engine[level]));
    std::vector<double>& row = times.layers.emplace_back();
    for (const std::vector<double>& layer : of_layers[level]) row.push_back(median(layer));
  }
  return times;
}

void print_levels(const DynamicNetwork& network, const Times& times, const Limits& limits) {
  std::printf("\n%s, batch 1, 1 thread\n", network.facts.name.c_str());
  std::printf("level  MMACs       us  FMA peak  layers alone, us\n");
  for (std::size_t level = network.facts.levels.size(); level-- > 0;) {
    const double macs = network.facts.levels[level].macs;
    double alone = 0;
    for (const double us : times.layers[level]) alone += us;
    std::printf("%3.0f %% %6.1f %8.1f  %6.0f %%  %16.1f\n", 100 * macs / network.facts.levels.back().macs, macs * 1e-6,
                times.engine[level], 100 * macs / limits.macs_per_s / (times.engine[level] * 1e-6), alone);
  }
}

void print_layers(const DynamicNetwork& network, const Layers& layers, const Times& times, const Limits& limits) {
  const GroupArchitecture& a = network.architecture;
  const std::vector<LevelFacts>& levels = network.facts.levels;
  std::printf("layer       of a group          form       MMACs      kB        us  bound by  of the roofline at");
  for (std::size_t level = levels.size(); level-- > 0;) {
    std::printf(" %3.0f %%", 100 * levels[level].macs / levels.back().macs);
  }
  std::printf("\n");
  for (std::size_t layer = 0; layer < layers.count(); ++layer) {
    const bool dense = layer + 1 == layers.count();
    std::string shares;
    LayerCost full;
    bool by_macs = false;
    for (std::size_t level = levels.size(); level-- > 0;) {
      LayerCost cost;  // facts list them group after group
      for (std::size_t i = layer; i < levels[level].layers.size(); i += layers.count()) {
        cost.macs += levels[level].layers[i].macs;
        cost.bytes += levels[level].layers[i].bytes;
      }
      const double macs_s = cost.macs / limits.macs_per_s;
      const double bytes_s = cost.bytes / limits.bytes_per_s;
      if (level + 1 == levels.size()) full = cost, by_macs = macs_s > bytes_s;
      const double share = std::max(macs_s, bytes_s) / (times.layers[level][layer] * 1e-6);
      std::array<char, 16> text{};
      std::snprintf(text.data(), text.size(), " %3.0f %%", 100 * share);
      shares += text.data();
    }
    const std::string shape = dense ? std::to_string(a.features()) + "-" + std::to_string(a.classes)
                                    : std::to_string(a.input_channels(layer)) + "-" +
                                          std::to_string(a.stages[layer].channels) + " at " +
                                          std::to_string(a.size_at(layer)) + (a.stages[layer].pool ? ", pool" : "");
    const char* const form = dense ? "dot" : layers.view(layer).form == ConvForm::kWinograd ? "Winograd" : "direct";
    std::printf("%-10s  %-18s  %-8s  %6.2f  %6.0f  %8.1f  %-8s  %18s%s\n",
                dense ? "classifier" : ("conv " + std::to_string(layer + 1)).c_str(), shape.c_str(), form,
                full.macs * 1e-6, full.bytes * 1e-3, times.layers.back()[layer], by_macs ? "FMA" : "bytes", "",
                shares.c_str());
  }
}

void report(const DynamicNetwork& network, const NetworkWeights& weights, int cpu, int rounds) {
  const auto engine = must(make_engine(network, weights));
  must(engine->place({.unit = Unit::kCpu, .threads = 1, .cpus = {cpu}}));
  Layers layers(network.architecture, weights);
  const std::vector<std::uint8_t> image = reins::testing::random_image(network.architecture, 1);
  Limits limits;
  const Times times = run(*engine, layers, reins::testing::view_of(image, network.architecture), rounds, limits);
  print_levels(network, times, limits);
  std::printf(
      "one core: %.0f GMAC/s; reads %.0f GB/s from the %.1f MB that the full level touches, %.0f GB/s from memory\n",
      limits.macs_per_s * 1e-9, limits.bytes_per_s * 1e-9, network.facts.levels.back().bytes * 1e-6,
      read_bytes_per_s(kMemory) * 1e-9);
  print_layers(network, layers, times, limits);
}

int run_all(int cpu, int rounds) {
  keep_to({cpu});
  std::printf("# %s; on cpu %d\n", machine_line().c_str(), cpu);
  std::printf(
      "# kernels %.*s; MACs of the direct form: Winograd does fewer, so its shares may pass 100 %%. The roofline's "
      "bytes "
      "are\n# weights, input and output once each, at the rate at which this core reads all that the full level "
      "touches\n",
      static_cast<int>(best_kernels().name.size()), best_kernels().name.data());
  const NetworkFile file = must(NetworkFile::open(kNetwork));
  report(file.network(), must(file.weights()), cpu, rounds);
  GroupArchitecture alexnet;
  alexnet.stages = {{16, true}, {48, true}, {96, false}, {64, false}, {64, true}};
  report(describe(alexnet, "alexnet-convolutions", "random", "random"), reins::testing::random_weights(alexnet, 1), cpu,
         rounds);
  std::printf("\n# at the end: %s; preempted %ld times\n", machine_line().c_str(), times_preempted());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "The share of one core's FMA peak that each level reaches, and the share of the roofline of each layer.");
  app.name("bench_roofline");
  app.footer("Example, on an otherwise idle machine:\n  bench_roofline > roofline.txt");
  int rounds = 100;
  int cpu = -1;
  app.add_option("--rounds", rounds, "Ten inferences of each level each; time grows with it")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  app.add_option("--cpu", cpu, "The core; without it the first");
  return run_program(app, argc, argv, [&] {
    const std::vector<int> allowed = allowed_cpus();
    if (app.count("--cpu") == 0) cpu = allowed.front();
    if (std::count(allowed.begin(), allowed.end(), cpu) == 0) {
      throw CLI::ValidationError("--cpu", "give one of " + joined(allowed));
    }
    return run_all(cpu, rounds);
  });
}
