#include "inference/network_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/file.hpp"
#include "core/pack.hpp"
#include "inference/half.hpp"

namespace reins::inference {
namespace {

static_assert(std::endian::native == std::endian::little, "the file is little-endian and is mapped as it is");

constexpr std::string_view kMagic = "REINSNET";
constexpr std::size_t kHeaderBytes = 64;
constexpr std::string_view kAgain = "export the network again, or fetch the file again";

std::size_t aligned(std::size_t n) { return (n + kTensorAlignment - 1) / kTensorAlignment * kTensorAlignment; }
std::size_t bytes_of(WeightType type) { return type == WeightType::kFloat16 ? 2 : 4; }

template <typename T>
T read_at(std::string_view bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

template <typename T>
void put(std::string& bytes, std::size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

bool all_finite(const char* data, std::size_t count, WeightType type) {
  const std::string_view bytes(data, count * bytes_of(type));
  for (std::size_t i = 0; i < count; ++i) {
    const float value = type == WeightType::kFloat32 ? read_at<float>(bytes, i * sizeof(float))
                                                     : from_half(read_at<std::uint16_t>(bytes, i * 2));
    if (!std::isfinite(value)) return false;
  }
  return true;
}

struct Named {
  std::string name;
  const Tensor* tensor;
};

std::string conv_name(std::size_t group, std::size_t stage, std::string_view what) {
  return "group" + std::to_string(group + 1) + ".conv" + std::to_string(stage + 1) + "." + std::string(what);
}
std::string classifier_name(std::size_t group) { return "group" + std::to_string(group + 1) + ".classifier.weight"; }
constexpr std::string_view kBiasName = "classifier.bias";

std::vector<Named> list(const NetworkWeights& weights) {
  std::vector<Named> all;
  for (std::size_t g = 0; g < weights.groups.size(); ++g) {
    for (std::size_t s = 0; s < weights.groups[g].conv_weights.size(); ++s) {
      all.push_back({conv_name(g, s, "weight"), &weights.groups[g].conv_weights[s]});
      all.push_back({conv_name(g, s, "bias"), &weights.groups[g].conv_biases[s]});
    }
    all.push_back({classifier_name(g), &weights.groups[g].classifier});
  }
  all.push_back({std::string(kBiasName), &weights.bias});
  return all;
}

template <typename T>
Value::Array array_of(const std::vector<T>& values) {
  Value::Array array;
  for (const T& v : values) {
    if constexpr (std::is_floating_point_v<T>) {
      array.emplace_back(static_cast<double>(v));
    } else {
      array.emplace_back(v);
    }
  }
  return array;
}

Value::Map metadata_of(const DynamicNetwork& n, WeightType type) {
  Value::Map m;
  m["family"] = n.family;
  m["name"] = n.facts.name;
  m["dataset"] = n.facts.dataset;
  m["dataset_title"] = n.dataset_title;
  m["groups"] = n.architecture.groups;
  m["channels"] = n.architecture.channels;
  m["size"] = n.architecture.size;
  m["classes"] = n.architecture.classes;
  m["stages"] = format_stages(n.architecture.stages);
  m["mean"] = array_of(n.mean);
  m["stddev"] = array_of(n.stddev);
  m["dtype"] = type == WeightType::kFloat16 ? "float16" : "float32";
  Value::Array levels;
  for (const LevelFacts& level : n.facts.levels) {
    levels.emplace_back(Value::Map{
        {"macs", level.macs}, {"bytes", level.bytes}, {"parameters", level.parameters}, {"accuracy", level.accuracy}});
  }
  m["levels"] = std::move(levels);
  Value::Map notes;
  for (const auto& [key, text] : n.notes) notes[key] = text;
  m["notes"] = std::move(notes);
  return m;
}

Result<std::vector<float>> floats_at(const Value& value, std::string_view key, std::string_view where,
                                     std::size_t count) {
  REINS_ASSIGN(const Value::Array* const array, value.array_at(key, where));
  if (array->size() != count)
    return fail(ErrorKind::kGarbled, "input scaling needs one number per channel", where, kAgain);
  std::vector<float> floats;
  for (const Value& v : *array) {
    double number = 0;
    if (!v.number(number) || !(std::abs(number) <= std::numeric_limits<float>::max()))
      return fail(ErrorKind::kGarbled, "input scaling is no number", where, kAgain);
    floats.push_back(static_cast<float>(number));
  }
  return floats;
}

}  // namespace

DynamicNetwork describe(const GroupArchitecture& architecture, std::string name, std::string dataset,
                        std::string dataset_title) {
  DynamicNetwork network;
  network.architecture = architecture;
  network.facts.name = std::move(name);
  network.facts.dataset = std::move(dataset);
  network.dataset_title = std::move(dataset_title);
  network.facts.input_shape = {1, architecture.channels, architecture.size, architecture.size};
  network.facts.classes = architecture.classes;
  for (std::int64_t level = 0; level < architecture.groups; ++level) {
    LevelFacts facts;
    facts.layers = architecture.layers_of_level(level);
    facts.parameters = architecture.parameters_of_level(level);
    for (const LayerCost& layer : facts.layers) {
      facts.macs += layer.macs;
      facts.bytes += layer.bytes;
    }
    network.facts.levels.push_back(std::move(facts));
  }
  return network;
}

Result<std::string> encode_network(const DynamicNetwork& network, const NetworkWeights& weights, WeightType type) {
  REINS_TRY(check_weights(network.architecture, weights));
  DynamicNetwork described = network;
  described.mean = weights.mean;
  described.stddev = weights.stddev;
  Value::Map metadata = metadata_of(described, type);

  // Offsets count from the first tensor, so that the metadata's own length does not matter to them.
  const std::vector<Named> all = list(weights);
  Value::Array entries;
  std::size_t tensor_bytes = 0;
  std::vector<std::size_t> offsets;
  for (const Named& named : all) {
    offsets.push_back(tensor_bytes);
    entries.emplace_back(Value::Map{{"name", named.name},
                                    {"shape", array_of(named.tensor->shape)},
                                    {"offset", static_cast<std::int64_t>(tensor_bytes)}});
    tensor_bytes = aligned(tensor_bytes + named.tensor->values.size() * bytes_of(type));
  }
  metadata["tensors"] = std::move(entries);
  const std::string packed = pack(metadata);

  const std::size_t first = aligned(kHeaderBytes + packed.size());
  std::string bytes(first + tensor_bytes, '\0');
  std::memcpy(bytes.data(), kMagic.data(), kMagic.size());
  put<std::uint32_t>(bytes, 8, kNetworkSchema);
  put<std::uint64_t>(bytes, 16, bytes.size());
  put<std::uint64_t>(bytes, 24, kHeaderBytes);
  put<std::uint64_t>(bytes, 32, packed.size());
  put<std::uint64_t>(bytes, 40, first);
  std::memcpy(bytes.data() + kHeaderBytes, packed.data(), packed.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& values = all[i].tensor->values;
    const std::size_t at = first + offsets[i];
    if (type == WeightType::kFloat32) {
      std::memcpy(bytes.data() + at, values.data(), values.size() * sizeof(float));
      continue;
    }
    for (std::size_t k = 0; k < values.size(); ++k) {
      if (std::abs(values[k]) > kMaxHalf) {
        return fail(ErrorKind::kUnsupported, "a weight is beyond float16's range", all[i].name,
                    "write float32 weights");
      }
      put<std::uint16_t>(bytes, at + 2 * k, to_half(values[k]));
    }
  }
  put<std::uint32_t>(bytes, 12, crc32(std::string_view(bytes).substr(16)));
  return bytes;
}

Status write_network(const std::filesystem::path& path, const DynamicNetwork& network, const NetworkWeights& weights,
                     WeightType type) {
  REINS_ASSIGN(const std::string bytes, encode_network(network, weights, type));
  return write_file_atomic(path, bytes);
}

struct NetworkFile::Mapping {
  const char* data = nullptr;
  std::size_t size = 0;
  std::size_t first_tensor = 0;
  std::vector<char> copy;  ///< where `data` lies, unless it is mapped

  Mapping() = default;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() {
    if (size > 0 && copy.empty()) ::munmap(const_cast<char*>(data), size);
  }
};

Result<NetworkFile> NetworkFile::open(const std::filesystem::path& path) {
  const std::string where = path.string();
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return fail(from_errno(errno, "cannot open the network file", where,
                           "name a network file that this user may read, e.g. network.rnet"));
  struct stat facts {};
  if (::fstat(fd, &facts) != 0 || !S_ISREG(facts.st_mode)) {
    ::close(fd);
    return fail(ErrorKind::kGarbled, "not a file", where, "name a network file, e.g. network.rnet");
  }
  const auto size = static_cast<std::size_t>(facts.st_size);
  if (size == 0) {  // which mmap refuses
    ::close(fd);
    return from_bytes({}, where);
  }
  void* const data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  const int problem = errno;
  ::close(fd);
  if (data == MAP_FAILED) return fail(from_errno(problem, "cannot map the network file", where));
  auto mapping = std::make_shared<Mapping>();
  mapping->data = static_cast<const char*>(data);
  mapping->size = size;
  return check(std::move(mapping), where);
}

Result<NetworkFile> NetworkFile::from_bytes(std::string_view bytes, std::string_view where) {
  auto mapping = std::make_shared<Mapping>();
  mapping->copy.assign(bytes.begin(), bytes.end());
  mapping->data = mapping->copy.data();
  mapping->size = bytes.size();
  return check(std::move(mapping), where);
}

Result<NetworkFile> NetworkFile::check(std::shared_ptr<Mapping> mapping, std::string_view where) {
  const std::size_t size = mapping->size;
  if (size < kHeaderBytes) return fail(ErrorKind::kGarbled, "not a network file, or cut short", where, kAgain);
  const std::string_view bytes(mapping->data, size);
  if (!bytes.starts_with(kMagic)) return fail(ErrorKind::kGarbled, "not a network file", where, kAgain);
  if (read_at<std::uint32_t>(bytes, 8) != kNetworkSchema) {
    return fail(ErrorKind::kMismatch,
                "a network file of schema " + std::to_string(read_at<std::uint32_t>(bytes, 8)) +
                    ", this version reads " + std::to_string(kNetworkSchema),
                where, "export the network again with this version");
  }
  if (read_at<std::uint64_t>(bytes, 16) != size) {
    return fail(ErrorKind::kGarbled, "the network file was cut short or added to", where, kAgain);
  }
  if (read_at<std::uint32_t>(bytes, 12) != crc32(bytes.substr(16))) {
    return fail(ErrorKind::kGarbled, "the network file was changed: its checksum does not fit", where, kAgain);
  }
  // Compared in 64 bits, also where a size has 32.
  const auto metadata_bytes = read_at<std::uint64_t>(bytes, 32);
  const auto first = read_at<std::uint64_t>(bytes, 40);
  if (read_at<std::uint64_t>(bytes, 24) != kHeaderBytes || metadata_bytes > size - kHeaderBytes || first > size ||
      first < kHeaderBytes + metadata_bytes || first % kTensorAlignment != 0) {
    return fail(ErrorKind::kGarbled, "the offsets in its header do not fit its length", where, kAgain);
  }
  mapping->first_tensor = static_cast<std::size_t>(first);
  NetworkFile file;
  file.mapping_ = std::move(mapping);
  REINS_TRY(file.parse(bytes.substr(kHeaderBytes, static_cast<std::size_t>(metadata_bytes)), where));
  file.network_.facts.fingerprint = fingerprint(bytes);
  return file;
}

Status NetworkFile::parse(std::string_view metadata, std::string_view where) {
  const auto garbled = [where](std::string_view what) { return fail(ErrorKind::kGarbled, what, where, kAgain); };
  REINS_ASSIGN(const Value m, unpack(metadata, where));
  REINS_ASSIGN(const std::string family, m.text_at("family", where));
  if (family != "group") {
    return fail(ErrorKind::kMismatch, "a network of the unknown family " + family, where, "known: group");
  }
  GroupArchitecture a;
  REINS_ASSIGN(a.groups, m.integer_at("groups", where, 1, 8));
  REINS_ASSIGN(a.channels, m.integer_at("channels", where, 1, 16));
  REINS_ASSIGN(a.size, m.integer_at("size", where, 4, 512));
  REINS_ASSIGN(a.classes, m.integer_at("classes", where, 2, 1000));
  REINS_ASSIGN(const std::string stages, m.text_at("stages", where));
  auto parsed = parse_stages(stages);
  if (!parsed) return garbled("its stages are garbled");
  a.stages = std::move(*parsed);
  if (!a.validate()) return garbled("its layers do not fit each other");

  REINS_ASSIGN(std::string name, m.text_at("name", where));
  REINS_ASSIGN(std::string dataset, m.text_at("dataset", where));
  REINS_ASSIGN(std::string title, m.text_at("dataset_title", where));
  network_ = describe(a, std::move(name), std::move(dataset), std::move(title));
  const auto channels = static_cast<std::size_t>(a.channels);
  REINS_ASSIGN(network_.mean, floats_at(m, "mean", where, channels));
  REINS_ASSIGN(network_.stddev, floats_at(m, "stddev", where, channels));
  REINS_ASSIGN(const Value::Array* const levels, m.array_at("levels", where));
  if (levels->size() != network_.facts.levels.size()) return garbled("it does not describe each of its levels");
  for (std::size_t i = 0; i < levels->size(); ++i) {
    LevelFacts& facts = network_.facts.levels[i];
    REINS_ASSIGN(facts.accuracy, (*levels)[i].number_at("accuracy", where, 0, 1));
    REINS_ASSIGN(const double macs, (*levels)[i].number_at("macs", where, 0, 1e15));
    if (macs != facts.macs) return garbled("the multiply-accumulates of a level are not those of its layers");
  }
  REINS_ASSIGN(const Value* const notes, m.map_at("notes", where));
  for (const auto& [key, note] : *notes->map()) {
    if (note.text() == nullptr) return garbled("a note is no text");
    network_.notes[key] = *note.text();
  }
  REINS_ASSIGN(const std::string dtype, m.text_at("dtype", where));
  if (dtype != "float16" && dtype != "float32") return garbled("its weights are neither float16 nor float32");
  type_ = dtype == "float16" ? WeightType::kFloat16 : WeightType::kFloat32;

  REINS_ASSIGN(const Value::Array* const entries, m.array_at("tensors", where));
  const std::uint64_t room = mapping_->size - mapping_->first_tensor;
  for (const Value& entry : *entries) {
    TensorEntry tensor;
    REINS_ASSIGN(tensor.name, entry.text_at("name", where));
    REINS_ASSIGN(const std::int64_t offset, entry.integer_at("offset", where, 0, static_cast<std::int64_t>(room)));
    tensor.offset = static_cast<std::size_t>(offset);
    REINS_ASSIGN(const Value::Array* const shape, entry.array_at("shape", where));
    std::uint64_t count = 1;
    for (const Value& n : *shape) {
      const std::int64_t* const extent = n.integer();
      if (extent == nullptr || *extent < 1 || *extent > (1 << 24)) return garbled("a tensor's shape is garbled");
      tensor.shape.push_back(*extent);
      count *= static_cast<std::uint64_t>(*extent);
      if (count > room) return garbled("a tensor reaches beyond the end of the file");
    }
    if (tensor.offset % kTensorAlignment != 0 || count * bytes_of(type_) > room - tensor.offset) {
      return garbled("a tensor lies outside the file or off its alignment");
    }
    if (!all_finite(mapping_->data + mapping_->first_tensor + tensor.offset, static_cast<std::size_t>(count), type_)) {
      return garbled("the tensor " + tensor.name + " holds a value that is no finite number");
    }
    tensors_.push_back(std::move(tensor));
  }
  return {};
}

std::size_t NetworkFile::file_bytes() const noexcept { return mapping_->size; }

const void* NetworkFile::tensor_data(std::string_view name) const noexcept {
  for (const TensorEntry& entry : tensors_) {
    if (entry.name == name) return mapping_->data + mapping_->first_tensor + entry.offset;
  }
  return nullptr;
}

Result<Tensor> NetworkFile::tensor(std::string_view name) const {
  for (const TensorEntry& entry : tensors_) {
    if (entry.name != name) continue;
    Tensor tensor;
    tensor.shape = entry.shape;
    std::size_t count = 1;
    for (const std::int64_t n : entry.shape) count *= static_cast<std::size_t>(n);
    tensor.values.resize(count);
    const char* data = mapping_->data + mapping_->first_tensor + entry.offset;
    if (type_ == WeightType::kFloat32) {
      std::memcpy(tensor.values.data(), data, count * sizeof(float));
    } else {
      const auto* halves = reinterpret_cast<const std::uint16_t*>(data);
      for (std::size_t i = 0; i < count; ++i) tensor.values[i] = from_half(halves[i]);
    }
    return tensor;
  }
  return fail(ErrorKind::kGarbled, "the network file lacks the tensor " + std::string(name), network_.facts.name,
              kAgain);
}

Result<NetworkWeights> NetworkFile::weights() const {
  NetworkWeights weights;
  weights.mean = network_.mean;
  weights.stddev = network_.stddev;
  for (std::size_t g = 0; g < static_cast<std::size_t>(network_.architecture.groups); ++g) {
    GroupWeights group;
    for (std::size_t s = 0; s < network_.architecture.stages.size(); ++s) {
      REINS_ASSIGN(Tensor weight, tensor(conv_name(g, s, "weight")));
      REINS_ASSIGN(Tensor bias, tensor(conv_name(g, s, "bias")));
      group.conv_weights.push_back(std::move(weight));
      group.conv_biases.push_back(std::move(bias));
    }
    REINS_ASSIGN(group.classifier, tensor(classifier_name(g)));
    weights.groups.push_back(std::move(group));
  }
  REINS_ASSIGN(weights.bias, tensor(kBiasName));
  REINS_TRY(check_weights(network_.architecture, weights));
  return weights;
}

}  // namespace reins::inference
