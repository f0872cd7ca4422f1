"""Paths that data names, held below their folder; and files that a folder holds, known to be files.

A run, or a packed dataset, may come from anybody. Its records, plans and manifests name files: a name that leaves the
folder, by `..`, as an absolute path or through a link, would let whoever made it read, replace or delete what is not
of the run. A name that is a pipe or a device would keep its reader waiting for ever, or fill its memory.
"""

from __future__ import annotations

import os
import stat
from typing import Final

from manifests.errors import InputError

MAX_READ_BYTES: Final = 1 << 30
"""Of a small file that is read whole: a record, a lock file, a plan, a tokenizer."""
_MAX_NAME: Final = 4096
_ADVICE: Final = "the folder was changed by something else than this project: do not go on with it"


def confined(name: object, where: str) -> str:
    """A file's name, as data has it, that stays below its folder.

    Args:
        name: What was read where a name should be.
        where: The file, and field, that it was read from.
    Returns:
        The name.
    Raises:
        InputError: It is no text, is empty or too long, is absolute, is a URL, or has a part `..`, `.` or none.
    """
    if not isinstance(name, str):
        raise InputError(f"names a file by {type(name).__name__}, not by text", where=where, hint=_ADVICE)
    if len(name) > _MAX_NAME or "\0" in name or "://" in name or any(
            part in ("", ".", "..") for part in name.split("/")):
        raise InputError(f"names a file outside its folder: {name[:200]!r}", where=where, hint=_ADVICE)
    return name


def below(root: str, path: str) -> str:
    """A local path below a root that no link leads out of; it need not exist.

    Args:
        root: A local folder.
        path: A path below it.
    Returns:
        The path.
    Raises:
        InputError: The folder that holds it lies elsewhere: a folder on the way is a link.
    """
    real_root, folder = os.path.realpath(root), os.path.realpath(os.path.dirname(path))
    if folder != real_root and not folder.startswith(f"{real_root.rstrip('/')}/"):
        raise InputError(f"lies in {folder}, through a link that leads out of {root}", where=path,
                         hint="put the folder itself where the link is")
    return path


def check_regular(path: str) -> None:
    """Raise InputError where there is something at a local path that is no regular file: reading a pipe or a device may
    never end."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return  # whoever opens it says what is wrong
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InputError("is no regular file", where=path, hint="give a file that can be read more than once")


def read_file(path: str, most: int = MAX_READ_BYTES) -> bytes:
    """All of a regular file.

    Args:
        path: A local path.
        most: Bytes that it may have.
    Raises:
        InputError: It is no regular file (a pipe, a device, a folder), or larger.
        FileNotFoundError: There is none.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    state = os.fstat(descriptor)
    if not stat.S_ISREG(state.st_mode):
        os.close(descriptor)
        raise InputError("is no regular file", where=path, hint="remove it")
    with open(descriptor, "rb") as stream:
        if state.st_size > most:
            raise InputError(f"has {state.st_size:,} bytes, more than the {most:,} that such a file may have",
                             where=path, hint="remove it")
        return stream.read(most + 1)
