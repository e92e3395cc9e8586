// inference/dynamic_network.hpp: what is known of a dynamic network besides its weights.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "inference/api/engine.hpp"
#include "inference/group_network.hpp"

namespace reins::inference {

/// A network of levels, one weight set. The only family so far is "group" (group_network.hpp).
struct DynamicNetwork {
  std::string family = "group";
  NetworkFacts facts;
  std::string dataset_title;                 ///< "CIFAR-10 (JPEG-recompressed copy)"
  std::map<std::string, std::string> notes;  ///< how it was made: training options, validation accuracy
  GroupArchitecture architecture;
  std::vector<float> mean, stddev;  ///< scaling of the input, per channel: (pixel / 255 - mean) / stddev
};

/// A network of this shape: costs and parameters of every level filled in from the architecture, accuracies zero.
DynamicNetwork describe(const GroupArchitecture& architecture, std::string name, std::string dataset,
                        std::string dataset_title);

}  // namespace reins::inference
