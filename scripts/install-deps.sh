#!/usr/bin/env bash
# Installs the Debian 12 packages that building (and, with `test`, testing) Reins takes. Says nothing where all are there.
# Usage: scripts/install-deps.sh [build|test|cross|kernel|fuzz]      (default: test, which includes build; cross: what
# scripts/cross.sh takes; kernel: what tests/kernel takes on amd64, the kernel that is booted apart; fuzz: clang and its
# libFuzzer)
set -euo pipefail

# What the CMake files look for, and what libtorch's own CMake files look for behind it.
build=(cmake g++ ninja-build pkg-config ccache
  libexpected-dev libmsgpack-cxx-dev libtomlplusplus-dev   # core
  libeigen3-dev nlohmann-json3-dev libcli11-dev            # tables, fits, JSON, arguments
  libzmq3-dev cppzmq-dev libsodium-dev libspdlog-dev       # protocol, serving
  libdnnl-dev                                              # inference: the oneDNN engine
  libtorch-dev libopenblas0-openmp libopenblas-openmp-dev)  # training
header_only=(libexpected-dev libmsgpack-cxx-dev libtomlplusplus-dev nlohmann-json3-dev libcli11-dev libeigen3-dev)
cross=(cmake ninja-build ccache g++-aarch64-linux-gnu g++-arm-linux-gnueabihf qemu-user googletest "${header_only[@]}")
kernel=(qemu-system-x86 acpica-tools busybox-static cpio kmod)
fuzz=(clang libclang-rt-14-dev)
tests=(libgtest-dev libgmock-dev libbenchmark-dev python3 python3-zmq python3-msgpack)

case "${1:-test}" in
  build) wanted=("${build[@]}") ;;
  test) wanted=("${build[@]}" "${tests[@]}") ;;
  cross) wanted=("${cross[@]}") ;;
  kernel) wanted=("${kernel[@]}") ;;
  fuzz) wanted=("${fuzz[@]}") ;;
  *) echo "install-deps.sh: '$1' is none of build, test, cross, kernel, fuzz" >&2; exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null; then
  echo "install-deps.sh: this is no Debian: install the equivalents of: ${wanted[*]}" >&2
  exit 1
fi
missing=()
for package in "${wanted[@]}"; do
  [[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" == installed ]] || missing+=("$package")
done
((${#missing[@]} == 0)) && exit 0

as_root=()
if ((EUID != 0)); then
  if ! command -v sudo >/dev/null; then
    echo "install-deps.sh: needs root or sudo; as root: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
echo "installing ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
}
# The package lists of a fresh machine may be empty or old: they are fetched only where the first try fails.
if ! install >"$log" 2>&1 && ! { "${as_root[@]}" apt-get update && install; } >"$log" 2>&1; then
  tail -n 5 "$log" >&2
  echo "install-deps.sh: apt-get could not install ${missing[*]}; see above" >&2
  exit 1
fi
