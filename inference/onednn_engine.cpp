#include <atomic>
#include <cstring>
#include <oneapi/dnnl/dnnl.hpp>

#include "inference/engines.hpp"
#include "inference/running_answer.hpp"
#include "inference/worker_team.hpp"

#if DNNL_CPU_RUNTIME == DNNL_RUNTIME_OMP
#include <omp.h>
#endif

namespace reins::inference {
namespace {

using Desc = dnnl::memory::desc;
using Dims = dnnl::memory::dims;
using Tag = dnnl::memory::format_tag;
constexpr auto kF32 = dnnl::memory::data_type::f32;
// oneDNN's Winograd was faster than its direct convolutions at every stage of 16 input channels and more
// (docs/decisions/007-engine.md); below, its transforms cost more than they save.
constexpr std::int64_t kWinogradChannels = 16;

/// While it lives, oneDNN called from this thread stays on it. OpenMP's number of threads is a setting of the calling
/// thread: no other application sees the change, and no team that spins is ever made.
class OneThread {
 public:
#if DNNL_CPU_RUNTIME == DNNL_RUNTIME_OMP
  OneThread() noexcept : before_(::omp_get_max_threads()) { ::omp_set_num_threads(1); }
  ~OneThread() { ::omp_set_num_threads(before_); }

 private:
  int before_;
#else
  OneThread() noexcept {}
#endif
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;
};

Error from_onednn(const dnnl::error& problem) { return Error(ErrorKind::kInternal, problem.what(), "oneDNN"); }

/// A primitive and what it reads and writes: indices into the worker's buffers, or tensors of the group.
struct Step {
  dnnl::primitive primitive;
  std::size_t from = 0, to = 0;
  int weights = -1, bias = -1;  // of the group
  std::size_t scratch_bytes = 0;
};

/// What all groups share: steps from the scaled image, buffer 0, to one group's partial logits, the last buffer.
struct Plan {
  std::vector<Step> steps;
  std::vector<Desc> buffers;
  std::vector<Desc> weights;  // packed, per stage, the classifier's last
  std::vector<Desc> biases;   // per stage
};

dnnl::primitive_attr attributes(bool relu) {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);  // one per worker: the same primitive runs on many
  if (relu) {
    dnnl::post_ops after;
#if DNNL_VERSION_MAJOR >= 3
    after.append_eltwise(dnnl::algorithm::eltwise_relu, 0, 0);
#else
    after.append_eltwise(1, dnnl::algorithm::eltwise_relu, 0, 0);
#endif
    attr.set_post_ops(after);
  }
  return attr;
}

dnnl::convolution_forward::primitive_desc convolution(const dnnl::engine& cpu, dnnl::algorithm algorithm,
                                                      const Desc& from, const Desc& weights, const Desc& bias,
                                                      const Desc& to) {
  constexpr auto kind = dnnl::prop_kind::forward_inference;
#if DNNL_VERSION_MAJOR >= 3
  return {cpu, kind, algorithm, from, weights, bias, to, {1, 1}, {1, 1}, {1, 1}, attributes(true)};
#else
  return {{kind, algorithm, from, weights, bias, to, {1, 1}, {1, 1}, {1, 1}}, attributes(true), cpu};
#endif
}

dnnl::pooling_forward::primitive_desc pool(const dnnl::engine& cpu, const Desc& from, const Desc& to) {
  constexpr auto kind = dnnl::prop_kind::forward_inference;
  constexpr auto algorithm = dnnl::algorithm::pooling_max;
#if DNNL_VERSION_MAJOR >= 3
  return {cpu, kind, algorithm, from, to, {2, 2}, {2, 2}, {0, 0}, {0, 0}, {0, 0}, attributes(false)};
#else
  return {{kind, algorithm, from, to, {2, 2}, {2, 2}, {0, 0}, {0, 0}}, attributes(false), cpu};
#endif
}

dnnl::inner_product_forward::primitive_desc inner_product(const dnnl::engine& cpu, const Desc& from,
                                                          const Desc& weights, const Desc& to) {
  constexpr auto kind = dnnl::prop_kind::forward_inference;
#if DNNL_VERSION_MAJOR >= 3
  return {cpu, kind, from, weights, to, attributes(false)};
#else
  return {{kind, from, weights, to}, attributes(false), cpu};
#endif
}

bool is_reference(const char* implementation) { return std::strncmp(implementation, "ref", 3) == 0; }

class Planner {
 public:
  Planner(const dnnl::engine& cpu, const GroupArchitecture& a, std::int64_t images) : cpu_(cpu) {
    plan_.buffers.push_back(Desc({images, a.channels, a.size, a.size}, kF32, Tag::nhwc));
    for (std::size_t s = 0; s < a.stages.size(); ++s) {
      const std::int64_t in = a.input_channels(s);
      const std::int64_t out = a.stages[s].channels;
      const std::int64_t size = a.size_at(s);
      add_convolution(images, in, out, size);
      if (a.stages[s].pool) {
        const auto pd = pool(cpu_, plan_.buffers.back(), Desc({images, out, size / 2, size / 2}, kF32, Tag::any));
        append(dnnl::pooling_forward(pd), pd.dst_desc(), pd.scratchpad_desc());
      }
    }
    const std::int64_t last = a.size_at(a.stages.size());
    const Desc any_weights({a.classes, a.stages.back().channels, last, last}, kF32, Tag::any);
    const Desc logits({images, a.classes}, kF32, Tag::nc);
    auto pd = inner_product(cpu_, plan_.buffers.back(), any_weights, logits);
    if (is_reference(pd.impl_info_str())) {
      pd = inner_product(cpu_, Desc({images, a.stages.back().channels, last, last}, kF32, Tag::any), any_weights,
                         logits);
      reorder_to(pd.src_desc());
    }
    plan_.weights.push_back(pd.weights_desc());
    append(dnnl::inner_product_forward(pd), pd.dst_desc(), pd.scratchpad_desc());
    plan_.steps.back().weights = static_cast<int>(plan_.weights.size()) - 1;
  }

  Plan take() { return std::move(plan_); }

 private:
  void add_convolution(std::int64_t images, std::int64_t in, std::int64_t out, std::int64_t size) {
    const Desc from({images, in, size, size}, kF32, Tag::any);
    const Desc to({images, out, size, size}, kF32, Tag::any);
    const Desc weights({out, in, 3, 3}, kF32, Tag::any);
    const Desc bias({out}, kF32, Tag::x);
    auto pd = convolution(cpu_, dnnl::algorithm::convolution_direct, from, weights, bias, to);
    if (in >= kWinogradChannels) {
      try {
        const auto winograd = convolution(cpu_, dnnl::algorithm::convolution_winograd, from, weights, bias, to);
        if (!is_reference(winograd.impl_info_str())) pd = winograd;
      } catch (const dnnl::error&) {
        // Not on this processor, or not in this version.
      }
    }
    reorder_to(pd.src_desc());
    plan_.weights.push_back(pd.weights_desc());
    plan_.biases.push_back(bias);
    append(dnnl::convolution_forward(pd), pd.dst_desc(), pd.scratchpad_desc());
    plan_.steps.back().weights = static_cast<int>(plan_.weights.size()) - 1;
    plan_.steps.back().bias = static_cast<int>(plan_.biases.size()) - 1;
  }

  void reorder_to(const Desc& wanted) {
    if (plan_.buffers.back() == wanted) return;
    const dnnl::reorder::primitive_desc pd(cpu_, plan_.buffers.back(), cpu_, wanted, attributes(false));
    append(dnnl::reorder(pd), wanted, pd.scratchpad_desc());
  }

  void append(dnnl::primitive primitive, const Desc& to, const Desc& scratch) {
    plan_.buffers.push_back(to);
    Step step;
    step.primitive = std::move(primitive);
    step.from = plan_.buffers.size() - 2;
    step.to = plan_.buffers.size() - 1;
    step.scratch_bytes = scratch.get_size();
    plan_.steps.push_back(std::move(step));
  }

  const dnnl::engine& cpu_;
  Plan plan_;
};

/// One group's weights, packed; its partial logits.
struct OnednnGroup {
  std::vector<dnnl::memory> weights, biases;
  dnnl::memory logits;
};

/// What one worker needs to run any group: activations, and the arguments of every step of every group.
struct WorkerBuffers {
  dnnl::stream stream;
  std::vector<dnnl::memory> activations;
  std::vector<std::byte> scratch;
  std::vector<dnnl::memory> scratchpads;                             // views of scratch, one per step
  std::vector<std::vector<std::vector<dnnl_exec_arg_t>>> arguments;  // [group][step]
};

class OnednnEngine final : public Engine {
 public:
  OnednnEngine(const DynamicNetwork& network, const NetworkWeights& weights, int max_batch)
      : facts_(network.facts),
        size_(static_cast<std::size_t>(network.architecture.size)),
        channels_(static_cast<std::size_t>(network.architecture.channels)),
        running_(network, weights, static_cast<std::size_t>(max_batch)),
        cpu_(dnnl::engine::kind::cpu, 0) {
    const OneThread here;
    // Primitives are made for a number of images: one plan for single images, one for the full batch.
    batches_.push_back(make_batch(network.architecture, weights, 1));
    if (max_batch > 1) batches_.push_back(make_batch(network.architecture, weights, max_batch));
    reserve_workers(1);
  }

  const NetworkFacts& facts() const noexcept override { return facts_; }

  Status place(const Placement& placement) override {
    REINS_TRY(team_.place(placement));
    try {
      reserve_workers(static_cast<std::size_t>(team_.workers()));
    } catch (const dnnl::error& problem) {
      return fail(from_onednn(problem));
    }
    return {};
  }

  bool moves() const noexcept override { return true; }
  Status move(const Placement& placement) override { return team_.move(placement); }

  Status begin(const TensorView& input, LevelId level) override {
    REINS_TRY(running_.check(input, level));
    const auto images = static_cast<std::size_t>(input.shape[0]);
    batch_ = images == 1 ? &batches_.front() : &batches_.back();
    running_.begin(images);
    running_.scale_input(input, static_cast<float*>(batch_->input.get_data_handle()), size_ * channels_,
                         size_ * size_ * channels_);
    return run_groups(0, level.index() + 1);
  }

  Status grow() override {
    REINS_TRY(running_.check_grow());
    const std::size_t next = running_.level().index() + 1;
    return run_groups(next, next + 1);
  }

  Result<Answer> finish() override { return running_.finish(); }

 private:
  struct Batch {
    Plan plan;
    dnnl::memory input;
    std::vector<OnednnGroup> groups;
    std::vector<WorkerBuffers> workers;
  };

  dnnl::memory pack(const Tensor& tensor, const Dims& dims, Tag tag, const Desc& wanted) {
    const Desc as_given(dims, kF32, tag);
    dnnl::memory plain(as_given, cpu_, const_cast<float*>(tensor.values.data()));
    dnnl::memory packed(wanted, cpu_);
    dnnl::stream stream(cpu_);
    dnnl::reorder(plain, packed).execute(stream, plain, packed);
    stream.wait();
    return packed;
  }

  Batch make_batch(const GroupArchitecture& a, const NetworkWeights& weights, int images) {
    Batch batch{.plan = Planner(cpu_, a, images).take(), .input = {}, .groups = {}, .workers = {}};
    const Plan& plan = batch.plan;
    batch.input = dnnl::memory(plan.buffers.front(), cpu_);
    for (std::size_t g = 0; g < weights.groups.size(); ++g) {
      OnednnGroup packed;
      const GroupWeights& group = weights.groups[g];
      // Where both plans want the same layout, they share one copy.
      const OnednnGroup* const other = batches_.empty() ? nullptr : &batches_.front().groups[g];
      const auto packed_once = [&](std::size_t w, const Tensor& tensor, const Dims& dims) {
        return other != nullptr && batches_.front().plan.weights[w] == plan.weights[w]
                   ? other->weights[w]
                   : pack(tensor, dims, Tag::abcd, plan.weights[w]);
      };
      const std::size_t stages = a.stages.size();
      for (std::size_t s = 0; s < stages; ++s) {
        packed.weights.push_back(packed_once(s, group.conv_weights[s], group.conv_weights[s].shape));
        packed.biases.push_back(other != nullptr
                                    ? other->biases[s]
                                    : pack(group.conv_biases[s], group.conv_biases[s].shape, Tag::a, plan.biases[s]));
      }
      const std::int64_t last = a.size_at(stages);
      packed.weights.push_back(
          packed_once(stages, group.classifier, {a.classes, a.stages.back().channels, last, last}));
      packed.logits = dnnl::memory(plan.buffers.back(), cpu_);
      batch.groups.push_back(std::move(packed));
    }
    return batch;
  }

  void reserve_workers(std::size_t count) {
    for (Batch& batch : batches_) {
      while (batch.workers.size() < count) batch.workers.push_back(make_worker(batch));
    }
  }

  WorkerBuffers make_worker(Batch& batch) {
    const Plan& plan = batch.plan;
    WorkerBuffers worker;
    worker.stream = dnnl::stream(cpu_);
    worker.activations.push_back(batch.input);
    for (std::size_t i = 1; i + 1 < plan.buffers.size(); ++i) worker.activations.emplace_back(plan.buffers[i], cpu_);
    std::size_t scratch = 0;
    for (const Step& step : plan.steps) scratch = std::max(scratch, step.scratch_bytes);
    worker.scratch.resize(scratch + 64);
    auto* const aligned =
        reinterpret_cast<std::byte*>((reinterpret_cast<std::uintptr_t>(worker.scratch.data()) + 63) / 64 * 64);
    for (const Step& step : plan.steps) {
      const Desc desc({static_cast<std::int64_t>(std::max<std::size_t>(step.scratch_bytes, 1))},
                      dnnl::memory::data_type::u8, Tag::a);
      worker.scratchpads.emplace_back(desc, cpu_, aligned);
    }
    for (OnednnGroup& group : batch.groups) {
      auto& of_group = worker.arguments.emplace_back();
      for (std::size_t i = 0; i < plan.steps.size(); ++i) {
        const Step& step = plan.steps[i];
        const bool is_last = i + 1 == plan.steps.size();
        auto& list = of_group.emplace_back();
        list.push_back({DNNL_ARG_SRC, worker.activations[step.from].get()});
        list.push_back({DNNL_ARG_DST, is_last ? group.logits.get() : worker.activations[step.to].get()});
        list.push_back({DNNL_ARG_SCRATCHPAD, worker.scratchpads[i].get()});
        if (step.weights >= 0) {
          list.push_back({DNNL_ARG_WEIGHTS, group.weights[static_cast<std::size_t>(step.weights)].get()});
        }
        if (step.bias >= 0) list.push_back({DNNL_ARG_BIAS, group.biases[static_cast<std::size_t>(step.bias)].get()});
      }
    }
    return worker;
  }

  Status run_groups(std::size_t first, std::size_t last) {
    first_ = first;
    last_ = last;
    problem_.store(dnnl_success, std::memory_order_relaxed);
    REINS_TRY(team_.run(
        [](void* self, int worker, int workers) {
          static_cast<OnednnEngine*>(self)->work(static_cast<std::size_t>(worker), static_cast<std::size_t>(workers));
        },
        this));
    if (problem_.load(std::memory_order_relaxed) != dnnl_success) {
      running_.settle(LevelId());
      return fail(ErrorKind::kInternal, "a primitive failed", "oneDNN");
    }
    for (std::size_t g = first; g < last; ++g) {
      running_.add(static_cast<const float*>(batch_->groups[g].logits.get_data_handle()));
    }
    running_.settle(LevelId(last - 1));
    return {};
  }

  // Whole groups, dealt out in turn.
  void work(std::size_t worker, std::size_t workers) noexcept {
    const OneThread here;
    WorkerBuffers& mine = batch_->workers[worker];
    for (std::size_t g = first_ + worker; g < last_; g += workers) {
      for (std::size_t i = 0; i < batch_->plan.steps.size(); ++i) {
        const auto& list = mine.arguments[g][i];
        const dnnl_status_t status = ::dnnl_primitive_execute(batch_->plan.steps[i].primitive.get(), mine.stream.get(),
                                                              static_cast<int>(list.size()), list.data());
        if (status != dnnl_success) problem_.store(status, std::memory_order_relaxed);
      }
    }
    const dnnl_status_t status = ::dnnl_stream_wait(mine.stream.get());
    if (status != dnnl_success) problem_.store(status, std::memory_order_relaxed);
  }

  NetworkFacts facts_;
  std::size_t size_, channels_;
  RunningAnswer running_;
  dnnl::engine cpu_;
  std::vector<Batch> batches_;
  Batch* batch_ = nullptr;
  std::size_t first_ = 0, last_ = 0;
  std::atomic<dnnl_status_t> problem_{dnnl_success};
  WorkerTeam team_;  // last: its threads end before what they work on
};

}  // namespace

bool has_onednn() noexcept { return true; }

Result<std::unique_ptr<Engine>> make_onednn_engine(const DynamicNetwork& network, const NetworkWeights& weights,
                                                   const EngineOptions& options) {
  REINS_TRY(check_weights(network.architecture, weights));
  REINS_TRY(check_max_batch(options.max_batch));
  try {
    return std::make_unique<OnednnEngine>(network, weights, options.max_batch);
  } catch (const dnnl::error& problem) {
    return fail(from_onednn(problem));
  }
}

}  // namespace reins::inference
