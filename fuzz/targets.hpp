// fuzz/targets.hpp: what the fuzzers run, and the corpus test replays. Any bytes may come: each function ends with an
// error or a value, and a crash, a leak or a read out of bounds is a bug of the reader.
#pragma once

#include <array>
#include <map>
#include <string>
#include <string_view>

namespace reins::fuzz {

/// A network file, its weights and, of a tiny network, an inference: as it is, and with length and checksum put right,
/// which no mutation would hit. Returns whether the second was taken.
bool read_network_file(std::string_view bytes);

/// Records of a CIFAR-10 file, and the same bytes as MD5SUMS. Returns whether every record was taken.
bool read_cifar10(std::string_view bytes);

/// A policy file as it is, and the same bytes as a policy file's body, its checksum put right and, where its network
/// has none, layers of zeros put in (they are 55 kB at least). Returns whether the second was taken.
bool read_policy_file(std::string_view bytes);

/// A request of one or two frames, and the bytes of the first as a reply. The first two bytes are the first frame's
/// length, little-endian; what is behind it is the second. Returns whether either was taken.
bool read_messages(std::string_view bytes);

struct Target {
  std::string_view name;  ///< of its folder below fuzz/corpus/
  bool (*read)(std::string_view bytes);
};
inline constexpr std::array<Target, 4> kTargets = {{{"network_file", read_network_file},
                                                    {"cifar10", read_cifar10},
                                                    {"policy_file", read_policy_file},
                                                    {"messages", read_messages}}};

/// The committed corpus by path below fuzz/corpus/: tiny files, whole, cut and made wrong.
std::map<std::string, std::string> seeds();

}  // namespace reins::fuzz
