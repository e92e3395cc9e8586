// inference/network_file.hpp: the network file: checked header, msgpack metadata, aligned raw tensors; mapped, not
// read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "core/result.hpp"
#include "inference/dynamic_network.hpp"

namespace reins::inference {

// Layout, little-endian. 0: "REINSNET". 8: uint32 schema. 12: uint32 CRC-32 of all bytes from 16 on. 16: uint64 length
// of the file. 24: uint64 offset of the metadata. 32: uint64 length of the metadata. 40: uint64 offset of the first
// tensor. To 64: zero. Metadata: a msgpack map (family, name, data set, shape, scaling, levels with macs, bytes,
// parameters and accuracy, notes, and per tensor name, dtype, shape, offset). Every tensor begins at a multiple of 64
// bytes.
inline constexpr std::uint32_t kNetworkSchema = 1;
inline constexpr std::size_t kTensorAlignment = 64;

enum class WeightType : std::uint8_t { kFloat16, kFloat32 };

/// The bytes of a network file. Errors: mismatch or garbled weights; unsupported (a weight beyond float16's range).
Result<std::string> encode_network(const DynamicNetwork& network, const NetworkWeights& weights, WeightType type);
/// Encodes and writes atomically.
Status write_network(const std::filesystem::path& path, const DynamicNetwork& network, const NetworkWeights& weights,
                     WeightType type);

/// A network file, mapped read-only and checked from first to last byte. Movable; the mapping lives as long as this
/// does.
class NetworkFile {
 public:
  /// Errors: not_found, denied; garbled (no network file, cut short, changed: checksum, metadata that do not fit each
  /// other, a weight that is no finite number); mismatch (another schema or an unknown family).
  static Result<NetworkFile> open(const std::filesystem::path& path);
  /// The same of a copy of `bytes`; `where` names them in errors.
  static Result<NetworkFile> from_bytes(std::string_view bytes, std::string_view where);

  const DynamicNetwork& network() const noexcept { return network_; }
  WeightType weight_type() const noexcept { return type_; }
  std::size_t file_bytes() const noexcept;
  /// All weights as float32: a copy, after which the file may go.
  Result<NetworkWeights> weights() const;
  /// The mapped bytes of one tensor, nullptr where there is none of that name. For tests and tools.
  const void* tensor_data(std::string_view name) const noexcept;

 private:
  struct Mapping;
  struct TensorEntry {
    std::string name;
    std::vector<std::int64_t> shape;
    std::size_t offset = 0;
  };
  static Result<NetworkFile> check(std::shared_ptr<Mapping> mapping, std::string_view where);
  Status parse(std::string_view metadata, std::string_view where);
  Result<Tensor> tensor(std::string_view name) const;

  std::shared_ptr<const Mapping> mapping_;
  DynamicNetwork network_;
  WeightType type_ = WeightType::kFloat16;
  std::vector<TensorEntry> tensors_;
};

}  // namespace reins::inference
