#: Tools: curl python3
mkdir site
seq 1 50000 > site/numbers
: > server.log
echo hello > site/hello
python3 -u -m http.server --bind 127.0.0.1 --directory site 0 > server.log 2>&1 &
server=$!
trap 'kill "$server"' EXIT
for attempt in $(seq 100); do
    port=$(sed -n 's/.* port \([0-9]*\) .*/\1/p' server.log)
    test -n "$port" && break
    sleep 0.1
done
url="http://127.0.0.1:$port"
curl -s "$url/hello"
curl -sS -o got "$url/numbers" -w '%{http_code} %{size_download}\n'
cmp got site/numbers && echo "same"
curl -sI "$url/hello" | grep -i content-length
curl -s -r 0-9 "file://$PWD/site/numbers"
curl -sf "$url/missing" || echo "status $?"
curl -s "http://127.0.0.1:1/" || echo "status $?"
curl -s --no-progress-meter --parallel -o a "$url/hello" -o b "$url/numbers"
cat a
cmp b site/numbers && echo "same"
curl -s --resolve "name.example:$port:127.0.0.1" "http://name.example:$port/hello"
curl -s http://localhost:"$port"/hello
curl -s -k https://127.0.0.1:"$port"/ || echo "status $?"
