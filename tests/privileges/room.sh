# Makes a root of its own in "$1" and runs the script "$2" there, with the directory "$3" as $BIN: the machine's files, read-only, fresh
# copies of what they are configured by, and two users. To be run by root in new namespaces (mounts, processes, network).
set -eu
root=$1 job=$2 programs=$3
mount -t tmpfs -o mode=755 none "$root"
for dir in usr etc dev proc tmp run home mnt var var/tmp var/lib var/log programs; do mkdir -p "$root/$dir"; done
chmod 1777 "$root/tmp" "$root/var/tmp"
for dir in bin sbin lib lib32 lib64 libx32; do
    if [ -L "/$dir" ]; then
        cp -P "/$dir" "$root/$dir"
    elif [ -d "/$dir" ]; then
        mkdir "$root/$dir"
        mount --bind "/$dir" "$root/$dir"
    fi
done
mount --bind /usr "$root/usr"
mount -o remount,ro,bind "$root/usr"
mount --bind "$programs" "$root/programs"
mount -o remount,ro,bind "$root/programs"
mount -t proc none "$root/proc"
for device in null zero full random urandom tty; do
    : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 none "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for item in alternatives environment default host.conf ld.so.cache ld.so.conf ld.so.conf.d libaudit.conf login.defs \
    nsswitch.conf pam.conf pam.d protocols security selinux services shells sudo.conf sudoers sudoers.d; do
    if [ -e "/etc/$item" ]; then cp -a "/etc/$item" "$root/etc/$item"; fi
done
echo '127.0.0.1 localhost' >"$root/etc/hosts"
hostname localhost
# The password of both users is "open sesame".
hash='$6$statifystatify$65mXq4stvsMshEbg63vzf5b8pAQr8xQtH8c54msIemgd8hU/6XjwwZYisPDu12Yxlzcwawxwdg5yh7izGrSCj1'
grep -E '^(root|daemon|bin|nobody):' /etc/passwd >"$root/etc/passwd"
grep -E '^(root|daemon|bin|shadow|tty|nogroup):' /etc/group >"$root/etc/group"
for user in alice:4001 bob:4002; do
    echo "${user%:*}:x:${user#*:}:${user#*:}::/:/bin/sh" >>"$root/etc/passwd"
    echo "${user%:*}:x:${user#*:}:" >>"$root/etc/group"
    echo "${user%:*}:$hash:19000:0:99999:7:::" >>"$root/etc/shadow"
done
echo 'root:*:19000:0:99999:7:::' >>"$root/etc/shadow"
chown root:shadow "$root/etc/shadow"
chmod 640 "$root/etc/shadow"
if [ -e "$root/etc/sudoers" ]; then
    echo 'alice ALL=(ALL) SETENV: ALL' >"$root/etc/sudoers.d/alice"
    chmod 440 "$root/etc/sudoers.d/alice"
fi
echo 'none /mnt tmpfs user,noauto,size=64k 0 0' >"$root/etc/fstab"
mkdir "$root/run/mount"
cp "$job" "$root/job"
if command -v ip >/dev/null; then ip link set lo up; fi
exec chroot "$root" /usr/bin/env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin LANG=C.UTF-8 BIN=/programs /bin/sh -eu /job </dev/null
