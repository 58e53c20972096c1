"""As much of Google Cloud Storage's JSON API as TensorFlow's client asks for, behind a proxy.

TensorFlow's gs:// has its addresses built in; what it takes from the environment is a proxy and a
certificate authority. So this is both: it answers CONNECT, speaks TLS as *.googleapis.com, and
keeps objects in memory.
"""

import json
import ssl
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit


class Google(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer in two writes waits 40 ms

    def log_message(self, *args):
        pass

    def do_CONNECT(self):
        self.send_response(200)
        self.end_headers()
        self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", 0)

    def finish(self):
        super().finish()
        self.connection.close()

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        found = b""
        while size := int(self.rfile.readline(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def answer(self, code, content=b"", **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(code)
        for name, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def asked(self):
        """The bucket's API or object, the object's name, and the query."""
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        return url.path, unquote(url.path.partition("/o/")[2]), query

    def do_GET(self):
        path, name, query = self.asked()
        objects = self.server.objects
        if not path.startswith("/storage/v1/"):  # the content, by another host's name
            return self.content(objects.get(unquote(path).removeprefix("/bucket/")))
        if path == "/storage/v1/b/bucket":
            return self.answer(200, {"name": "bucket", "location": "EU"})
        if path == "/storage/v1/b/bucket/o":
            return self.answer(200, listing([*objects], query))
        if name not in objects:
            return self.answer(404, {"error": {"code": 404, "message": "No such object"}})
        stat = {"size": str(len(objects[name])), "updated": "2026-01-01T00:00:00.000Z"}
        self.answer(200, {**stat, "generation": "1"})

    def content(self, found):
        if found is None:
            return self.answer(404)
        first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        part = found[int(first) : int(last) + 1 if last else None]
        if not part:
            return self.answer(416)
        whole = f"bytes {first}-{int(first) + len(part) - 1}/{len(found)}"
        self.answer(206, part, Content_Range=whole)

    def do_POST(self):
        _, name, query = self.asked()
        body = self.body()
        if "/rewriteTo/" in name:
            old, _, new = name.partition("/rewriteTo/b/bucket/o/")
            self.server.objects[new] = self.server.objects[old]
            return self.answer(200, {"done": True})
        if query["uploadType"] == "resumable":  # the content follows
            return self.answer(200, Location=f"https://www.googleapis.com{self.path}")
        self.server.objects[query["name"]] = body
        self.answer(200, {})

    def do_PUT(self):
        *_, query = self.asked()
        self.server.objects[query["name"]] = self.body()
        self.answer(200, {})

    def do_DELETE(self):
        _, name, _ = self.asked()
        self.answer(204 if self.server.objects.pop(name, None) is not None else 404)


def listing(names, query):
    """The names below a prefix, in two kinds: those right there, and what is before a delimiter."""
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
    found = sorted(name for name in names if name.startswith(prefix))
    deeper = {name for name in found if delimiter and delimiter in name[len(prefix) :]}
    folders = {prefix + name[len(prefix) :].partition("/")[0] + "/" for name in deeper}
    items = [{"name": name} for name in found if name not in deeper]
    return {"items": items[: int(query.get("maxResults", 1000))], "prefixes": sorted(folders)}


@contextmanager
def google(folder: Path):
    """Serves an empty bucket called bucket: (its objects by name, the environment that leads a
    process there)."""
    key, authority = folder / "key.pem", folder / "authority.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj"]
        + ["/CN=test", "-addext", "subjectAltName=DNS:*.googleapis.com"]
        + ["-keyout", key, "-out", authority],
        check=True,
        capture_output=True,
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), Google) as server:
        server.objects, server.tls = {}, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.tls.load_cert_chain(authority, key)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        proxy = f"http://127.0.0.1:{server.server_port}"
        # NO_GCE_CHECK: it does not ask for credentials at an address of Google's machines.
        known = {"https_proxy": proxy, "CURL_CA_BUNDLE": str(authority), "NO_GCE_CHECK": "true"}
        yield server.objects, known
        server.shutdown()
