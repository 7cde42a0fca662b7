"""A web server for the tests of downloads, as good or as bad as a test wants it."""

import http.server
import threading
from dataclasses import dataclass, field


@dataclass
class Web:
    """Files by path, and how the server behaves.

    Attributes:
      files: what is served, by path.
      knows_ranges: whether it goes on in the middle of a file.
      drops: bytes after which the connection breaks, one entry per request that breaks.
      statuses: answers given instead of files, one per request.
      tag: the files' ETag; another one after they changed.
      says_length: whether it says how long a file is.
      asked: the (path, Range) of every request.
    """

    files: dict[str, bytes]
    knows_ranges: bool = True
    drops: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    tag: str = '"1"'
    says_length: bool = True
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def __enter__(self) -> str:
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                _answer(self, web)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        return f"http://127.0.0.1:{self.server.server_port}"

    def __exit__(self, *args):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def _answer(handler, web: Web) -> None:
    asked = handler.headers.get("Range")
    web.asked.append((handler.path, asked))
    data = web.files.get(handler.path)
    status = web.statuses.pop(0) if web.statuses else 200 if data is not None else 404
    if status != 200 or data is None:
        handler.send_error(status)
        return
    start = 0
    if (
        asked
        and web.knows_ranges
        and handler.headers.get("If-Range", web.tag) == web.tag
    ):
        start, status = int(asked.removeprefix("bytes=").removesuffix("-")), 206
        if start >= len(data):
            handler.send_error(416)
            return
    handler.send_response(status)
    if status == 206:
        where = f"bytes {start}-{len(data) - 1}/{len(data)}"
        handler.send_header("Content-Range", where)
    if web.says_length:
        handler.send_header("Content-Length", str(len(data) - start))
    handler.send_header("ETag", web.tag)
    handler.end_headers()
    rest = data[start:]
    handler.wfile.write(rest[: web.drops.pop(0)] if web.drops else rest)
    handler.close_connection = True
