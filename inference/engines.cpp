#include "inference/engines.hpp"

#include "inference/network_file.hpp"

namespace reins::inference {

Result<std::unique_ptr<Engine>> make_engine(const DynamicNetwork& network, const NetworkWeights& weights,
                                            const EngineOptions& options) {
  if (options.backend == "onednn") return make_onednn_engine(network, weights, options);
  return make_portable_engine(network, weights, options);
}

Result<std::unique_ptr<Engine>> open_engine(const std::filesystem::path& path, const EngineOptions& options) {
  REINS_ASSIGN(const NetworkFile file, NetworkFile::open(path));
  REINS_ASSIGN(const NetworkWeights weights, file.weights());
  return make_engine(file.network(), weights, options);
}

}  // namespace reins::inference
