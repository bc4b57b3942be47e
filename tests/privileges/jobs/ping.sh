#: Programs: ping
#: Tools: ip
as() { who=$1; shift; setpriv --reuid "$who" --regid "$who" --clear-groups --inh-caps=-all "$@"; }
# No datagram sockets for ICMP: only the capability lets it through.
echo '1 0' >/proc/sys/net/ipv4/ping_group_range
as 4001 "$BIN/ping" -c 2 -i 0.2 -W 2 127.0.0.1 >/tmp/said
grep -q ' 2 received' /tmp/said
sed 's/time[=: ].*//; s/rtt.*//' /tmp/said
as 4001 "$BIN/ping" -c 1 -W 2 localhost | sed 's/time[=: ].*//; s/rtt.*//'
as 4001 "$BIN/ping" -c 1 -W 2 nowhere.invalid 2>&1 || echo "status $?"
as 4001 setpriv --no-new-privs "$BIN/ping" -c 1 -W 2 127.0.0.1 >/dev/null 2>&1 || echo "without its capability: status $?"
