// inference/engines.hpp: engines that run a network file on this machine's CPUs.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "core/result.hpp"
#include "inference/api/engine.hpp"
#include "inference/dynamic_network.hpp"

namespace reins::inference {

struct EngineOptions {
  /// "auto" (the portable engine with the fastest kernels of this processor), or one of its kernels by name: "avx512",
  /// "avx2", "baseline". All give the same answers up to rounding.
  std::string backend = "auto";
};

/// The portable engine: direct convolution in float32 over channels-last buffers, weights packed once per group. Work
/// is split by rows of all groups of a stage, so that any number of threads helps at any level. Inputs: uint8 0..255,
/// or float32 0..1; both are scaled by the network's mean and deviation. `grow` adds one group's partial logits, and
/// its result has the bits of a fresh run at that level, on any number of threads. `network.facts.fingerprint` is
/// passed on. Errors: mismatch, garbled (weights that do not fit); usage (an unknown back end); unsupported (not on
/// this processor).
Result<std::unique_ptr<Engine>> make_portable_engine(const DynamicNetwork& network, const NetworkWeights& weights,
                                                     const EngineOptions& options = {});

/// Opens, checks and packs a network file, then lets go of it. Errors: those of NetworkFile::open and of the above.
Result<std::unique_ptr<Engine>> open_engine(const std::filesystem::path& path, const EngineOptions& options = {});

}  // namespace reins::inference
