#!/bin/busybox sh
# First and only process tree of the guest: the kernel's modules, two chips on the emulated I2C bus, then the checks.
/bin/busybox mkdir -p /proc /sys /dev /tmp /run /var
/bin/busybox ln -s /run /var/run
/bin/busybox --install -s /bin
export PATH=/bin LD_LIBRARY_PATH=/lib
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
ip link set lo up
dmesg -n 1  # the console is the report

while read -r module; do
  insmod "/modules/$module.ko" || echo "guest: module $module cannot be loaded"
done </modules/order
insmod /modules/i2c-stub.ko chip_addr=0x40,0x48 || echo "guest: no emulated I2C bus"

echo "guest: Linux $(uname -r), $(nproc) cpus, up $(cut -d ' ' -f 1 /proc/uptime) s"
filter=$(cat /reins/filter)
case $filter in
  '*' | Units*) ;;
  *) exec sh /reins/checks.sh "$filter" ;;
esac
if [ "$filter" = '*' ]; then
  (cd /tmp && /reins/bin/test_kernel --gtest_color=no --gtest_filter=-Units.*)
  echo "guest: the checks without systemd ended with $? at $(cut -d ' ' -f 1 /proc/uptime) s"
fi
# What Reins ships for systemd and udev, under them.
unset LD_LIBRARY_PATH
systemd-sysusers
exec /lib/systemd/systemd --unit=checks.service
