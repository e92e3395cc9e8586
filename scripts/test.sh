#!/usr/bin/env bash
# Builds and runs the tests.
#   scripts/test.sh          release build, every test; on a stock kernel in QEMU (docs/kernel-tests.md) where its packages
#                            can be had
#   scripts/test.sh --ci     the same, then ThreadSanitizer on what has threads, AddressSanitizer on everything, a minute
#                            of fuzzing for each reader of foreign bytes, and the builds for arm64 and armhf under
#                            qemu-user (scripts/cross.sh), where their packages can be installed
# CI=true in the environment stands for --ci. The last line is the sum over all runs.
set -euo pipefail
cd "$(dirname "$0")/.."

mode=release
[[ "${CI:-}" == true ]] && mode=ci
case "${1:-}" in
  "") ;;
  --ci) mode=ci ;;
  *) echo "test.sh: '$1' is not --ci" >&2; exit 2 ;;
esac

# Tests that may skip, and where. Any other that skips fails the run.
may_skip=(
  'actuators\.QuotaHere\.'                     # the cgroup quota on this kernel: no control group may be made (most containers)
  'placement\..*Placed'                        # moving to another core: the process has one core alone
  'EveryKernel\..*avx'                         # AVX2's and AVX-512's kernels: a processor without them
  'evaluation\.MeasuredJetsons\.'              # the fit of boards to measured rows: no rows
  'image_set\.KnownCopy\.'                     # CIFAR-10's known copy: not there
  # Permissions: root cannot be given up, or a right be had.
  '\.SaysWhichFileIsDenied' '\.SaysDeniedWithoutPermission' '\.SaysHowToGetWhatThisUserMayNot'
  '\.KeepsWhatIsDeniedToBeTriedAgain' '\.AFolderThatMayNotBeLookedIntoIsNoEmptyOne'
  '\.IsTheUsersOwnWhereTheSystemsMayNotBeWritten' '\.AThreadOfARealTimeClassMakesNoOthersOfIt'
  '\.OffersAFrequencyOnlyToWhoMaySetIt' '\.OfAUserTellsWhatIsDeniedAndHowToGetIt'
)

jobs=$(nproc)
passed=0 failed=0 skipped=0
broken=()
said=$(mktemp)  # what the failed tests printed
trap 'rm -f "$said"' EXIT

scripts/install-deps.sh test

# run <preset> <ctest arguments...>: counts into the sums; a failure does not stop the other runs.
run() {
  local preset=$1 report
  shift
  report=$PWD/build/$preset/tests.xml
  rm -f "$report"
  local began=$SECONDS
  "${under[@]}" ctest --test-dir "build/$preset" --parallel 2 --timeout 900 --output-on-failure --no-tests=error \
    --output-junit "$report" "$@" </dev/null || broken+=("ctest in build/$preset")
  took "tests of build/$preset" "$began"
  count "$preset"
}

# count <preset> [<more tests that may skip>...]: adds what CTest reported to the sums.
count() {
  local preset=$1 report=$PWD/build/$1/tests.xml
  shift
  if [[ ! -s "$report" ]]; then
    broken+=("no report of build/$preset")
    return
  fi
  attribute() { grep -oE "$1=\"[0-9]+\"" "$report" | head -n 1 | tr -dc 0-9; }
  local of_all of_failed of_skipped
  of_all=$(attribute tests) of_failed=$(attribute failures) of_skipped=$(attribute skipped)
  if ((of_failed > 0)); then
    # Said again at the end, where it is looked for.
    while read -r name; do broken+=("failed in build/$preset: $name"); done < <(
      grep -oE '<testcase name="[^"]*".* status="fail"' "$report" | sed 's/^<testcase name="//; s/".*//')
    awk '/<testcase /{keep = / status="fail"/} keep' "$report" >>"$said"
  fi
  failed=$((failed + of_failed)) skipped=$((skipped + of_skipped))
  passed=$((passed + of_all - of_failed - of_skipped))
  local named
  named=$(grep -oE '<testcase name="[^"]*".* status="(notrun|disabled)"' "$report" | sed 's/^<testcase name="//; s/".*//' || true)
  if (($(grep -c . <<<"$named" || true) != of_skipped)); then
    broken+=("$of_skipped tests skipped in build/$preset, and not all are named in its report")
  fi
  if [[ -n "$named" ]]; then
    echo "skipped in build/$preset:"
    sed 's/^/  /' <<<"$named"
    while read -r name; do broken+=("skipped in build/$preset, and may not: $name"); done < <(
      grep -vE "$(IFS='|'; echo "${may_skip[*]}${*:+|$*}")" <<<"$named")
  fi
}

build() {
  local preset=$1
  shift
  echo "== build/$preset"
  cmake --preset "$preset" -DREINS_TESTS=ON >"build-$preset.log" 2>&1 || { cat "build-$preset.log" >&2; rm -f "build-$preset.log"; exit 1; }
  rm -f "build-$preset.log"
  local began=$SECONDS
  cmake --build --preset "$preset" --parallel "$jobs" "$@"
  took "building build/$preset" "$began"
}

# took <what> <since when>: what of the run's time went where is said at the end.
times=()
took() { times+=("$(printf '%5d s  %s' $((SECONDS - $2)) "$1")"); }

under=()
build release
run release

# The build without libtorch, installed, and a consumer built against it. With its programs: sensors, actuators and the
# closed loop on a real kernel.
targets=(reins reins-workload) tests='integration\.InstalledPackage' why=
if [[ $(uname -m) != x86_64 ]]; then
  why="they are for x86-64"
elif ! scripts/install-deps.sh kernel >/dev/null 2>&1; then
  why="QEMU cannot be had here: scripts/install-deps.sh kernel says why"
elif ! why=$(tests/kernel/fetch-kernel.sh build/kernel-image 2>&1); then
  why=${why##*$'\n'}
else
  targets+=(kernel_tests) tests+='|kernel\.' why=
fi
[[ -z $why ]] || echo "== kernel tests skipped: $why"
build notorch --target "${targets[@]}"
run notorch --tests-regex "^($tests)"

if [[ $mode != release ]]; then
  # Threads: what has threads of its own and needs no libtorch, which TSan cannot see into. GCC 12's TSan wants the
  # address layout that the kernel gives without randomisation.
  build tsan --target test_serving test_serve_program test_workload test_protocol test_control test_live test_env test_engine test_placement test_evaluation test_live_command
  if setarch -R true 2>/dev/null; then under=(setarch -R); fi
  run tsan --tests-regex '^(serving|serve_program|workload|protocol|control|live|env|engine|placement\.Placed|evaluation\.(Comparison|LongBoardFit)\.Threads|evaluation\.Workers|live_command)\.'
  under=()

  # Memory and undefined behaviour, everywhere. Debian's libtorch is not instrumented, and needs nothing switched off:
  # what it allocates is reached to the end, and no container crosses to it half grown.
  export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
  build asan
  # Left out: minutes of the arithmetic that shorter tests of the same code run through too.
  run asan --exclude-regex '^agent_learning$|^evaluation\.(MeasuredJetsons|LongBoardFit)\.'

  # The readers of what comes from elsewhere, fuzzed for a minute each.
  if scripts/install-deps.sh fuzz >/dev/null 2>&1; then
    build fuzz --target fuzz_network_file fuzz_cifar10 fuzz_policy_file fuzz_messages
    run fuzz --tests-regex '^fuzz\.'
  else
    echo "== fuzzing skipped: clang and libFuzzer cannot be installed here (scripts/install-deps.sh fuzz says why)"
  fi

  # Other processors, under qemu-user.
  if scripts/install-deps.sh cross >/dev/null 2>&1; then
    began=$SECONDS
    scripts/cross.sh arm64 armhf || broken+=("scripts/cross.sh")
    took "arm64 and armhf" "$began"
    count arm64 'OnednnEngine|onednn'
    count armhf 'OnednnEngine|onednn'
  else
    echo "== arm64 and armhf skipped: their compilers cannot be installed here (scripts/install-deps.sh cross says why)"
  fi
fi

head -n 80 "$said" >&2
printf '%s\n' "${times[@]}"
for line in "${broken[@]}"; do echo "test.sh: $line" >&2; done
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0 && ${#broken[@]} == 0))
