"""Lists of domains, hosts, URLs and words whose pages are dropped: given as files, looked up by the million.

Files are plain text, one entry a line, perhaps compressed; empty lines and those that start with `#` or `!` are
skipped, and of a line of a hosts file (`0.0.0.0 name`) the name is taken. In a folder, each file called `domains`,
`hosts`, `urls` or `words` is one list and its own folder the category, as the lists of the University of Toulouse (UT1)
are kept. What is built of the files is kept in the user's cache under the digest of their content, and mapped into
memory: a node holds it once, however many workers read it.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final, Literal, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from curate.caches import cached_arrays
from curate.sources.kernels.lookup import (
    ABSENT,
    Categories,
    KeyIndex,
    Keys,
    hash_strings,
    index_keys,
    match_domains,
    match_whole,
    match_words,
)
from curate.sources.members import read_chunks
from curate.sources.url_config import Blocklist
from curate.text.strings import string_buffers
from curate.text.urls import ascii_hosts, normalise_urls
from manifests.errors import InputError
from manifests.storage import digest_file, open_read

Kind = Literal["domains", "hosts", "urls", "words"]
_SALTS: Final[dict[str, int]] = {"domains": 1, "hosts": 2, "urls": 3, "words": 4}
_FORMAT: Final = 2  # of the cache
_MAX_CATEGORIES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class ListFile:
    """One file of a list."""

    path: str
    kind: Kind
    category: str


@dataclass(frozen=True, slots=True)
class ListTable:
    """All lists as one table. The index gives positions in names. n_entries: of the lists, by kind."""

    index: KeyIndex
    names: tuple[str, ...]
    n_entries: dict[str, int]

    def match(self, urls: pa.Array, hosts: pa.Array) -> pa.Array:
        """Category of each page, or null: of several, the one whose list comes first. string [n] -> string [n]."""
        best = np.full(len(urls), ABSENT, np.int32)
        if self.n_entries.get("domains") or self.n_entries.get("hosts"):
            best = _lower(best, match_domains(*string_buffers(hosts), self.index, _SALTS["domains"], _SALTS["hosts"]))
        if self.n_entries.get("urls"):
            normal = normalise_urls(urls)["url"].to_arrow()
            best = _lower(best, match_whole(*string_buffers(normal), self.index, _SALTS["urls"]))
        if self.n_entries.get("words"):
            best = _lower(best, match_words(*string_buffers(pc.utf8_lower(urls)), self.index, _SALTS["words"]))
        return pa.array(self.names, pa.string()).take(pa.array(best, mask=best == ABSENT))


def _lower(a: Categories, b: Categories) -> Categories:
    """The smaller of two categories, absent ones aside."""
    return np.where((a == ABSENT) | ((b != ABSENT) & (b < a)), b, a)


def list_files(entry: Blocklist, paths: Sequence[str]) -> Iterator[ListFile]:
    """The lists among the files of an entry, in their order; files of other names in a folder are not lists."""
    for path in paths:
        parts = PurePath(path)
        stem = parts.name.split(".")[0]
        named = stem in _SALTS
        if not named and entry.kind == "auto" and os.path.isdir(entry.path):
            continue
        kind = entry.kind if entry.kind != "auto" else stem if named else "domains"
        category = entry.category or (parts.parent.name if named else stem)
        yield ListFile(path, cast(Kind, kind), re.sub(r"[^a-z0-9_]+", "_", category.lower()) or "list")


def load_lists(files: Sequence[ListFile]) -> ListTable:
    """The table of some lists, from the cache where it was built before.

    Args:
        files: Lists in order: where several match, the first names the reason.
    Raises:
        InputError: A file cannot be read.
    """
    state = tuple((f.path, f.kind, f.category, *_stat(f.path)) for f in files)
    return _load(tuple(files), state)


def _stat(path: str) -> tuple[int, int]:
    try:
        stat = os.stat(path)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=path) from error
    return stat.st_size, stat.st_mtime_ns


@functools.lru_cache(maxsize=4)
def _load(files: tuple[ListFile, ...], _: object) -> ListTable:
    identity = json.dumps([_FORMAT, [[digest_file(f.path), f.kind, f.category] for f in files]])
    arrays, facts = cached_arrays(f"blocklists/{xxhash.xxh3_128_hexdigest(identity.encode())}",
                                  ("keys", "starts", "categories"), lambda: _build(files))
    return ListTable(KeyIndex(*arrays), tuple(facts["names"]), facts["n_entries"])


def _build(files: Sequence[ListFile]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arrays of a table's index by name, and its other fields."""
    names = list(dict.fromkeys(f.category for f in files))
    if len(names) > _MAX_CATEGORIES:
        raise InputError(f"{len(names)} categories of blocklists are too many", where=files[0].path)
    keys: list[Keys] = [np.empty(0, np.uint64)]
    categories: list[Categories] = [np.empty(0, np.int32)]
    n_entries: dict[str, int] = {}
    for file in files:
        hashes = hash_strings(*string_buffers(_entries(file)), _SALTS[file.kind])
        keys.append(hashes)
        categories.append(np.full(len(hashes), names.index(file.category), np.int32))
        n_entries[file.kind] = n_entries.get(file.kind, 0) + len(hashes)
    every, which = np.concatenate(keys), np.concatenate(categories)
    order = np.lexsort((which, every))
    every, which = every[order], which[order]
    first = np.concatenate(([True], every[1:] != every[:-1])) if len(every) else np.zeros(0, bool)
    every, which = every[first], which[first]
    arrays = {"keys": every, "starts": index_keys(every), "categories": which}
    return arrays, {"names": names, "n_entries": n_entries}


def _entries(file: ListFile) -> pa.Array:
    """The entries of a file in the form in which they are looked up. large_string [n]."""
    import polars as pl  # here: few recipes have lists

    lines = pl.Series("line", _text(file.path).split("\n"), pl.String).str.strip_chars().str.to_lowercase()
    lines = lines.filter((lines != "") & ~lines.str.contains(r"^[#!;]"))
    if file.kind == "words":
        return lines.to_arrow()
    if file.kind == "urls":
        full = pl.select(pl.when(lines.str.contains("://")).then(lines).otherwise("http://" + lines)).to_series()
        return normalise_urls(full)["url"].drop_nulls().to_arrow()
    lines = lines.str.replace(r"^(?:[0-9.]+|::1?|fe80::\S+)\s+(\S+).*$", "$1").str.replace(r"\s+#.*$", "")
    lines = lines.str.replace(r"^(?:[a-z][a-z0-9+.-]*://|\*?\.|\|\|)", "").str.replace(r"[/^:].*$", "")
    return ascii_hosts(lines.str.strip_chars_end(".")).to_arrow()


def _text(path: str) -> str:
    """A list, decompressed."""
    with open_read(path) as stream:
        chunks = list(read_chunks(stream, b""))
    broken = next((p.broken for p in chunks if p.broken), None)
    if broken is not None:
        raise InputError(f"is damaged: {broken}", where=path, hint="fetch it again")
    return b"".join(p.data for p in chunks).decode("utf-8", "replace")
