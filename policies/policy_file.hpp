// policies/policy_file.hpp: a frozen policy on disk: weights, what it observes and chooses from, where it comes from,
// and proof.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "policies/frozen_policy.hpp"

namespace reins::policies {

inline constexpr int kPolicySchema = 2;

/// Where a policy comes from.
struct TrainingFacts {
  std::string algorithm;   ///< "dqn"
  std::int64_t steps = 0;  ///< of the environment
  std::int64_t seed = 0;
  std::string config;                     ///< the TOML it was trained with
  std::map<std::string, double> figures;  ///< of its evaluation, e.g. "energy_j", "miss_rate"
  friend bool operator==(const TrainingFacts&, const TrainingFacts&) = default;
};

/// A decision that every machine must repeat.
struct PolicyExample {
  std::vector<float> features;
  ActionMask mask;
  HeadChoice choice;
  friend bool operator==(const PolicyExample&, const PolicyExample&) = default;
};

/// What the file holds. On disk: msgpack [ "reins-policy", schema, crc32 of the body, body ], the body a map; weights
/// are float32 little-endian. Only the canonical encoding is accepted, so no changed byte goes unnoticed.
struct PolicyFile {
  ActionSpace space;                ///< of the board it was trained on, with that board's name and fingerprint
  std::string network_fingerprint;  ///< of the dynamic network
  ObservationSpec observation;
  PolicyNetwork network;
  TrainingFacts training;
  std::string commit;                           ///< of the program that trained it
  std::map<std::string, std::string> settings;  ///< of the runtime and shield, opaque here
  std::vector<PolicyExample> examples;          ///< at least one
  friend bool operator==(const PolicyFile&, const PolicyFile&) = default;
};

/// Sets every example's choice to what the network decides. Errors: those of NetworkForward::make; usage (a mask that
/// is empty or beyond the space, features of another length).
Status decide_examples(PolicyFile& file);

/// Errors of the three: those of decide_examples, and not_found, denied, io, garbled (cut, damaged, a wrong magic),
/// mismatch (another schema; an example is decided otherwise than the file says).
Result<std::string> format_policy(const PolicyFile& file);
Result<PolicyFile> parse_policy(std::string_view bytes, std::string_view where);
Result<PolicyFile> read_policy(const std::filesystem::path& path);
/// Atomic; refuses to write what could not be read back.
Status write_policy(const PolicyFile& file, const std::filesystem::path& path);

/// What a policy is to be used with.
struct PolicyUse {
  const ActionSpace& space;
  const ObservationSpec& observation;
  std::string_view network_fingerprint;  ///< empty: not compared
  bool allow_board = false;              ///< rebind to another board, by slots, with a warning
  bool allow_network = false;            ///< take another network with as many levels, with a warning
};

struct LoadedPolicy {
  PolicyFile file;
  FrozenPolicy policy;
  std::string warning;  ///< one line; empty where all is as it was trained
};

/// Errors: mismatch (another board without allow_board, another network without allow_network, another observation
/// table, another number of levels).
Result<LoadedPolicy> bind_policy(PolicyFile file, const PolicyUse& use, std::string_view where,
                                 std::string name = "frozen");
/// read_policy, then bind_policy.
Result<LoadedPolicy> load_policy(const std::filesystem::path& path, const PolicyUse& use, std::string name = "frozen");

}  // namespace reins::policies
