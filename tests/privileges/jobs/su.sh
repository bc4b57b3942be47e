#: Programs: su
as() { who=$1; shift; setpriv --reuid "$who" --regid "$who" --clear-groups --inh-caps=-all "$@"; }
as 4001 "$BIN/su" --version | sed 's/ .*//'
echo 'open sesame' | as 4001 "$BIN/su" bob -c 'id -u; id -ru; id -g; id -G; echo "$0"; umask; ulimit -c'
echo "status $?"
echo 'wrong' | as 4001 "$BIN/su" bob -c 'echo not reached' || echo "status $?"
echo 'open sesame' | as 4001 "$BIN/su" - bob -c 'env | grep -v ^_= | sort; pwd'
echo 'open sesame' | as 4001 env GCONV_PATH=/x LD_PRELOAD=/x.so TMPDIR=/x TZDIR=/x KEPT=1 "$BIN/su" bob -c 'env | grep -v ^_= | sort' 
"$BIN/su" bob -c 'id -u'
"$BIN/su" nobody-of-that-name -c true || echo "status $?"
echo 'open sesame' | as 4001 "$BIN/su" bob -c 'exit 7' || echo "status $?"
