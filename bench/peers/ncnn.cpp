#include <net.h>
#include <platform.h>

#include <stdexcept>

#include "bench/peers/peer.hpp"

namespace reins::bench {
namespace {

/// ncnn's text form of a network, and its weights in the order of the text: each tensor of weights behind a flag of
/// four bytes, whose zero says float32.
struct Model {
  std::string text;
  std::vector<float> weights;
};

Model model(const StaticNetwork& network) {
  Model made;
  int layers = 1;
  const std::string size = std::to_string(network.size);
  std::string lines =
      "Input input 0 1 input 0=" + size + " 1=" + size + " 2=" + std::to_string(network.channels) + "\n";
  std::string at = "input";
  const auto add = [&](const std::string& type, const std::string& to, const std::string& options) {
    lines += type + " " + to + " 1 1 " + at + " " + to + options + "\n";
    at = to;
    ++layers;
  };
  const auto append = [&](const std::vector<float>& weights, const std::vector<float>& bias) {
    made.weights.push_back(0);
    made.weights.insert(made.weights.end(), weights.begin(), weights.end());
    made.weights.insert(made.weights.end(), bias.begin(), bias.end());
  };
  for (std::size_t s = 0; s < network.layers.size(); ++s) {
    const StaticNetwork::Layer& layer = network.layers[s];
    const std::string groups = layer.groups == 1 ? "" : " 7=" + std::to_string(layer.groups);
    add(layer.groups == 1 ? "Convolution" : "ConvolutionDepthWise", "conv" + std::to_string(s),
        " 0=" + std::to_string(layer.out) + " 1=3 4=1 5=1 6=" + std::to_string(layer.weights.size()) + groups + " 9=1");
    append(layer.weights, layer.bias);
    if (layer.pool) add("Pooling", "pool" + std::to_string(s), " 0=0 1=2 2=2");
  }
  add("InnerProduct", "logits",
      " 0=" + std::to_string(network.classes) + " 1=1 2=" + std::to_string(network.classifier.size()));
  append(network.classifier, network.bias);
  made.text = "7767517\n" + std::to_string(layers) + " " + std::to_string(layers) + "\n" + lines;
  return made;
}

class Ncnn final : public Peer {
 public:
  Ncnn(const Setting& setting, Input& input)
      : batch_(setting.batch),
        size_(static_cast<int>(setting.architecture.size)),
        channels_(static_cast<int>(setting.architecture.channels)),
        input_(input) {
    for (const StaticNetwork& network : setting.levels()) {
      models_.push_back(model(network));
      auto& net = levels_.emplace_back(std::make_unique<ncnn::Net>());
      net->opt.num_threads = setting.threads;
      // Its default keeps weights in half precision: another computation.
      net->opt.use_fp16_packed = net->opt.use_fp16_storage = net->opt.use_fp16_arithmetic = false;
      net->opt.use_bf16_storage = false;
      const auto* const weights = reinterpret_cast<const unsigned char*>(models_.back().weights.data());
      if (net->load_param_mem(models_.back().text.c_str()) != 0 || net->load_model(weights) <= 0) {
        throw std::runtime_error("ncnn refused the network");
      }
    }
  }
  void infer(std::size_t level) override {
    logits_.clear();
    for (int n = 0; n < batch_; ++n) {  // it knows no batch
      const ncnn::Mat image(size_, size_, channels_, input_.scaled.data() + n * size_ * size_ * channels_);
      ncnn::Extractor extractor = levels_[level]->create_extractor();
      ncnn::Mat out;
      extractor.input("input", image);
      extractor.extract("logits", out);
      const auto* const values = static_cast<const float*>(out.data);
      logits_.insert(logits_.end(), values, values + out.w);
    }
  }
  std::vector<float> logits() override { return logits_; }

 private:
  int batch_, size_, channels_;
  Input& input_;
  std::vector<Model> models_;  // their weights stay in use
  std::vector<std::unique_ptr<ncnn::Net>> levels_;
  std::vector<float> logits_;
};

}  // namespace

std::unique_ptr<Peer> make_ncnn(const Setting& setting, Input& input) { return std::make_unique<Ncnn>(setting, input); }
std::string ncnn_version() { return NCNN_VERSION_STRING; }

}  // namespace reins::bench
