// bench/level_switch.cpp: what a change of level costs: time by itself, allocations, the first inference after it; and
// what all levels in one weight set take of memory, beside static networks. Without libtorch, whose own memory would
// hide ours.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "inference/engines.hpp"
#include "inference/network_file.hpp"
#include "tests/inference/random_network.hpp"
#include "tests/support/count_allocations.hpp"

namespace {

using namespace reins;             // NOLINT
using namespace reins::inference;  // NOLINT
using Clock = std::chrono::steady_clock;

constexpr const char* kNetwork = REINS_SOURCE_DIR "/assets/networks/cifar10-group4/network.rnet";

constexpr double kMemoryBar = 1.02;  // of a static network of the largest level's size

template <typename T>
T must(Result<T> result) {
  if (result) return std::move(*result);
  std::fprintf(stderr, "bench_level_switch: %s\n", result.error().line().c_str());
  std::exit(1);
}
void must(const Status& status) { must(status ? Result<int>(0) : Result<int>(fail(status.error()))); }

struct Model {
  DynamicNetwork network;
  NetworkWeights weights;
};

Model random_model(const std::vector<Stage>& stages, std::int64_t size, const char* name) {
  GroupArchitecture a;
  a.size = size;
  a.stages = stages;
  return {describe(a, name, "random", "random"), reins::testing::random_weights(a, 1)};
}

/// The first `groups` groups as a network of their own.
Model first_groups(const Model& model, std::int64_t groups) {
  Model part = model;
  part.network.architecture.groups = groups;
  part.network = describe(part.network.architecture, model.network.facts.name, "random", "random");
  part.weights.groups.resize(static_cast<std::size_t>(groups));
  return part;
}

/// A plain network of one group at the cost of all groups of `model`: what a user would build instead.
Model dense_like(const Model& model) {
  GroupArchitecture a = model.network.architecture;
  const auto macs = [](const GroupArchitecture& of) {
    double sum = 0;
    for (const LayerCost& layer : of.layers_of_level(of.groups - 1)) sum += layer.macs;
    return sum;
  };
  const double wanted = macs(a);
  const std::vector<Stage> narrow = std::exchange(a.stages, {});
  double least = 1, most = static_cast<double>(std::exchange(a.groups, 1));
  for (int halved = 0; halved < 20; ++halved) {
    const double factor = (least + most) / 2;
    a.stages = narrow;
    for (Stage& stage : a.stages) stage.channels = std::lround(factor * static_cast<double>(stage.channels));
    (macs(a) > wanted ? most : least) = factor;
  }
  return {describe(a, "dense", "random", "random"), reins::testing::random_weights(a, 1)};
}

class Runner {
 public:
  Runner(std::unique_ptr<Engine> engine, const GroupArchitecture& a)
      : engine_(std::move(engine)), pixels_(reins::testing::random_image(a, 1)) {
    view_ = reins::testing::view_of(pixels_, a);
  }
  void infer(std::size_t level) {
    must(engine_->begin(view_, LevelId(level)));
    must(engine_->finish());
  }
  void grow_from(std::size_t level) {
    must(engine_->begin(view_, LevelId(level)));
    must(engine_->grow());
    must(engine_->finish());
  }
  Engine& engine() { return *engine_; }

 private:
  std::unique_ptr<Engine> engine_;
  std::vector<std::uint8_t> pixels_;
  TensorView view_;
};

Runner runner(const Model& model, const std::string& backend) {
  return Runner(must(make_engine(model.network, model.weights, {.backend = backend})), model.network.architecture);
}

double median(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Nanoseconds of one call, over a row short enough to lie between two interruptions.
template <typename Body>
double ns_of(Body&& body) {
  constexpr int kCalls = 100;
  const auto began = Clock::now();
  for (int i = 0; i < kCalls; ++i) body(i);
  const std::chrono::duration<double, std::nano> took = Clock::now() - began;
  return took.count() / kCalls;
}

void print_switch(const std::string& backend) {
  // A network of next to no arithmetic: what is left of an inference is what an engine does around it.
  const Model model = random_model({{1, false}}, 4, "minimal");
  Runner run = runner(model, backend);
  const Placement one{.unit = Unit::kCpu, .threads = 1, .cpus = {}};
  std::vector<double> low, high, change, place, placed;
  for (int round = 0; round < 1001; ++round) {
    low.push_back(ns_of([&](int) { run.infer(0); }));
    const double in_turn = ns_of([&](int i) { run.infer(i % 2 == 0 ? 0 : 3); });
    high.push_back(ns_of([&](int) { run.infer(3); }));
    change.push_back(in_turn - (low.back() + high.back()) / 2);
    place.push_back(ns_of([&](int) { must(run.engine().place(one)); }));
    placed.push_back(ns_of([&](int) {
                       must(run.engine().place(one));
                       run.infer(0);
                     }) -
                     low.back());
  }
  std::printf(
      "%-7s a change of level: %+.0f ns on a minimal network, whose whole inference takes %.0f ns at level 1 and "
      "%.0f ns at level 4\n",
      backend.c_str(), median(change), median(low), median(high));
  std::printf("%-7s place: %.0f ns; with what it leaves to the inference behind it %.0f ns\n", backend.c_str(),
              median(place), median(placed));
}

void print_allocations(const Model& model, const std::string& backend) {
  Runner run = runner(model, backend);
  for (std::size_t level = 0; level < 4; ++level) run.infer(level);
  const long count = reins::testing::allocations_in([&] {
    for (std::size_t i = 0; i < 1000; ++i) {
      run.infer(i * 3 % 4);
      run.grow_from(i % 3);
    }
  });
  std::printf(
      "%-7s %s: %.1f allocations by operator new in an inference (2000, levels alternating, half of them grown)\n",
      backend.c_str(), model.network.facts.name.c_str(), static_cast<double>(count) / 2000);
}

void print_first_after(const Model& model, const std::string& backend) {
  Runner run = runner(model, backend);
  std::printf("%-7s %s: first over next, levels 4 / 3 / 2 / 1:", backend.c_str(), model.network.facts.name.c_str());
  for (std::size_t to = 4; to-- > 0;) {
    std::vector<double> first, next;
    for (int repeat = 0; repeat < 300; ++repeat) {
      for (std::size_t from = 0; from < 4; ++from) {
        if (from == to) continue;
        for (int i = 0; i < 3; ++i) run.infer(from);
        for (auto* times : {&first, &next}) {
          const auto began = Clock::now();
          run.infer(to);
          const std::chrono::duration<double, std::micro> took = Clock::now() - began;
          times->push_back(took.count());
        }
      }
    }
    const double after = median(first);
    const double steady = median(next);
    std::printf(" %.3f (%.0f / %.0f us)", after / steady, after, steady);
  }
  std::printf("\n");
}

/// What growing by a group costs beside what the larger level costs more.
void print_growth(const Model& model, const std::string& backend) {
  Runner run = runner(model, backend);
  const auto us_of = [](auto&& body) {
    const auto began = Clock::now();
    body();
    const std::chrono::duration<double, std::micro> took = Clock::now() - began;
    return took.count();
  };
  std::printf("%-7s %s: grow() over the larger level's extra time, 1 to 2 / 2 to 3 / 3 to 4:", backend.c_str(),
              model.network.facts.name.c_str());
  for (std::size_t from = 0; from < 3; ++from) {
    std::vector<double> grown, small, large;
    for (int repeat = 0; repeat < 1000; ++repeat) {
      small.push_back(us_of([&] { run.infer(from); }));
      grown.push_back(us_of([&] { must(run.engine().grow()); }));
      large.push_back(us_of([&] { run.infer(from + 1); }));
    }
    const double growth = median(grown);
    const double extra = median(large) - median(small);
    std::printf(" %.3f (%.0f / %.0f us)", growth / extra, growth, extra);
  }
  std::printf("\n");
}

/// Kilobytes of this process: resident; and its own, not shared with another.
struct Memory {
  double rss = 0, own = 0;
};
Memory memory_now() {
  Memory memory;
  std::ifstream text("/proc/self/smaps_rollup");
  for (std::string line; std::getline(text, line);) {
    std::istringstream words(line);
    std::string name;
    double kb = 0;
    words >> name >> kb;
    if (name == "Rss:") memory.rss = kb;
    if (name.starts_with("Private_")) memory.own += kb;
  }
  return memory;
}

/// Of a child that opens each file and runs it at each of its levels, or at its largest alone. A program of its own
/// (argv), so that nothing is inherited.
Memory memory_of(const std::string& backend, bool all_levels, const std::vector<std::string>& files) {
  std::string command =
      "/proc/" + std::to_string(::getpid()) + "/exe --memory " + backend + (all_levels ? " all" : " largest");
  for (const std::string& file : files) command += " '" + file + "'";
  Memory memory;
  FILE* const child = ::popen(command.c_str(), "r");
  if (child == nullptr || std::fscanf(child, "%lf %lf", &memory.rss, &memory.own) != 2 || ::pclose(child) != 0) {
    std::fprintf(stderr, "bench_level_switch: a child failed: %s\n", command.c_str());
    std::exit(1);
  }
  return memory;
}

int be_measured(int argc, char** argv) {
  std::vector<Runner> runners;
  for (int i = 4; i < argc; ++i) {
    const GroupArchitecture a = must(NetworkFile::open(argv[i])).network().architecture;
    runners.emplace_back(must(open_engine(argv[i], {.backend = argv[2]})), a);
    const auto largest = static_cast<std::size_t>(a.groups) - 1;
    const std::size_t from = std::string_view(argv[3]) == "all" ? 0 : largest;
    for (int again = 0; again < 10; ++again) {
      for (std::size_t level = from; level <= largest; ++level) runners.back().infer(level);
      for (std::size_t level = from; level < largest; ++level) runners.back().grow_from(level);
    }
  }
  const Memory memory = memory_now();
  std::printf("%.0f %.0f\n", memory.rss, memory.own);
  return 0;
}

/// Whether all levels take no more than kMemoryBar of what either static network of the full size takes.
bool print_memory(const Model& model, const std::string& backend) {
  std::array<char, 32> folder{"/tmp/level_switch_XXXXXX"};
  if (::mkdtemp(folder.data()) == nullptr) std::exit(1);
  std::vector<std::string> files;
  for (std::int64_t groups = 1; groups <= 4; ++groups) {
    const Model part = first_groups(model, groups);
    files.push_back(std::string(folder.data()) + "/" + std::to_string(groups) + ".rnet");
    must(write_network(files.back(), part.network, part.weights, WeightType::kFloat32));
  }
  const Model plain = dense_like(model);
  const std::string dense = std::string(folder.data()) + "/dense.rnet";
  must(write_network(dense, plain.network, plain.weights, WeightType::kFloat32));
  const Memory none = memory_of(backend, false, {});
  const Memory dynamic = memory_of(backend, true, {files.back()});
  const Memory fixed = memory_of(backend, false, {files.back()});
  const Memory separate = memory_of(backend, false, files);
  const auto print = [&](const char* name, const Memory& m) {
    std::printf(
        "%-7s %-22s %-28s RSS %7.0f kB, own %7.0f kB; RSS over the empty process %6.0f kB; dynamic over this: "
        "%.3f, without the empty process %.3f\n",
        backend.c_str(), model.network.facts.name.c_str(), name, m.rss, m.own, m.rss - none.rss, dynamic.rss / m.rss,
        (dynamic.rss - none.rss) / (m.rss - none.rss));
  };
  print("dynamic, all levels run", dynamic);
  print("static, the largest level", fixed);
  const Memory static_dense = memory_of(backend, false, {dense});
  print("static and dense, its MACs", static_dense);
  print("four static, one per level", separate);
  for (const std::string& file : files) ::unlink(file.c_str());
  ::unlink(dense.c_str());
  ::rmdir(folder.data());
  return dynamic.rss <= kMemoryBar * std::min(fixed.rss, static_dense.rss);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 3 && std::string_view(argv[1]) == "--memory") return be_measured(argc, argv);
  const NetworkFile file = must(NetworkFile::open(kNetwork));
  const bool memory_alone = argc > 1 && std::string_view(argv[1]) == "--check-memory";
  bool within = true;
  const std::vector<Model> models{
      {file.network(), must(file.weights())},
      random_model({{16, true}, {48, true}, {96, false}, {64, false}, {64, true}}, 32, "alexnet-convolutions")};
  for (const char* backend : {"auto", "onednn"}) {
    if (std::string_view(backend) == "onednn" && !has_onednn()) continue;
    if (!memory_alone) print_switch(backend);
    for (const Model& model : models) {
      if (!memory_alone) {
        print_allocations(model, backend);
        print_first_after(model, backend);
        print_growth(model, backend);
      }
      within = print_memory(model, backend) && within;
    }
  }
  if (memory_alone && !within) {
    std::fprintf(stderr, "bench_level_switch: all levels take more than %.2f x a static network's memory\n",
                 kMemoryBar);
    return 1;
  }
}
