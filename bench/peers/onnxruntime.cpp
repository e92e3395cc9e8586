#include <onnxruntime_cxx_api.h>

#include "bench/peers/peer.hpp"

namespace reins::bench {
namespace {

/// As much of protobuf as a model takes: https://protobuf.dev/programming-guides/encoding/, field numbers of
/// onnx.proto.
class Message {
 public:
  Message& add(int field, std::int64_t value) {
    varint(static_cast<std::uint64_t>(field) << 3U);
    varint(static_cast<std::uint64_t>(value));
    return *this;
  }
  Message& add(int field, std::string_view value) {
    varint(static_cast<std::uint64_t>(field) << 3U | 2U);
    varint(value.size());
    bytes_ += value;
    return *this;
  }
  Message& add(int field, const Message& value) { return add(field, std::string_view(value.bytes_)); }
  const std::string& bytes() const { return bytes_; }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 0x80U; value >>= 7U) bytes_ += static_cast<char>(value | 0x80U);
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};

Message ints(std::string_view name, std::initializer_list<std::int64_t> values) {
  Message attribute;
  attribute.add(1, name).add(20, 7);
  for (const std::int64_t value : values) attribute.add(8, value);
  return attribute;
}
Message integer(std::string_view name, std::int64_t value) {
  Message attribute;
  attribute.add(1, name).add(20, 2).add(3, value);
  return attribute;
}

Message tensor(std::string_view name, std::initializer_list<std::int64_t> shape, const std::vector<float>& values) {
  Message message;
  for (const std::int64_t n : shape) message.add(1, n);
  message.add(2, 1).add(8, name);
  message.add(9, std::string_view(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)));
  return message;
}

Message value(std::string_view name, const std::vector<std::int64_t>& shape) {
  Message dims;
  for (const std::int64_t n : shape) dims.add(1, Message().add(1, n));
  return Message().add(1, name).add(2, Message().add(1, Message().add(1, 1).add(2, dims)));
}

std::string model(const StaticNetwork& network, const std::vector<std::int64_t>& input_shape) {
  Message graph;
  std::string at = "input";
  int nodes = 0;
  const auto node = [&](std::string_view type, std::vector<std::string> more, const std::vector<Message>& attributes,
                        std::string to = {}) {
    if (to.empty()) to = "t" + std::to_string(nodes++);
    Message message;
    message.add(1, std::string_view(at));
    for (const std::string& name : more) message.add(1, std::string_view(name));
    message.add(2, std::string_view(to)).add(4, type);
    for (const Message& attribute : attributes) message.add(5, attribute);
    graph.add(1, message);
    at = to;
  };
  for (std::size_t s = 0; s < network.layers.size(); ++s) {
    const StaticNetwork::Layer& layer = network.layers[s];
    const std::string w = "w" + std::to_string(s);
    const std::string b = "b" + std::to_string(s);
    node("Conv", {w, b}, {ints("kernel_shape", {3, 3}), ints("pads", {1, 1, 1, 1}), integer("group", layer.groups)});
    graph.add(5, tensor(w, {layer.out, layer.in / layer.groups, 3, 3}, layer.weights));
    graph.add(5, tensor(b, {layer.out}, layer.bias));
    node("Relu", {}, {});
    if (layer.pool) node("MaxPool", {}, {ints("kernel_shape", {2, 2}), ints("strides", {2, 2})});
  }
  node("Flatten", {}, {});
  node("Gemm", {"w", "b"}, {integer("transB", 1)}, "logits");
  graph.add(5, tensor("w", {network.classes, network.features}, network.classifier));
  graph.add(5, tensor("b", {network.classes}, network.bias));
  graph.add(2, "level").add(11, value("input", input_shape));
  graph.add(12, value("logits", {input_shape[0], network.classes}));
  return Message().add(1, 8).add(8, Message().add(1, "").add(2, 13)).add(7, graph).bytes();
}

class OnnxRuntime final : public Peer {
 public:
  OnnxRuntime(const Setting& setting, Input& input)
      : logits_(static_cast<std::size_t>(setting.batch * setting.architecture.classes)) {
    // One pool for the four sessions: four would spin against each other when levels alternate.
    Ort::ThreadingOptions threads;
    threads.SetGlobalIntraOpNumThreads(setting.threads);
    threads.SetGlobalInterOpNumThreads(1);
    environment_ = Ort::Env(threads, ORT_LOGGING_LEVEL_ERROR, "peers");
    Ort::SessionOptions options;
    options.DisablePerSessionThreads();
    options.SetGraphOptimizationLevel(ORT_ENABLE_ALL);
    const std::vector<std::int64_t> shape = setting.input_shape();
    for (const StaticNetwork& network : setting.levels()) {
      const std::string bytes = model(network, shape);
      levels_.emplace_back(environment_, bytes.data(), bytes.size(), options);
    }
    const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    const std::vector<std::int64_t> out{setting.batch, setting.architecture.classes};
    input_ = Ort::Value::CreateTensor<float>(memory, input.scaled.data(), input.scaled.size(), shape.data(), 4);
    output_ = Ort::Value::CreateTensor<float>(memory, logits_.data(), logits_.size(), out.data(), 2);
  }
  void infer(std::size_t level) override {
    constexpr const char* kInput = "input";
    constexpr const char* kOutput = "logits";
    levels_[level].Run(Ort::RunOptions{nullptr}, &kInput, &input_, 1, &kOutput, &output_, 1);
  }
  std::vector<float> logits() override { return logits_; }

 private:
  std::vector<float> logits_;
  Ort::Env environment_{nullptr};
  std::vector<Ort::Session> levels_;
  Ort::Value input_{nullptr}, output_{nullptr};
};

}  // namespace

std::unique_ptr<Peer> make_onnxruntime(const Setting& setting, Input& input) {
  return std::make_unique<OnnxRuntime>(setting, input);
}
std::string onnxruntime_version() { return Ort::GetVersionString(); }

}  // namespace reins::bench
