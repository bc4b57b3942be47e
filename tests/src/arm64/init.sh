# What bash runs as process 1 of the guest for AArch64, behind `script=…` and `seconds=…`: no services, one script, and the
# machine ends. Disks: the root, this script, the files that came along, and where the answer goes.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
end() {
    echo "<$1>"
    # Whatever is still running.
    echo o >/proc/sysrq-trigger
    sleep 60
}
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mkdir -p /dev/pts /dev/shm /files /out
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t tmpfs -o mode=755 run /run
mount -t tmpfs -o mode=1777 tmp /tmp
ln -sfn /proc/self/fd /dev/fd
for number in 0 1 2; do
    ln -sf "fd/$number" "/dev/$(echo stdin stdout stderr | cut -d' ' -f$((number + 1)))"
done
ip link set lo up
hostname emulated
mount /dev/nvme0n3 /files || end 'no files'
read -r up rest </proc/uptime
echo "<up $up>"
cd /root
OUT=/out timeout --kill-after=5 "$seconds" setsid --wait bash -c "$script" </dev/null >/out/stdout 2>/out/stderr
echo $? >/out/status
tar -cf /dev/nvme0n4 -C /out . || end 'no room for the answer'
sync
end answered
