#: Tools: sort uniq grep sed tr cut wc comm join paste head tail cat tee od cksum fold nl tac diff cmp
# Text tools on real text, in two locales.
cat /usr/share/common-licenses/GPL-3 /etc/services /etc/protocols 2> missing > text || true
test -s text || seq 1 20000 > text
printf 'Zebra\nzebra\n\303\204pfel\napfel\nB\303\244r\nbar\n' > umlauts
for LC_ALL in C C.UTF-8; do
    export LC_ALL
    echo "== $LC_ALL"
    tr -cs '[:alpha:]' '\n' < text | sort | uniq -c | sort -k1,1nr -k2 | head -n 20
    sort -f umlauts
    sort -S 1M --parallel=4 text | sha256sum
    sort -u -R --random-source=text text | sha256sum
    grep -c 'the' text
    grep -Ein '\b(free|open)[a-z]* software' text | head -n 5
    grep -P '(?<=to )\w+' -o text | sort | uniq -c | sort -rn | head -n 5
    grep -o '[[:alpha:]]\+' umlauts
    sed -n 's/\([A-Za-z]*\) \([A-Za-z]*\)/\2 \1/gp' text | sha256sum
    sed -E '/^$/d; y/abc/xyz/; 10,20!d' text
    cut -d' ' -f2-3 text | sha256sum
    wc text umlauts
    wc -m umlauts
    fold -s -w 40 text | nl | tac | sha256sum
    sort text | uniq > sorted
    sort umlauts > sorted-umlauts
    comm -12 sorted sorted-umlauts | wc -l
    join sorted sorted 2> /dev/null | wc -l
    paste -d: umlauts umlauts
    tail -n +100 text | tee copy | cksum
    od -c umlauts
    head -n 30 text > a
    sed 5d a > b
    diff -u --label a --label b a b || echo "status $?"
    cmp a b || echo "status $?"
done
