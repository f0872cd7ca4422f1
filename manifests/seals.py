"""Seals: 16 bytes of a file that stand for all of it, and that whoever opens the file reads anyway.

Files that are read in parts hold digests of these parts, so one of another task, or of the run's own past, would be
sound: nothing in it differs from what it says of itself. So the record of the task that wrote a file names its seal,
and what a task reads of its run is compared with it when it is opened (`expected`):

    .parquet    the digest before the footer, which is of the data's digest and the footer (`footers`)
    .shuffle    of the header, which holds the digest of the table of offsets and digests (`partitioned`)
    .tokens     of the trailer, which holds the digest of the blocks' digests, where there is one

Whatever else a task reads is compared whole.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Final

import xxhash

from manifests.expected import seal_of_bytes
from manifests.footers import read_seal
from manifests.partitioned import HEADER_BYTES, SUFFIX
from manifests.storage import open_read

TRAILER_BYTES: Final = 32
TRAILER_MAGIC: Final = b"CURTOK2\x00"
"""What the trailer of a file of tokens begins with, and how long it is."""


def seal_of(path: str, name: str) -> str:
    """The seal of a file, 32 hex digits; empty where such a file has none.

    Args:
        path: As of `storage.open_read`.
        name: What it is called, or will be.
    """
    kind = os.path.splitext(name)[1]
    if kind not in (".parquet", SUFFIX, ".tokens"):
        return ""
    with open_read(path) as file:
        if kind == ".parquet":
            return read_seal(file).hex()
        if kind == SUFFIX:
            return seal_of_bytes(file.read(HEADER_BYTES))
        file.seek(max(0, file.seek(0, os.SEEK_END) - TRAILER_BYTES))
        trailer = file.read()
    return seal_of_bytes(trailer) if trailer.startswith(TRAILER_MAGIC) else ""


def listing_digest(files: Iterable[tuple[str, str, str]]) -> str:
    """xxh3-128 of what a stage says of its files: path, digest and seal of each, in any order; 32 hex digits."""
    return xxhash.xxh3_128_hexdigest(json.dumps(sorted(files)).encode())
