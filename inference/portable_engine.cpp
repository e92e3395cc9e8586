#include <algorithm>

#include "inference/aligned_floats.hpp"
#include "inference/conv_kernel.hpp"
#include "inference/engines.hpp"
#include "inference/running_answer.hpp"
#include "inference/worker_team.hpp"

namespace reins::inference {
namespace {

struct PackedStage {
  Floats weights, bias, out;
  StageView view;                           // of the first image
  std::size_t in_image = 0, out_image = 0;  // floats from one image to the next
};

struct PackedGroup {
  std::vector<PackedStage> stages;
  Floats classifier;  // [classes][features in the order of the last buffer]
};

class PortableEngine final : public Engine {
 public:
  PortableEngine(const DynamicNetwork& network, const NetworkWeights& weights, const Kernels& kernels, int max_batch)
      : facts_(network.facts),
        kernels_(kernels),
        max_batch_(static_cast<std::size_t>(max_batch)),
        running_(network, weights, max_batch_) {
    const GroupArchitecture& a = network.architecture;
    channels_ = static_cast<std::size_t>(a.channels);
    size_ = static_cast<std::size_t>(a.size);
    classes_ = static_cast<std::size_t>(a.classes);
    input_ = Floats(max_batch_ * input_image());
    for (const GroupWeights& group : weights.groups) groups_.push_back(pack_group(a, group));
    features_ = classifier_stride(a);
    partial_logits_.resize(max_batch_ * classes_);
    reserve_scratch(1);
  }

  const NetworkFacts& facts() const noexcept override { return facts_; }

  Status place(const Placement& placement) override {
    REINS_TRY(team_.place(placement));
    reserve_scratch(static_cast<std::size_t>(team_.workers()));
    return {};
  }

  bool moves() const noexcept override { return true; }
  Status move(const Placement& placement) override { return team_.move(placement); }

  Status begin(const TensorView& input, LevelId level) override {
    REINS_TRY(running_.check(input, level));
    running_.begin(static_cast<std::size_t>(input.shape[0]));
    const std::size_t line = (size_ + 2) * channels_;
    running_.scale_input(input, input_.get() + line + channels_, line, input_image());
    return run_groups(0, level.index() + 1);
  }

  Status grow() override {
    REINS_TRY(running_.check_grow());
    const std::size_t next = running_.level().index() + 1;
    return run_groups(next, next + 1);
  }

  Result<Answer> finish() override { return running_.finish(); }

 private:
  static std::size_t classifier_stride(const GroupArchitecture& a) {
    const auto last = static_cast<std::size_t>(a.size_at(a.stages.size()));
    return last * last * padded(static_cast<std::size_t>(a.stages.back().channels));
  }
  std::size_t input_image() const noexcept { return (size_ + 2) * (size_ + 2) * channels_; }

  PackedGroup pack_group(const GroupArchitecture& a, const GroupWeights& of_group) {
    PackedGroup group;
    for (std::size_t s = 0; s < a.stages.size(); ++s) {
      PackedStage stage;
      const auto out_channels = static_cast<std::size_t>(a.stages[s].channels);
      const auto out_size = static_cast<std::size_t>(a.size_at(s + 1));
      const bool is_last = s + 1 == a.stages.size();
      StageView& v = stage.view;
      v.in_channels = static_cast<std::size_t>(a.input_channels(s));
      v.in_stride = s == 0 ? channels_ : padded(v.in_channels);
      v.out_channels = out_channels;
      v.out_stride = padded(out_channels);
      v.height = v.width = static_cast<std::size_t>(a.size_at(s));
      v.form = s == 0 ? ConvForm::kDirect : best_form(v.in_channels, v.height, v.width);
      v.pool = a.stages[s].pool;
      v.out_border = is_last ? 0 : 1;
      stage.weights = Floats(pack_weights(v.form, of_group.conv_weights[s].values.data(), out_channels, v.in_channels));
      stage.bias = Floats(v.out_stride);
      std::copy(of_group.conv_biases[s].values.begin(), of_group.conv_biases[s].values.end(), stage.bias.get());
      const std::size_t side = out_size + 2 * v.out_border;
      stage.in_image = s == 0 ? input_image() : group.stages.back().out_image;
      stage.out_image = side * side * v.out_stride;
      stage.out = Floats(max_batch_ * stage.out_image);  // the border is never written and stays zero
      v.weights = stage.weights.get();
      v.bias = stage.bias.get();
      v.out = stage.out.get();
      v.in = s == 0 ? input_.get() : group.stages.back().out.get();
      scratch_stride_ = std::max(scratch_stride_, padded(v.scratch_floats()));
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
              of_group.classifier.values[(k * channels + c) * last * last + at];
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

  Status run_groups(std::size_t first, std::size_t last) {
    first_ = first;
    last_ = last;
    REINS_TRY(team_.run(
        [](void* self, int worker, int workers) {
          static_cast<PortableEngine*>(self)->work(static_cast<std::size_t>(worker), static_cast<std::size_t>(workers));
        },
        this));
    for (std::size_t g = first; g < last; ++g) {
      for (std::size_t n = 0; n < running_.images(); ++n) {
        const float* const features = groups_[g].stages.back().out.get() + n * features_;
        for (std::size_t k = 0; k < classes_; ++k) {
          partial_logits_[n * classes_ + k] =
              kernels_.dot(features, groups_[g].classifier.get() + k * features_, features_);
        }
      }
      running_.add(partial_logits_.data());
    }
    running_.settle(LevelId(last - 1));
    return {};
  }

  // Stage by stage; within one, the steps of all groups and images are dealt out in equal runs.
  void work(std::size_t worker, std::size_t workers) noexcept {
    float* const scratch = scratch_.get() + worker * scratch_stride_;
    for (std::size_t s = 0; s < groups_.front().stages.size(); ++s) {
      const std::size_t steps = groups_.front().stages[s].view.steps();
      const std::size_t total = steps * running_.images() * (last_ - first_);
      std::size_t at = total * worker / workers;
      const std::size_t end = total * (worker + 1) / workers;
      while (at < end) {
        const std::size_t step = at % steps;
        const std::size_t count = std::min(steps - step, end - at);
        const std::size_t image = at / steps % running_.images();
        const PackedStage& stage = groups_[first_ + at / steps / running_.images()].stages[s];
        StageView view = stage.view;
        view.in += image * stage.in_image;
        view.out += image * stage.out_image;
        kernels_.run_steps(view, step, step + count, scratch);
        at += count;
      }
      if (workers > 1) team_.barrier();
    }
  }

  NetworkFacts facts_;
  const Kernels& kernels_;
  std::size_t max_batch_;
  RunningAnswer running_;
  std::size_t channels_ = 0, size_ = 0, classes_ = 0, features_ = 0;
  Floats input_, scratch_;
  std::size_t scratch_stride_ = 0, scratch_workers_ = 0;
  std::vector<PackedGroup> groups_;
  std::vector<float> partial_logits_;
  std::size_t first_ = 0, last_ = 0;
  WorkerTeam team_;  // last: its threads end before what they work on
};

}  // namespace

Result<std::unique_ptr<Engine>> make_portable_engine(const DynamicNetwork& network, const NetworkWeights& weights,
                                                     const EngineOptions& options) {
  REINS_TRY(check_weights(network.architecture, weights));
  REINS_TRY(check_max_batch(options.max_batch));
  const Kernels* kernels = &best_kernels();
  if (options.backend != "auto" && options.backend != "portable") {
    if (options.backend != "avx512" && options.backend != "avx2" && options.backend != "baseline") {
      return fail(ErrorKind::kUsage, "unknown engine", options.backend,
                  "known: auto, onednn, portable, avx512, avx2, baseline");
    }
    kernels = kernels_named(options.backend);
    if (kernels == nullptr) {
      return fail(ErrorKind::kUnsupported, "this processor has no such instructions", options.backend, "take auto");
    }
  }
  return std::make_unique<PortableEngine>(network, weights, *kernels, options.max_batch);
}

}  // namespace reins::inference
