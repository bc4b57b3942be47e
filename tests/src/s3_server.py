"""An S3 server for a test, on a free port of the loopback interface, which is printed first: moto's,
behind a check of each request's signature (moto has none) by botocore's signer, which is Amazon's own.
Standard input says, line by line, what the server does from then on:

    requests N   after N more requests it ends, in the middle of the next one
    deny M       requests of the method M are refused, as by a policy
    allow M      ... are answered again
    sent M       says how many requests of the method M it was sent
    put DIR P    there are the files of a directory, and of all below it, with P before their paths in it
    fill P N     there are N more objects whose names begin with P
    flip P       every object whose name contains P has its middle byte changed
    cut P        ... its last byte taken away
    swap P       the objects whose names contain P have one another's contents
    rename P     ... have names whose last digit is another
    count P      says how many objects there are whose names contain P

    s3_server.py KEY SECRET BUCKET [CERTIFICATE PRIVATE-KEY]
"""

import collections
import datetime
import hashlib
import hmac
import io
import os
import pathlib
import re
import sys
import threading
from urllib.parse import parse_qsl, quote

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.s3.models import s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import Client

KEY, SECRET, BUCKET = sys.argv[1:4]
tls = tuple(sys.argv[4:]) or None
state = {"requests": None, "deny": set(), "sent": collections.Counter()}
lock = threading.Lock()
one_at_a_time = threading.Lock()


def code(environ, body):
    """Why the request is refused, in S3's words; None if it is not."""
    form = r"AWS4-HMAC-SHA256 Credential=([^/]*)/\d+/([^/]*)/s3/aws4_request, SignedHeaders=([^,]*), Signature=(.*)"
    match = re.fullmatch(form, environ.get("HTTP_AUTHORIZATION", ""))
    if not match:
        return "AccessDenied"
    key, region, names, given = match.groups()
    if key != KEY:
        return "InvalidAccessKeyId"
    then = datetime.datetime.strptime(environ["HTTP_X_AMZ_DATE"], "%Y%m%dT%H%M%SZ")
    age = (datetime.datetime.now(datetime.UTC).replace(tzinfo=None) - then).total_seconds()
    if not -900 < age < 900:
        return "RequestTimeTooSkewed"
    if hashlib.sha256(body).hexdigest() != environ["HTTP_X_AMZ_CONTENT_SHA256"]:
        return "XAmzContentSHA256Mismatch"
    query = parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    query = "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in sorted(query))
    url = f"http://{environ['HTTP_HOST']}{quote(environ['PATH_INFO'], safe='/~')}" + (f"?{query}" if query else "")
    variable = lambda name: environ.get(name.upper().replace("-", "_")) or environ["HTTP_" + name.upper().replace("-", "_")]
    headers = {name: variable(name) for name in names.split(";")}
    request = AWSRequest(method=environ["REQUEST_METHOD"], url=url, headers=headers)
    request.context["timestamp"] = then.strftime("%Y%m%dT%H%M%SZ")
    signer = S3SigV4Auth(Credentials(KEY, SECRET), "s3", region)
    signer.payload = lambda request: environ["HTTP_X_AMZ_CONTENT_SHA256"]
    text = signer.string_to_sign(request, signer.canonical_request(request))
    if not hmac.compare_digest(signer.signature(text, request), given):
        return "SignatureDoesNotMatch"
    if environ["REQUEST_METHOD"] in state["deny"]:
        return "AccessDenied"
    return None


class Gate:
    def __init__(self, behind):
        self.behind = behind

    def __call__(self, environ, start):
        with lock:
            if state["requests"] is not None:
                if state["requests"] == 0:
                    os._exit(0)
                state["requests"] -= 1
            state["sent"][environ["REQUEST_METHOD"]] += 1
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        refusal = code(environ, body)
        if refusal is None:
            # moto's objects are not for several threads at a time.
            with one_at_a_time:
                return self.behind(environ, start)
        # As S3 does, it says more than a client should repeat.
        body = f"<Error><Code>{refusal}</Code><AWSAccessKeyId>{KEY}</AWSAccessKeyId></Error>".encode()
        start("403 Forbidden", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [body]


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_):
        pass


def do(word, value, count=0):
    objects = [o for name, o in backend.buckets[BUCKET].keys.items() if value in name]
    match word:
        case "requests":
            state["requests"] = int(value)
        case "deny":
            state["deny"].add(value)
        case "allow":
            state["deny"].discard(value)
        case "sent":
            return state["sent"][value]
        case "put":
            files = [file for file in pathlib.Path(value).rglob("*") if file.is_file()]
            for file in files:
                backend.put_object(BUCKET, f"{count}{file.relative_to(value)}", file.read_bytes())
            return len(files)
        case "fill":
            for number in range(int(count)):
                name = value + hashlib.sha256(str(number).encode()).hexdigest()
                backend.put_object(BUCKET, name, b"of somebody else")
        case "flip":
            for one in objects:
                contents = bytearray(one.value)
                contents[len(contents) // 2] ^= 1
                one.value = bytes(contents)
        case "cut":
            for one in objects:
                one.value = one.value[:-1]
        case "swap":
            contents = [one.value for one in objects]
            for one, other in zip(objects, contents[1:] + contents[:1]):
                one.value = other
        case "rename":
            for one in objects:
                name = one.name[:-1] + ("1" if one.name.endswith("0") else "0")
                backend.put_object(BUCKET, name, one.value)
                backend.delete_object(BUCKET, one.name)
    return len(objects)


def listen():
    for line in sys.stdin:
        with lock:
            print(do(*line.split()), flush=True)
    os._exit(0)


backend = s3_backends["123456789012"]["aws"]
backend.create_bucket(BUCKET, "us-east-1")
store = DomainDispatcherApplication(create_backend_app)
# The first request loads the rest of moto, which takes its time.
Client(store).get(f"/{BUCKET}?list-type=2", base_url="http://127.0.0.1")
server = make_server("127.0.0.1", 0, Gate(store), threaded=True, request_handler=Quiet, ssl_context=tls)
threading.Thread(target=listen, daemon=True).start()
print(server.server_port, flush=True)
server.serve_forever()
