"""A run's page while it trains: built from what its folder holds, served on this machine alone.

Whoever trains does not notice: the page is built in a process of its own, and only when somebody looks at it and the
folder has changed. No file is served, nothing but the page.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tfgan_lab.errors import UserError

HOST = "127.0.0.1"
_PAUSE = 3.0  # seconds between two builds, at least
_SHARE = 3  # and so many times what a build takes
# What a page is built from, in a run's folder and in those of several.
_PARTS = [f"{below}{name}" for below in ("", "*/") for name in ("*.json", "*.jsonl", "*.svg", "samples/*.npz")]
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class LivePage:
    """The page of the runs in a folder, as they are now."""

    def __init__(self, workdir: str | os.PathLike[str]) -> None:
        self._path, self._state, self._content, self._due = Path(workdir), "", b"", 0.0
        self._building = threading.Lock()

    def now(self) -> tuple[str, bytes]:
        """The name of a state of the folder, and the page of it: the newest, or one of a few seconds ago."""
        with self._building:  # matplotlib draws one figure at a time
            if time.monotonic() >= self._due and (state := self._state_of_folder()) != self._state:
                began = time.monotonic()
                self._content, self._state = self._build(state), state
                self._due = time.monotonic() + max(_PAUSE, _SHARE * (time.monotonic() - began))
            return self._state, self._content

    def _state_of_folder(self) -> str:
        from tfgan_lab.training.workdir import Workdir

        found: list[Any] = [Workdir(self._path).is_being_written()]
        for path in sorted(path for part in _PARTS for path in self._path.glob(part)):
            with contextlib.suppress(OSError):  # removed since
                status = path.stat()
                found.append((str(path), status.st_mtime_ns, status.st_size))
        return hashlib.sha256(repr(found).encode()).hexdigest()[:16]

    def _build(self, state: str) -> bytes:
        from tfgan_lab.report.page import content_of, from_template, runs_in
        from tfgan_lab.report.page_contents import Parts
        from tfgan_lab.training.workdir import Workdir

        note = "the generator to play with, real data and neighbours are on the page that training leaves: report.html"
        try:
            folders = [Workdir(path) for path in runs_in(self._path)]
            return content_of(folders, lambda folder: Parts(None, None, 0, [note]), state)
        except UserError as error:  # such as: there is no run yet
            return from_template("waiting.html", said=str(error), live=state)


class _Handler(BaseHTTPRequestHandler):
    """Answers GET / with the page; everything else is refused."""

    timeout = 10  # browsers open connections that they may never use
    server: Any

    def do_GET(self) -> None:
        # Else a page of anybody's, whose host's name he lets mean 127.0.0.1, could read this one.
        if self.headers.get("Host", "").partition(":")[0] not in ("localhost", HOST):
            self.send_error(403)
        elif self.path != "/":
            self.send_error(404)
        else:
            state, content = self.server.page.now()
            known = self.headers.get("If-None-Match") == f'"{state}"'
            self.send_response(304 if known else 200)
            headers = _HEADERS | {"ETag": f'"{state}"'} | ({} if known else {"Content-Length": str(len(content))})
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # the reader has gone
                self.wfile.write(b"" if known else content)

    def log_message(self, format: str, *arguments: Any) -> None:
        del format, arguments


def listen(port: int) -> socket.socket:
    """Takes a port of 127.0.0.1, 0 for a free one. Raises `UserError` if it cannot be had."""
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"--port={port} cannot be had ({reason}): name another, or omit it for a free one.") from None


def server_of(listening: socket.socket, workdir: str | os.PathLike[str]) -> ThreadingHTTPServer:
    """What serves the page of the runs in a folder at a socket that listens."""
    server: Any = ThreadingHTTPServer(listening.getsockname(), _Handler, bind_and_activate=False)
    server.socket.close()
    server.socket, server.page, server.daemon_threads = listening, LivePage(workdir), True
    return server


def address_of(listening: socket.socket) -> str:
    """What to open in a browser."""
    return f"http://{HOST}:{listening.getsockname()[1]}/"


def watch(workdir: str | os.PathLike[str], listening: socket.socket) -> None:
    """Serves a run's page until Ctrl-C. Raises `UserError` if the folder holds no run."""
    _start()
    from tfgan_lab.report.page import runs_in

    runs_in(Path(workdir))
    print(f"live, on this machine alone: {address_of(listening)}", flush=True)
    server_of(listening, workdir).serve_forever()


@contextlib.contextmanager
def beside(workdir: str | os.PathLike[str], port: int, config: str | None) -> Iterator[None]:
    """Serves the page of a run, which need not be there yet, from another process while this one trains.

    In this one it would take turns with Python's training loop, and share matplotlib's settings with its pictures.
    `config` is what --config names: a file may define kinds that the page needs.

    Raises:
      UserError: The port (as `listen` takes it) cannot be had.
    """
    # This process' path: with -m the folder that it was started in would come first.
    program = (
        f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import serve_beside; serve_beside(*sys.argv[1:])"
    )
    with listen(port) as listening:
        address = address_of(listening)
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(listening.fileno()), os.fspath(workdir), config or ""],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=[listening.fileno()],
            start_new_session=True,  # Ctrl-C is for the training
        )  # fmt: skip
    print(f"live, on this machine alone: {address}", flush=True)
    try:
        yield
    finally:
        process.kill()
        process.communicate()


def serve_beside(descriptor: str, workdir: str, config: str) -> None:
    """What the process that `beside` starts does."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.nice(10)
    _start()
    if config:
        from tfgan_lab.config_files import load_config

        load_config(config)
    server_of(socket.socket(fileno=int(descriptor)), workdir).serve_forever()


def _end_with_parent() -> None:
    sys.stdin.buffer.read()  # ends when the parent does, however that ends
    os._exit(0)


def _start() -> None:
    """TensorFlow on one thread and no GPU: both are the training's."""
    from tfgan_lab.system.runtime import start_tensorflow

    start_tensorflow(threads=1)
    import tensorflow as tf

    with contextlib.suppress(RuntimeError):  # this process has used it
        tf.config.set_visible_devices([], "GPU")
