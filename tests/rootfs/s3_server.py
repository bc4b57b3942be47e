"""An S3 server for a test, on a free port of the loopback interface, which is printed first: moto's,
behind a check of each request's signature (moto has none for signed addresses) by botocore's signer,
which is Amazon's own. Standard input says, line by line, what the server does from then on:

    requests N   after N more requests it ends, in the middle of the next one
    deny M       requests of the method M are refused, as by a policy
    flip P       every object whose name contains P has its middle byte changed
    cut P        ... its last byte taken away
    swap P       the objects whose names contain P have one another's contents
    rename P     ... have names whose last digit is another
    count P      says how many objects there are whose names contain P

    s3_server.py KEY SECRET BUCKET [CERTIFICATE PRIVATE-KEY]
"""

import datetime
import hmac
import os
import sys
import threading
from urllib.parse import parse_qsl, quote

from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.s3.models import s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import Client

KEY, SECRET, BUCKET = sys.argv[1:4]
tls = tuple(sys.argv[4:]) or None
state = {"requests": None, "deny": set()}
lock = threading.Lock()
one_at_a_time = threading.Lock()


def code(environ):
    """Why the request is refused, in S3's words; None if it is not."""
    query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    key, day, region, _, _ = query.get("X-Amz-Credential", "////").split("/")
    if key != KEY:
        return "InvalidAccessKeyId"
    given = query.pop("X-Amz-Signature", "")
    then = datetime.datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ")
    age = (datetime.datetime.now(datetime.UTC).replace(tzinfo=None) - then).total_seconds()
    if not -900 < age < float(query["X-Amz-Expires"]):
        return "RequestTimeTooSkewed"
    signer = S3SigV4QueryAuth(Credentials(KEY, SECRET), "s3", region)
    query = "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in sorted(query.items()))
    url = f"http://{environ['HTTP_HOST']}{quote(environ['PATH_INFO'], safe='/~')}?{query}"
    request = AWSRequest(method=environ["REQUEST_METHOD"], url=url, headers={"host": environ["HTTP_HOST"]})
    request.context["timestamp"] = then.strftime("%Y%m%dT%H%M%SZ")
    signer._modify_request_before_signing = lambda request: None
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
        refusal = code(environ)
        if refusal is None:
            # moto's objects are not for several threads at a time.
            with one_at_a_time:
                return self.behind(environ, start)
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        # As S3 does, it says more than a client should repeat.
        body = f"<Error><Code>{refusal}</Code><AWSAccessKeyId>{KEY}</AWSAccessKeyId></Error>".encode()
        start("403 Forbidden", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [body]


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_):
        pass


def do(word, value):
    objects = [o for name, o in backend.buckets[BUCKET].keys.items() if value in name]
    match word:
        case "requests":
            state["requests"] = int(value)
        case "deny":
            state["deny"].add(value)
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
