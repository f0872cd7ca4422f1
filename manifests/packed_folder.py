"""Where a packed dataset's files are: in a folder of this machine, or behind a URL and in the node's cache."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

import xxhash

from manifests.errors import AbsentError, InputError
from manifests.node_cache import NodeCache, retried
from manifests.object_stores import S3Access, StoreUrl, filesystem, reached, store_errors
from manifests.storage import is_local, local_path, replacing

_MANIFEST, _SOURCES = "manifest.parquet", "sources.parquet"


class PackedFolder(Protocol):
    """The files of a packed dataset.

    where: the folder or URL, for people. tables: a local folder in which `table` leaves what it fetches."""

    where: str
    tables: Path

    @property
    def cache(self) -> NodeCache | None:
        """The cache that holds them, or None."""

    def table(self, name: str) -> str | None:
        """Local path of a small file beside the manifest, None where there is none."""

    def file(self, name: str, digest: str, n_bytes: int | None = None, offset: int = 0, wait: bool = True,
             check: bool = False) -> str | None:
        """Local path of a file; None where another process fetches it and `wait` is False.

        digest: xxh3-128 of its bytes from `offset` on. n_bytes: its size, where that is known. check: whether one that
        was fetched before is compared with the digest."""

    def cached_name(self, name: str, digest: str) -> str:
        """Its name in the cache."""


class LocalFolder:
    """A packed folder on this machine: nothing is fetched, and `SplitShards` checks what it opens."""

    cache: NodeCache | None = None

    def __init__(self, folder: Path) -> None:
        self.tables, self.where = folder, str(folder)

    def table(self, name: str) -> str | None:
        path = self.tables / name
        return str(path) if path.exists() else None

    def file(self, name: str, digest: str, n_bytes: int | None = None, offset: int = 0, wait: bool = True,
             check: bool = False) -> str:
        return f"{self.where}/{name}"

    def cached_name(self, name: str, digest: str) -> str:
        return name


class RemoteFolder:
    """A packed folder behind a URL. Files of shards come into the node's cache when they are asked for, and stay there.

    Args:
        url: The packed folder.
        cache: Of this node.
    """

    def __init__(self, url: str, cache: NodeCache) -> None:
        self.where, self.cache = url, cache
        self.tables = cache.folder / ".tables" / xxhash.xxh3_64_hexdigest(str(url).encode())
        self._asked: set[str] = set()

    def table(self, name: str) -> str | None:
        path = self.tables / name
        if name not in self._asked:
            url = below(self.where, name)
            data = retried(lambda: _read(url), url, self.cache.retry_seconds)
            if data is None:
                path.unlink(missing_ok=True)
                return None
            try:
                with replacing(str(path)) as staged:
                    Path(staged).write_bytes(data)
            except OSError as error:
                raise InputError(f"cannot be kept in {self.cache.folder}: {error.strerror}", where=url,
                                 hint="make room there, or give another folder as cache=") from error
            self._asked.add(name)
        return str(path)

    def file(self, name: str, digest: str, n_bytes: int | None = None, offset: int = 0, wait: bool = True,
             check: bool = False) -> str | None:
        return self.cache.fetch(below(self.where, name), self.cached_name(name, digest), digest, n_bytes, offset, wait,
                                check)

    def cached_name(self, name: str, digest: str) -> str:
        return f"{digest}{name[name.index('.', name.rindex('/') + 1) :]}"


def _read(url: str) -> bytes | None:
    """The bytes of a small file behind a URL, None where there is none."""
    try:
        with store_errors(url, may_be_absent=True):
            fs, path = filesystem(url)
            return bytes(fs.cat_file(path))
    except FileNotFoundError:
        return None


def below(url: str, name: str) -> str:
    """A URL below another one, which is reached in the same way."""
    joined = f"{url.rstrip('/')}/{name}"
    return StoreUrl(joined, url.access) if isinstance(url, StoreUrl) else joined


def open_folder(path: str | os.PathLike[str], cache: NodeCache | None) -> PackedFolder:
    """The packed folder at a path or URL, which may be the run's that it lies in.

    Args:
        path: A run's folder or its packed folder, on this machine or behind any fsspec URL.
        cache: For URLs.
    Raises:
        InputError: There is no packed dataset.
    """
    text = path if isinstance(path, str) else os.fspath(path)
    if not is_local(text):
        assert cache is not None
        # The library need not ask so often: the cache asks again.
        access = text.access if isinstance(text, StoreUrl) else S3Access(attempts=2, timeout_seconds=30)
        root = reached(text.rstrip("/"), access)
        for url in (root, below(root, "packed")):
            folder = RemoteFolder(url, cache)
            # A run's own root has no manifest.parquet; that of another stage has no sources beside it.
            if folder.table(_MANIFEST) is not None and folder.table(_SOURCES) is not None:
                return folder
        raise InputError("holds no packed dataset", where=text, hint="give a finished run, or its packed folder")
    local = Path(local_path(text))
    for candidate in (local, local / "packed"):
        if (candidate / _MANIFEST).exists() and (candidate / _SOURCES).exists():
            return LocalFolder(candidate)
    if not local.exists():
        raise AbsentError("there is no such folder", where=str(local))
    raise InputError("holds no packed dataset", where=str(local), hint="give a finished run, or its packed folder")
