// inference/torch/torch_engine.hpp: the reference engine: the same network file run by libtorch's own operators.
#pragma once

#include <filesystem>
#include <memory>

#include "core/result.hpp"
#include "inference/api/engine.hpp"
#include "inference/dynamic_network.hpp"

namespace reins::inference {

/// Slow and obvious; what the fast engines are compared with. Allocates at every call, and `place` only checks:
/// libtorch's threads are the process's. Errors: mismatch, garbled (weights that do not fit); kInternal where libtorch
/// throws.
Result<std::unique_ptr<Engine>> make_torch_engine(const DynamicNetwork& network, const NetworkWeights& weights);

}  // namespace reins::inference
