"""A real HTTP server on the loopback address that misbehaves on demand."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


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
        self.requests: list[tuple[str, str | None]] = []  # path, Range

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Loopback
    protocol_version = "HTTP/1.1"

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
        start = 0
        if wanted and s.ranges and self.headers.get("If-Range") in (None, version):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if s.versions:
            self.send_header("ETag", version)
        self.send_header("Content-Type", s.kind)
        self.send_header("Content-Length", str(len(body) - start + s.longer))
        self.end_headers()
        self.wfile.write(body[start:][: s.cuts.pop(0)] if s.cuts else body[start:])

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
