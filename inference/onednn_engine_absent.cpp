// The twin of onednn_engine.cpp where there is no oneDNN.
#include "inference/engines.hpp"

namespace reins::inference {

bool has_onednn() noexcept { return false; }

Result<std::unique_ptr<Engine>> make_onednn_engine(const DynamicNetwork&, const NetworkWeights&, const EngineOptions&) {
  return fail(ErrorKind::kUnsupported, "this build has no oneDNN", "engine onednn",
              "install libdnnl-dev and build again, or take auto");
}

}  // namespace reins::inference
