"""Which passages occur earlier, and which of them a host puts on many of its pages."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from curate.dedup.config import DedupRecipe
from curate.dedup.kernels.occurrences import later_occurrences
from curate.dedup.layout import changes, column, gather, id_order, repeated, write_routed
from curate.dedup.passage_config import RemovalRule
from curate.dedup.passages.passages import PASSAGES, ROLES
from manifests.tasks import Work

_SPAN: Final = [f for f in PASSAGES if f.name in ("part", "row", "start", "end", "before")]
_KINDS: Final = dict(zip(ROLES, (RemovalRule.PARAGRAPH, RemovalRule.SENTENCES), strict=True))

ROUTED_SPANS: Final = pa.schema([
    *_SPAN, pa.field("kind", pa.string(), nullable=False), pa.field("first_id", pa.binary(16))])
"""Spans to be removed, routed to their parts. first_id: the document that has the passage first; null where none is
known."""

ROUTED_BOILERPLATE: Final = pa.schema([
    *_SPAN, pa.field("key", pa.uint64(), nullable=False), pa.field("n_pages", pa.int64(), nullable=False),
    pa.field("n_occurrences", pa.int64(), nullable=False)])
"""Paragraphs that a host repeats, routed to the part of the first page of it that has one."""


def removed_spans_stage(config: DedupRecipe, work: Work) -> None:
    """dedup/removed_spans, a partition of keys. Inputs: paragraphs, sentences (of dedup/passages). Variables: as of
    `gather` and `write_routed`.

    Occurrences of a key are met in survivor order of their documents, then by offset. The first stays, every
    later one is removed. Outputs: `removed_spans`, routed; `boilerplate`, routed. Memory: 76 bytes a
    passage of the partition, twice."""
    spans, boilerplate = [ROUTED_SPANS.empty_table()], ROUTED_BOILERPLATE.empty_table()
    for role, kind in _KINDS.items():
        table = _in_order(gather(work, role, PASSAGES))
        work.count(f"{role}_repeated", len(table))
        removed = _repeated(table, kind)
        work.count(f"{role}_removed", len(removed))
        spans.append(removed)
        if kind is RemovalRule.PARAGRAPH and config.paragraphs is not None:
            boilerplate = _boilerplate(table, config.paragraphs.report_pages)
            work.count("boilerplate", len(boilerplate))
    write_routed(work, "removed_spans", ROUTED_SPANS, pa.concat_tables(spans))
    write_routed(work, "boilerplate", ROUTED_BOILERPLATE, boilerplate)


def _in_order(table: pa.Table) -> pa.Table:
    """What occurs more than once, by key, survivor order and offset."""
    table = table.filter(pa.array(repeated(column(table, "key"))))
    ids = id_order(table["doc_id"])
    start, low, high, key = (column(table, name) for name in ("start", "order_low", "order", "key"))
    order = np.lexsort((start, ids[:, 1], ids[:, 0], low, high, key))
    return table.take(pa.array(order))


def _repeated(table: pa.Table, kind: RemovalRule) -> pa.Table:
    first = later_occurrences(*(column(table, name) for name in ("key", "part", "row", "start", "end")))
    later = np.flatnonzero(first >= 0)
    span = table.select([f.name for f in _SPAN]).take(pa.array(later))
    return span.append_column("kind", pa.repeat(kind.value, len(later))).append_column(
        "first_id", table["doc_id"].take(pa.array(first[later]))).cast(ROUTED_SPANS)


def _boilerplate(table: pa.Table, report_pages: int) -> pa.Table:
    """ROUTED_BOILERPLATE of a table as of `_in_order`: one row a host and paragraph, at its first page."""
    table = table.filter(pa.array(column(table, "host") > 0))
    host, key = column(table, "host"), column(table, "key")
    part, row = column(table, "part"), column(table, "row")
    order = np.lexsort((host, key))  # stable: within a host, as they are met
    fresh = changes(key[order], host[order])
    group = np.cumsum(fresh) - 1
    documents = np.lexsort((row[order], part[order], group))
    new_page = changes(group[documents], part[order][documents], row[order][documents])
    n_pages = np.bincount(group[documents][new_page], minlength=int(fresh.sum()))
    n_occurrences = np.bincount(group, minlength=int(fresh.sum()))
    many = n_pages >= report_pages
    removed = table.select([*(f.name for f in _SPAN), "key"]).take(pa.array(order[fresh][many]))
    return removed.append_column("n_pages", pa.array(n_pages[many])).append_column(
        "n_occurrences", pa.array(n_occurrences[many])).cast(ROUTED_BOILERPLATE)
