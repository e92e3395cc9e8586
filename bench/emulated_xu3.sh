#!/usr/bin/env bash
# The figures of the emulated Odroid XU3: trains five seeds and compares them on held-out traces.
#   bench/emulated_xu3.sh [--out DIR] [--bin DIR] [--camera DIR] [--full] [--unread] [--board NAME|FILE] [--seeds N]
# --camera: folder of recorded camera arrivals (CSV), added as arrivals of their own; the comparison without them, which
# anyone can run again, goes to generated.{txt,json}. --full: the whole grid too (every constant target and floor), beside
# the headline one. --unread: the headline comparison once more, on generated traces of seeds that chose nothing (neither
# settings nor the price of a miss; the cameras' are the same as ever), with every governor on every placement. --board:
# another board, or another file of this one.
# --seeds: how many to train, five without it. Writes DIR/seed*.policy, headline.{txt,json}, report.html
# [, generated.{txt,json}, full.{txt,json}, unread.{txt,json}]; bench/readme_table.py puts headline.txt into README.md.
# Frozen at a lower price of a miss than trained with, chosen on traces of seeds from 500000 (docs/decisions/020-while-it-runs.md).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=out/emulated_xu3 bin=$here/build/release/bin full=0 unread=0 camera=() board=odroid-xu3 count=5
usage="usage: bench/emulated_xu3.sh [--out DIR] [--bin DIR] [--camera DIR] [--full] [--unread] [--board NAME|FILE] [--seeds N]"
while [ $# -gt 0 ]; do
  case $1 in
    --out) out=$2; shift 2 ;;
    --bin) bin=$2; shift 2 ;;
    --camera) camera=(--camera "$2"); shift 2 ;;
    --full) full=1; shift ;;
    --unread) unread=1; shift ;;
    --board) board=$2; shift 2 ;;
    --seeds) count=$2; shift 2 ;;
    *) echo "$usage" >&2; exit 2 ;;
  esac
done
mkdir -p "$out"
policies=()
for seed in $(seq "$count"); do
  policies+=(--policy "$out/seed$seed.policy")
  [ -f "$out/seed$seed.policy" ] && continue
  "$bin/reins" train --board "$board" --out "$out/run$seed" --seed "$seed" &
  # Two at a time: two cores.
  if [ $((seed % 2)) -eq 0 ]; then wait; fi
done
wait
for seed in $(seq "$count"); do
  [ -f "$out/seed$seed.policy" ] || "$bin/reins" freeze --run "$out/run$seed" --out "$out/seed$seed.policy" --w-miss 3
done
"$bin/reins" eval --board "$board" "${policies[@]}" --grid headline --traces 20 "${camera[@]}" --no-shield \
  --json "$out/headline.json" --report "$out/report.html" | tee "$out/headline.txt"
if [ ${#camera[@]} -gt 0 ]; then
  "$bin/reins" eval --board "$board" "${policies[@]}" --grid headline --traces 20 --json "$out/generated.json" |
    tee "$out/generated.txt"
fi
if [ "$full" = 1 ]; then
  "$bin/reins" eval --board "$board" "${policies[@]}" --grid full --traces 2 "${camera[@]}" --json "$out/full.json" | tee "$out/full.txt"
fi
if [ "$unread" = 1 ]; then
  "$bin/reins" eval --board "$board" "${policies[@]}" --grid headline --traces 20 "${camera[@]}" --no-shield --all-rows \
    --seed 900000 --json "$out/unread.json" | tee "$out/unread.txt"
fi
