#: Tools: python3
cat > work.py <<'P'
import asyncio, bz2, ctypes, ctypes.util, decimal, hashlib, json, lzma, multiprocessing, os, re, socket, sqlite3
import ssl, subprocess, sys, tempfile, threading, unicodedata, zlib
from concurrent.futures import ThreadPoolExecutor

database = sqlite3.connect("work.db")
database.execute("create table t (name text, number integer)")
database.executemany("insert into t values (?, ?)", ((f"n{i % 7}", i) for i in range(1000)))
database.commit()
print(database.execute("select name, sum(number) from t group by name order by name").fetchall())
database.create_function("twice", 1, lambda n: 2 * n)
print(database.execute("select twice(21)").fetchone())

context = ssl.create_default_context()
print(ssl.OPENSSL_VERSION, context.minimum_version.name, len(context.get_ciphers()))

libc = ctypes.CDLL(None)
print(libc.abs(-5), ctypes.string_at(libc.strerror and ctypes.cast(b"text", ctypes.c_char_p)))
libm = ctypes.CDLL("libm.so.6")
libm.cos.restype, libm.cos.argtypes = ctypes.c_double, [ctypes.c_double]
print(libm.cos(0.0))
callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
numbers = (ctypes.c_int * 5)(5, 3, 1, 4, 2)
libc.qsort(numbers, 5, 4, callback(lambda a, b: a[0] - b[0]))
print(list(numbers))

for name in ("md5", "sha1", "sha256", "sha3_512", "blake2b"):
    print(name, hashlib.new(name, b"statify").hexdigest())
print(hashlib.scrypt(b"a", salt=b"b", n=16, r=1, p=1).hex()[:16])
text = json.dumps({"list": [1, 2.5, None, "\u00fc"], "map": {"a": True}}, sort_keys=True)
print(text, json.loads(text))
data = b"abc" * 10000
print([len(m.compress(data)) for m in (zlib, bz2, lzma)])
print(re.sub(r"(?P<w>\w+)", lambda m: m["w"].upper(), "one two"), unicodedata.name("\u20ac"))
print(decimal.Decimal(2).sqrt())

print(subprocess.run(["sh", "-c", "echo child; exit 3"], capture_output=True, text=True))
print(subprocess.run([sys.executable, "-c", "print(6*7)"], capture_output=True, text=True).stdout)

total, lock = 0, threading.Lock()
def add():
    global total
    for _ in range(1000):
        with lock:
            total += 1
threads = [threading.Thread(target=add) for _ in range(20)]
[t.start() for t in threads]
[t.join() for t in threads]
print(total)
with ThreadPoolExecutor(8) as pool:
    print(sum(pool.map(lambda n: n * n, range(100))))
def square(n):
    return n * n
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(square, range(5)))

async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    print(await reader.read())
    writer.close()
    server.close()
async def answer(reader, writer):
    writer.write(b"hello")
    writer.close()
asyncio.run(main())

try:
    1 / 0
except ZeroDivisionError as error:
    print(repr(error), error.__traceback__.tb_lineno)
print(os.readlink("/proc/self/exe") == os.path.realpath(sys.executable), sys.argv, sys.prefix, sys.version)
sys.exit(7)
P
python3 work.py argument || echo "status $?"
python3 -c 'import os; os.abort()' || echo "status $?"
echo 'print(input())' > echo.py
echo 'a line' | python3 echo.py
python3 -m venv --without-pip venv
venv/bin/python -c 'import sys; print(sys.prefix)'
