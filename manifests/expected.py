"""What is expected of files while a task reads them: the seals that records name (`seals`), compared by whoever opens
such a file, which costs nothing more than opening it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import xxhash

from manifests.errors import InputError

_EXPECTED: Final[dict[str, str]] = {}


def expect(path: str, seal: str) -> None:
    """Have a file compared with a seal whenever this process opens it, until `forget`. path: as it is opened."""
    _EXPECTED[path] = seal


def forget(paths: Iterable[str]) -> None:
    """Expect nothing more of files."""
    for path in paths:
        _EXPECTED.pop(path, None)


def check_seal(path: str, seal: str) -> None:
    """Raise InputError where a file that is being opened has another seal than is expected of it. seal: that it has,
    empty where it has none."""
    expected = _EXPECTED.get(path)
    if expected is not None and expected != seal:
        raise InputError("is damaged: it is another file than its record names", where=path,
                         hint="remove it: the same command makes it again")


def seal_of_bytes(data: bytes) -> str:
    """The seal that is made of a header or a trailer, 32 hex digits."""
    return xxhash.xxh3_128_hexdigest(data)
