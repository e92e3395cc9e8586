#include <cstring>
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>

#include "bench/peers/peer.hpp"

#if DNNL_CPU_RUNTIME == DNNL_RUNTIME_OMP
#include <omp.h>
#endif

namespace reins::bench {
namespace {

using Desc = dnnl::memory::desc;
using Dims = dnnl::memory::dims;
using Tag = dnnl::memory::format_tag;
constexpr auto kF32 = dnnl::memory::data_type::f32;
constexpr auto kInference = dnnl::prop_kind::forward_inference;

using Arguments = std::unordered_map<int, dnnl::memory>;

dnnl::primitive_attr relu() {
  dnnl::post_ops after;
#if DNNL_VERSION_MAJOR >= 3
  after.append_eltwise(dnnl::algorithm::eltwise_relu, 0, 0);
#else
  after.append_eltwise(1, dnnl::algorithm::eltwise_relu, 0, 0);
#endif
  dnnl::primitive_attr attr;
  attr.set_post_ops(after);
  return attr;
}

/// As oneDNN's own examples build a network: each primitive picks its layouts (format_tag::any), weights are reordered
/// to them once, oneDNN's threads do the rest.
class Plain {
 public:
  Plain(const dnnl::engine& cpu, const StaticNetwork& network, int batch, Input& input) : cpu_(cpu), stream_(cpu) {
    at_ = dnnl::memory(Desc({batch, network.channels, network.size, network.size}, kF32, Tag::nchw), cpu_,
                       input.scaled.data());
    for (const StaticNetwork::Layer& layer : network.layers) {
      convolve(layer, batch);
      if (layer.pool) pool(layer, batch);
    }
    classify(network, batch);
  }

  void run() {
    for (std::size_t i = 0; i < primitives_.size(); ++i) primitives_[i].execute(stream_, arguments_[i]);
    stream_.wait();
  }
  std::vector<float> logits() const {
    const auto* const values = static_cast<const float*>(at_.get_data_handle());
    return {values, values + at_.get_desc().get_size() / sizeof(float)};
  }

 private:
  dnnl::convolution_forward::primitive_desc convolution(const StaticNetwork::Layer& layer, int batch, Tag tag) const {
    const Desc from({batch, layer.in, layer.size, layer.size}, kF32, tag);
    const Desc to({batch, layer.out, layer.size, layer.size}, kF32, tag);
    const Desc weights(dims(layer), kF32, Tag::any);
    const Desc bias({layer.out}, kF32, Tag::a);
    constexpr auto kAlgorithm = dnnl::algorithm::convolution_auto;
#if DNNL_VERSION_MAJOR >= 3
    return {cpu_, kInference, kAlgorithm, from, weights, bias, to, {1, 1}, {1, 1}, {1, 1}, relu()};
#else
    return {{kInference, kAlgorithm, from, weights, bias, to, {1, 1}, {1, 1}, {1, 1}}, relu(), cpu_};
#endif
  }

  static Dims dims(const StaticNetwork::Layer& layer) {
    if (layer.groups == 1) return {layer.out, layer.in, 3, 3};
    return {layer.groups, layer.out / layer.groups, layer.in / layer.groups, 3, 3};
  }

  void convolve(const StaticNetwork::Layer& layer, int batch) {
    auto pd = convolution(layer, batch, Tag::any);
    // Groups whose channels fill no block end in the reference code; channels last has a fast form for them.
    if (std::strncmp(pd.impl_info_str(), "ref", 3) == 0) pd = convolution(layer, batch, Tag::nhwc);
    if (at_.get_desc() != pd.src_desc()) {
      const dnnl::memory wanted(pd.src_desc(), cpu_);
      add(dnnl::reorder(at_, wanted), {{DNNL_ARG_FROM, at_}, {DNNL_ARG_TO, wanted}}, wanted);
    }
    const dnnl::memory weights =
        packed(layer.weights, dims(layer), layer.groups == 1 ? Tag::oihw : Tag::goihw, pd.weights_desc());
    const dnnl::memory bias = packed(layer.bias, {layer.out}, Tag::a, pd.bias_desc());
    const dnnl::memory to(pd.dst_desc(), cpu_);
    add(dnnl::convolution_forward(pd),
        {{DNNL_ARG_SRC, at_}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_BIAS, bias}, {DNNL_ARG_DST, to}}, to);
  }

  void pool(const StaticNetwork::Layer& layer, int batch) {
    const Desc wanted({batch, layer.out, layer.size / 2, layer.size / 2}, kF32, Tag::any);
    constexpr auto kAlgorithm = dnnl::algorithm::pooling_max;
#if DNNL_VERSION_MAJOR >= 3
    const dnnl::pooling_forward::primitive_desc pd(cpu_, kInference, kAlgorithm, at_.get_desc(), wanted, {2, 2}, {2, 2},
                                                   {0, 0}, {0, 0}, {0, 0});
#else
    const dnnl::pooling_forward::primitive_desc pd(
        {kInference, kAlgorithm, at_.get_desc(), wanted, {2, 2}, {2, 2}, {0, 0}, {0, 0}}, cpu_);
#endif
    const dnnl::memory to(pd.dst_desc(), cpu_);
    add(dnnl::pooling_forward(pd), {{DNNL_ARG_SRC, at_}, {DNNL_ARG_DST, to}}, to);
  }

  void classify(const StaticNetwork& network, int batch) {
    const std::int64_t channels = network.layers.back().out;
    const std::int64_t last = at_.get_desc().dims()[2];
    const Desc weights({network.classes, channels, last, last}, kF32, Tag::any);
    const Desc bias({network.classes}, kF32, Tag::a);
    const Desc logits({batch, network.classes}, kF32, Tag::nc);
#if DNNL_VERSION_MAJOR >= 3
    const dnnl::inner_product_forward::primitive_desc pd(cpu_, kInference, at_.get_desc(), weights, bias, logits);
#else
    const dnnl::inner_product_forward::primitive_desc pd({kInference, at_.get_desc(), weights, bias, logits}, cpu_);
#endif
    const dnnl::memory to(pd.dst_desc(), cpu_);
    add(dnnl::inner_product_forward(pd),
        {{DNNL_ARG_SRC, at_},
         {DNNL_ARG_WEIGHTS,
          packed(network.classifier, {network.classes, channels, last, last}, Tag::oihw, pd.weights_desc())},
         {DNNL_ARG_BIAS, packed(network.bias, {network.classes}, Tag::a, pd.bias_desc())},
         {DNNL_ARG_DST, to}},
        to);
  }

  dnnl::memory packed(const std::vector<float>& values, const Dims& dims, Tag tag, const Desc& wanted) {
    dnnl::memory given(Desc(dims, kF32, tag), cpu_, const_cast<float*>(values.data()));
    dnnl::memory result(wanted, cpu_);
    dnnl::reorder(given, result).execute(stream_, given, result);
    stream_.wait();
    return result;
  }

  void add(dnnl::primitive primitive, Arguments arguments, const dnnl::memory& to) {
    primitives_.push_back(std::move(primitive));
    arguments_.push_back(std::move(arguments));
    at_ = to;
  }

  dnnl::engine cpu_;
  dnnl::stream stream_;
  dnnl::memory at_;  // where the next primitive reads
  std::vector<dnnl::primitive> primitives_;
  std::vector<Arguments> arguments_;
};

class PlainOnednn final : public Peer {
 public:
  PlainOnednn(const Setting& setting, Input& input) : threads_(setting.threads), cpu_(dnnl::engine::kind::cpu, 0) {
    take_turn();  // a primitive is made for a number of threads
    for (const StaticNetwork& network : setting.levels()) levels_.emplace_back(cpu_, network, setting.batch, input);
  }
  void take_turn() override {
#if DNNL_CPU_RUNTIME == DNNL_RUNTIME_OMP
    ::omp_set_num_threads(threads_);
#endif
  }
  void infer(std::size_t level) override { levels_[ran_ = level].run(); }
  std::vector<float> logits() override { return levels_[ran_].logits(); }

 private:
  int threads_;
  dnnl::engine cpu_;
  std::vector<Plain> levels_;
  std::size_t ran_ = 0;
};

}  // namespace

std::unique_ptr<Peer> make_plain_onednn(const Setting& setting, Input& input) {
  return std::make_unique<PlainOnednn>(setting, input);
}
std::string onednn_version() {
  const dnnl_version_t* const v = ::dnnl_version();
  return std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
}

}  // namespace reins::bench
