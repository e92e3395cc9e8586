#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>

#include "inference/conv_kernel.hpp"
#include "inference/engines.hpp"
#include "inference/network_file.hpp"
#include "inference/worker_team.hpp"

namespace reins::inference {
namespace {

/// Floats at an address that the kernels' vectors ask for, zeroed.
class Floats {
 public:
  Floats() = default;
  explicit Floats(std::size_t n)
      : data_(static_cast<float*>(::operator new (std::max<std::size_t>(n, 1) * sizeof(float), std::align_val_t{64}))) {
    std::fill_n(data_.get(), n, 0.0F);
  }
  float* get() const noexcept { return data_.get(); }

 private:
  struct Free {
    void operator()(float* p) const noexcept { ::operator delete (p, std::align_val_t{64}); }
  };
  std::unique_ptr<float, Free> data_;
};

struct PackedStage {
  Floats weights, bias, out;
  StageView view;
  std::size_t rows = 0;  // of the output
};

struct PackedGroup {
  std::vector<PackedStage> stages;
  Floats classifier;  // [classes][features in the order of the last buffer]
};

// [out, in, 3, 3] -> [out / 16][3][3][in][16], what lies beyond the last channel zero.
Floats pack_conv(const Tensor& tensor) {
  const auto out = static_cast<std::size_t>(tensor.shape[0]);
  const auto in = static_cast<std::size_t>(tensor.shape[1]);
  Floats packed(padded(out) * in * 9);
  for (std::size_t o = 0; o < out; ++o) {
    for (std::size_t i = 0; i < in; ++i) {
      for (std::size_t k = 0; k < 9; ++k) {
        packed.get()[(((o / kLanes) * 9 + k) * in + i) * kLanes + o % kLanes] = tensor.values[(o * in + i) * 9 + k];
      }
    }
  }
  return packed;
}

class PortableEngine final : public Engine {
 public:
  PortableEngine(const DynamicNetwork& network, const NetworkWeights& weights, const Kernels& kernels)
      : facts_(network.facts), kernels_(kernels) {
    const GroupArchitecture& a = network.architecture;
    channels_ = static_cast<std::size_t>(a.channels);
    size_ = static_cast<std::size_t>(a.size);
    classes_ = static_cast<std::size_t>(a.classes);
    input_ = Floats((size_ + 2) * (size_ + 2) * channels_);
    std::size_t scratch = 0;
    for (const GroupWeights& group : weights.groups) groups_.push_back(pack_group(a, group, scratch));
    features_ = classifier_stride(a);
    scratch_stride_ = padded(scratch);
    bias_ = weights.bias.values;
    for (std::size_t c = 0; c < channels_; ++c) {
      scale_.push_back(1.0F / weights.stddev[c]);
      shift_.push_back(weights.mean[c] / weights.stddev[c]);
    }
    sums_.resize(classes_);
    logits_.resize(classes_);
    probabilities_.resize(classes_);
    reserve_scratch(1);
  }

  const NetworkFacts& facts() const noexcept override { return facts_; }

  Status place(const Placement& placement) override {
    REINS_TRY(team_.place(placement));
    reserve_scratch(static_cast<std::size_t>(team_.workers()));
    return {};
  }

  Status begin(const TensorView& input, LevelId level) override {
    if (!level.valid() || level.index() >= groups_.size()) {
      return fail(ErrorKind::kUsage, "no such level", facts_.name, "ask for a level that the network has");
    }
    if (input.shape != facts_.input_shape || input.data == nullptr) {
      return fail(ErrorKind::kUsage, "an input of another shape than the network's", facts_.name,
                  "give [1, channels, height, width] as reins net info prints them");
    }
    begun_ = false;
    read_input(input);
    std::fill(sums_.begin(), sums_.end(), 0.0F);
    REINS_TRY(run_groups(0, level.index() + 1));
    level_ = level;
    begun_ = true;
    return {};
  }

  Status grow() override {
    if (!begun_) return fail(ErrorKind::kUsage, "nothing was begun", facts_.name, "call begin first");
    if (level_.index() + 1 >= groups_.size()) {
      return fail(ErrorKind::kUsage, "the full network has run already", facts_.name);
    }
    REINS_TRY(run_groups(level_.index() + 1, level_.index() + 2));
    level_ = LevelId(level_.value + 1);
    return {};
  }

  Result<Answer> finish() override {
    if (!begun_) return fail(ErrorKind::kUsage, "nothing was begun", facts_.name, "call begin first");
    const auto groups = static_cast<float>(level_.index() + 1);
    for (std::size_t c = 0; c < classes_; ++c) logits_[c] = bias_[c] + sums_[c] / groups;
    const auto best = std::max_element(logits_.begin(), logits_.end());
    float sum = 0;
    for (std::size_t c = 0; c < classes_; ++c) {
      probabilities_[c] = std::exp(logits_[c] - *best);
      sum += probabilities_[c];
    }
    for (float& p : probabilities_) p /= sum;
    return Answer{
        .predicted = static_cast<int>(best - logits_.begin()), .level = level_, .probabilities = probabilities_};
  }

 private:
  static std::size_t classifier_stride(const GroupArchitecture& a) {
    const auto last = static_cast<std::size_t>(a.size_at(a.stages.size()));
    return last * last * padded(static_cast<std::size_t>(a.stages.back().channels));
  }

  PackedGroup pack_group(const GroupArchitecture& a, const GroupWeights& weights, std::size_t& scratch) {
    PackedGroup group;
    for (std::size_t s = 0; s < a.stages.size(); ++s) {
      PackedStage stage;
      const auto out_channels = static_cast<std::size_t>(a.stages[s].channels);
      const auto out_size = static_cast<std::size_t>(a.size_at(s + 1));
      const bool is_last = s + 1 == a.stages.size();
      StageView& v = stage.view;
      v.in_channels = static_cast<std::size_t>(a.input_channels(s));
      v.in_stride = s == 0 ? channels_ : padded(v.in_channels);
      v.out_stride = padded(out_channels);
      v.height = v.width = static_cast<std::size_t>(a.size_at(s));
      v.pool = a.stages[s].pool;
      v.out_border = is_last ? 0 : 1;
      stage.weights = pack_conv(weights.conv_weights[s]);
      stage.bias = Floats(v.out_stride);
      std::copy(weights.conv_biases[s].values.begin(), weights.conv_biases[s].values.end(), stage.bias.get());
      const std::size_t side = out_size + 2 * v.out_border;
      stage.out = Floats(side * side * v.out_stride);  // the border is never written and stays zero
      stage.rows = out_size;
      v.weights = stage.weights.get();
      v.bias = stage.bias.get();
      v.out = stage.out.get();
      v.in = s == 0 ? input_.get() : group.stages.back().out.get();
      scratch = std::max(scratch, 2 * v.width * v.out_stride);
      group.stages.push_back(std::move(stage));
    }
    // Columns come in [C, H, W] order; the last buffer is [H, W, padded C].
    const auto last = static_cast<std::size_t>(a.size_at(a.stages.size()));
    const auto channels = static_cast<std::size_t>(a.stages.back().channels);
    const std::size_t stride = classifier_stride(a);
    group.classifier = Floats(classes_ * stride);
    for (std::size_t k = 0; k < classes_; ++k) {
      for (std::size_t c = 0; c < channels; ++c) {
        for (std::size_t at = 0; at < last * last; ++at) {
          group.classifier.get()[k * stride + at * padded(channels) + c] =
              weights.classifier.values[(k * channels + c) * last * last + at];
        }
      }
    }
    return group;
  }

  void reserve_scratch(std::size_t workers) {
    if (workers <= scratch_workers_) return;
    scratch_ = Floats(workers * scratch_stride_);
    scratch_workers_ = workers;
  }

  void read_input(const TensorView& input) noexcept {
    const std::size_t plane = size_ * size_;
    for (std::size_t c = 0; c < channels_; ++c) {
      const float scale = input.dtype == DType::kUint8 ? scale_[c] / 255.0F : scale_[c];
      for (std::size_t y = 0; y < size_; ++y) {
        float* const out = input_.get() + ((y + 1) * (size_ + 2) + 1) * channels_ + c;
        const std::size_t from = c * plane + y * size_;
        if (input.dtype == DType::kUint8) {
          const auto* pixels = static_cast<const std::uint8_t*>(input.data) + from;
          for (std::size_t x = 0; x < size_; ++x)
            out[x * channels_] = static_cast<float>(pixels[x]) * scale - shift_[c];
        } else {
          // A client's bytes need not be aligned.
          const auto* pixels = static_cast<const char*>(input.data) + from * sizeof(float);
          for (std::size_t x = 0; x < size_; ++x) {
            float value = 0;
            std::memcpy(&value, pixels + x * sizeof(float), sizeof value);
            out[x * channels_] = value * scale - shift_[c];
          }
        }
      }
    }
  }

  Status run_groups(std::size_t first, std::size_t last) {
    first_ = first;
    last_ = last;
    REINS_TRY(team_.run(
        [](void* self, int worker, int workers) {
          static_cast<PortableEngine*>(self)->work(static_cast<std::size_t>(worker), static_cast<std::size_t>(workers));
        },
        this));
    // Group by group, so that growing adds the same numbers in the same order as a fresh run.
    for (std::size_t g = first; g < last; ++g) {
      const float* const features = groups_[g].stages.back().out.get();
      for (std::size_t k = 0; k < classes_; ++k) {
        sums_[k] += kernels_.dot(features, groups_[g].classifier.get() + k * features_, features_);
      }
    }
    return {};
  }

  // Stage by stage; within one, the rows of all groups are dealt out in equal runs.
  void work(std::size_t worker, std::size_t workers) noexcept {
    float* const scratch = scratch_.get() + worker * scratch_stride_;
    for (std::size_t s = 0; s < groups_.front().stages.size(); ++s) {
      const std::size_t rows = groups_.front().stages[s].rows;
      const std::size_t total = rows * (last_ - first_);
      std::size_t at = total * worker / workers;
      const std::size_t end = total * (worker + 1) / workers;
      while (at < end) {
        const std::size_t row = at % rows;
        const std::size_t count = std::min(rows - row, end - at);
        kernels_.stage_rows(groups_[first_ + at / rows].stages[s].view, row, row + count, scratch);
        at += count;
      }
      if (workers > 1) team_.barrier();
    }
  }

  NetworkFacts facts_;
  const Kernels& kernels_;
  std::size_t channels_ = 0, size_ = 0, classes_ = 0, features_ = 0;
  Floats input_, scratch_;
  std::size_t scratch_stride_ = 0, scratch_workers_ = 0;
  std::vector<PackedGroup> groups_;
  std::vector<float> bias_, scale_, shift_, sums_, logits_, probabilities_;
  std::size_t first_ = 0, last_ = 0;
  LevelId level_;
  bool begun_ = false;
  WorkerTeam team_;  // last: its threads end before what they work on
};

}  // namespace

Result<std::unique_ptr<Engine>> make_portable_engine(const DynamicNetwork& network, const NetworkWeights& weights,
                                                     const EngineOptions& options) {
  REINS_TRY(check_weights(network.architecture, weights));
  const Kernels* kernels = &best_kernels();
  if (options.backend != "auto") {
    if (options.backend != "avx512" && options.backend != "avx2" && options.backend != "baseline") {
      return fail(ErrorKind::kUsage, "unknown engine", options.backend, "known: auto, avx512, avx2, baseline");
    }
    kernels = kernels_named(options.backend);
    if (kernels == nullptr) {
      return fail(ErrorKind::kUnsupported, "this processor has no such instructions", options.backend, "take auto");
    }
  }
  return std::make_unique<PortableEngine>(network, weights, *kernels);
}

Result<std::unique_ptr<Engine>> open_engine(const std::filesystem::path& path, const EngineOptions& options) {
  REINS_ASSIGN(const NetworkFile file, NetworkFile::open(path));
  REINS_ASSIGN(const NetworkWeights weights, file.weights());
  return make_portable_engine(file.network(), weights, options);
}

}  // namespace reins::inference
