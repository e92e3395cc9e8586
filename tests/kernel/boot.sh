#!/usr/bin/env bash
# Boots a stock Debian kernel in QEMU (no KVM needed) with Reins and the checks in its initrd, and keeps what the guest's
# console says as the report. CTest's `kernel.*` tests look themselves up in it.
# Usage: tests/kernel/boot.sh BUILD_FOLDER REPORT [GTEST_FILTER]
# Exit code: 0 the checks have begun (how they ended stands in the report), 1 they have not, 77 a package is missing.
set -euo pipefail
build=$(realpath "${1:?the build folder}")
report=$(realpath -m "${2:?the report to write}")
filter=${3:-*}
here=$(realpath "$(dirname "$0")")
wanted_s=300 # two minutes and a half where nothing else runs; a guest is as slow as its machine is busy
limit_s=570

PATH=$PATH:/usr/sbin:/sbin
rm -f "$report"
missing() {
  echo "NOT BOOTED: $1" | tee "$report"
  exit 77
}
for tool in qemu-system-x86_64 iasl busybox cpio modprobe ldd; do
  command -v "$tool" >/dev/null || missing "no $tool here (scripts/install-deps.sh kernel)"
done
image=${REINS_KERNEL_IMAGE:-$build/../kernel-image}
"$here/fetch-kernel.sh" "$image" || missing "no kernel to boot (tests/kernel/fetch-kernel.sh says why)"
version=$(<"$image/version")

work=$(mktemp -d "${TMPDIR:-/tmp}/reins-kernel-XXXXXX")
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root"/{usr/bin,usr/lib,usr/lib64,modules,reins/bin,etc}
for folder in bin lib lib64; do ln -s "usr/$folder" "$root/$folder"; done
ln -s usr/bin "$root/sbin"

cp "$(command -v busybox)" "$root/bin/busybox"
if ldd "$root/bin/busybox" >/dev/null 2>&1; then missing "busybox is not static (scripts/install-deps.sh kernel)"; fi
cp "$here/guest/init.sh" "$root/init"
cp "$here/guest/board.toml" "$root/reins/board.toml"
printf 'root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
echo "$filter" >"$root/reins/filter"

for program in reins reins-workload reins-kernel-plant test_kernel; do
  cp "$build/bin/$program" "$root/reins/bin/"
  strip "$root/reins/bin/$program" 2>/dev/null || true
done
# What they are linked against; the loader where the kernel looks for it.
for program in "$root"/reins/bin/*; do ldd "$program"; done | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p' | sort -u |
  while read -r library; do cp -Lu "$library" "$root/lib/"; done
cp -L /lib64/ld-linux-x86-64.so.2 "$root/lib64/"

# systemd and udev, and what Reins ships for them where packaging/README.md puts it (suite Units).
systemd=$image/systemd
mkdir -p "$root"/lib/systemd/system "$root"/etc/{default,reins,sysusers.d,udev/rules.d,systemd/system.conf.d,systemd/system/reins-serve.service.d}
cp "$systemd"/lib/systemd/systemd "$root/lib/systemd/"
if [[ -e $systemd/lib/systemd/systemd-executor ]]; then cp "$systemd/lib/systemd/systemd-executor" "$root/lib/systemd/"; fi
cp "$systemd"/bin/{systemctl,systemd-sysusers,udevadm} "$root/bin/"
cp "$systemd"/lib/systemd/system/{*.target,*.slice,systemd-udevd*} "$root/lib/systemd/system/"
libraries=$(find "$systemd" -name '*.so.*' -printf '%h\n' | sort -u | paste -sd:)
for program in "$root"/lib/systemd/systemd* "$root"/bin/{systemctl,systemd-sysusers,udevadm}; do
  LD_LIBRARY_PATH=$libraries:$systemd/usr/lib/x86_64-linux-gnu/systemd ldd "$program"
done | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p' | sort -u | while read -r library; do
  if [[ ! -e $root/lib/${library##*/} ]]; then cp -L "$library" "$root/lib/"; fi
done
ln -s /bin/udevadm "$root/lib/systemd/systemd-udevd"
packaging=$here/../../packaging
cp "$packaging"/*.service "$here/guest/checks.service" "$root/etc/systemd/system/"
cp "$packaging"/*.rules "$root/etc/udev/rules.d/"
cp "$packaging"/reins.sysusers "$root/etc/sysusers.d/reins.conf"
cp "$here/guest/checks.sh" "$root/reins/"
ln -s /reins/bin/reins "$root/bin/reins"
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
printf '[Manager]\nDefaultStandardOutput=tty\nLogTarget=console\nLogLevel=notice\nShowStatus=no\n' >"$root/etc/systemd/system.conf.d/guest.conf"
# No journal is there, and the unit has no console.
printf '[Service]\nStandardOutput=append:/run/reins-serve.log\n' >"$root/etc/systemd/system/reins-serve.service.d/guest.conf"

# In the order in which they are to be loaded. The governors are modules of this kernel, schedutil and performance apart.
for module in acpi-cpufreq cpufreq_userspace cpufreq_powersave cpufreq_ondemand cpufreq_conservative battery ina2xx-adc lm75 \
  i2c-dev i2c-stub; do
  modprobe -d "$image" -S "$version" --show-depends "$module" || missing "$version has no module $module"
done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' >"$work/modules"
while read -r file; do
  name=$(basename "${file%.xz}" .ko)
  case $file in *.xz) xz -dc "$file" >"$root/modules/$name.ko" ;; *) cp "$file" "$root/modules/$name.ko" ;; esac
  [[ $name == i2c-stub ]] || echo "$name" >>"$root/modules/order"
done <"$work/modules"

(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1 >"$work/initrd.gz")
iasl -p "$work/platform" "$here/guest/platform.asl" >"$work/iasl.log" 2>&1 || { cat "$work/iasl.log" >&2; exit 1; }

# acpi-cpufreq takes no P-states from what looks like an old AMD, which is TCG's default. Nested KVM may be there and fail.
code=0
timeout "$limit_s" qemu-system-x86_64 -machine q35,accel=tcg -cpu max,vendor=GenuineIntel -smp 2 -m 768 -nographic -no-reboot \
  -nic none -kernel "$image/vmlinuz" -initrd "$work/initrd.gz" -append "console=ttyS0 quiet panic=-1" \
  -acpitable "file=$work/platform.aml" </dev/null >"$work/console" 2>&1 || code=$?
# Without the firmware's escapes, which also stand before the first line.
tr -d '\r' <"$work/console" | sed 's/\x1b\[[?0-9;]*[A-Za-z]//g; s/\x1bc//g' >"$report"
grep '^guest: ' "$report" || true
((code == 0)) || echo "boot.sh: QEMU ended with $code (124: after $limit_s s)" | tee -a "$report"
taken_s=$(sed -n 's/^guest: the checks ended .* at \([0-9]*\)\.[0-9]* s$/\1/p' "$report")
taken_s=${taken_s:-$limit_s}
((taken_s <= wanted_s)) || echo "!!!!! THE KERNEL TESTS TOOK LONGER THAN $wanted_s S !!!!!" | tee -a "$report"
echo "boot.sh: the checks took $taken_s s of at most $wanted_s" | tee -a "$report"
if ! grep -q '^\[==========\] Running' "$report"; then
  tail -n 20 "$report" >&2
  echo "boot.sh: the guest has not come to the checks; its console is $report" >&2
  exit 1
fi
