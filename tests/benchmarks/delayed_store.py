"""A local folder behind a URL whose every request takes some time, as an object store's does: `delayed://…`."""

from __future__ import annotations

import os
import shutil
import stat
import time
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

_LISTED = 1000  # names that one request gives


class DelayedFileSystem(LocalFileSystem):  # type: ignore[misc]  # fsspec has no types
    """seconds: of a request. requests: how many there were; reads that are asked for together wait together."""

    protocol = "delayed"
    seconds = 0.02
    requests = 0

    def _wait(self, requests: int = 1, rounds: int | None = None) -> None:
        DelayedFileSystem.requests += requests
        time.sleep((requests if rounds is None else rounds) * self.seconds)

    def info(self, path: str, **options: Any) -> Any:
        self._wait()
        return super().info(path, **options)

    def exists(self, path: str, **options: Any) -> bool:
        self._wait()
        return os.path.exists(self._strip_protocol(path))

    def cat_file(self, path: str, **options: Any) -> Any:
        self._wait()
        return Path(self._strip_protocol(path)).read_bytes()

    def cat(self, path: list[str], *args: Any, **options: Any) -> Any:
        self._wait(len(path), -(-len(path) // 128))  # as s3fs does, 128 at a time
        return {name: Path(self._strip_protocol(name)).read_bytes() for name in path}

    def find(self, path: str, *args: Any, detail: bool = False, **options: Any) -> Any:
        found: dict[str, Any] = {}
        for folder, _, names in os.walk(self._strip_protocol(path)):
            for name in names:
                full = os.path.join(folder, name)
                found[full] = self._fact(full) if detail else None
        self._wait(1 + len(found) // _LISTED)
        return found if detail else sorted(found)

    def ls(self, path: str, detail: bool = False, **options: Any) -> Any:
        full = self._strip_protocol(path)
        names = os.listdir(full) if os.path.isdir(full) else []
        self._wait(1 + len(names) // _LISTED)
        found = [self._fact(os.path.join(full, name)) for name in names]
        return found if detail else [facts["name"] for facts in found]

    def glob(self, path: str, *args: Any, detail: bool = False, **options: Any) -> Any:
        found = {name: self._fact(name) for name in super().glob(path)}
        self._wait(1 + len(found) // _LISTED)
        return found if detail else sorted(found)

    def _fact(self, path: str) -> dict[str, Any]:
        state = os.stat(path)
        return {"name": path, "size": state.st_size, "type": "file" if stat.S_ISREG(state.st_mode) else "directory",
                "ETag": str(state.st_mtime_ns)}

    def put_file(self, source: str, target: str, **options: Any) -> None:
        self._wait()
        os.makedirs(os.path.dirname(self._strip_protocol(target)), exist_ok=True)
        shutil.copyfile(source, self._strip_protocol(target))

    def open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        self._wait()
        return super().open(path, mode, **options)


fsspec.register_implementation("delayed", DelayedFileSystem)
