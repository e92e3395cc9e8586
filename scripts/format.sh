#!/usr/bin/env bash
# Lays out every C++ file by .clang-format. With --check: changes nothing, and fails where a file would change.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v clang-format >/dev/null || { echo "format.sh: needs clang-format: apt-get install clang-format" >&2; exit 1; }
mode=(-i)
[[ "${1:-}" == --check ]] && mode=(--dry-run --Werror)
git ls-files -z --cached --others --exclude-standard -- '*.cpp' '*.hpp' | xargs -0 clang-format "${mode[@]}"
