#include "apps/blas_kernels.hpp"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace reins::apps {
namespace {

constexpr const char* kVariable = "OPENBLAS_CORETYPE";

}  // namespace

std::string_view better_kernels(std::string_view chosen, bool avx2, bool avx512) noexcept {
  if (chosen != "Prescott" || !avx2) return {};
  return avx512 ? "SkylakeX" : "Haswell";
}

void take_better_kernels(int argc, char** argv) {
#if defined(__x86_64__)
  if (argc < 2 || (std::string_view(argv[1]) != "train" && std::string_view(argv[1]) != "net")) return;
  if (std::getenv(kVariable) != nullptr) return;
  using CoreName = char* (*)();
  const auto core_name = reinterpret_cast<CoreName>(::dlsym(RTLD_DEFAULT, "openblas_get_corename"));
  if (core_name == nullptr) return;  // another BLAS
  const bool avx2 = __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
  const bool avx512 = __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
                      __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
  const std::string_view better = better_kernels(core_name(), avx2, avx512);
  if (better.empty() || ::setenv(kVariable, better.data(), 1) != 0) return;
  ::execv("/proc/self/exe", argv);
  // Slower, then.
  std::fprintf(stderr, "reins: OpenBLAS does not know this processor; %s=%s makes training faster\n", kVariable,
               better.data());
#else
  static_cast<void>(argc);
  static_cast<void>(argv);
#endif
}

}  // namespace reins::apps
