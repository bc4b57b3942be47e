#: Programs: passwd chage chfn
as() { who=$1; shift; setpriv --reuid "$who" --regid "$who" --clear-groups --inh-caps=-all "$@"; }
before=$(cat /etc/shadow)
as 4001 "$BIN/passwd" -S | cut -d' ' -f1,2
printf '%s\n' 'open sesame' 'Tr0ub4dor and 3' 'Tr0ub4dor and 3' | as 4001 "$BIN/passwd"
test "$before" != "$(cat /etc/shadow)" && echo changed
stat -c '%U %G %a' /etc/shadow
printf '%s\n' 'wrong' 'Another 5' 'Another 5' | as 4002 "$BIN/passwd" || echo "status $?"
as 4001 "$BIN/passwd" -S bob || echo "status $?"
as 4002 "$BIN/chage" -l bob
as 4001 "$BIN/chage" -l bob || echo "status $?"
printf '%s\n' 'Tr0ub4dor and 3' | as 4001 "$BIN/chfn" -h 1234 || echo "status $?"
grep alice /etc/passwd
printf '%s\n' 'Tr0ub4dor and 3' | as 4002 su alice -c 'id -u'
