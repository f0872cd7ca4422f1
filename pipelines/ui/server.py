"""The server of a run: one process, one loopback socket, until it is interrupted."""

from __future__ import annotations

import signal
import socket
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn

from manifests.errors import InputError
from manifests.stage_files import StageFiles
from pipelines.asking.lock import open_run
from pipelines.ui.app import application
from pipelines.ui.guard import TOKEN, Access, Guard

HOST: Final = "127.0.0.1"
_MAX_REQUEST_BYTES: Final = 1 << 16


class _Server(uvicorn.Server):
    """Ends when it is interrupted, with nothing more to say: there is nothing to go on with."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        is_main = threading.current_thread() is threading.main_thread()
        numbers = (signal.SIGINT, signal.SIGTERM) if is_main else ()
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def listen(port: int = 0) -> socket.socket:
    """A socket on a loopback address. port: 0 for a free one. Raises InputError where it is taken."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
        listening.listen()
    except OSError as error:
        listening.close()
        raise InputError(f"cannot listen there: {error.strerror}", where=f"{HOST}:{port}",
                         hint="give another --port, or none for a free one") from error
    return listening


def server_of(run: str, access: Access, port: int) -> uvicorn.Server:
    """The server of a run, which listens once it is given a socket.

    Args:
        run: The run's folder or URL.
        access: What lets a browser in.
        port: Of the socket.
    Raises:
        InputError: There is no run.
    """
    app = Guard(application(StageFiles(open_run(run)).storage), access, port)
    return _Server(uvicorn.Config(
        app, lifespan="off", ws="none", log_level="warning", access_log=False, server_header=False, date_header=False,
        proxy_headers=False, h11_max_incomplete_event_size=_MAX_REQUEST_BYTES, timeout_graceful_shutdown=1))


def serve(run: str, port: int, open_page: bool, say: Callable[[str], object]) -> None:
    """Serve a run until this process is interrupted.

    Args:
        run: The run's folder or URL.
        port: 0 for a free one.
        open_page: Whether a browser is opened.
        say: Hears the address, which holds the token.
    """
    access = Access()
    with listen(port) as listening:
        number = listening.getsockname()[1]
        server = server_of(run, access, number)
        address = f"http://{HOST}:{number}/?{TOKEN}={access.token}"
        say(address)
        if open_page:
            webbrowser.open(address)
        server.run(sockets=[listening])
