#: Programs: sudo
as() { who=$1; shift; setpriv --reuid "$who" --regid "$who" --clear-groups --inh-caps=-all "$@"; }
echo 'open sesame' | as 4001 "$BIN/sudo" -S -p '' id
echo 'open sesame' | as 4001 "$BIN/sudo" -S -p '' -u bob id
echo 'wrong' | as 4001 "$BIN/sudo" -S -p '' id || echo "status $?"
echo 'open sesame' | as 4002 "$BIN/sudo" -S -p '' id || echo "status $?"
echo 'open sesame' | as 4001 env LD_PRELOAD=/x.so KEPT=1 LD_LIBRARY_PATH=/x "$BIN/sudo" -S -p '' env | grep -v -e ^_= -e ^SUDO_COMMAND | sort
echo 'open sesame' | as 4001 "$BIN/sudo" -S -p '' -l | grep -v '^Matching'
echo 'open sesame' | as 4001 "$BIN/sudo" -S -p '' cat /etc/shadow | sort
echo 'open sesame' | as 4001 "$BIN/sudo" -S -p '' -u bob sh -c 'echo $USER $HOME; exit 5' || echo "status $?"
as 4001 "$BIN/sudo" -n -k true || echo "status $?"
