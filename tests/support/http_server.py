"""A real HTTP server on the loopback address that misbehaves on demand."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

BODY = bytes(range(256)) * 4000  # 1 MB, a file to serve


class Loopback(ThreadingHTTPServer):
    """Serves `files` by path. What it is to do wrong is set between requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.states: list[int] = []  # states of the next requests, before any is served
        self.cuts: list[int] = []  # bytes after which the next answers break off
        self.ranges = True
        self.versions = True
        self.kind = "application/octet-stream"
        self.longer = 0  # bytes that Content-Length states too many
        self.head_longer = 0  # likewise, in answers to HEAD alone
        self.head = True  # whether HEAD is answered
        self.slow: set[str] = set()  # paths whose answer comes a byte at a time, and never ends
        self.pages: set[str] = set()  # paths that answer with a web page
        self.sent = 0  # bytes of bodies
        self.requests: list[tuple[str, str | None]] = []  # path, Range

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Loopback
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        s, path = self.server, unquote(self.path.lstrip("/"))
        s.requests.append((path, "HEAD"))
        self.close_connection = True
        if path not in s.files or not s.head:
            self.send_response(404 if s.head else 405)
            self.end_headers()
            return
        self._drip(path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(s.files[path]) + s.head_longer))
        self.end_headers()

    def _drip(self, path: str) -> None:
        """Of a slow path: a header that never ends."""
        with suppress(OSError):
            while path in self.server.slow:
                self.wfile.write(b"H")
                self.wfile.flush()
                time.sleep(0.05)

    def do_GET(self) -> None:
        s, path, wanted = self.server, unquote(self.path.lstrip("/")), self.headers.get("Range")
        s.requests.append((path, wanted))
        self.close_connection = True
        state = s.states.pop(0) if s.states else 200 if path in s.files else 404
        if state != 200:
            self.send_error(state)
            return
        body = s.files[path]
        version = f'"{hash(body)}"'
        start, partial = 0, wanted and s.ranges and self.headers.get("If-Range") in (None, version)
        self._drip(path)
        if partial:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start = int(first)
            if start >= len(body):
                self.send_error(416)
                return
            total, body = len(body), body[: int(last) + 1] if last else body
        self.send_response(206 if partial else 200)
        if partial:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{total}")
        if path in s.pages:
            self.send_header("Content-Type", "text/html")
        if s.versions:
            self.send_header("ETag", version)
        self.send_header("Content-Type", s.kind)
        self.send_header("Content-Length", str(len(body) - start + s.longer))
        content = body[start:][: s.cuts.pop(0)] if s.cuts else body[start:]
        s.sent += len(content)  # before the client can know
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        """Silent."""


@contextmanager
def serving() -> Iterator[Loopback]:
    server = Loopback()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
