#!/usr/bin/env bash
# What the XU3's assumed constants do to its figures: the shipped policy, which was trained with the file as it is, on
# boards that differ in one of them. Each cell has 4 held-out traces; generated arrivals, floors at the top and changing,
# at load 0.3; what costs most there also at loads 0.1, 0.3 and 0.6.
#   bench/sensitivity.sh [--bin DIR] >bench/results/sensitivity.txt
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=$here/build/release/bin
case ${1:-} in
  "") ;;
  --bin) bin=$2 ;;
  *) echo "usage: bench/sensitivity.sh [--bin DIR]" >&2; exit 2 ;;
esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

loads=0.3
# row <what differs> <sed expression>
row() {
  sed -E "$2" "$here/boards/odroid-xu3.toml" >"$work/board.toml"
  if [[ -n "$2" ]] && cmp -s "$here/boards/odroid-xu3.toml" "$work/board.toml"; then
    echo "sensitivity.sh: '$1' changes nothing in the board file" >&2
    exit 1
  fi
  "$bin/reins" eval --board "$work/board.toml" --policy "$here/policies/shipped/odroid-xu3.policy" --allow-board \
    --grid headline --loads $loads --traces 4 --json "$work/one.json" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
  python3 - "$1" "$work/one.json" <<'PY'
import json, sys
line = sys.argv[1].ljust(38)
for part in json.load(open(sys.argv[2]))["headlines"]:
    row = next(one for one in part["rows"] if one["kind"] == "learned")
    saved = [100 * (1 - row["energy_to_kernel"]), 100 * (1 - row["energy_to_best_static"]), 100 * (row["energy_to_oracle"] - 1)]
    misses = [row["miss_points_over_kernel"], row["miss_points_over_best_static"]]
    line += " |" + "".join(f"{x:7.1f}" for x in saved) + "".join(f"{x:+7.2f}" for x in misses)
print(line)
PY
}

echo "floors                                 | changing                          | top"
echo "                                       | saved, %      over   miss points  | saved, %      over   miss points"
echo "                                       | below  below  oracle over   over  | below  below  oracle over   over"
echo "what differs from boards/odroid-xu3    | sched. static %      sched. static| sched. static %      sched. static"
row "nothing" ""
for sigma in 0.01 0.03 0.04 0.06; do row "noise_sigma $sigma for 0.02" "s/^noise_sigma = 0.02/noise_sigma = $sigma/"; done
row "bandwidths halved" 's/^bytes_per_s = 4.0e9/bytes_per_s = 2.0e9/; s/^bytes_per_s = 2.0e9 .*# assumed$/bytes_per_s = 1.0e9/'
row "bandwidths doubled" 's/^bytes_per_s = 2.0e9/bytes_per_s = 4.00e9/; s/^bytes_per_s = 4.0e9/bytes_per_s = 8.0e9/'
row "j_per_byte doubled" 's/^j_per_byte = 2.0e-10/j_per_byte = 4.0e-10/'
row "switch_s five times as long" 's/^switch_s = 0.0002/switch_s = 0.001/'
row "migration_s five times as long" 's/^migration_s = 0.001/migration_s = 0.005/'
row "tick_s 10 ms for 5" 's/^tick_s = 0.005/tick_s = 0.01/'
for watts in 0.060 0.172; do row "a15 rail's constant_w $watts for 0.116" "s/^constant_w = 0.11595/constant_w = $watts/"; done
# A least squares over the logs alone that puts four fifths of the idle power at 1000 MHz down to the clock: 0.07 W at 200.
row "A15's idle power follows its clock" 's/^core_w_per_mhz_v2 = 5.1841e-4/core_w_per_mhz_v2 = 4.919e-4/; s/^idle_clock_w_per_mhz_v2 = 0.0 .*/idle_clock_w_per_mhz_v2 = 2.124e-4/
  s/^leak_w = 0.16443/leak_w = 0.06136/; s/^leak_per_c = 0.01577/leak_per_c = 0.0466/; s/^constant_w = 0.11595/constant_w = 0.0/'
# The same time of the full network with another share of it that does not depend on the level.
row "call_cycles 0, full time as it was" 's/^call_cycles = .*/call_cycles = 0/; s/^macs_per_cycle = 0.2746/macs_per_cycle = 0.2343/; s/^macs_per_cycle = 0.1583/macs_per_cycle = 0.1350/'
row "call_cycles doubled, time as it was" 's/^call_cycles = 29.9e6/call_cycles = 59.8e6/; s/^call_cycles = 52.0e6/call_cycles = 104e6/
  s/^macs_per_cycle = 0.2746/macs_per_cycle = 0.3315/; s/^macs_per_cycle = 0.1583/macs_per_cycle = 0.1912/'
row "A7's core_w_per_mhz_v2 8 % lower" 's/^core_w_per_mhz_v2 = 1.58e-4/core_w_per_mhz_v2 = 1.45e-4/'
# The rows cannot tell leakage's voltage exponent from its size and the rail's constant: the fit with the exponent free
# (`reins board fit` to the same rows, from an exponent of 4 and a leak_w of 0.28; 3.7 % off them on average).
row "A15's leakage fitted, exponent free" 's/^core_w_per_mhz_v2 = 5.1841e-4/core_w_per_mhz_v2 = 5.2479e-4/; s/^leak_w = 0.16443/leak_w = 0.04525/
  s/^leak_voltage_exponent = 6.4/leak_voltage_exponent = 10.798/; s/^leak_per_c = 0.01577/leak_per_c = 0.015869/; s/^constant_w = 0.11595/constant_w = 0.20657/'
row "no fan: r_c_per_w 12.5 for 5.5" 's/^r_c_per_w = 5.5/r_c_per_w = 12.5/'

loads=0.1,0.3,0.6
echo "loads 0.1, 0.3 and 0.6"
row "nothing" ""
row "noise_sigma 0.04 for 0.02" "s/^noise_sigma = 0.02/noise_sigma = 0.04/"
row "a15 rail's constant_w 0.172 for 0.116" "s/^constant_w = 0.11595/constant_w = 0.172/"
row "call_cycles doubled, time as it was" 's/^call_cycles = 29.9e6/call_cycles = 59.8e6/; s/^call_cycles = 52.0e6/call_cycles = 104e6/
  s/^macs_per_cycle = 0.2746/macs_per_cycle = 0.3315/; s/^macs_per_cycle = 0.1583/macs_per_cycle = 0.1912/'
