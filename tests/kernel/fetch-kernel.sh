#!/usr/bin/env bash
# Unpacks the newest stock Debian kernel for amd64, with the modules that tests/kernel needs, and Debian's systemd and udev with
# their libraries into a folder, once. Nothing is installed.
# Usage: tests/kernel/fetch-kernel.sh FOLDER        Says nothing where all is there already.
set -euo pipefail
folder=${1:?the folder to unpack into}
[[ -e $folder/vmlinuz && -e $folder/systemd ]] && exit 0

mkdir -p "$folder"
folder=$(realpath "$folder")
work=$(mktemp -d "$folder/unpack.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
package=$(apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/^ *Depends: //p' | head -n 1)
if [[ -z $package ]]; then
  echo "fetch-kernel.sh: apt knows no linux-image-amd64 (apt-get update?)" >&2
  exit 1
fi
# fetch PACKAGE...: their files into the folder we are in.
fetch() {
  if ! apt-get download -q "$@" >apt.log 2>&1; then
    tail -n 2 apt.log >&2
    echo "fetch-kernel.sh: $* cannot be fetched; see above" >&2
    exit 1
  fi
}

mkdir -p systemd/usr/{bin,lib,lib64,sbin} packages
for name in bin lib lib64 sbin; do ln -s "usr/$name" "systemd/$name"; done # packages say either
cd packages
# Their libraries too, but for the C library: this machine may have none of it.
mapfile -t libraries < <(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
  --no-enhances systemd udev | grep -E '^lib[^: ]*$' | grep -v '^libc6$' | sort -u)
fetch systemd udev "${libraries[@]}"
for deb in ./*.deb; do
  dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C ../systemd
done
cd ..
fetch "$package"
drivers=(acpi cpufreq hwmon i2c iio)
dpkg-deb --fsys-tarfile ./*.deb | tar -x --wildcards --no-anchored 'boot/vmlinuz-*' 'modules.builtin*' 'modules.order' \
  "${drivers[@]/#/kernel/drivers/}"
version=$(basename boot/vmlinuz-*)
version=${version#vmlinuz-}
[[ -d lib/modules ]] || mv usr/lib .  # a merged /usr
depmod -b . "$version"
rm -rf "${folder:?}/lib" "${folder:?}/systemd"
mv lib "$folder/lib"
mv systemd "$folder/systemd"
echo "$version" >"$folder/version"
mv "boot/vmlinuz-$version" "$folder/vmlinuz"  # last: it says that all is there
