// bench/inference_peers.cpp: our engines beside what a user would pick instead, in one run, the engines taking turns
// round by round, so that what the machine does meanwhile hits all alike. The same weights, float32 against float32,
// every thread of every engine pinned to a core of its own.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/fma_peak.hpp"
#include "bench/machine.hpp"
#include "bench/peers/peer.hpp"
#include "bench/peers/threads.hpp"
#include "bench/support.hpp"
#include "core/rng.hpp"
#include "inference/engines.hpp"
#include "inference/network_file.hpp"
#include "tests/inference/random_network.hpp"

namespace {

using namespace reins;             // NOLINT
using namespace reins::bench;      // NOLINT
using namespace reins::inference;  // NOLINT
using Clock = std::chrono::steady_clock;

constexpr const char* kNetwork = REINS_SOURCE_DIR "/assets/networks/cifar10-group4/network.rnet";
constexpr double kTolerance = 1e-4;
// Of each engine's turn, behind the rest that lets the threads of the one before, OpenMP's above all, stop spinning.
constexpr std::size_t kWarmUps = 8;  // each level twice
constexpr auto kTurn = std::chrono::milliseconds(8);
constexpr std::size_t kLeastRuns = 4;  // each level once

/// From pixels to probabilities, where the libraries are given scaled numbers and stop at logits.
class Ours final : public Peer {
 public:
  Ours(const DynamicNetwork& network, const Setting& setting, const Input& input, const char* backend,
       const std::vector<int>& cpus)
      : engine_(must(make_engine(network, setting.weights, {.backend = backend, .max_batch = setting.batch}))) {
    const std::vector<std::int64_t> shape = setting.input_shape();
    view_ = {input.pixels.data(), DType::kUint8, {shape[0], shape[1], shape[2], shape[3]}};
    must(engine_->place({.unit = Unit::kCpu, .threads = setting.threads, .cpus = cpus}));
  }
  void infer(std::size_t level) override {
    must(engine_->begin(view_, LevelId(level)));
    probabilities_ = must(engine_->finish()).probabilities;
  }
  std::vector<float> logits() override {
    std::vector<float> logits(probabilities_.begin(), probabilities_.end());
    for (float& x : logits) x = std::log(x);
    return logits;
  }

 private:
  std::unique_ptr<Engine> engine_;
  TensorView view_;
  std::span<const float> probabilities_;
};

struct Rival {
  const char* name;
  const char* library;
  MakePeer make;  ///< nullptr: absent from this build
  std::string (*version)();
};
const std::vector<Rival>& rivals() {
  static const std::vector<Rival> all{
      {"eager", "libtorch", make_eager, libtorch_version},
      {"script", "libtorch, frozen TorchScript", make_torchscript, libtorch_version},
#ifdef REINS_PEER_ONEDNN
      {"oneDNN", "oneDNN", make_plain_onednn, onednn_version},
#else
      {"oneDNN", "oneDNN", nullptr, nullptr},
#endif
#ifdef REINS_PEER_ONNXRUNTIME
      {"ORT", "ONNX Runtime", make_onnxruntime, onnxruntime_version},
#else
      {"ORT", "ONNX Runtime", nullptr, nullptr},
#endif
#ifdef REINS_PEER_NCNN
      {"ncnn", "ncnn", make_ncnn, ncnn_version},
#else
      {"ncnn", "ncnn", nullptr, nullptr},
#endif
  };
  return all;
}

/// Microseconds of one engine at one level.
struct Times {
  std::vector<double> all, round_medians;
};

struct Subject {
  std::string name;
  bool ours = false;
  std::unique_ptr<Peer> peer;
  std::vector<Times> times{};  // of a level
};

std::vector<float> probabilities(Peer& peer, std::size_t classes) {
  std::vector<float> p = peer.logits();
  for (std::size_t at = 0; at < p.size(); at += classes) {
    const auto first = p.begin() + static_cast<std::ptrdiff_t>(at);
    const auto last = first + static_cast<std::ptrdiff_t>(classes);
    const float top = *std::max_element(first, last);
    float total = 0;
    for (auto x = first; x != last; ++x) total += * x = std::exp(*x - top);
    for (auto x = first; x != last; ++x) *x /= total;
  }
  return p;
}

/// The largest difference between any engine's probabilities and the first rival's, relative to the image's largest.
double disagreement(std::vector<Subject>& subjects, std::size_t levels, std::size_t classes) {
  const auto reference = std::find_if(subjects.begin(), subjects.end(), [](const Subject& s) { return !s.ours; });
  double worst = 0;
  for (std::size_t level = 0; level < levels; ++level) {
    reference->peer->take_turn();
    reference->peer->infer(level);
    const std::vector<float> right = probabilities(*reference->peer, classes);
    for (Subject& subject : subjects) {
      subject.peer->take_turn();
      for (int again = 0; again < 3; ++again) subject.peer->infer(level);  // a compiler may change its mind twice
      const std::vector<float> p = probabilities(*subject.peer, classes);
      if (p.size() != right.size()) throw std::runtime_error(subject.name + " answers for another batch");
      double of_subject = 0;
      for (std::size_t i = 0; i < p.size(); ++i) {
        const auto image = right.begin() + static_cast<std::ptrdiff_t>(i / classes * classes);
        const float top = *std::max_element(image, image + static_cast<std::ptrdiff_t>(classes));
        of_subject = std::max(of_subject, static_cast<double>(std::abs(p[i] - right[i]) / top));
      }
      if (!(of_subject <= kTolerance)) {
        throw std::runtime_error(subject.name + " disagrees at level " + std::to_string(level + 1) + " by " +
                                 std::to_string(of_subject));
      }
      worst = std::max(worst, of_subject);
    }
  }
  return worst;
}

/// Every subject in turn, `rounds` times, in another order each round. `level_at(i)`: level of the i-th run.
void measure(std::vector<Subject>& subjects, std::size_t levels, int rounds,
             const std::function<std::size_t(std::size_t)>& level_at) {
  for (Subject& subject : subjects) subject.times.assign(levels, {});
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < subjects.size(); ++i) order.push_back(i);
  Rng rng(1);
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
    for (const std::size_t i : order) {
      Subject& subject = subjects[i];
      wait_until_quiet();
      subject.peer->take_turn();
      for (std::size_t run = 0; run < kWarmUps; ++run) subject.peer->infer(level_at(run));
      std::vector<std::vector<double>> of_round(levels);
      const auto until = Clock::now() + kTurn;
      for (std::size_t run = 0; run < kLeastRuns || Clock::now() < until; ++run) {
        const std::size_t level = level_at(run);
        const auto began = Clock::now();
        subject.peer->infer(level);
        const std::chrono::duration<double, std::micro> took = Clock::now() - began;
        of_round[level].push_back(took.count());
      }
      for (std::size_t level = 0; level < levels; ++level) {
        if (of_round[level].empty()) continue;
        Times& times = subject.times[level];
        times.round_medians.push_back(median(of_round[level]));
        times.all.insert(times.all.end(), of_round[level].begin(), of_round[level].end());
      }
    }
  }
}

/// Median over the rounds of what `one` took over what `other` took in the same round: drift cancels.
double ratio(const Times& one, const Times& other) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < one.round_medians.size(); ++i) {
    ratios.push_back(one.round_medians[i] / other.round_medians[i]);
  }
  return median(std::move(ratios));
}

/// The highest ratio so far, and where.
struct Worst {
  double ratio = 0;
  std::string where;
};

/// What all settings share.
struct Bench {
  int rounds = 15;
  std::vector<int> cpus;  ///< thread i runs on cpus[i]
  double peak = 0;        ///< multiply-adds a second, the most that was reached so far
  Worst worst{};
};

const Subject& fastest(const std::vector<Subject>& subjects, bool ours, std::size_t level) {
  const Subject* best = nullptr;
  for (const Subject& subject : subjects) {
    if (subject.ours != ours) continue;
    if (best == nullptr || median(subject.times[level].all) < median(best->times[level].all)) best = &subject;
  }
  return *best;
}

void print_head(const std::vector<Subject>& subjects) {
  std::printf("level  MMACs");
  for (const Subject& subject : subjects) std::printf(" %11s", subject.name.c_str());
  std::printf("  FMA peak  best of ours  best peer  ours/peer\n");
}

/// Returns the last column.
double print_row(const std::vector<Subject>& subjects, const NetworkFacts& facts, std::size_t level, double peak) {
  const double macs = facts.levels[level].macs;
  std::printf("%3.0f %% %6.1f", 100 * macs / facts.levels.back().macs, macs * 1e-6);
  for (const Subject& subject : subjects) std::printf(" %11.1f", median(subject.times[level].all));
  const Subject& ours = fastest(subjects, true, level);
  const Subject& peer = fastest(subjects, false, level);
  if (peak > 0) {
    std::printf("  %6.0f %%", 100 * macs / (median(ours.times[level].all) * 1e-6) / peak);
  } else {
    std::printf("  %8s", "-");
  }
  const double last = ratio(ours.times[level], peer.times[level]);
  std::printf("  %12s  %9s  %9.3f\n", ours.name.c_str(), peer.name.c_str(), last);
  std::fflush(stdout);
  return last;
}

/// Proof of where they ran, by the kernel's word.
void print_threads(std::vector<Subject>& subjects, std::size_t top, const std::vector<int>& wanted) {
  std::printf("# threads:");
  bool as_wanted = true;
  for (Subject& subject : subjects) {
    subject.peer->take_turn();
    const std::vector<int> cpus = cpus_of([&] { subject.peer->infer(top); });
    std::printf(" %s on %s;", subject.name.c_str(), joined(cpus).c_str());
    as_wanted = as_wanted && cpus == wanted;
  }
  std::printf("%s\n", as_wanted ? " as asked for" : " NOT ALL as asked for (-1: not pinned): read with care");
}

Input make_input(const GroupArchitecture& a, const NetworkWeights& weights, int batch) {
  Input input;
  const auto pixels = static_cast<std::size_t>(a.size * a.size);
  for (std::uint64_t n = 0; n < static_cast<std::uint64_t>(batch); ++n) {
    const std::vector<std::uint8_t> image = reins::testing::random_image(a, n + 1);
    input.pixels.insert(input.pixels.end(), image.begin(), image.end());
    for (std::size_t i = 0; i < image.size(); ++i) {
      input.scaled.push_back((static_cast<float>(image[i]) / 255.0F - weights.mean[i / pixels]) /
                             weights.stddev[i / pixels]);
    }
  }
  return input;
}

void compare(Bench& bench, const DynamicNetwork& network, const NetworkWeights& weights, int batch, int threads) {
  const std::vector<int> cpus(bench.cpus.begin(), bench.cpus.begin() + threads);
  keep_to(bench.cpus);  // an engine may go where its maker may
  const Setting setting{network.architecture, weights, batch, threads};
  Input input = make_input(network.architecture, weights, batch);
  std::vector<Subject> subjects;
  for (const char* backend : {"auto", "onednn"}) {
    if (std::string_view(backend) == "onednn" && !has_onednn()) continue;
    subjects.push_back(
        {std::string("ours:") + backend, true, std::make_unique<Ours>(network, setting, input, backend, cpus)});
  }
  for (const Rival& rival : rivals()) {
    if (rival.make != nullptr) subjects.push_back({rival.name, false, rival.make(setting, input)});
  }
  keep_to({cpus.front()});
  const std::size_t levels = network.facts.levels.size();
  const double apart = disagreement(subjects, levels, static_cast<std::size_t>(network.facts.classes));
  for (Subject& subject : subjects) {
    subject.peer->take_turn();
    if (!subject.ours) pin_helpers([&] { subject.peer->infer(levels - 1); }, cpus);
  }
  bench.peak = std::max(bench.peak, fma_per_s());
  const double peak = batch == 1 && threads == 1 ? bench.peak : 0;
  for (const bool alternating : {false, true}) {
    const std::string title = network.facts.name + ", batch " + std::to_string(batch) + ", " + std::to_string(threads) +
                              (threads == 1 ? " thread, " : " threads, ") +
                              (alternating ? "levels alternating" : "steady");
    std::printf("\n%s (us a batch; probabilities within %.0e of each other)\n", title.c_str(), apart);
    print_head(subjects);
    if (alternating) measure(subjects, levels, bench.rounds, [&](std::size_t run) { return run * 3 % levels; });
    for (std::size_t level = levels; level-- > 0;) {
      if (!alternating) measure(subjects, levels, bench.rounds, [&](std::size_t) { return level; });
      const double last = print_row(subjects, network.facts, level, peak);
      if (last > bench.worst.ratio) bench.worst = {last, title + ", level " + std::to_string(level + 1)};
    }
  }
  print_threads(subjects, levels - 1, cpus);
}

void print_facts(const Bench& bench) {
  std::printf("# %s\n", machine_line().c_str());
  std::printf("# the calling thread on cpu %d, with 2 threads the other one on cpu %s\n", bench.cpus.front(),
              bench.cpus.size() > 1 ? std::to_string(bench.cpus[1]).c_str() : "-: no second core, 1 thread alone");
  std::printf("# float32; medians of %d rounds in turn; ours:* from pixels to probabilities, the others from scaled\n",
              bench.rounds);
  std::printf("# floats to logits; FMA peak: share of the best of ours, MACs of the direct form; ours/peer: median\n");
  std::printf("# over the rounds\n");
  const char* const wait = std::getenv("OMP_WAIT_POLICY");
  std::printf("# OMP_WAIT_POLICY %s: whether the libraries' threads spin between two calls\n",
              wait == nullptr ? "not set" : wait);
  for (const Rival& rival : rivals()) {
    std::printf("# %-6s = %s %s\n", rival.name, rival.library,
                rival.make == nullptr ? "ABSENT from this build" : rival.version().c_str());
  }
}

int run(Bench& bench) {
  keep_to(bench.cpus);
  print_facts(bench);
  const NetworkFile file = must(NetworkFile::open(kNetwork));
  GroupArchitecture alexnet;
  // The convolutions of the grouped AlexNet of the seed paper's reconstruction. Its hidden dense layers, 4.7 of
  // its 47.8 MMACs, have no form in a network file: a group's features go straight to the classes.
  alexnet.stages = {{16, true}, {48, true}, {96, false}, {64, false}, {64, true}};
  const DynamicNetwork alexnet_network = describe(alexnet, "alexnet-convolutions", "random", "random");
  const NetworkWeights alexnet_weights = reins::testing::random_weights(alexnet, 1);
  const NetworkWeights shipped_weights = must(file.weights());
  for (const int batch : {1, 8}) {
    for (int threads = 1; threads <= static_cast<int>(bench.cpus.size()); ++threads) {
      compare(bench, file.network(), shipped_weights, batch, threads);
      compare(bench, alexnet_network, alexnet_weights, batch, threads);
    }
  }
  std::printf("\n# highest ours/peer: %.3f (%s)\n", bench.worst.ratio, bench.worst.where.c_str());
  std::printf("# FMA peak %.0f GMAC/s a core; at the end: %s; preempted %ld times\n", bench.peak * 1e-9,
              machine_line().c_str(), times_preempted());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Our engines beside those of libtorch, oneDNN, ONNX Runtime and ncnn, as far as this build found them.");
  app.name("bench_inference_peers");
  app.footer("Example, on an otherwise idle machine:\n  bench_inference_peers --cpus 0,1 > inference_peers.txt");
  Bench bench;
  app.add_option("--rounds", bench.rounds, "Turns of each engine at each setting; time grows with it")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--cpus", bench.cpus, "The cores of the one or two threads, e.g. 2,3; without it the first two cores")
      ->delimiter(',')
      ->expected(1, 2)
      ->check(CLI::NonNegativeNumber);
  return run_program(app, argc, argv, [&] {
    if (bench.cpus.empty()) bench.cpus = separate_cores(2);
    const std::vector<int> allowed = allowed_cpus();
    for (const int cpu : bench.cpus) {
      if (std::count(allowed.begin(), allowed.end(), cpu) == 0 ||
          std::count(bench.cpus.begin(), bench.cpus.end(), cpu) > 1) {
        throw CLI::ValidationError("--cpus", "give different ones of " + joined(allowed));
      }
    }
    return run(bench);
  });
}
