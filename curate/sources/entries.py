"""What readers of dumps give: documents one by one, with the facts that their kind knows beside the text.

A dump holds its texts in a markup of its own, which is read document by document; a table holds them in columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from curate.sources.http_config import HttpConfig
from curate.sources.warc import Damage


class NoOptions(BaseModel):
    """Of a kind of source that has nothing to choose."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(slots=True)
class Entry:
    """One document of a dump, or why it gives none.

    position: its number in the file, from 0. text: UTF-8. date: in UTC. reason, value, threshold: why it is left out.
    columns: what the kind knows beside, by the names of its columns."""

    position: int
    text: bytes | None = None
    id: str | None = None
    url: str | None = None
    date: datetime | None = None
    reason: str | None = None
    value: float | None = None
    threshold: float | None = None
    columns: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dump:
    """One file of a dump, for reading. options: of its kind's model. count: adds to a counter of the task, for what is
    left out and is no document of its own."""

    path: str
    options: Any
    max_text_bytes: int
    http: HttpConfig | None
    count: Callable[[str, int], None]


ReadEntries = Callable[[Dump], Iterator[Entry | Damage]]
"""A dump -> its documents in the file's order, and what of it cannot be read."""


@dataclass(frozen=True, slots=True)
class DumpKind:
    """How dumps of one kind are read. load: gives the reader, whose libraries are not loaded before. options: the
    model of what a recipe may choose. columns: facts beside the text that its documents have. verbatim: whether texts
    stay as they are, as code does, instead of being normalised."""

    load: Callable[[], ReadEntries]
    options: type[BaseModel] = NoOptions
    columns: tuple[pa.Field[Any], ...] = ()
    verbatim: bool = False


def utc(value: str | None) -> datetime | None:
    """A time of ISO 8601 in UTC, which it is in where it names no zone; None where it is no time."""
    try:
        date = datetime.fromisoformat((value or "").strip())
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
