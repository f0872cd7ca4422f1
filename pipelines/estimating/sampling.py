"""A sample of a source's input as files that the real stages read.

Where a source has many files, whole ones are taken, by a hash of their paths. Where it has few, records of an archive,
lines of JSON Lines or rows of Parquet are: each by a hash of its place, so that the same seed takes the same. What is
taken is dealt to files of the same kind, the *groups*: twelve small ones, whose spread says how far the estimate may
be off, and last one as large as these together, which is nearer to a file as it comes. The first two groups are
tiny: they tell what a file costs whatever is in it.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from curate.sources.archives import read_archive
from curate.sources.http_config import HttpConfig
from curate.sources.kinds import detect_kind, open_nonempty
from curate.sources.warc import Damage
from manifests.errors import RecipeError
from manifests.graph import InputFile, Source
from manifests.hashing import uniform
from manifests.storage import is_local

GROUPS: Final = 12
TINY: Final = 2
"""Groups that come first and hold next to nothing."""
_TINY_SHARE: Final = 0.003  # of the sample, each: a record or two, for a dozen would be no less than a small group
_LARGE_SHARE: Final = 0.48
_MOST_FILES: Final = 24  # read for records; where a source has more, these are a sample of it
_ENOUGH_FILES: Final = 24  # whole files that are a sample by themselves
_PURPOSE: Final = "estimate"


@dataclass(frozen=True, slots=True)
class Group:
    """A file of the sample. n_bytes: of the source's files, as they lie, that it stands for."""

    path: str
    n_bytes: float


@dataclass(frozen=True, slots=True)
class SourceSample:
    """What is taken of a source.

    groups: the sample. n_files, n_bytes: of the source. tiny: how many of the groups, from the first, are tiny. large:
    whether the last one is large. of_files: whether the groups are files, or records of some, drawn from the source's
    files; else records of all of them were drawn."""

    name: str
    groups: tuple[Group, ...]
    n_files: int
    n_bytes: int
    tiny: int
    large: bool
    of_files: bool

    @property
    def half(self) -> tuple[Group, ...]:
        """About half of the sample: all but the large group, or every other one."""
        return self.groups[:-1] if self.large and len(self.groups) > 1 else self.groups[::2]

    @property
    def sampled_bytes(self) -> float:
        return sum(group.n_bytes for group in self.groups)


def sample_source(source: Source, rate: float, least_bytes: int, seed: int, folder: Path, http: HttpConfig
                  ) -> SourceSample:
    """Take a sample of a source.

    Args:
        source: With its files.
        rate: Share of its bytes.
        least_bytes: More is taken where that would be less.
        seed: Of the sample.
        folder: Where the files are written, local.
        http: How remote files are read.
    Raises:
        RecipeError: Its records are chosen by an index of a crawl, or a file's size is not known.
    """
    whole = _known_size(source)
    rate = min(1.0, max(rate, least_bytes / max(1, whole)))
    files = sorted(source.files, key=lambda file: xxhash.xxh3_64_intdigest(f"{seed}\0{file.relative}".encode()))
    n_wanted = math.ceil(rate * len(files))
    if rate >= 1 or n_wanted >= _ENOUGH_FILES:
        chosen = files[:n_wanted]
        return SourceSample(source.name, tuple(Group(f.path, f.n_bytes) for f in chosen), len(files), whole, 0,
                            False, len(chosen) < len(files))
    read = files[:max(_MOST_FILES, n_wanted)]
    kinds = {_taken_apart(file, source, http) for file in read}
    if len(kinds) > 1 or None in kinds:
        few = files[:max(n_wanted, min(2, len(files)))]
        return SourceSample(source.name, tuple(Group(f.path, f.n_bytes) for f in few), len(files), whole, 0,
                            False, len(few) < len(files))
    (kind,) = kinds
    assert kind is not None
    within = min(1.0, rate * whole / sum(file.n_bytes for file in read))
    some = len(read) < len(files)
    dealt = _deal(read, kind, within, some, seed, folder / source.name, http)
    groups = tuple(group for group in dealt if group is not None)
    tiny = 0 if some else sum(group is not None for group in dealt[:TINY])
    return SourceSample(source.name, groups, len(files), whole, tiny, not some and dealt[-1] is not None, some)


def _known_size(source: Source) -> int:
    if source.selection is not None:
        raise RecipeError("takes records that an index of a crawl names, which cannot be sampled by files",
                          where=f"sources.{source.name}", hint="estimate it with archives: commoncrawl.archives")
    if any(file.n_bytes < 0 for file in source.files):
        raise RecipeError("has files whose size the server does not tell", where=f"sources.{source.name}",
                          hint="fetch some of them, and estimate a recipe of these")
    return sum(file.n_bytes for file in source.files)


def _taken_apart(file: InputFile, source: Source, http: HttpConfig) -> str | None:
    """The kind of a file of which records can be taken; None for those that are taken whole."""
    kind = source.config.kind if source.config is not None else "auto"
    if kind in ("auto", "table"):
        kind = detect_kind(file.path, http)
    if kind == "parquet" and not is_local(file.path):
        return None
    return "warc" if kind in ("warc", "wet") and _has_members(file.path, http) else (
        kind if kind in ("jsonl", "parquet") else None)


def _has_members(path: str, http: HttpConfig) -> bool:
    """Whether an archive is plain or of gzip members, so that its records can be copied as they lie."""
    with closing(open_nonempty(path, http)) as stream:
        head = stream.read(6)
    return head.startswith(b"\x1f\x8b") or head.startswith(b"WARC/")


def _deal(files: Sequence[InputFile], kind: str, rate: float, by_file: bool, seed: int, folder: Path, http: HttpConfig
          ) -> list[Group | None]:
    """Files of records that are taken: one for each file, or the groups of the whole; None where nothing fell to it."""
    folder.mkdir(parents=True)
    n = len(files) if by_file else TINY + GROUPS + 1
    stands_for = np.zeros(n)
    suffix = {"warc": ".warc.gz", "jsonl": ".jsonl.gz", "parquet": ".parquet"}[kind]
    paths = [folder / f"group-{number:02d}{suffix}" for number in range(n)]
    with ExitStack() as stack:
        outs: list[_Out] = [stack.enter_context(closing(_Out(path, kind))) for path in paths]
        for number, file in enumerate(files):
            sizes, total = np.zeros(n), 0
            for place, size, data in _records(file, kind, http):
                total += size
                group = _group(seed, file.relative, place, rate)
                if data is not None and group is not None:
                    group = number if by_file else group
                    outs[group].add(data(), file.path)
                    sizes[group] += size
            stands_for += sizes / max(1, total) * file.n_bytes
    return [Group(str(path), float(size)) if out.n else None
            for path, size, out in zip(paths, stands_for, outs, strict=True)]


def _group(seed: int, relative: str, place: int, rate: float) -> int | None:
    """The group of a record, or None where it is not in the sample: chance is a hash of where it lies."""
    digest = xxhash.xxh3_128_intdigest(f"{relative}\0{place}".encode())
    words = np.array([[digest >> 64, digest & (2**64 - 1)]], np.uint64)
    if uniform(seed, _PURPOSE, words)[0] >= rate:
        return None
    drawn = float(uniform(seed, f"{_PURPOSE} group", words)[0])
    if drawn < TINY * _TINY_SHARE:
        return int(drawn / _TINY_SHARE)
    if drawn >= 1 - _LARGE_SHARE:
        return TINY + GROUPS
    small = (drawn - TINY * _TINY_SHARE) / (1 - TINY * _TINY_SHARE - _LARGE_SHARE)
    return TINY + min(GROUPS - 1, int(small * GROUPS))


def _records(file: InputFile, kind: str, http: HttpConfig) -> Iterator[tuple[int, int, Any]]:
    """(place, size, what gives its bytes or rows) of every record of a file; None where nothing gives them."""
    if kind == "parquet":
        yield from _rows(file.path)
        return
    with closing(open_nonempty(file.path, http)) as stream:
        if kind == "warc":
            with closing(open_nonempty(file.path, http)) as again:
                yield from _archive_records(stream, again)
        else:
            packed = stream.read(2) == b"\x1f\x8b"
            stream.seek(0)
            for place, line in enumerate(gzip.GzipFile(fileobj=stream) if packed else stream):
                yield place, len(line), lambda line=line: line


def _archive_records(stream: IO[bytes], again: IO[bytes]) -> Iterator[tuple[int, int, Any]]:
    def copy(offset: int, length: int) -> bytes:
        again.seek(offset)
        return again.read(length)

    for entry in read_archive(stream, frozenset(), 0):
        if isinstance(entry, Damage) or entry.length <= 0:
            continue
        about = entry.kind in ("warcinfo", "request", "metadata")
        yield entry.offset, entry.length, None if about else (
            lambda offset=entry.offset, length=entry.length: copy(offset, length))


def _rows(path: str) -> Iterator[tuple[int, int, Any]]:
    place = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=1024):
            size = max(1, batch.nbytes // max(1, len(batch)))
            for row in range(len(batch)):
                yield place, size, lambda batch=batch, row=row: batch.slice(row, 1)
                place += 1


class _Out:
    """A file of the sample, made when the first record comes."""

    def __init__(self, path: Path, kind: str) -> None:
        self.n = 0
        self._path = path
        self._kind = kind
        self._stream: IO[bytes] | None = None
        self._batches: list[pa.RecordBatch] = []

    def add(self, data: Any, origin: str) -> None:
        self.n += 1
        if self._kind == "parquet":
            self._batches.append(data)
            return
        if self._stream is None:
            self._stream = self._path.open("wb")
        packed = data if data[:2] == b"\x1f\x8b" else gzip.compress(data, 1)
        self._stream.write(packed)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        if self._batches:
            pq.write_table(pa.Table.from_batches(self._batches), self._path)

