#!/usr/bin/env bash
# The main job end to end: network, profile, train, freeze, compare, serve under load. Minutes on two cores.
#   scripts/quickstart.sh [--data DIR] [--out DIR]
# --data DIR  a folder with CIFAR-10's binary files (cifar-10-batches-bin): its images are inferred and served. Without
#             it, whatever needs images uses the built-in synthetic ones, with a small network trained on them here.
# --out DIR   where everything is written (default: out/quickstart)
set -euo pipefail
began=$SECONDS
from=$PWD
cd "$(dirname "$0")/.."

data="" out=out/quickstart
while (($# > 0)); do
  case "$1" in
    --data | --out)
      (($# > 1)) || { echo "quickstart.sh: $1 wants a folder" >&2; exit 2; }
      path=$2
      [[ $path == /* ]] || path=$from/$path  # relative to where the user stands
      [[ $1 == --data ]] && data=$path || out=$path
      shift 2
      ;;
    -h | --help) sed -n '2,6s/^# //p' "$0"; exit 0 ;;
    *) echo "quickstart.sh: '$1' is no option; see --help" >&2; exit 2 ;;
  esac
done
if [[ -n "$data" && ! -f "$data/test_batch.bin" ]]; then
  echo "quickstart.sh: $data/test_batch.bin: no such file; --data wants the folder of CIFAR-10's binary version" >&2
  exit 2
fi

server=""
stop_server() {
  [[ -n "$server" ]] || return 0
  kill "$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
  server=""
}
trap stop_server EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

stage() { printf '\n== %s\n' "$*"; }
show() { printf '$ %s\n' "$*"; "$@"; }

stage "build"
scripts/install-deps.sh build
mkdir -p "$out"
build=build/release
# A tree that was configured with its tests keeps them; here only the two programs are built.
[[ -f $build/build.ninja ]] || cmake --preset release -DREINS_TESTS=OFF >"$out/configure.log" 2>&1 ||
  { cat "$out/configure.log" >&2; exit 1; }
cmake --build "$build" --target reins reins-workload --parallel "$(nproc)"
PATH=$PWD/$build/bin:$PATH
built=$SECONDS

shipped=assets/networks/cifar10-group4/network.rnet
state=(--state "$out/found-on-this-machine.toml")

stage "1 network: the shipped one, and a small one trained here on synthetic images"
show reins net info
rm -f "$out"/*/checkpoint.pt  # of an earlier quickstart, which would want --resume
show reins net train --dataset synthetic --out "$out/network" --threads "$(nproc)"
if [[ -n "$data" ]]; then
  network=$shipped images=(--data "$data")
else
  network=$out/network/network.rnet images=()
fi

stage "2 profile: the real engine on this machine"
show reins profile --board host --network "$network" --out "$out/host.csv" --max-seconds 1 "${state[@]}"

stage "3 train: on the emulated Odroid-XU3 (answers recorded from the shipped network), and live on this machine"
show reins train --board odroid-xu3 --out "$out/xu3"
show reins train --board host --network "$network" --profile "$out/host.csv" --steps 1500 --out "$out/host" "${images[@]}" \
  "${state[@]}"
served=$out/xu3.policy
if [[ -z "$data" ]]; then
  # A policy is made for one network: the one that answers synthetic images gets its own.
  show reins train --board odroid-xu3 --network "$network" --steps 40000 --out "$out/xu3-synthetic"
  served=$out/xu3-synthetic.policy
fi

stage "4 freeze: small files that need no libtorch"
show reins freeze --run "$out/xu3" --out "$out/xu3.policy"
show reins freeze --run "$out/host" --out "$out/host.policy"
[[ -n "$data" ]] || show reins freeze --run "$out/xu3-synthetic" --out "$served"

stage "5 eval: the frozen policy beside governors, fixed settings, managers and the oracle"
show reins eval --board odroid-xu3 --policy "$out/xu3.policy" --grid quick --report "$out/report.html"

stage "6 serve and workload: a bursty load with changing targets, on the emulated board paced to wall time"
# Rate, targets and accuracy floors that suit this network on this board, from its profile: the rate is 0.15 of what the
# full network could serve at its fastest, the floors are those of its levels.
reins profile --board odroid-xu3 --network "$network" --out "$out/xu3.csv" >/dev/null
read -r rate targets floors < <(LC_ALL=C awk -F, '
  /^#/ { next }
  !columns { for (columns = 1; columns <= NF; ++columns) at[$columns] = columns; next }
  $at["latency_s"] > 0 { floor[$at["level"] + 0] = $at["accuracy"] }
  $at["latency_s"] > 0 && ($at["level"] + 0 > level || ($at["level"] + 0 == level && $at["latency_s"] + 0 < least)) {
    level = $at["level"] + 0; least = $at["latency_s"] + 0 }
  END {
    printf "%.6g %.6g,%.6g,%.6g ", 0.15 / least, 2 * least, 3.5 * least, 5 * least
    for (l = 1; l <= level; ++l) printf "%s%s", (l > 1 ? "," : ""), floor[l]
    print ""
  }' "$out/xu3.csv")
log=$out/serve.log
: >"$log"
printf '$ %s &\n' "reins serve --board odroid-xu3 --network $network --policy $served"
reins serve --board odroid-xu3 --network "$network" --policy "$served" --endpoint "tcp://127.0.0.1:*" --telemetry none \
  --log-level warning >"$log" 2>&1 </dev/null &
server=$!
for ((i = 0; i < 300; ++i)); do
  endpoint=$(grep -oE 'at tcp://[0-9.:]+' "$log" | head -n 1 | cut -d ' ' -f 2 || true)
  [[ -n "$endpoint" ]] && break
  kill -0 "$server" 2>/dev/null || { cat "$log" >&2; exit 1; }
  sleep 0.1
done
[[ -n "$endpoint" ]] || { echo "quickstart.sh: the server did not start: see $log" >&2; exit 1; }
show reins-workload --connect "$endpoint" --generate bursty --rate "$rate" --duration 20 --segment 2 \
  --targets "$targets" --floors "$floors" "${images[@]}"
stop_server
echo "the server's own account:"
cat "$log"

stage "done"
[[ -n "$data" ]] || echo "images were synthetic; with a CIFAR-10 of your own: scripts/quickstart.sh --data cifar-10-batches-bin"
echo "report   $out/report.html"
echo "policies $out/xu3.policy, $out/host.policy"
printf 'time     %d s, of which %d s to build\n' $((SECONDS - began)) $((built - began))
