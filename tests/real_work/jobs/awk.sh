#: Each: mawk gawk original-awk
seq 1 20000 > numbers
for LC_ALL in C C.UTF-8; do
    export LC_ALL
    "$TOOL" '{ s += $1; if ($1 % 7 == 0) c++ } END { print s, c, NR }' numbers
    "$TOOL" -F: '{ print $1, $NF }' /etc/passwd | sort | sha256sum
    "$TOOL" 'BEGIN { printf "%5.2f|%-5s|%05d|%c|%x\n", 3.14159, "ab", 42, "x", 255 }'
    "$TOOL" 'BEGIN { print toupper("abc"), substr("statify", 2, 3), index("statify", "fy"), length("statify") }'
    "$TOOL" 'BEGIN { n = split("c a b", w); for (i = 1; i <= n; i++) print i, w[i]; print sin(0), exp(1), int(-3.7) }'
    "$TOOL" 'BEGIN { while (("echo a; echo b" | getline line) > 0) print "got", line; close("echo a; echo b") }'
    "$TOOL" '{ gsub(/[0-9]/, "<&>"); print } NR == 3 { exit 4 }' numbers || echo "status $?"
    "$TOOL" 'function f(n) { return n < 2 ? n : f(n - 1) + f(n - 2) } BEGIN { print f(18) }'
    "$TOOL" 'BEGIN { print | "sort"; print "z" | "sort"; print "y" | "sort" }'
done
"$TOOL" '{' < /dev/null 2> /dev/null || echo "status $?"
