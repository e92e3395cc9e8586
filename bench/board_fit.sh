#!/usr/bin/env bash
# How well boards are fitted to measured rows: held-out errors, energy at the predicted optimum, reported figures.
#   bench/board_fit.sh --data DIR [--bin DIR] >bench/results/board_fit.txt
# --data: a folder with loudva_jetson, odroid_xu3_xu4_userland and jetson_nano_a57_parsec (bench/measured_rows.py says
# where they are from). --bin: where reins is (default: build/release/bin).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
data="" bin=$here/build/release/bin
while (($# > 0)); do
  case $1 in
    --data) data=$2; shift 2 ;;
    --bin) bin=$2; shift 2 ;;
    *) echo "usage: bench/board_fit.sh --data DIR [--bin DIR]" >&2; exit 2 ;;
  esac
done
[[ -f $data/loudva_jetson/Profiling.csv ]] || { echo "board_fit.sh: --data wants the folder of measured rows" >&2; exit 2; }
rows=$(mktemp -d)
trap 'rm -rf "$rows"' EXIT
convert() { python3 "$here/bench/measured_rows.py" "$@"; }
show() {
  printf '\n== reins board fit %s\n' "$*"
  (cd "$rows" && "$bin/reins" board fit "$@")
}

echo "Priors are the shipped files', which were fitted to all of these rows (the Jetsons' V(f) is made straight first)."
echo "From a bare file: tests/evaluation/board_fit_test.cpp, MeasuredJetsons."
for device in Nano:jetson-nano NX:jetson-xavier-nx AGX:jetson-agx-xavier; do
  convert loudva "$data/loudva_jetson/Profiling.csv" "${device%%:*}" >"$rows/${device##*:}.csv"
  convert unbent "$here/boards/${device##*:}.toml" >"$rows/${device##*:}.toml"
  for how in every-other-frequency other-every-other-frequency none; do
    show --board "${device##*:}.toml" --data "${device##*:}.csv" --hold-out "$how"
  done
done
convert nano-rails "$data/loudva_jetson/Profiling.csv" >"$rows/nano-rails.csv"
show --board jetson-nano --data nano-rails.csv
for unit in xu3 nano-cpu nano-gpu; do convert alexnet "$unit" >"$rows/alexnet-$unit.csv"; done
show --board odroid-xu3 --data alexnet-xu3.csv --hold-out 700,1000
show --board jetson-nano --data alexnet-nano-cpu.csv
show --board jetson-nano --data alexnet-nano-gpu.csv
xu3=$data/odroid_xu3_xu4_userland
convert xu3-voltage "$xu3"/data__VF_Rel_* >"$rows/xu3-voltage.csv"
convert xu3-power "$xu3"/*xu3_dataset_V2.csv >"$rows/xu3-power.csv"
convert xu3-rails "$xu3"/*xu3_dataset_V2.csv >"$rows/xu3-rails.csv"
show --board odroid-xu3 --data xu3-voltage.csv
show --board odroid-xu3 --data xu3-power.csv
show --board odroid-xu3 --data xu3-rails.csv --keep-voltages
convert parsec "$data/jetson_nano_a57_parsec/parsec-final-data.txt" >"$rows/parsec.csv"
show --board jetson-nano --data parsec.csv --hold-out every-other-frequency
