// fuzz/fuzzer.cpp: libFuzzer's entry to one function of targets.hpp.
#include <cstddef>
#include <cstdint>

#include "fuzz/targets.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static_cast<void>(reins::fuzz::REINS_FUZZ_TARGET({reinterpret_cast<const char*>(data), size}));
  return 0;
}
