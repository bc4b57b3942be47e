#: Each: bash dash zsh busybox
test "$TOOL" = busybox && set -- busybox sh || set -- "$TOOL"
cat > script <<'S'
greet() { local name=$1; printf 'hello %s\n' "$name"; return 3; }
greet world || echo "returned $?"
fib() { if [ "$1" -lt 2 ]; then echo "$1"; else echo $(( $(fib $(($1 - 1))) + $(fib $(($1 - 2))) )); fi; }
fib 8
seq 1 1000 | while read -r n; do test $((n % 250)) -eq 0 && echo "$n"; done | sort -rn
cat <<T
here $((6 * 7)) $(echo nested "$(echo deep)")
T
trap 'echo trapped' USR1
kill -USR1 $$
trap 'echo leaving' EXIT
set -m
sleep 30 &
job=$!
kill "$job"
wait "$job" || echo "job ended with $?"
(exit 9) || echo "subshell $?"
sh -c 'kill -SEGV $$' 2> /dev/null || echo "child $?"
for f in /etc/pass*d; do echo "$f"; done
case abc in a*c) echo matched ;; esac
x=one.two.three; echo "${x%.*} ${x##*.} ${#x} ${unset:-default}"
umask 027; : > made; ls -l made | cut -c1-10
echo out; echo err >&2
exec 3> file3; echo three >&3; exec 3>&-; cat file3
printf '%s|' "$@"; echo
echo "$0" | sed 's/.*\///'
no-such-command 2> /dev/null || echo "not found $?"
exit 6
S
"$@" script a 'b c' 2> errors || echo "status $?"
# bash pads process ids to five columns.
sed 's/  *[0-9]\{2,\}/ N/g' errors
"$@" -c 'echo $((2 + 2)); exec echo replaced'
echo 'echo from stdin' | "$@"
if test "$TOOL" = bash; then
    bash -c 'declare -A map=([a]=1 [b]=2); echo "${map[b]}"; [[ abc =~ a(.)c ]] && echo "${BASH_REMATCH[1]}"
        cat <(echo process) <(echo substitution); coproc { cat; }; echo x >&"${COPROC[1]}"; read -r y <&"${COPROC[0]}"; echo "$y"
        shopt -s globstar; printf "%(%Y)T\n" 0; mapfile -t lines < <(seq 3); echo "${lines[@]}"; printf -v v %q "a b"; echo "$v"'
fi
