#include "core/pack.hpp"
#include "fuzz/targets.hpp"
#include "inference/network_file.hpp"
#include "policies/policy_file.hpp"
#include "protocol/reply.hpp"
#include "protocol/request.hpp"

namespace reins::fuzz {
namespace {

using inference::Tensor;

/// Two groups of one convolution on 4x4 images of one channel: about a kilobyte.
std::string tiny_network(inference::WeightType type) {
  inference::GroupArchitecture a;
  a.groups = 2;
  a.channels = 1;
  a.size = 4;
  a.classes = 2;
  a.stages = {{1, true}};
  inference::NetworkWeights weights;
  weights.mean = {0.5F};
  weights.stddev = {0.25F};
  for (int group = 0; group < 2; ++group) {
    weights.groups.push_back({{Tensor{{1, 1, 3, 3}, std::vector<float>(9, 0.125F)}},
                              {Tensor{{1}, {0.5F}}},
                              Tensor{{2, 4}, std::vector<float>(8, -0.25F)}});
  }
  weights.bias = Tensor{{2}, {0, 1}};
  inference::DynamicNetwork network = describe(a, "tiny", "made up", "made up");
  network.facts.levels[0].accuracy = 0.5;
  network.facts.levels[1].accuracy = 0.75;
  network.notes["training"] = "none";
  return encode_network(network, weights, type).value_or("");
}

/// The first occurrence of `from`, which is there, as `to`.
std::string with(std::string text, std::string_view from, std::string_view to) {
  return text.replace(text.find(from), from.size(), to);
}

/// Record i: label i, pixels that count up.
std::string records(int n) {
  std::string bytes;
  for (int i = 0; i < n; ++i) {
    bytes += static_cast<char>(i);
    for (int k = 0; k < 3072; ++k) bytes += static_cast<char>(k / 12);
  }
  return bytes;
}

/// A policy of one feature, two mappings and two levels, weights zero.
policies::PolicyFile tiny_policy() {
  policies::PolicyFile file;
  file.space.board = "tiny";
  file.space.board_fingerprint = "00000000deadbeef";
  file.space.levels = 2;
  file.space.clusters = 2;
  file.space.mappings = {{"little", "little-all", ClusterId(0), 2, {200000, 600000}, {}},
                         {"big", "big-all", ClusterId(1), 2, {400000, 800000, 1200000}, {}}};
  for (auto& slot : file.space.mappings) slot.relative = policies::relative_capacity(slot.freq_khz);
  file.network_fingerprint = "net0123";
  file.observation.features = {{"slack", "s", "log2(x)", false}};
  file.network = policies::PolicyNetwork::zeros(policies::NetworkShape::of(1, file.space));
  file.training = {"dqn", 1000, 1, "tau_s = 10\n", {{"miss_rate", 0.0}, {"energy_j", 0.5}}};
  file.commit = "0123abc";
  file.settings = {{"park_delay_s", "0.05"}};
  policies::PolicyExample example;
  example.features = {0.5F};
  example.mask.mappings = 0b10;
  example.mask.levels = 0b11;
  example.mask.opps[0] = 0b01;
  example.mask.opps[1] = 0b110;
  example.choice = {1, 0, 1, 1};
  file.examples = {example};
  return file;
}

/// The body of a policy file as a tree, its network without layers.
Value::Map body_of(const policies::PolicyFile& file) {
  const auto outer = unpack(policies::format_policy(file).value_or(""), "seed");
  if (!outer) return {};
  Value::Map body = *unpack(*(*outer->array())[3].binary(), "seed")->map();
  Value::Map network = *body["network"].map();
  network.erase("layers");
  body["network"] = std::move(network);
  return body;
}

Value::Map with(Value::Map map, const char* key, Value value) {
  map[key] = std::move(value);
  return map;
}

void add_policies(std::map<std::string, std::string>& all) {
  const Value::Map body = body_of(tiny_policy());
  all["policy_file/body"] = pack(body);
  all["policy_file/cut"] = pack(body).substr(0, 400);
  all["policy_file/no-example"] = pack(with(body, "examples", Value::Array{}));
  all["policy_file/no-network"] = pack(with(body, "network", Value()));
  const auto changed = [&](const char* key, Value value) {
    return pack(
        with(body, "examples", Value::Array{with(*(*body.at("examples").array())[0].map(), key, std::move(value))}));
  };
  all["policy_file/decided-otherwise"] = changed("choice", Value::Array{1, 1, 1, 1});
  all["policy_file/mask-beyond-the-space"] = changed("levels", 7);
  all["policy_file/longer-table"] = pack(with(
      body, "observation",
      with(*body.at("observation").map(), "features",
           Value::Array{(*body.at("observation").find("features")->array())[0], *body.at("training").find("seed")})));
  all["policy_file/trunk-of-65"] = pack(with(body, "network", with(*body.at("network").map(), "trunk", 65)));
  all["policy_file/other-schema"] = pack(Value::Array{"reins-policy", 99, 0, Value::Binary{"x"}});
}

void add_messages(std::map<std::string, std::string>& all) {
  const auto framed = [](const std::string& first, std::string_view second = {}) {
    return std::string{static_cast<char>(first.size() & 0xffU), static_cast<char>(first.size() >> 8)} + first +
           std::string(second);
  };
  protocol::Request request;
  request.id = "client-1";
  const std::string image(12, '\x40');
  request.body = protocol::Infer{{protocol::DType::kUint8, {1, 3, 2, 2}, image}, 0.1, true};
  all["messages/infer"] = framed(encode_request(request), image);
  all["messages/infer-short-tensor"] = framed(encode_request(request), image.substr(1));
  request.body = protocol::Infer{{protocol::DType::kFloat32, {1, 1, 1, 3}, image}, std::nullopt, false};
  all["messages/infer-float32"] = framed(encode_request(request), image);
  all["messages/infer-nan"] = framed(encode_request(request), image.substr(4) + std::string("\0\0\xc0\x7f", 4));
  request.body = protocol::Goal{{true, 0.1}, {true, std::nullopt}, {}, {true, 0.7}};
  all["messages/goal"] = framed(encode_request(request));
  all["messages/unknown-key"] = framed(with(encode_request(request), "latency_s", "latency_z"));
  all["messages/other-version"] = framed(with(encode_request(request), "\xa1v\1", "\xa1v\2"));
  request.body = protocol::StatusQuery{};
  all["messages/status"] = framed(encode_request(request));
  all["messages/unknown-op"] = framed(with(encode_request(request), "\xa6status", "\xa6statue"));

  protocol::Reply reply;
  reply.id = 7;
  protocol::InferAnswer answer;
  answer.predicted = 3;
  answer.probabilities = {0.25, 0.75};
  answer.level = 4;
  answer.mapping = "a15x4";
  answer.freq_khz = 1'400'000;
  answer.latency_s = 0.05;
  answer.energy_j = 0.125;
  answer.energy_source = "modelled";
  reply.body = answer;
  all["messages/reply-infer"] = framed(encode_reply(reply));
  all["messages/reply-unknown-source"] = framed(with(encode_reply(reply), "modelled", "imagined"));
  reply.body = protocol::GoalsInForce{0.1, std::nullopt, 2.5, 0.7, {}};
  all["messages/reply-goal"] = framed(encode_reply(reply));
  protocol::StatusAnswer status;
  status.board = "odroid-xu3";
  status.input_shape = {1, 3, 32, 32};
  status.accuracies = {0.5, 0.75};
  reply.body = status;
  all["messages/reply-status"] = framed(encode_reply(reply));
  protocol::MetricsAnswer metrics;
  metrics.offered = 9;
  metrics.served = 8;
  metrics.p50_s = 0.1;
  metrics.temperature_c = 50.5;
  reply.body = metrics;
  all["messages/reply-metrics"] = framed(encode_reply(reply));
  reply.body = protocol::Fault{protocol::Code::kOverloaded, "the queue is full"};
  all["messages/reply-fault"] = framed(encode_reply(reply));
}

}  // namespace

std::map<std::string, std::string> seeds() {
  const std::string half = tiny_network(inference::WeightType::kFloat16);
  const std::string full = tiny_network(inference::WeightType::kFloat32);
  std::map<std::string, std::string> all;
  all["network_file/float16"] = half;
  all["network_file/float32"] = full;
  all["network_file/cut-header"] = half.substr(0, 63);
  all["network_file/cut-metadata"] = half.substr(0, 300);
  all["network_file/cut-tensors"] = half.substr(0, half.size() - 64);
  all["network_file/added-to"] = half + "more";
  all["network_file/other-schema"] = with(half, std::string_view("\1\0\0\0", 4), std::string_view("\2\0\0\0", 4));
  // The first weights, 0.125F, made not a number.
  all["network_file/nan-weight"] = with(full, std::string_view("\0\0\0\x3e", 4), std::string_view("\0\0\xc0\x7f", 4));
  all["network_file/other-shape"] = with(half,
                                         "\xa6stages\xa2"
                                         "1p",
                                         "\xa6stages\xa2"
                                         "2p");
  all["network_file/unknown-family"] = with(half, "\xa5group", "\xa5gruop");
  all["cifar10/two-records"] = records(2);
  all["cifar10/cut-record"] = records(2).substr(0, 4000);
  all["cifar10/label-10"] = with(records(1), std::string_view("\0", 1), "\n");
  all["cifar10/md5sums"] =
      "5a5142663b2c457eb7edf61944cf14cd  data_batch_1.bin\n11e2161f06e495577766fe4411c65d23 *test_batch.bin\n";
  add_policies(all);
  add_messages(all);
  return all;
}

}  // namespace reins::fuzz
