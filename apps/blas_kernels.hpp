// apps/blas_kernels.hpp: the matrix kernels that libtorch trains with.
#pragma once

#include <string_view>

namespace reins::apps {

/// What OPENBLAS_CORETYPE should be where OpenBLAS, which names its kernels for a processor, does not know this one and
/// has fallen back to SSE3's: it decides by family and model, so a release older than the processor takes no notice of
/// AVX. Empty where its choice is as good as any (OpenBLAS's README, "Setting the core type at runtime").
std::string_view better_kernels(std::string_view chosen, bool avx2, bool avx512) noexcept;

/// Before anything else in main: for `train` and `net` starts this program once more, as the same process, with the
/// better kernels where there are any. OpenBLAS has chosen by the time that main runs. OPENBLAS_CORETYPE, where it is
/// set, is left alone.
void take_better_kernels(int argc, char** argv);

}  // namespace reins::apps
