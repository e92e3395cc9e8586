// bench/int8.cpp: what 8-bit integers would cost and save: the shipped network's accuracy on validation images when
// it is quantised after training, and its time in oneDNN's u8s8 primitives beside our float32 engines in the same run.
// Batch 1, one thread, pinned. docs/decisions/013-int8.md draws the conclusion.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/int8_network.hpp"
#include "bench/machine.hpp"
#include "bench/support.hpp"
#include "data/image_set.hpp"
#include "inference/conv_kernel.hpp"
#include "inference/engines.hpp"
#include "inference/network_file.hpp"

#if DNNL_CPU_RUNTIME == DNNL_RUNTIME_OMP
#include <omp.h>
#endif

namespace {

using namespace reins;             // NOLINT
using namespace reins::bench;      // NOLINT
using namespace reins::inference;  // NOLINT
using Clock = std::chrono::steady_clock;
using Desc = dnnl::memory::desc;
using Dims = dnnl::memory::dims;
using Tag = dnnl::memory::format_tag;
using Type = dnnl::memory::data_type;

constexpr const char* kNetwork = REINS_SOURCE_DIR "/assets/networks/cifar10-group4/network.rnet";
constexpr std::array kShares{1.0, 0.9999};
constexpr int kRuns = 10;  // of one program at a time

/// A chain of oneDNN's primitives per group, built as our float32 oneDNN engine is: each primitive picks its layouts,
/// weights are packed once, and reorders stand where two layouts differ.
class Int8Primitives {
 public:
  explicit Int8Primitives(const Int8Network& network)
      : network_(network), cpu_(dnnl::engine::kind::cpu, 0), stream_(cpu_) {
    const GroupArchitecture& a = network.architecture;
    const std::int64_t side = a.size + 2;
    input_ = dnnl::memory(Desc({1, a.channels, side, side}, Type::u8, Tag::nhwc), cpu_);
    auto* const bytes = static_cast<std::uint8_t*>(input_.get_data_handle());
    for (std::size_t i = 0; i < static_cast<std::size_t>(side * side * a.channels); ++i) {
      bytes[i] = network.border[i % network.border.size()];
    }
    for (const Int8Group& group : network.groups) {
      at_ = input_;
      chains_.emplace_back();
      for (std::size_t s = 0; s < a.stages.size(); ++s) {
        convolve(a, s, group.stages[s]);
        if (a.stages[s].pool) pool(a.stages[s].channels, a.size_at(s));
      }
      classify(a, group);
      logits_.push_back(at_);
    }
    predicted_.resize(static_cast<std::size_t>(a.classes));
  }

  /// From pixels to the class, at a level: what an engine does in begin and finish, without the exponentials.
  int infer(const std::uint8_t* pixels, std::size_t level) {
    const auto size = static_cast<std::size_t>(network_.architecture.size);
    const auto channels = static_cast<std::size_t>(network_.architecture.channels);
    auto* const input = static_cast<std::uint8_t*>(input_.get_data_handle());
    for (std::size_t c = 0; c < channels; ++c) {
      for (std::size_t y = 0; y < size; ++y) {
        std::uint8_t* const to = input + ((y + 1) * (size + 2) + 1) * channels + c;
        for (std::size_t x = 0; x < size; ++x) to[x * channels] = *pixels++;
      }
    }
    std::fill(predicted_.begin(), predicted_.end(), 0.0F);
    for (std::size_t g = 0; g <= level; ++g) {
      for (Step& step : chains_[g]) {
        dnnl::error::wrap_c_api(::dnnl_primitive_execute(step.primitive.get(), stream_.get(),
                                                         static_cast<int>(step.list.size()), step.list.data()),
                                "a primitive failed");
      }
      const auto* const of_group = static_cast<const float*>(logits_[g].get_data_handle());
      for (std::size_t k = 0; k < predicted_.size(); ++k) predicted_[k] += of_group[k];
    }
    for (std::size_t k = 0; k < predicted_.size(); ++k) {
      predicted_[k] = network_.bias[k] + predicted_[k] / static_cast<float>(level + 1);
    }
    return static_cast<int>(std::max_element(predicted_.begin(), predicted_.end()) - predicted_.begin());
  }

  /// Packed weights with what the primitives keep beside them, of all groups.
  double weight_bytes() const noexcept { return weight_bytes_; }
  /// oneDNN's names of the first group's primitives, in their order.
  std::string names() const {
    std::string text;
    for (const Step& step : chains_.front()) text += (text.empty() ? "" : ", ") + step.name;
    return text;
  }

 private:
  struct Step {
    std::string name;
    dnnl::primitive primitive;
    std::vector<dnnl::memory> keep;
    std::vector<dnnl_exec_arg_t> list;
  };

  static dnnl::primitive_attr scaled(int mask, const std::vector<float>& scales, bool relu) {
    dnnl::primitive_attr attr;
    attr.set_output_scales(mask, scales);
    if (relu) {
      dnnl::post_ops after;
      after.append_eltwise(1, dnnl::algorithm::eltwise_relu, 0, 0);
      attr.set_post_ops(after);
    }
    return attr;
  }

  void convolve(const GroupArchitecture& a, std::size_t s, const Int8Stage& stage) {
    const std::int64_t in = a.input_channels(s);
    const std::int64_t out = a.stages[s].channels;
    const std::int64_t size = a.size_at(s);
    const std::int64_t border = s == 0 ? 0 : 1;  // the image brings its own
    const auto describe_by = [&](Tag tag) {
      return dnnl::convolution_forward::primitive_desc(
          {dnnl::prop_kind::forward_inference,
           dnnl::algorithm::convolution_direct,
           s == 0 ? input_.get_desc() : Desc({1, in, size, size}, Type::u8, tag),
           Desc({out, in, 3, 3}, Type::s8, Tag::any),
           Desc({out}, Type::f32, Tag::a),
           Desc({1, out, size, size}, Type::u8, tag),
           {1, 1},
           {border, border},
           {border, border}},
          scaled(2, stage.multipliers, true), cpu_);
    };
    auto pd = describe_by(Tag::any);
    if (std::string_view(pd.impl_info_str()).starts_with("ref")) pd = describe_by(Tag::nhwc);
    reorder_to(pd.src_desc());
    const dnnl::memory weights = packed(stage.weights.values, {out, in, 3, 3}, pd.weights_desc());
    dnnl::memory bias(pd.bias_desc(), cpu_);
    std::copy(stage.bias.begin(), stage.bias.end(), static_cast<float*>(bias.get_data_handle()));
    weight_bytes_ += static_cast<double>(pd.bias_desc().get_size() + stage.multipliers.size() * sizeof(float));
    add(pd.impl_info_str(), dnnl::convolution_forward(pd), pd.dst_desc(),
        {{DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_BIAS, bias}});
  }

  void pool(std::int64_t channels, std::int64_t size) {
    const dnnl::pooling_forward::primitive_desc pd({dnnl::prop_kind::forward_inference,
                                                    dnnl::algorithm::pooling_max,
                                                    at_.get_desc(),
                                                    Desc({1, channels, size / 2, size / 2}, Type::u8, Tag::any),
                                                    {2, 2},
                                                    {2, 2},
                                                    {0, 0},
                                                    {0, 0}},
                                                   cpu_);
    add(pd.impl_info_str(), dnnl::pooling_forward(pd), pd.dst_desc(), {});
  }

  void classify(const GroupArchitecture& a, const Int8Group& group) {
    const std::int64_t last = a.size_at(a.stages.size());
    const Dims dims{a.classes, a.stages.back().channels, last, last};
    const auto describe_by = [&](const Desc& from) {
      return dnnl::inner_product_forward::primitive_desc(
          {dnnl::prop_kind::forward_inference, from, Desc(dims, Type::s8, Tag::any),
           Desc({1, a.classes}, Type::f32, Tag::nc)},
          scaled(2, group.classifier_scale, false), cpu_);
    };
    auto pd = describe_by(at_.get_desc());
    if (std::string_view(pd.impl_info_str()).starts_with("ref")) {
      pd = describe_by(Desc({1, dims[1], last, last}, Type::u8, Tag::any));
    }
    reorder_to(pd.src_desc());
    weight_bytes_ += static_cast<double>(group.classifier_scale.size() * sizeof(float));
    add(pd.impl_info_str(), dnnl::inner_product_forward(pd), pd.dst_desc(),
        {{DNNL_ARG_WEIGHTS, packed(group.classifier.values, dims, pd.weights_desc())}});
  }

  dnnl::memory packed(const std::vector<std::int8_t>& values, const Dims& dims, const Desc& wanted) {
    dnnl::memory given(Desc(dims, Type::s8, Tag::abcd), cpu_, const_cast<std::int8_t*>(values.data()));
    dnnl::memory result(wanted, cpu_);
    dnnl::reorder(given, result).execute(stream_, given, result);
    stream_.wait();
    weight_bytes_ += static_cast<double>(wanted.get_size());
    return result;
  }

  void reorder_to(const Desc& wanted) {
    if (at_.get_desc() == wanted) return;
    const dnnl::reorder::primitive_desc pd(cpu_, at_.get_desc(), cpu_, wanted);
    add(std::string("reorder ") + pd.impl_info_str(), dnnl::reorder(pd), wanted, {});
  }

  void add(std::string name, dnnl::primitive primitive, const Desc& to,
           const std::vector<std::pair<int, dnnl::memory>>& others) {
    Step step{std::move(name), std::move(primitive), {at_, dnnl::memory(to, cpu_)}, {}};
    step.list = {{DNNL_ARG_SRC, at_.get()}, {DNNL_ARG_DST, step.keep[1].get()}};
    for (const auto& [argument, memory] : others) {
      step.keep.push_back(memory);
      step.list.push_back({argument, memory.get()});
    }
    at_ = step.keep[1];
    chains_.back().push_back(std::move(step));
  }

  const Int8Network& network_;
  dnnl::engine cpu_;
  dnnl::stream stream_;
  dnnl::memory input_, at_;  // at_: where the next primitive reads
  std::vector<std::vector<Step>> chains_;
  std::vector<dnnl::memory> logits_;
  std::vector<float> predicted_;
  double weight_bytes_ = 0;
};

/// Floats that the portable engine keeps for its weights, of all groups.
double portable_weight_bytes(const GroupArchitecture& a, const NetworkWeights& weights) {
  std::size_t floats = 0;
  for (const GroupWeights& group : weights.groups) {
    for (std::size_t s = 0; s < a.stages.size(); ++s) {
      const auto in = static_cast<std::size_t>(a.input_channels(s));
      const auto out = static_cast<std::size_t>(a.stages[s].channels);
      const auto size = static_cast<std::size_t>(a.size_at(s));
      const ConvForm form = s == 0 ? ConvForm::kDirect : best_form(in, size, size);
      floats += pack_weights(form, group.conv_weights[s].values.data(), out, in).size() + padded(out);
    }
    const auto last = static_cast<std::size_t>(a.stages.back().channels);
    floats += group.classifier.values.size() / last * padded(last);
  }
  return static_cast<double>(floats * sizeof(float));
}

/// Images of the set that `predict(image)` gets right.
template <typename Predict>
double accuracy(const data::ImageSet& images, std::size_t count, const Predict& predict) {
  std::size_t right = 0;
  for (std::size_t i = 0; i < count; ++i) right += predict(i) == images.labels[i] ? 1U : 0U;
  return static_cast<double>(right) / static_cast<double>(count);
}

struct Row {
  double fp32 = 0;  ///< accuracies
  std::array<double, kShares.size()> int8{};
  double primitives = 0;       ///< accuracy of oneDNN's own arithmetic over the last of these
  double same = 0;             ///< share of images to which it and the reference give the same class
  std::array<double, 3> us{};  ///< ours, oneDNN's float32, oneDNN's int8
  double loss() const { return fp32 - primitives; }
  double best_fp32_us() const { return std::min(us[0], us[1]); }
};

struct Subjects {
  Engine& ours;
  Engine& onednn;
  Int8Primitives& int8;
};

int predicted(Engine& engine, const data::ImageSet& images, std::size_t image, std::size_t level) {
  must(engine.begin({images.image(image).data(), DType::kUint8, {1, images.channels, images.height, images.width}},
                    LevelId(level)));
  return must(engine.finish()).predicted;
}

void judge(const Subjects& subjects, const std::vector<Int8Network>& networks, const data::ImageSet& images,
           std::size_t count, std::vector<Row>& rows) {
  const std::span<const std::uint8_t> pixels(images.pixels.data(), count * images.image_bytes());
  const auto classes = static_cast<std::ptrdiff_t>(images.classes);
  for (std::size_t n = 0; n < networks.size(); ++n) {
    const auto logits = logits_of(networks[n], pixels);
    for (std::size_t level = 0; level < rows.size(); ++level) {
      const auto of_reference = [&](std::size_t i) {
        const auto from = logits[level].begin() + static_cast<std::ptrdiff_t>(i) * classes;
        return static_cast<int>(std::max_element(from, from + classes) - from);
      };
      rows[level].int8[n] = accuracy(images, count, of_reference);
      if (n + 1 < networks.size()) continue;
      std::size_t same = 0;  // the primitives were made from the last network
      rows[level].primitives = accuracy(images, count, [&](std::size_t i) {
        const int found = subjects.int8.infer(images.image(i).data(), level);
        same += found == of_reference(i) ? 1U : 0U;
        return found;
      });
      rows[level].same = static_cast<double>(same) / static_cast<double>(count);
    }
  }
  for (std::size_t level = 0; level < rows.size(); ++level) {
    rows[level].fp32 =
        accuracy(images, count, [&](std::size_t i) { return predicted(subjects.ours, images, i, level); });
  }
}

/// In turn: each program some runs at each level, as often as `rounds` says; the first run after a turn is not counted.
void time(const Subjects& subjects, const data::ImageSet& images, int rounds, std::vector<Row>& rows) {
  std::vector<std::array<std::vector<double>, 3>> times(rows.size());
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t level = 0; level < rows.size(); ++level) {
      for (std::size_t turn = 0; turn < 3; ++turn) {
        const std::size_t who = (turn + static_cast<std::size_t>(round)) % 3;
        for (int i = 0; i <= kRuns; ++i) {
          const auto began = Clock::now();
          if (who == 2) {
            subjects.int8.infer(images.image(0).data(), level);
          } else {
            predicted(who == 0 ? subjects.ours : subjects.onednn, images, 0, level);
          }
          const std::chrono::duration<double, std::micro> took = Clock::now() - began;
          if (i > 0) times[level][who].push_back(took.count());
        }
      }
    }
  }
  for (std::size_t level = 0; level < rows.size(); ++level) {
    for (std::size_t who = 0; who < 3; ++who) rows[level].us[who] = median(times[level][who]);
  }
}

/// Those of this processor's instructions that matter for 8-bit sums, as Linux names them.
std::string instructions() {
  std::ifstream text("/proc/cpuinfo");
  std::string found;
  for (std::string line; std::getline(text, line);) {
    if (!line.starts_with("flags") && !line.starts_with("Features")) continue;
    std::istringstream words(line.substr(line.find(':') + 1));
    for (std::string word; words >> word;) {
      for (const char* known :
           {"avx2", "avx512bw", "avx_vnni", "avx512_vnni", "amx_int8", "asimd", "asimddp", "i8mm"}) {
        if (word == known) found += (found.empty() ? "" : " ") + word;
      }
    }
    break;
  }
  return found.empty() ? "none that are known" : found;
}

void print(const DynamicNetwork& network, const std::vector<Row>& rows, double fp32_bytes, double int8_bytes,
           std::size_t images) {
  std::printf(
      "\n              accuracy of %4zu images, %%             us, batch 1, 1 thread                   weights, kB\n",
      images);
  std::printf(
      "level  MMACs    fp32  min-max  99.99 %%  oneDNN   loss     ours  oneDNN    int8  int8/best fp32    ours   "
      "int8  same class  pays\n");
  for (std::size_t level = rows.size(); level-- > 0;) {
    const Row& row = rows[level];
    const double share = static_cast<double>(level + 1) / static_cast<double>(rows.size());
    std::printf(
        "%3.0f %%  %5.1f  %6.2f   %6.2f   %6.2f  %6.2f  %5.2f  %7.1f %7.1f %7.1f  %14.2f  %6.0f %6.0f  %8.2f %%  %s\n",
        100 * share, network.facts.levels[level].macs * 1e-6, 100 * row.fp32, 100 * row.int8[0], 100 * row.int8[1],
        100 * row.primitives, 100 * row.loss(), row.us[0], row.us[1], row.us[2], row.us[2] / row.best_fp32_us(),
        fp32_bytes * share * 1e-3, int8_bytes * share * 1e-3, 100 * row.same,
        row.us[2] < row.best_fp32_us() && row.loss() < 0.01 ? "yes" : "no");
  }
}

struct Options {
  std::string data, isa = "native";
  int weight_bits = 8;
  int cpu = -1, rounds = 200;
  std::size_t images = 5000, calibration = 500;
};

int run_all(const Options& options, data::ImageSet training, const data::ImageSet& validation) {
  if (options.isa == "avx2" && dnnl::set_max_cpu_isa(dnnl::cpu_isa::avx2) != dnnl::status::success) {
    throw std::runtime_error("oneDNN: cannot be kept to AVX2 in this build");
  }
  keep_to({options.cpu});
#if DNNL_CPU_RUNTIME == DNNL_RUNTIME_OMP
  ::omp_set_num_threads(1);
#endif
  const std::string backend = options.isa == "avx2" ? "avx2" : "portable";
  std::printf("# %s; on cpu %d\n# the processor has %s; asked for %s instructions\n", machine_line().c_str(),
              options.cpu, instructions().c_str(), options.isa.c_str());
  const NetworkFile file = must(NetworkFile::open(kNetwork));
  const NetworkWeights weights = must(file.weights());
  const GroupArchitecture& a = file.network().architecture;
  std::printf(
      "# %s, %s: %d-bit weights, ranges of %zu training images, accuracy on the first %zu of 5000 validation images\n",
      file.network().facts.name.c_str(), validation.title.c_str(), options.weight_bits, options.calibration,
      options.images);

  training.pixels.resize(options.calibration * training.image_bytes());
  std::vector<Int8Network> networks;
  for (const Ranges& ranges : calibrate(a, weights, training.pixels, kShares)) {
    networks.push_back(quantise(a, weights, ranges, options.weight_bits));
  }
  const auto ours = must(make_engine(file.network(), weights, {.backend = backend}));
  const auto onednn = must(make_engine(file.network(), weights, {.backend = "onednn"}));
  const Placement placement{.unit = Unit::kCpu, .threads = 1, .cpus = {options.cpu}};
  must(ours->place(placement));
  must(onednn->place(placement));
  Int8Primitives int8(networks.back());
  const dnnl_version_t* const version = ::dnnl_version();
  std::printf("# ours: %s kernels; oneDNN %d.%d.%d; int8 runs %s\n",
              backend == "portable" ? std::string(best_kernels().name).c_str() : backend.c_str(), version->major,
              version->minor, version->patch, int8.names().c_str());
  std::fflush(stdout);

  const Subjects subjects{*ours, *onednn, int8};
  std::vector<Row> rows(file.network().facts.levels.size());
  time(subjects, validation, options.rounds, rows);
  const std::string after_timing = machine_line();
  judge(subjects, networks, validation, options.images, rows);
  print(file.network(), rows, portable_weight_bytes(a, weights), int8.weight_bytes(), options.images);
  std::printf(
      "\n# min-max, 99.99 %%: exact integers, by what the activations' ranges hold; oneDNN: what its int8 primitives "
      "make of the\n# latter, and the share of images where both give one class; loss: fp32 - oneDNN; pays: int8 "
      "faster than the best\n# float32, and a loss below 1 %%; kB: as packed, for that level alone\n");
  std::printf("# when the times were taken: %s; preempted %ld times\n", after_timing.c_str(), times_preempted());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("What 8-bit integers would cost and save: accuracy on validation images, and time beside float32.");
  app.name("bench_int8");
  app.footer("Example, on an otherwise idle machine:\n  bench_int8 --data cifar10 > int8.txt");
  Options options;
  app.add_option("--data", options.data, "Folder of CIFAR-10's binary version; its test images are not opened")
      ->required();
  app.add_option("--images", options.images, "Validation images for the accuracies")
      ->check(CLI::Range(1, 5000))
      ->capture_default_str();
  app.add_option("--calibration", options.calibration, "Training images for the activations' ranges")
      ->check(CLI::Range(1, 45000))
      ->capture_default_str();
  app.add_option("--rounds", options.rounds, "Ten inferences of each program at each level each")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app.add_option("--isa", options.isa, "avx2: no more than AVX2 for all, on a processor that has more")
      ->check(CLI::IsMember({"native", "avx2"}))
      ->capture_default_str();
  app.add_option("--weight-bits", options.weight_bits,
                 "7: for processors without VNNI, whose sums of two products of 8 bits are cut to 16")
      ->check(CLI::IsMember({7, 8}))
      ->capture_default_str();
  app.add_option("--cpu", options.cpu, "The core; without it the first");
  return run_program(app, argc, argv, [&] {
    const std::vector<int> allowed = allowed_cpus();
    if (app.count("--cpu") == 0) options.cpu = allowed.front();
    if (std::count(allowed.begin(), allowed.end(), options.cpu) == 0) {
      throw CLI::ValidationError("--cpu", "give one of " + joined(allowed));
    }
    if (options.isa == "avx2" && kernels_named("avx2") == nullptr) {
      throw CLI::ValidationError("--isa", "this processor or build has no AVX2");
    }
    auto training = data::load_cifar10(options.data, data::Split::kTrain);
    auto validation = data::load_cifar10(options.data, data::Split::kValidation);
    for (const auto* images : {&training, &validation}) {
      if (!*images) throw CLI::ValidationError("--data", images->error().line());
    }
    return run_all(options, std::move(*training), *validation);
  });
}
