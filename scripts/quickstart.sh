#!/usr/bin/env bash
# The main job end to end: network, profile, train, freeze, compare, serve under load. Minutes on two cores.
#   scripts/quickstart.sh [--data DIR] [--out DIR] [--quick] [--built DIR]
# --data DIR  a folder with CIFAR-10's binary files (cifar-10-batches-bin): its images are inferred and served. Without
#             it, whatever needs images uses the built-in synthetic ones, with a small network trained on them here.
# --out DIR   where everything is written (default: out/quickstart)
# --quick     every stage in seconds, to see that it runs: its trainings are far too short for figures that mean anything
# --built DIR use the programs of this build folder: install and build nothing
set -euo pipefail
began=$SECONDS
from=$PWD
cd "$(dirname "$0")/.."

data="" out=out/quickstart quick="" built_in=""
while (($# > 0)); do
  case "$1" in
    --data | --out | --built)
      (($# > 1)) || { echo "quickstart.sh: $1 wants a folder" >&2; exit 2; }
      path=$2
      [[ $path == /* ]] || path=$from/$path  # relative to where the user stands
      case "$1" in
        --data) data=$path ;;
        --out) out=$path ;;
        --built) built_in=$path ;;
      esac
      shift 2
      ;;
    --quick) quick=yes; shift ;;
    -h | --help) sed -n '2,8s/^# //p' "$0"; exit 0 ;;
    *) echo "quickstart.sh: '$1' is no option; see --help" >&2; exit 2 ;;
  esac
done
if [[ -n "$data" && ! -f "$data/test_batch.bin" ]]; then
  echo "quickstart.sh: $data/test_batch.bin: no such file; --data wants the folder of CIFAR-10's binary version" >&2
  exit 2
fi

if [[ -n "$built_in" && ! -x "$built_in/bin/reins" ]]; then
  echo "quickstart.sh: $built_in/bin/reins: no such program; --built wants a folder that was built in" >&2
  exit 2
fi

# Steps of the trainings, and what keeps the other stages short.
xu3_steps=400000 synthetic_steps=40000 host_steps=1500
net=() threads=$(nproc) point_seconds=1 grid=(--grid quick) load_seconds=20 live_seconds=5
if [[ -n "$quick" ]]; then
  xu3_steps=2000 synthetic_steps=2000 host_steps=150
  net=(--epochs 1 --images 256) threads=1 point_seconds=0.1 grid=(--grid quick --requests 40 --loads 0.3) load_seconds=3 live_seconds=2
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

stage_began=
stage() {
  [[ -z $stage_began ]] || printf '(%d s)\n' $((SECONDS - stage_began))
  stage_began=$SECONDS
  printf '\n== %s\n' "$*"
}
part() { printf '# %s\n' "$*"; }
show() { printf '$ %s\n' "$*"; "$@"; }

# show_served NAME PROFILE SECONDS serve-arguments...: a server, the generator against it, and the server's own account.
# Rate, targets and accuracy floors that suit this network on this board come from the profile: the rate is 0.15
# of what the full network could serve at its fastest, the floors are those of its levels.
show_served() {
  local name=$1 profile=$2 seconds=$3 log=$out/$1.log rate targets floors endpoint="" i
  shift 3
  read -r rate targets floors < <(LC_ALL=C awk -F, '
    /^#/ { next }
    !columns { for (columns = 1; columns <= NF; ++columns) at[$columns] = columns; next }
    $at["latency_s"] > 0 { floor[$at["level"] + 0] = $at["accuracy"] }
    $at["latency_s"] > 0 && ($at["level"] + 0 > level || ($at["level"] + 0 == level && $at["latency_s"] + 0 < least)) {
      level = $at["level"] + 0; least = $at["latency_s"] + 0 }
    END {
      if (least < 0.004) least = 0.004  # what is faster waits for others on these cores; live training does so too
      printf "%.6g %.6g,%.6g,%.6g ", 0.15 / least, 2 * least, 3.5 * least, 5 * least
      for (l = 1; l <= level; ++l) printf "%s%s", (l > 1 ? "," : ""), floor[l]
      print ""
    }' "$profile")
  : >"$log"
  set -- "$@" --endpoint "tcp://127.0.0.1:*" --telemetry none --log-level warning  # any free port
  printf '$ %s &\n' "reins serve $*"
  reins serve "$@" >"$log" 2>&1 </dev/null &
  server=$!
  for ((i = 0; i < 300; ++i)); do
    endpoint=$(grep -oE 'at tcp://[0-9.:]+' "$log" | head -n 1 | cut -d ' ' -f 2 || true)
    [[ -n "$endpoint" ]] && break
    kill -0 "$server" 2>/dev/null || { cat "$log" >&2; exit 1; }
    sleep 0.1
  done
  [[ -n "$endpoint" ]] || { echo "quickstart.sh: the server did not start: see $log" >&2; exit 1; }
  show reins-workload --connect "$endpoint" --generate bursty --rate "$rate" --duration "$seconds" --segment 2 \
    --targets "$targets" --floors "$floors" "${images[@]}"
  stop_server
  echo "the server's own account, up to its end:"
  cat "$log"
}

mkdir -p "$out"
if [[ -z "$built_in" ]]; then
  stage "build"
  scripts/install-deps.sh build
  built_in=$PWD/build/release
  # A tree that was configured with its tests keeps them; here only the two programs are built.
  [[ -f $built_in/build.ninja ]] || cmake --preset release -DREINS_TESTS=OFF >"$out/configure.log" 2>&1 ||
    { cat "$out/configure.log" >&2; exit 1; }
  cmake --build "$built_in" --target reins reins-workload --parallel "$(nproc)"
fi
PATH=$built_in/bin:$PATH
built=$SECONDS
not_meaningful() {
  [[ -z "$quick" ]] ||
    printf '\n--quick: trainings of seconds; this shows that everything runs, its figures are not meaningful\n'
}
not_meaningful

shipped=assets/networks/cifar10-group4/network.rnet
state=(--state "$out/found-on-this-machine.toml")

stage "1 network: the shipped one, and a small one trained here on synthetic images"
show reins net info
rm -f "$out"/*/{checkpoint.pt,best.policy,log.csv}  # of an earlier quickstart, which would want --resume
show reins net train --dataset synthetic --out "$out/network" --threads "$threads" "${net[@]}"
if [[ -n "$data" ]]; then
  network=$shipped images=(--data "$data")
else
  network=$out/network/network.rnet images=()
fi

stage "2 profile: the real engine on this machine"
show reins profile --board host --network "$network" --out "$out/host.csv" --max-seconds "$point_seconds" "${state[@]}"

stage "3 train: on the emulated Odroid-XU3, and live on this machine"
part "for the shipped network on the emulated board (answers recorded from CIFAR-10): the policy that stage 5 compares"
show reins train --board odroid-xu3 --steps "$xu3_steps" --out "$out/xu3"
part "for the network that answers here, live: the real engine at every step; the policy that stage 7 serves"
show reins train --board host --network "$network" --profile "$out/host.csv" --steps "$host_steps" --out "$out/host" \
  "${images[@]}" "${state[@]}"
served=$out/xu3.policy
if [[ -z "$data" ]]; then
  part "for the small network on the emulated board (a policy is for one network): the policy that stage 6 serves"
  show reins train --board odroid-xu3 --network "$network" --steps "$synthetic_steps" --out "$out/xu3-synthetic"
  served=$out/xu3-synthetic.policy
fi

stage "4 freeze: small files that need no libtorch"
part "--w-miss 3: a miss priced below the 20 of the training, as for the shipped policy: energy against misses, without training again (of the weights at the run's end)"
show reins freeze --run "$out/xu3" --out "$out/xu3.policy" --w-miss 3
show reins freeze --run "$out/host" --out "$out/host.policy"
[[ -n "$data" ]] || show reins freeze --run "$out/xu3-synthetic" --out "$served" --w-miss 3

stage "5 eval: the frozen policy beside governors, fixed settings, managers and the oracle"
part "a few traces, a policy of $xu3_steps steps: the README has the shipped one's figures over hundreds of traces"
show reins eval --board odroid-xu3 --policy "$out/xu3.policy" "${grid[@]}" --report "$out/report.html"

stage "6 serve and workload: a bursty load with changing targets, on the emulated board paced to wall time"
reins profile --board odroid-xu3 --network "$network" --out "$out/xu3.csv" >/dev/null
show_served serve "$out/xu3.csv" "$load_seconds" --board odroid-xu3 --network "$network" --policy "$served"

stage "7 the same live: the policy that was trained on this machine serves on it"
part "targets of at least 8 ms, as in its training: below that other threads' wake-ups are measured; a network of a fraction of
  a millisecond has time to spare, so here this shows the live path, not a hard choice"
show_served serve-host "$out/host.csv" "$live_seconds" --board host --network "$network" --profile "$out/host.csv" \
  --policy "$out/host.policy" "${state[@]}"

stage "done"
not_meaningful
[[ -n "$data" ]] || echo "images were synthetic; with a CIFAR-10 of your own: scripts/quickstart.sh --data cifar-10-batches-bin"
echo "report   $out/report.html"
if [[ -n "$data" ]]; then
  echo "policies $out/xu3.policy (compared, and served in 6), $out/host.policy (served in 7)"
else
  echo "policies $out/xu3.policy (compared), $served (served in 6), $out/host.policy (served in 7)"
fi
printf 'time     %d s, of which %d s to build\n' $((SECONDS - began)) $((built - began))
