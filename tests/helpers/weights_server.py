"""A server of weights that answers as it is told, and what is published of its file."""

from __future__ import annotations

import hashlib
import http.server
import re
import threading

import numpy as np

from skinmtl.pretrained.download import Patience
from skinmtl.pretrained.published import Published

DATA = np.random.RandomState(1).bytes(700_000)
SUM = hashlib.sha256(DATA).hexdigest()
HASTE = Patience(timeout=0.3, tries=3, pause=0)
LENGTHS = {"sha1": 40, "sha256": 64}


def published(**changes):
    fields = {
        "name": "some_weights",
        "file": "some.bin",
        "kind": "checkpoint",
        "url": None,
        "size": len(DATA),
        "algorithm": "sha256",
        "digest": SUM,
        "stated_by": "a test",
        "licence": "none",
        "page": "a page",
    }
    return Published(**{**fields, **changes})


class Server:
    """Serves `data` as `ways` say, one way a request, the last one for all others; keeps what was asked for."""

    def __init__(self):
        self.data, self.tag, self.ways, self.ranges, self.closing = DATA, '"one"', ["whole"], [], threading.Event()
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.answer(self)

            def log_message(self, *words):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/some.bin"

    def answer(self, request):
        way = self.ways.pop(0) if len(self.ways) > 1 else self.ways[0]
        asked = request.headers.get("Range")
        self.ranges.append(asked)
        start = int(re.match(r"bytes=(\d+)-$", asked).group(1)) if asked and "no range" not in way else 0
        if request.headers.get("If-Range") not in (None, self.tag):
            start = 0
        if isinstance(way, int):
            return request.send_error(way)
        if "redirect" in way and not request.path.endswith("moved"):
            request.send_response(302)
            request.send_header("Location", "ftp://127.0.0.1/some.bin" if "ftp" in way else "/moved")
            return request.end_headers()
        if "hang first" in way:
            return self.closing.wait(5)
        if start >= len(self.data) or ("416" in way and start):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{7 if '416' in way else len(self.data)}")
            return request.end_headers()
        request.send_response(206 if start else 200)
        if start:
            said = start + ("other part" in way)
            request.send_header("Content-Range", f"bytes {said}-{len(self.data) - 1}/{len(self.data)}")
        if self.tag:
            request.send_header("ETag", self.tag)
        if "no length" not in way:
            request.send_header("Content-Length", str(len(self.data) - start))
        request.end_headers()
        while "endless" in way:
            request.wfile.write(self.data)
        piece = 1000 if "drip" in way else 300_000 if "cut" in way or "hang later" in way else len(self.data)
        request.wfile.write(self.data[start : start + piece])
        if "hang later" in way:
            request.wfile.flush()
            self.closing.wait(5)

    def close(self):
        self.closing.set()
        self.http.shutdown()
        self.http.server_close()
