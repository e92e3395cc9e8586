// training/net_export.hpp: a trained group network as files: weights in float16 with the accuracy they then have, and
// the answers.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "core/result.hpp"
#include "data/image_set.hpp"
#include "inference/answers.hpp"
#include "inference/dynamic_network.hpp"

namespace reins::training {

/// Writes <folder>/network.rnet and <folder>/answers.rans: rounds the weights to float16, runs our engine with them
/// over `test` at every level, and stores the accuracies in the network file and each image's class in the answers,
/// whose fingerprint is that of the network file. Returns the answers. Errors: those of the network file and of the
/// engine.
Result<inference::Answers> ship_network(const inference::DynamicNetwork& network,
                                        const inference::NetworkWeights& weights, const data::ImageSet& test,
                                        const std::filesystem::path& folder,
                                        const std::function<void(std::size_t, std::size_t)>& progress = {});

}  // namespace reins::training
