"""Where files live: a run's root as a local folder or any fsspec URL, read and published in one way.

A file appears under its name complete or not at all: locally it is written under `ROOT/.tmp/`, flushed to disk and
renamed; on an object store it is written to a local temporary file and put in one request.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from typing import IO, Any

import xxhash

from manifests.confined import below, check_regular, read_file
from manifests.errors import AbsentError, InputError, StageError
from manifests.object_stores import S3Access, filesystem, open_remote, reached, store_errors
from manifests.part_paths import spread_below

_CHUNK = 1 << 20
_TMP = ".tmp"
_READ_TOGETHER = 1000  # small files of an object store, a few kilobytes each
_FULL_BYTES = 1 << 20  # with less left, whatever goes wrong is taken for the disk's fault


def is_local(path: str) -> bool:
    """Whether a path is on this machine's file system rather than behind a URL."""
    return "://" not in path or path.startswith("file://")


def local_path(path: str) -> str:
    """A local path without its optional `file://`."""
    return path.removeprefix("file://")


def join(root: str, relative: str) -> str:
    """A path under a root; absolute paths and URLs are returned as they are."""
    if not is_local(relative) or relative.startswith("/"):
        return relative
    return f"{root.rstrip('/')}/{relative}"


def open_read(path: str) -> IO[bytes]:
    """Open any local path or fsspec URL for reading bytes.

    Args:
        path: A local path, with or without `file://`, or a URL. One that `Storage.path` gave is reached as that
            storage is; any other as the settings of this machine say.
    Raises:
        InputError: It cannot be opened, or is a pipe or a device; AbsentError where there is none.
    """
    if not is_local(path):
        return open_remote(path)
    check_regular(local_path(path))
    try:
        return open(local_path(path), "rb")
    except FileNotFoundError as error:
        raise AbsentError("there is no such file", where=path) from error
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {error}", where=path, hint="check the path and its permissions") from error


class RangeReader:
    """Ranges of a file that is open: read in place where it is local, a request each where it is behind a URL.

    path: as of `open_read`. Raises InputError where it cannot be opened or read."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        if is_local(path):
            self._file = open_read(path)
        else:
            self._fs, self._name = filesystem(path)

    def read(self, offset: int, n_bytes: int) -> bytes:
        """So many bytes from an offset on; fewer where the file ends before."""
        if self._file is None:
            with store_errors(self._path):
                return bytes(self._fs.cat_file(self._name, start=offset, end=offset + n_bytes)) if n_bytes else b""
        descriptor = self._file.fileno()
        try:
            data = os.pread(descriptor, n_bytes, offset)
            while 0 < len(data) < n_bytes and (more := os.pread(descriptor, n_bytes - len(data), offset + len(data))):
                data += more
            return data
        except OSError as error:
            raise InputError(f"cannot be read: {error}", where=self._path, hint="check the disk") from error

    def close(self) -> None:
        """Give the file back."""
        if self._file is not None:
            self._file.close()


def digest_file(path: str, offset: int = 0) -> str:
    """xxh3-128 of a file's bytes from an offset on as 32 hex digits, read in blocks of 1 MiB. path: as of `open_read`.
    """
    state = xxhash.xxh3_128()
    with open_read(path) as stream:
        stream.seek(offset)
        while block := stream.read(_CHUNK):
            state.update(block)
    return state.hexdigest()


@contextmanager
def replacing(path: str) -> Iterator[str]:
    """A path beside a local file or folder, to write in its stead; it takes the name when the block ends without error.

    Args:
        path: The file or folder to make. Its folder is made too. A folder that is there already is left as it is, and
            what was written is thrown away: somebody else was faster.
    Yields:
        Where to write: a name in the same folder that nobody else has. What lies there is removed after an error.
    """
    folder = os.path.dirname(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    staged = os.path.join(folder, f".{os.path.basename(path)}-{uuid.uuid4().hex}")
    try:
        yield staged
        if os.path.isdir(staged):
            try:
                os.rename(staged, path)
            except OSError:
                if not os.path.isdir(path):
                    raise
        else:
            with open(staged, "rb+") as stream:
                os.fsync(stream.fileno())
            os.replace(staged, path)
            _sync_folder(folder)
    finally:
        if os.path.isdir(staged):
            shutil.rmtree(staged, ignore_errors=True)
        elif os.path.exists(staged):
            os.unlink(staged)


class Storage:
    """The files under one root. All names are relative to it, with forward slashes.

    It can be pickled, and is then the same on a worker.

    Args:
        root: A local folder, which need not exist yet, or a URL.
        access: How s3:// is reached; by default as the settings of this machine say.
    Raises:
        InputError: By every method, where a store cannot be reached or refuses.
    """

    def __init__(self, root: str, access: S3Access | None = None) -> None:
        self.access = access or S3Access()
        self.root = os.path.abspath(local_path(root)) if is_local(root) else root.rstrip("/")
        self.local = is_local(root)
        self._fs: Any = None if self.local else filesystem(reached(self.root, self.access))[0]

    def __reduce__(self) -> tuple[type[Storage], tuple[str, S3Access]]:
        return Storage, (self.root, self.access)

    def path(self, name: str) -> str:
        """The full path or URL of a name, which is reached as this storage is; absolute paths and URLs pass through."""
        return reached(join(self.root, name), self.access)

    def must_exist(self) -> None:
        """Raise AbsentError where there is no such folder, or no file below such a URL."""
        if not self.exists(""):
            raise AbsentError("there is no such folder", where=self.root)

    def exists(self, name: str) -> bool:
        """Whether there is a file or, on local disks, a folder of that name."""
        if self.local:
            return os.path.exists(self.path(name))
        with store_errors(self.path(name)):
            return bool(self._fs.exists(self.path(name)))

    def size(self, name: str) -> int | None:
        """Bytes of a file, or None where there is none."""
        try:
            if self.local:
                return os.path.getsize(self.path(name))
            with store_errors(self.path(name), may_be_absent=True):
                return int(self._fs.info(self.path(name))["size"])
        except FileNotFoundError:
            return None

    def read_bytes(self, name: str) -> bytes | None:
        """The bytes of a small file, or None where there is none; InputError where it is no regular file."""
        try:
            if self.local:
                return read_file(self.path(name))
            with store_errors(self.path(name), may_be_absent=True):
                return bytes(self._fs.cat_file(self.path(name)))
        except FileNotFoundError:
            return None

    def read_all(self, names: Sequence[str]) -> Iterator[bytes]:
        """The bytes of small files that are there, in their order; those of an object store are asked for together.

        One that went meanwhile is empty."""
        if self.local:
            yield from (self.read_bytes(name) or b"" for name in names)
            return
        for start in range(0, len(names), _READ_TOGETHER):
            paths = [self.path(name) for name in names[start : start + _READ_TOGETHER]]
            with store_errors(self.root):
                found = self._fs.cat(paths, on_error="return")
            for path in paths:
                data = found.get(path, found.get(self._fs._strip_protocol(path)))
                if isinstance(data, Exception) and not isinstance(data, FileNotFoundError):
                    with store_errors(path):
                        raise data
                yield bytes(data) if isinstance(data, bytes) else b""

    def list(self, folder: str) -> list[str]:
        """Names of all files below a folder, sorted; an absent folder is empty."""
        base = self.path(folder)
        if self.local:
            below_root = len(self.root.rstrip("/")) + 1
            return sorted(f"{d}/{f}"[below_root:] for d, _, files in os.walk(base.rstrip("/") or "/") for f in files)
        root = self._fs._strip_protocol(self.root)
        with store_errors(base):
            return sorted(str(f)[len(root) :].lstrip("/") for f in self._fs.find(base))

    def by_folder(self) -> Iterator[tuple[str, Sequence[str]]]:
        """(folder in the root, names of all files below it) for each, so that no more need be held than one; the files
        of the root itself come first, under no name."""
        names = self.sizes([""])[0]
        yield "", sorted(name.lstrip("/") for name in names)
        folders: Sequence[str] = ()
        if self.local:
            with suppress(FileNotFoundError), os.scandir(self.root) as entries:
                folders = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        else:
            root = str(self._fs._strip_protocol(self.root))
            with store_errors(self.root):
                found = self._fs.ls(self.root, detail=True)
            folders = [str(f["name"])[len(root) :].strip("/") for f in found if f["type"] == "directory"]
        for folder in sorted(folders):
            yield folder, self.list(folder)

    def sizes(self, folders: Sequence[str]) -> tuple[Sequence[str], Sequence[int]]:
        """Names and sizes of the files that lie in some folders, not below them.

        Args:
            folders: Names; one that is not there is empty. On an object store, those that parts are spread over are
                listed together, in few requests.
        Returns:
            The names, and the size of each in bytes.
        """
        paths: list[str] = []
        n_bytes: list[int] = []
        if self.local:
            for folder in folders:
                with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self.path(folder)) as entries:
                    for entry in entries:
                        if entry.is_file():
                            paths.append(f"{folder}/{entry.name}")
                            n_bytes.append(entry.stat().st_size)
            return paths, n_bytes
        root, wanted = str(self._fs._strip_protocol(self.root)), set(folders)
        for path, size in self._listed(folders):
            name = path[len(root) :].lstrip("/")
            if name.rpartition("/")[0] in wanted:
                paths.append(name)
                n_bytes.append(size)
        return paths, n_bytes

    def _listed(self, folders: Sequence[str]) -> Iterator[tuple[str, int]]:
        """(path, bytes) of the objects in some folders, and perhaps of others below those that hold them."""
        spread = Counter(parent for folder in folders if (parent := spread_below(folder)) is not None)
        many = {parent for parent, n in spread.items() if n > 1}
        # What lies below a folder that is listed with all that is below it is not listed twice.
        together = {folder for folder in many if not _is_below(folder, many - {folder})}
        alone = {folder for folder in folders if not _is_below(folder, together)}
        for folder in sorted(together | alone):
            with store_errors(self.root, may_be_absent=True), suppress(FileNotFoundError):
                if folder in together:
                    found = self._fs.find(self.path(folder), detail=True).values()
                else:
                    found = self._fs.ls(self.path(folder), detail=True)
                yield from ((str(facts["name"]), int(facts["size"])) for facts in found if facts["type"] == "file")

    def remove(self, name: str) -> None:
        """Remove a file, where there is one."""
        try:
            if self.local:
                os.remove(below(self.root, self.path(name)))
                return
            with store_errors(self.path(name), may_be_absent=True):
                self._fs.rm_file(self.path(name))
        except FileNotFoundError:
            return

    def remove_all(self, names: Sequence[str]) -> None:
        """Remove files that are there; in few requests where they are on an object store."""
        if self.local:
            for name in names:
                self.remove(name)
        elif names:
            with store_errors(self.root):
                self._fs.rm([self.path(name) for name in names])

    def write_bytes(self, name: str, data: bytes) -> None:
        """Publish a small file in one step; it replaces what had the name."""
        with self.staging() as folder:
            staged = os.path.join(folder, "file")
            with open(staged, "wb") as stream:
                stream.write(data)
            self.publish(staged, name)

    @contextmanager
    def staging(self) -> Iterator[str]:
        """A fresh local folder to write in; removed at the end, whatever happened.

        Its name is random, so that two attempts at one task never meet; what they publish is the same. An error while
        the disk has no room is a StageError that says so: libraries call it by many names."""
        if self.local:
            folder = below(self.root, os.path.join(self.root, _TMP, uuid.uuid4().hex))
            os.makedirs(folder)
        else:
            folder = tempfile.mkdtemp(prefix="curate-")
        try:
            yield folder
        except Exception as error:
            free = shutil.disk_usage(folder).free
            if free < _FULL_BYTES:
                where = self.root if self.local else folder
                raise StageError(f"the disk is full: {free:,} bytes are free", where=where,
                                 hint="free some space (a run takes about three times its inputs), then give the same "
                                      "command again: what is done stays") from error
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, staged: str, name: str) -> None:
        """Flush a staged local file to disk and give it its name, in one rename or one PUT.

        Args:
            staged: A file in a folder that `staging` gave.
            name: Its name under the root; a file that has it is replaced.
        Raises:
            InputError: A link leads from the name's folder out of the root.
        """
        target = self.path(name)
        if not self.local:
            with store_errors(target):
                self._fs.put_file(staged, target)
            return
        with open(staged, "rb+") as stream:
            os.fsync(stream.fileno())
        below(self.root, target)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.replace(staged, target)
        _sync_folder(os.path.dirname(target))

    def clear_staging(self) -> None:
        """Remove what killed attempts left under `.tmp`."""
        if self.local:
            shutil.rmtree(os.path.join(self.root, _TMP), ignore_errors=True)

    def free_bytes(self) -> int | None:
        """Free space at the root in bytes; None on an object store."""
        if not self.local:
            return None
        folder = self.root
        while not os.path.exists(folder):
            folder = os.path.dirname(folder)
        return shutil.disk_usage(folder).free


def _is_below(folder: str, others: AbstractSet[str]) -> bool:
    """Whether a folder is one of some, or lies below one."""
    return any(f"{folder}/".startswith(f"{other}/") for other in others)


def _sync_folder(folder: str) -> None:
    """Make a rename durable: the directory entry is data too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
