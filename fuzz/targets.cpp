#include "fuzz/targets.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "core/assert.hpp"
#include "core/file.hpp"
#include "core/pack.hpp"
#include "data/cifar10.hpp"
#include "inference/engines.hpp"
#include "inference/network_file.hpp"
#include "policies/observation.hpp"
#include "policies/policy_file.hpp"
#include "protocol/reply.hpp"
#include "protocol/request.hpp"

namespace reins::fuzz {
namespace {

/// Small enough to run thousands of times a second.
constexpr double kTinyMacs = 1e5;

bool read_whole(std::string_view bytes) {
  const auto file = inference::NetworkFile::from_bytes(bytes, "fuzzed");
  if (!file) return false;
  const auto weights = file->weights();
  if (!weights) return false;
  const inference::NetworkFacts& facts = file->network().facts;
  if (facts.levels.back().macs > kTinyMacs) return true;
  const auto engine = inference::make_portable_engine(file->network(), *weights, {.backend = "baseline"});
  REINS_ASSERT(engine.has_value());
  const auto& shape = facts.input_shape;
  const std::vector<std::uint8_t> image(static_cast<std::size_t>(shape[1] * shape[2] * shape[3]), 200);
  REINS_ASSERT((*engine)->begin({image.data(), inference::DType::kUint8, shape}, LevelId(0)).has_value());
  for (std::size_t level = 1; level < facts.levels.size(); ++level) REINS_ASSERT((*engine)->grow().has_value());
  const auto answer = (*engine)->finish();
  REINS_ASSERT(answer.has_value() && answer->probabilities.size() == static_cast<std::size_t>(facts.classes));
  return true;
}

/// `body`, where it is a map, with layers of zeros in a network that has none.
std::string with_layers(std::string_view body) {
  const auto value = unpack(body, "fuzzed");
  if (!value || value->map() == nullptr) return std::string(body);
  const auto network = value->map_at("network", "fuzzed");
  if (!network || (*network)->find("layers") != nullptr) return std::string(body);
  const auto width = [&](std::string_view key, std::size_t high) {
    return static_cast<std::size_t>(
        (*network)->integer_at(key, "fuzzed", 0, static_cast<std::int64_t>(high)).value_or(0));
  };
  const policies::NetworkShape shape{width("features", policies::kMaxFeatures),
                                     width("trunk", 256),
                                     width("head", 128),
                                     width("mappings", policies::kMaxMappings),
                                     width("levels", policies::kMaxLevels),
                                     width("opps", policies::kMaxOpps)};
  const policies::PolicyNetwork zeros = policies::PolicyNetwork::zeros(shape);
  const auto packed = [](const std::vector<float>& values) {
    return Value::Binary{std::string(values.size() * sizeof(float), '\0')};
  };
  Value::Map layers;
  for (std::size_t i = 0; i < policies::kLayers; ++i) {
    layers.emplace(policies::name_of(static_cast<policies::LayerName>(i)),
                   Value::Map{{"weight", packed(zeros.layers[i].weight)}, {"bias", packed(zeros.layers[i].bias)}});
  }
  Value::Map whole = *value->map();
  Value::Map described = *(*network)->map();
  described["layers"] = std::move(layers);
  whole["network"] = std::move(described);
  return pack(whole);
}

/// What was taken is what it is written as again.
bool take_policy(std::string_view bytes) {
  const auto file = policies::parse_policy(bytes, "fuzzed");
  if (!file) return false;
  const auto written = policies::format_policy(*file);
  REINS_ASSERT(written.has_value());
  const auto again = policies::parse_policy(*written, "fuzzed");
  REINS_ASSERT(again.has_value() && *again == *file);
  return true;
}

bool take_request(std::string_view first, std::string_view second) {
  const std::array<std::string_view, 2> frames = {first, second};
  const auto decoded = protocol::decode_request({frames.data(), second.empty() ? std::size_t{1} : 2});
  if (!decoded.request) return false;
  const std::string written = protocol::encode_request(*decoded.request);
  const std::array<std::string_view, 2> again = {written, second};
  const auto twice = protocol::decode_request({again.data(), second.empty() ? std::size_t{1} : 2});
  REINS_ASSERT(twice.request.has_value() && protocol::encode_request(*twice.request) == written);
  return true;
}

bool take_reply(std::string_view bytes) {
  const auto reply = protocol::decode_reply(bytes);
  if (!reply) return false;
  const std::string written = protocol::encode_reply(*reply);
  const auto again = protocol::decode_reply(written);
  REINS_ASSERT(again.has_value() && protocol::encode_reply(*again) == written);
  return true;
}

}  // namespace

bool read_network_file(std::string_view bytes) {
  static_cast<void>(read_whole(bytes));
  if (bytes.size() < 24) return false;
  std::string repaired(bytes);
  const std::uint64_t length = repaired.size();
  std::memcpy(repaired.data() + 16, &length, sizeof length);
  const std::uint32_t sum = crc32(std::string_view(repaired).substr(16));
  std::memcpy(repaired.data() + 12, &sum, sizeof sum);
  return read_whole(repaired);
}

bool read_cifar10(std::string_view bytes) {
  for (const auto& [file, sum] : data::parse_md5sums(bytes)) REINS_ASSERT(!sum.empty());
  data::ImageSet images;
  // One record more than there may be is asked for where a part of one follows.
  const std::size_t records = (bytes.size() + images.image_bytes()) / (images.image_bytes() + 1);
  const bool taken = data::append_cifar10(images, bytes, 0, records, "fuzzed").has_value();
  REINS_ASSERT(images.pixels.size() == images.size() * images.image_bytes());
  REINS_ASSERT(std::all_of(images.labels.begin(), images.labels.end(), [](auto label) { return label < 10; }));
  return taken;
}

bool read_policy_file(std::string_view bytes) {
  static_cast<void>(take_policy(bytes));
  std::string body = with_layers(bytes);
  const std::int64_t sum = crc32(body);
  return take_policy(pack(Value::Array{"reins-policy", policies::kPolicySchema, sum, Value::Binary{std::move(body)}}));
}

bool read_messages(std::string_view bytes) {
  if (bytes.size() < 2) return false;
  const auto byte = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(bytes[i])); };
  const std::size_t length = std::min(byte(0) | byte(1) << 8, bytes.size() - 2);
  const std::string_view first = bytes.substr(2, length);
  const bool request = take_request(first, bytes.substr(2 + length));
  return take_reply(first) || request;
}

}  // namespace reins::fuzz
