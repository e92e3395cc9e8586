#include "inference/engines.hpp"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "inference/network_file.hpp"

namespace reins::inference {

Result<std::unique_ptr<Engine>> make_engine(const DynamicNetwork& network, const NetworkWeights& weights,
                                            const EngineOptions& options) {
  if (options.backend == "onednn") return make_onednn_engine(network, weights, options);
  return make_portable_engine(network, weights, options);
}

namespace {

Result<std::unique_ptr<Engine>> load(const std::filesystem::path& path, const EngineOptions& options) {
  REINS_ASSIGN(const NetworkFile file, NetworkFile::open(path));
  REINS_ASSIGN(const NetworkWeights weights, file.weights());
  return make_engine(file.network(), weights, options);
}

}  // namespace

Result<std::unique_ptr<Engine>> open_engine(const std::filesystem::path& path, const EngineOptions& options) {
  Result<std::unique_ptr<Engine>> engine = load(path, options);
#ifdef __GLIBC__
  // The unpacked weights are freed by now, but glibc keeps their pages: a twelfth of what the process holds.
  ::malloc_trim(0);
#endif
  return engine;
}

}  // namespace reins::inference
