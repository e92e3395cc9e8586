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
  /// "auto" (the fastest here, by what docs/decisions/007-engine.md measured), "onednn" (where this build has it),
  /// "portable" (our own kernels, the fastest of this processor) or one of those by name: "avx512", "avx2", "baseline".
  /// All give the same answers up to rounding.
  std::string backend = "auto";
  /// Images that one begin takes, 1 to 64: activations take that many times the memory. Fixed when the engine is made.
  int max_batch = 1;
};

/// The portable engine: convolutions of our own in float32 over channels-last buffers, weights packed once per group.
/// Work is split by rows of all groups of a stage, so that any number of threads helps at any level. Inputs: uint8
/// 0..255, or float32 0..1; both are scaled by the network's mean and deviation. `grow` adds one group's partial
/// logits, and its result has the bits of a fresh run at that level, on any number of threads.
/// `network.facts.fingerprint` is passed on. Errors: mismatch, garbled (weights that do not fit); usage (an unknown
/// back end, a batch out of range); unsupported (not on this processor).
Result<std::unique_ptr<Engine>> make_portable_engine(const DynamicNetwork& network, const NetworkWeights& weights,
                                                     const EngineOptions& options = {});

/// The same contract on oneDNN's primitives, one set for all groups, weights packed once per group in the layout that
/// the primitive prefers. Work is split by groups: each runs on one thread, so more threads than groups idle.
/// oneDNN's OpenMP is kept to the calling thread, whatever it is set to, and the setting is put back. oneDNN
/// allocates inside, some small blocks per inference. Errors: as above; unsupported (this build has no oneDNN);
/// internal (oneDNN refused).
Result<std::unique_ptr<Engine>> make_onednn_engine(const DynamicNetwork& network, const NetworkWeights& weights,
                                                   const EngineOptions& options = {});
/// Whether this build has it.
bool has_onednn() noexcept;

/// By `options.backend`. Errors: those of the above.
Result<std::unique_ptr<Engine>> make_engine(const DynamicNetwork& network, const NetworkWeights& weights,
                                            const EngineOptions& options = {});

/// Opens, checks and packs a network file, then lets go of it. Errors: those of NetworkFile::open and of the above.
Result<std::unique_ptr<Engine>> open_engine(const std::filesystem::path& path, const EngineOptions& options = {});

}  // namespace reins::inference
