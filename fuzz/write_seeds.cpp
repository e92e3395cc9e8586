// fuzz/write_seeds.cpp: writes the corpus that this version's formats make: fuzz_write_seeds DIR (fuzz/corpus).
#include <cstdio>

#include "core/file.hpp"
#include "fuzz/targets.hpp"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "fuzz_write_seeds: name the folder of the corpus, e.g. fuzz/corpus\n");
    return 2;
  }
  for (const auto& [name, bytes] : reins::fuzz::seeds()) {
    const auto written = reins::write_file_atomic(std::filesystem::path(argv[1]) / name, bytes);
    if (!written) {
      std::fprintf(stderr, "fuzz_write_seeds: %s\n", written.error().line().c_str());
      return 1;
    }
  }
  return 0;
}
