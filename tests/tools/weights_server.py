"""A server of weights that misbehaves on request, and the rows of a registry that name it."""

from __future__ import annotations

import hashlib
import http.server
import socket
import struct
import threading

from huggingface_hub import constants, file_download

from rembg_sessions.core.registry.spec import HubFile, ModelSpec, WeightFile

MIB = 1 << 20
DATA = hashlib.shake_256(b"weights").digest(3 * MIB + 17)
OTHER = hashlib.shake_256(b"something else").digest(len(DATA))
ETAG = '"v1"'


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves the server's files with Range, unless the path has a behaviour of its own."""

    def do_GET(self):
        self.server.requests.append((self.path, dict(self.headers)))
        behaviours = self.server.behaviours.get(self.path, [])
        behave = behaviours.pop(0) if len(behaviours) > 1 else (behaviours or [serve])[0]
        behave(self)

    def do_CONNECT(self):
        self.server.requests.append((self.path, dict(self.headers)))
        self.send_error(407)

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.behaviours, self.requests = {}, {}, []
        self.released, self.gave_up = threading.Event(), False
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # A client that hangs up is the point of some tests.

    def ranges(self):
        return [headers.get("Range") for _, headers in self.requests]

    def paths(self):
        return [path for path, _ in self.requests]


def head(handler, status, length, **headers):
    handler.send_response(status)
    handler.send_header("Content-Length", str(length))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()


def requested(handler):
    """Return (start, data) of the file that was asked for."""
    data = handler.server.files.get(handler.path)
    asked = handler.headers.get("Range")
    return (int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0), data


def serve(handler):
    start, data = requested(handler)
    if data is None:
        return handler.send_error(404)
    if start >= len(data) > 0:
        return handler.send_error(416)
    if start:
        span = f"bytes {start}-{len(data) - 1}/{len(data)}"
        head(handler, 206, len(data) - start, ETag=ETAG, Content_Range=span)
    else:
        head(handler, 200, len(data), ETag=ETAG)
    handler.wfile.write(data[start:])


def truncate(handler):
    """Promise the rest of the file and send half of it."""
    start, data = requested(handler)
    span = f"bytes {start}-{len(data) - 1}/{len(data)}"
    extra = {"Content_Range": span} if start else {}
    head(handler, 206 if start else 200, len(data) - start, ETag=ETAG, **extra)
    handler.wfile.write(data[start : start + (len(data) - start) // 2])


def reset(handler):
    """Send a bit, then reset the connection."""
    start, data = requested(handler)
    span = f"bytes {start}-{len(data) - 1}/{len(data)}"
    extra = {"Content_Range": span} if start else {}
    head(handler, 206 if start else 200, len(data) - start, ETag=ETAG, **extra)
    handler.wfile.write(data[start : start + MIB])
    handler.wfile.flush()
    linger = struct.pack("ii", 1, 0)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.connection.close()


def no_range(handler):
    data = handler.server.files[handler.path]
    head(handler, 200, len(data))
    handler.wfile.write(data)


def no_range_half(handler):
    data = handler.server.files[handler.path]
    head(handler, 200, len(data), ETag=ETAG)
    handler.wfile.write(data[: len(data) // 2])


def wrong_range(handler):
    """Answer another piece than the one that was asked for."""
    start, data = requested(handler)
    if not start:
        return serve(handler)
    span = f"bytes {start - 5}-{len(data) - 1}/{len(data)}"
    head(handler, 206, len(data) - start + 5, Content_Range=span)
    handler.wfile.write(data[start - 5 :])


def silent(handler):
    handler.server.gave_up = not handler.server.released.wait(20)


def half_then_wait(handler):
    data = handler.server.files[handler.path]
    head(handler, 200, len(data), ETag=ETAG)
    handler.wfile.write(data[: len(data) // 2])
    handler.wfile.flush()
    silent(handler)


def wait_then_serve(handler):
    handler.server.released.wait(20)
    serve(handler)


def status(code):
    return lambda handler: handler.send_error(code)


def redirect(url, code=302):
    return lambda handler: head(handler, code, 0, Location=url)


def use_hub(monkeypatch, url):
    """What HF_ENDPOINT does when huggingface_hub is imported."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    for module in (constants, file_download):  # the latter: huggingface_hub 0.34
        monkeypatch.setattr(module, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)


HUB, RELEASE = "/hub/repo/resolve/main/x/tiny.onnx", "/release/Tiny-v2.onnx"


def row(server, *, hub=True, url=True, revision=None, **changes):
    facts = {
        "file": "tiny.onnx",
        "hub": (HubFile("hub/repo", "x/tiny.onnx", revision),) if hub else (),
        "url": server.url + RELEASE if url is True else url or None,
        "size": len(DATA),
        "sha256": hashlib.sha256(DATA).hexdigest(),
    }
    return WeightFile(**(facts | changes))


def model(*files, **changes):
    facts = {
        "name": "tiny",
        "label": "for tests",
        "session_class": "TinySession",
        "good_for": "tests",
        "licence": "MIT",
        "weights": files,
    }
    return ModelSpec(**(facts | changes))


def files_in(folder):
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def put(path, data=DATA):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
