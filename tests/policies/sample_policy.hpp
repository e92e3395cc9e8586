// tests/policies/sample_policy.hpp: a policy file's contents with random weights and ten examples.
#pragma once

#include "policies/policy_file.hpp"
#include "tests/policies/random_network.hpp"
#include "tests/policies/small_board.hpp"

namespace reins::testing {

inline policies::PolicyFile sample_policy(std::size_t features = 6) {
  policies::PolicyFile file;
  file.space = *policies::ActionSpace::make(small_board(), 3);
  file.network_fingerprint = "net0123";
  for (std::size_t i = 0; i < features; ++i) {
    file.observation.features.push_back({"feature" + std::to_string(i), "s", "log2(x)", i % 2 == 1});
  }
  file.network = random_network(policies::NetworkShape::of(features, file.space), 11);
  file.training = {"dqn", 100000, 3, "tau_s = 10\n", {{"energy_j", 0.5}, {"miss_rate", 0.0}}};
  file.commit = "0123abc";
  file.settings = {{"park_delay_s", "0.05"}, {"shield", "on"}};
  Rng rng(13);
  for (int i = 0; i < 10; ++i) {
    policies::PolicyExample example;
    example.features = random_features(features, rng);
    example.mask = random_mask(file.space, rng);
    file.examples.push_back(std::move(example));
  }
  return file;
}

}  // namespace reins::testing
