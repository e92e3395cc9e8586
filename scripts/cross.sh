#!/usr/bin/env bash
# Builds all that needs no libtorch, oneDNN or ZeroMQ for other processors, with Debian's cross compilers, and runs its
# tests, the commands' excepted, under qemu-user: what breaks with 32-bit sizes or another instruction set shows here.
#   scripts/cross.sh                 arm64 and armhf
#   scripts/cross.sh armhf           one of them
# Built with -O1, for the build's sake: ten processor-minutes each, the first time. For a board: cmake --preset arm64 -DREINS_TESTS=OFF && cmake --build --preset arm64.
# CTest's report is build/<arch>/tests.xml.
set -euo pipefail
cd "$(dirname "$0")/.."

(($# > 0)) || set -- arm64 armhf
for arch; do
  [[ "$arch" == arm64 || "$arch" == armhf ]] || { echo "cross.sh: '$arch' is neither arm64 nor armhf" >&2; exit 2; }
done
scripts/install-deps.sh cross

# The first has a deadline of half a second, which runs while the emulator translates; the others take minutes there, of
# arithmetic that is the same on every processor.
left_out='^live\.Loop\.RaisesThePointOfAnInferenceThatAnotherRequestJoins$|^evaluation\.(MeasuredJetsons|LongBoardFit|Comparison)\.'
code=0
for arch; do
  echo "== build/$arch"
  log=build-$arch.log
  cmake --preset "$arch" -DREINS_TESTS=ON -DCMAKE_CXX_FLAGS_RELEASE="-O1 -DNDEBUG" >"$log" 2>&1 || { cat "$log" >&2; rm -f "$log"; exit 1; }
  rm -f "$log"
  cmake --build --preset "$arch" --parallel "$(nproc)"
  rm -f "build/$arch/tests.xml"
  ctest --test-dir "build/$arch" --parallel "$(nproc)" --timeout 600 --output-on-failure --no-tests=error \
    --exclude-regex "$left_out" --output-junit "$PWD/build/$arch/tests.xml" </dev/null || code=1
done
exit "$code"
