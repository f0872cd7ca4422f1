"""Documents of a run that fit some conditions, a page at a time, in the memory of one part.

Parts are read in order, documents before exclusions; of a part first the narrow columns, and texts only of row groups
in which all else fits. A page ends after so many documents or so many seconds; where it ended the next one begins.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from manifests.stage_files import StageFile, StageFiles
from manifests.tables import open_table, read_table
from pipelines.asking.addresses import host_of, hosts_of_forms, loose_form, loose_forms
from pipelines.asking.fates import KEPT, exclusions_of, fates_of, tasks_of

DROPPED: Final = "dropped"
_SHOWN: Final = ("doc_id", "url", "source", "language", "page_type", "n_bytes")


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is asked of a document; empty asks nothing. fate: `kept`, `dropped`, a stage that dropped it, or
    `stage: reason`. domain: its host, or what its host ends in. url, text: a part of it, in any case of letters."""

    source: str = ""
    fate: str = ""
    language: str = ""
    page_type: str = ""
    domain: str = ""
    url: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A page of documents. after: where the next one begins, None at the end of the run. n_read: documents that were
    looked at. n_files, of_files: files that are done with."""

    rows: list[dict[str, Any]]
    after: tuple[int, int] | None
    n_read: int
    n_files: int
    of_files: int


def search(files: StageFiles, wanted: Conditions, start: tuple[int, int] = (0, 0), n: int = 50,
           seconds: float = 4.0) -> Found:
    """The first documents that fit, from a file and a row of it on.

    Args:
        files: The run's.
        wanted: What is asked.
        start: Number of the file and of its row; `after` of the page before.
        n: Documents of a page.
        seconds: How long to look, about; one part is always read.
    """
    end = time.monotonic() + seconds
    entries = list(_entries(files, wanted))
    rows: list[dict[str, Any]] = []
    n_read = 0
    number, first = start
    while number < len(entries):
        task, kind, file = entries[number]
        n_read += max(0, file.n_rows - first)
        table = _narrow(files, task, kind, file, wanted)
        matches, stopped = _matches(files, file, table, wanted, first, n - len(rows), end)
        rows += _shown(table, matches)
        if stopped is not None:
            return Found(rows, (number, stopped), n_read, number, len(entries))
        number, first = number + 1, 0
        if time.monotonic() > end and number < len(entries):
            return Found(rows, (number, 0), n_read, number, len(entries))
    return Found(rows, None, n_read, len(entries), len(entries))


def _entries(files: StageFiles, wanted: Conditions) -> Iterator[tuple[str, str, StageFile]]:
    """(part, documents or exclusions, file) of what may hold documents that fit."""
    of_extract = wanted.fate.partition(":")[0] == "extract"
    for task in tasks_of(files):
        if not of_extract:
            yield task, "documents", files.by_task("extract", "documents")[task]
        excluded = files.by_task("extract", "exclusions").get(task)
        if excluded is not None and (of_extract or wanted.fate in ("", DROPPED)) and not wanted.text:
            yield task, "exclusions", excluded


def _narrow(files: StageFiles, task: str, kind: str, file: StageFile, wanted: Conditions) -> pa.Table:
    """_SHOWN, stage, reason, value, threshold of a file's rows, and row and `fits`: whether all but the text does."""
    with open_table(files.path(file)) as opened:
        table = opened.read(columns=[c for c in _SHOWN if c in opened.schema_arrow.names], use_threads=False)
    for name in _SHOWN:
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(len(table), pa.string()))
    fates = fates_of(files, task) if kind == "documents" else exclusions_of(files, task)
    decided = files.by_task("select", "decisions").get(task) if kind == "documents" else None
    if decided is not None:  # the source after derivation
        at = table.schema.get_field_index("source")
        table = table.set_column(at, "source", read_table(files.path(decided), ["source"])["source"])
    for name in ("stage", "reason", "value", "threshold"):
        table = table.append_column(name, fates[name])
    return table.append_column("fits", pa.array(_fits(table, wanted)))


def _fits(table: pa.Table, wanted: Conditions) -> npt.NDArray[np.bool_]:
    fits = np.ones(len(table), np.bool_)

    def ask(condition: Any) -> None:
        fits[:] &= pc.fill_null(condition, False).to_numpy(zero_copy_only=False)

    for name in ("source", "language", "page_type"):
        if value := getattr(wanted, name):
            ask(pc.equal(table[name], value))
    if wanted.fate == KEPT:
        ask(pc.is_null(table["stage"]))
    elif wanted.fate == DROPPED:
        ask(pc.is_valid(table["stage"]))
    elif wanted.fate:
        stage, _, reason = wanted.fate.partition(": ")
        ask(pc.equal(table["stage"], stage))
        if reason:
            ask(pc.equal(table["reason"], reason))
    if wanted.url:
        ask(pc.match_substring(table["url"], wanted.url, ignore_case=True))
    if wanted.domain and fits.any():
        domain, hosts = host_of(loose_form(wanted.domain)), hosts_of_forms(loose_forms(table["url"]))
        ask(pc.or_(pc.equal(hosts, domain), pc.ends_with(hosts, f".{domain}")))
    return fits


def _matches(files: StageFiles, file: StageFile, table: pa.Table, wanted: Conditions, first: int, n: int,
             end: float) -> tuple[list[int], int | None]:
    """(rows from `first` on that fit, the row at which the page is full or the time is up; None at the file's end)."""
    fits = np.flatnonzero(table["fits"].to_numpy(zero_copy_only=False))
    fits = fits[fits >= first]
    if not wanted.text:
        return fits[:n].tolist(), int(fits[n]) if len(fits) > n else None
    found: list[int] = []
    with open_table(files.path(file)) as opened:
        start = 0
        for group in range(opened.num_row_groups):
            size = opened.metadata.row_group(group).num_rows
            own = fits[(fits >= start) & (fits < start + size)]
            if len(own):
                if time.monotonic() > end and start > first:
                    return found, start
                texts = opened.read_row_group(group, columns=["text"], use_threads=False)["text"]
                hits = pc.match_substring(texts.take(pa.array(own - start)), wanted.text, ignore_case=True)
                found += own[pc.fill_null(hits, False).to_numpy(zero_copy_only=False)].tolist()
                if len(found) > n:
                    return found[:n], found[n]
            start += size
    return found, None


def _shown(table: pa.Table, rows: list[int]) -> list[dict[str, Any]]:
    chosen = table.drop_columns(["fits"]).take(pa.array(rows, pa.int64())).to_pylist()
    return [{**row, "doc_id": row["doc_id"].hex()} for row in chosen]
