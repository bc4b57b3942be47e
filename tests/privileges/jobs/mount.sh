#: Programs: mount umount
as() { who=$1; shift; setpriv --reuid "$who" --regid "$who" --clear-groups --inh-caps=-all "$@"; }
mounted() { grep -c ' /mnt ' /proc/mounts || true; }
as 4001 "$BIN/mount" /mnt
mounted
grep -o 'user=[a-z]*' /run/mount/utab || true
as 4001 touch /mnt/file && ls /mnt
as 4002 "$BIN/umount" /mnt || echo "status $?"
mounted
as 4001 "$BIN/umount" /mnt
mounted
as 4001 "$BIN/mount" -t tmpfs none /home || echo "status $?"
as 4001 "$BIN/mount" -o remount,exec / || echo "status $?"
as 4001 "$BIN/mount" | wc -l
