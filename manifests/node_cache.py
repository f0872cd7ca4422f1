"""Files of packed datasets behind URLs, kept on a node's disk: fetched once, checked, shared by all processes there.

A file is named for its digest, so datasets that share shards share them here, and a file of another version is another
file. It is fetched under an operating-system lock of its own, which dies with its owner, into a partial file that a
later attempt goes on with, block by block; it takes its name when its digest is right.

    DIGEST.bin DIGEST.rows DIGEST.spans.parquet    whole files; the time of last use is their mtime
    .parts/DIGEST.bin                              being fetched
    .locks/DIGEST.bin                              held by who fetches it
    .users/NAME                                    files that a process has open, locked by it while it lives
    .evict                                         held while files are removed to make room
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

from manifests.errors import CurateError, InputError, ShardError
from manifests.local_files import Pool, most_maps
from manifests.object_stores import filesystem, store_errors
from manifests.shard import read_header
from manifests.storage import digest_file

BLOCK_BYTES: Final = 16 << 20  # of one request
_FIRST_WAIT_SECONDS: Final = 0.25
_LONGEST_WAIT_SECONDS: Final = 8.0


def default_folder() -> Path:
    """`$CURATE_CACHE/shards`, else that of `$XDG_CACHE_HOME/curate`, else `~/.cache/curate/shards`."""
    if own := os.environ.get("CURATE_CACHE"):
        return Path(own) / "shards"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "curate/shards"


class NodeCache:
    """One folder of fetched files. It can be pickled, and forked.

    Args:
        folder: On a disk of this node; several processes may share it, several nodes may not.
        limit_bytes: What is kept when another file comes, the longest unused going first; None: everything. What any
            process has open is never removed, so a limit that is too small for it is exceeded.
        retry_seconds: How long a fetch goes on without a byte before it fails.
    """

    def __init__(self, folder: Path, limit_bytes: int | None = None, retry_seconds: float = 120.0) -> None:
        self.folder, self.limit_bytes, self.retry_seconds = folder, limit_bytes, retry_seconds
        self._most_open = most_maps()
        self.pool = Pool(lambda: self._most_open)
        try:
            for name in (".parts", ".locks", ".users"):
                (folder / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot be the cache of shards: {error.strerror}", where=str(folder),
                             hint="give another folder as cache=, or as CURATE_CACHE") from error
        self._start()

    def _start(self) -> None:
        self._process, self._list = os.getpid(), -1
        self._used: dict[str, int] = {}
        self._writing = threading.Lock()

    def __reduce__(self) -> tuple[type[NodeCache], tuple[Path, int | None, float]]:
        return NodeCache, (self.folder, self.limit_bytes, self.retry_seconds)

    def hold_open(self, largest_bytes: int, most: int) -> None:
        """Let this process hold no more files open than so many, and than half of the limit has room for.
        largest_bytes: of one."""
        self._most_open = min(self._most_open, most)
        if self.limit_bytes is not None:
            self._most_open = min(self._most_open, max(2, self.limit_bytes // 2 // max(1, largest_bytes)))

    def use(self, name: str) -> None:
        """Say that this process has a file open, or is about to: it is not removed until `release`."""
        if self._process != os.getpid():
            self._start()  # after a fork: the child has a list of its own
        with self._writing:
            self._used[name] = self._used.get(name, 0) + 1
            if self._used[name] == 1:
                self._write_list()

    def release(self, name: str) -> None:
        """Take back one `use`."""
        with self._writing:
            if self._process != os.getpid() or name not in self._used:
                return
            self._used[name] -= 1
            if not self._used[name]:
                del self._used[name]
                self._write_list()

    def fetch(self, url: str, name: str, digest: str, n_bytes: int | None = None, offset: int = 0,
              wait: bool = True, check: bool = False) -> str | None:
        """The local path of a file, fetched where it is not there yet, or is not of its size any more.

        Args:
            url: Where it is.
            name: Its name in the cache, made of its digest.
            digest: xxh3-128 of its bytes from `offset` on.
            n_bytes: Its size, where it is known.
            offset: Where the digest begins.
            wait: Whether to wait for another process that fetches it; else None is returned.
            check: Whether to compare a file that is there with its digest, and fetch it again where it is another.
        Raises:
            ShardError: It cannot be fetched within the time for retries, or is another file than its digest says.
        """
        path = self.folder / name

        def is_there() -> bool:
            return self._touch(path, n_bytes) and (not check or _is_whole(str(path), digest, offset))

        if is_there():
            return str(path)
        with _locked(self.folder / ".locks" / name, wait) as held:
            if not held:
                return None
            if not is_there():
                self._fetch(url, path, digest, n_bytes, offset)  # in the place of one that was damaged
        return str(path)

    def _touch(self, path: Path, n_bytes: int | None) -> bool:
        """Say that a file is used now; False where it is not there, or of another size."""
        try:
            os.utime(path)
            return n_bytes is None or os.path.getsize(path) == n_bytes
        except FileNotFoundError:
            return False

    def _fetch(self, url: str, path: Path, digest: str, n_bytes: int | None, offset: int) -> None:
        part = self.folder / ".parts" / path.name
        for attempt in range(2):
            size = _Download(url, part, n_bytes, self.retry_seconds, self._make_room).run()
            if _is_whole(str(part), digest, offset):
                os.replace(part, path)
                os.utime(path)
                return
            part.unlink()
            if attempt:
                raise ShardError(f"its {size} bytes are not those of the digest {digest}", where=url,
                                 hint="the data set there is damaged, or its manifest is of another version")

    def _make_room(self, n_bytes: int) -> None:
        """Remove files that have not been used for longest until so many bytes more are within the limit."""
        if self.limit_bytes is None:
            return
        with _locked(self.folder / ".evict", True):
            kept = self._in_use()
            files = []
            for entry in os.scandir(self.folder):
                with suppress(FileNotFoundError):
                    if entry.is_file() and not entry.name.startswith("."):
                        files.append((entry.stat().st_mtime_ns, entry.stat().st_size, entry.path, entry.name))
            total = n_bytes + sum(size for _, size, _, _ in files)
            for _, size, path, name in sorted(files):
                if total <= self.limit_bytes:
                    return
                if name not in kept:
                    os.unlink(path)
                    total -= size

    def _in_use(self) -> set[str]:
        """What living processes have open; the lists of those that are gone are removed."""
        names: set[str] = set()
        for entry in os.scandir(self.folder / ".users"):
            try:
                descriptor = os.open(entry.path, os.O_RDWR)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(entry.path)
            except BlockingIOError:
                names |= set(os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode().split("\n"))
            finally:
                os.close(descriptor)
        return names

    def _write_list(self) -> None:
        """This process's list, whole; the lock on it is let go by the system when the process ends."""
        if self._list < 0:
            path = self.folder / ".users" / f"{os.getpid()}-{uuid.uuid4().hex}"
            staged = path.with_name(f".{path.name}")
            self._list = os.open(staged, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
            fcntl.flock(self._list, fcntl.LOCK_EX)
            os.rename(staged, path)
        data = "\n".join(self._used).encode()
        os.pwrite(self._list, data, 0)
        os.ftruncate(self._list, len(data))


def _is_whole(path: str, digest: str, offset: int) -> bool:
    """Whether a file is the one of a digest; a digest from an offset on is a shard's, whose header checks itself."""
    try:
        return digest_file(path, offset) == digest and (not offset or read_header(path).payload_digest.hex() == digest)
    except ShardError:
        return False


class _Download:
    """A file that is fetched block by block, going on with what is there already."""

    def __init__(self, url: str, part: Path, n_bytes: int | None, retry_seconds: float, make_room: Any) -> None:
        self._url, self._part, self._n_bytes, self._make_room = url, part, n_bytes, make_room
        self._retry_seconds = retry_seconds

    def run(self) -> int:
        """Fetch it; returns its size."""
        n_bytes = self._n_bytes if self._n_bytes is not None else self._retried(self._size)
        try:
            self._fill(n_bytes)
        except OSError as error:
            raise ShardError(f"cannot be kept in {self._part.parent.parent}: {error.strerror}", where=self._url,
                             hint="make room there, lower cache_limit, or give another folder as cache=") from error
        return int(n_bytes)

    def _fill(self, n_bytes: int) -> None:
        with open(self._part, "ab") as file:
            have = file.tell()
            if have > n_bytes:
                file.truncate(0)
                have = 0
            self._make_room(n_bytes)
            while have < n_bytes:
                last = min(n_bytes, have + BLOCK_BYTES)
                file.write(self._retried(lambda first=have, last=last: self._block(first, last)))
                have = last
            file.flush()
            os.fsync(file.fileno())

    def _size(self) -> int:
        with store_errors(self._url):
            fs, path = filesystem(self._url)
            return int(fs.info(path)["size"])

    def _block(self, first: int, last: int) -> bytes:
        with store_errors(self._url):
            fs, path = filesystem(self._url)
            data: bytes = fs.cat_file(path, start=first, end=last)
        if len(data) == last - first:
            return data
        if len(data) == self._n_bytes:
            return data[first:last]  # a server that knows no ranges
        raise InputError(f"{len(data)} bytes came where {last - first} were asked for", where=self._url)

    def _retried(self, request: Any) -> Any:
        return retried(request, self._url, self._retry_seconds)


def retried(request: Any, url: str, retry_seconds: float) -> Any:
    """What a request gives, asked again while it fails for less than so long; ShardError names the URL and the cause.

    What is not there, and what may not be read, is not asked for again."""
    began, wait = time.monotonic(), _FIRST_WAIT_SECONDS
    while True:
        try:
            return request()
        except (CurateError, OSError, TimeoutError) as error:
            final = isinstance(error.__cause__, FileNotFoundError | PermissionError | ImportError | ValueError)
            if final or time.monotonic() - began + wait > retry_seconds:
                what = "cannot be fetched" if final else f"cannot be fetched in {retry_seconds:g} s of retries"
                raise ShardError(f"{what}: {error}", where=url,
                                 hint="check the address, the credentials and the connection") from error
        time.sleep(wait)
        wait = min(2 * wait, _LONGEST_WAIT_SECONDS)


@contextmanager
def _locked(path: Path, wait: bool) -> Iterator[bool]:
    """Hold an exclusive lock that the system lets go when its process ends; False where somebody else holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)


@cache
def node_cache(folder: Path, limit_bytes: int | None, retry_seconds: float) -> NodeCache:
    """The one cache of this process in a folder, which all datasets that are opened with it share."""
    return NodeCache(folder, limit_bytes, retry_seconds)
