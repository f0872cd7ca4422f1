"""The items of evaluation sets: JSON Lines files, read as (item id, text)."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from typing import IO, Any, Protocol

import zstandard

from curate.decontamination.config import Benchmark
from manifests.errors import InputError
from manifests.storage import open_read

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_ZSTD_WINDOW = 1 << 31
_READ_ERRORS = (OSError, EOFError, zstandard.ZstdError)


class Account(Protocol):
    """Who is to know what was counted and what had to be skipped: the work of a task."""

    def count(self, name: str, n: int = 1) -> None:
        """Add to a counter."""

    def report_damage(self, where: str, what: str) -> None:
        """Name a part of the input that had to be skipped."""


def read_items(benchmark: Benchmark, path: str, work: Account) -> Iterator[tuple[str, str]]:
    """The items of an evaluation set, a line each.

    Args:
        benchmark: The fields that are text, and the one that names an item.
        path: JSON Lines, plain, gzip or zstd; local path or URL.
        work: Where lines that are no JSON object, which are skipped, are reported.
    Yields:
        (item id, text).
    Raises:
        InputError: The file cannot be read, has no line, or none with any of the fields: contamination that is not
            looked for must not pass unnoticed.
    """
    n_texts = n_lines = 0
    for number, line in enumerate(_lines(path)):
        if not line.strip():
            continue
        n_lines += 1
        try:
            item = json.loads(line.decode("utf-8-sig", "surrogatepass"))  # of bytes json would guess
            if not isinstance(item, dict):
                raise ValueError("no JSON object")
        except ValueError as error:  # of JSON and of UTF-8 alike
            work.report_damage(f"{benchmark.path}:{number + 1}", f"benchmark line skipped: {error}")
            continue
        text = "\n".join(part for field in benchmark.fields for part in _strings(_field(item, field)))
        n_texts += bool(text)
        named = _field(item, benchmark.id_field) if benchmark.id_field else None
        yield (str(number) if named is None else str(named)), text
    if not n_lines:
        raise InputError(f"is empty: benchmark {benchmark.name} has no item", where=benchmark.path,
                         hint="fetch it again, or take it out")
    if not n_texts:
        raise InputError(f"has no text in the fields {', '.join(benchmark.fields)} of benchmark {benchmark.name}",
                         where=benchmark.path, hint="name the fields that hold questions and answers")


def _lines(path: str) -> Iterator[bytes]:
    try:
        with open_read(path) as raw:
            yield from _plain(raw)
    except _READ_ERRORS as error:
        raise InputError(f"cannot be read as JSON Lines: {error}", where=path) from error


def _plain(raw: IO[bytes]) -> IO[bytes]:
    """The stream, decompressed by what its first bytes say."""
    buffered = io.BufferedReader(raw)  # type: ignore[type-var]
    head = buffered.peek(4)[:4]
    if head.startswith(_GZIP):
        return gzip.GzipFile(fileobj=buffered)  # type: ignore[return-value]
    if head.startswith(_ZSTD):
        reader = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).stream_reader(
            buffered, read_across_frames=True)
        return io.BufferedReader(reader)
    return buffered


def _field(item: dict[str, Any], name: str) -> Any:
    """The value of a field, or of a nested one as `a.b`, or the whole item as `*`; None if absent."""
    if name in item:
        return item[name]
    if name == "*":
        return item
    value: Any = item
    for key in name.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _strings(value: Any) -> Iterator[str]:
    """Every string in a value, in order; numbers are no text."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part)
    elif isinstance(value, dict):
        for part in value.values():
            yield from _strings(part)
