"""A real S3 protocol server on loopback, which fails, or goes away, when it is told to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server


class StoreServer:
    """moto's S3 behind a server of its own. requests: object names that were read. fail: of how many requests one.

    delay: called before every answer to a GET."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.fail_every = 0
        self.delay: Callable[[str], None] | None = None
        self._app: Any = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()
        self._count = 0
        self.start(0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, port: int | None = None) -> None:
        self._server = make_server("127.0.0.1", self.port if port is None else port, self, threaded=True)
        self.port: int = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Go away; what is stored is there again after `start`."""
        self._server.shutdown()
        self._server.server_close()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        name = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] == "GET" and name.endswith((".bin", ".rows", ".parquet", ".json")):
            with self._lock:
                self._count += 1
                failing = self.fail_every and self._count % self.fail_every == 0
                self.requests.append(name)
            if failing:
                start_response("503 Slow Down", [("Content-Type", "text/plain")])
                return [b"no"]
            if self.delay is not None:
                self.delay(name)
        answer: Iterable[bytes] = self._app(environ, start_response)
        return answer
