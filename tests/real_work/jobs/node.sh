#: Tools: node
cat > work.js <<'J'
const crypto = require('crypto'), fs = require('fs'), http = require('http'), zlib = require('zlib');
const { execFileSync } = require('child_process'), { Worker, isMainThread, parentPort } = require('worker_threads');
if (!isMainThread) { parentPort.postMessage([...Array(100).keys()].reduce((a, b) => a + b)); return; }
console.log(crypto.createHash('sha256').update('statify').digest('hex'));
console.log(zlib.gunzipSync(zlib.gzipSync(Buffer.alloc(100000, 'x'))).length);
console.log(execFileSync('sh', ['-c', 'echo child']).toString().trim());
console.log(execFileSync(process.execPath, ['-p', '6*7']).toString().trim());
function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
console.log(fib(27), 2n ** 100n, new Intl.NumberFormat('de').format(1234567.5), 'ä'.normalize('NFD').length);
new Worker(__filename).on('message', sum => {
  console.log('worker', sum);
  const server = http.createServer((request, response) => response.end('served ' + request.url));
  server.listen(0, '127.0.0.1', () => http.get({ port: server.address().port, host: '127.0.0.1', path: '/x' }, response => {
    response.on('data', data => console.log(data.toString()));
    response.on('end', () => { server.close(); process.exitCode = 4; });
  }));
});
J
node work.js || echo "status $?"
echo 'throw new Error("thrown")' | node - 2>&1 | grep Error
