"""Paragraphs and runs of sentences of the documents that stay, shuffled by their keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from curate.dedup.config import DedupRecipe
from curate.dedup.kernels.paragraphs import Units, find_paragraphs
from curate.dedup.kernels.sentences import find_sentence_runs
from curate.dedup.layout import check_aligned, part_key, write_keyed
from curate.dedup.order import order_of
from curate.dedup.passage_config import ParagraphForm, ParagraphsConfig
from curate.edits.texts import EditedTexts
from curate.text.strings import string_buffers
from manifests.hashing import Int64, UInt64
from manifests.tables import open_table, read_table
from manifests.tasks import Work

ROLES: Final = ("paragraphs", "sentences")
_U64 = pa.uint64()

PASSAGES: Final = pa.schema([
    pa.field("key", _U64, nullable=False), pa.field("part", _U64, nullable=False),
    pa.field("row", pa.int64(), nullable=False), pa.field("start", pa.uint32(), nullable=False),
    pa.field("end", pa.uint32(), nullable=False), pa.field("before", pa.uint32(), nullable=False),
    pa.field("order", _U64, nullable=False), pa.field("order_low", _U64, nullable=False),
    pa.field("host", _U64, nullable=False), pa.field("doc_id", pa.binary(16), nullable=False)])
"""One row an occurrence: 76 bytes in memory. start, end, before: bytes of the extracted text, as of `Units`. host:
xxh3-64 of the document's host, 0 where it has none."""


def passages_stage(config: DedupRecipe, work: Work) -> None:
    """dedup/passages, a part. Inputs: documents, decisions (of selection, same part), kept (decisions of dedup, same
    part). Variables: as of `order_of`.

    Outputs: `paragraphs` and `sentences`, as configured: PASSAGES of the documents that deduplication kept, as
    selection edited them, by partition of their key. Text is read once, a row group at a time. Memory: 76 bytes a
    passage of the part."""
    tables_of: dict[str, list[pa.Table]] = {role: [] for role in ROLES if getattr(config, role) is not None}
    for rows, documents, decisions in survivors(work):
        order = order_of(config.survivor_order, documents, decisions, rows, work.variables)
        edited = EditedTexts.of(documents["text"], decisions["edits"], documents["n_bytes"].to_numpy())
        facts = pa.table({"row": rows, **order, "host": host_keys(documents["host"]),
                          "doc_id": documents["doc_id"]})
        work.count("documents", len(documents))
        work.count("bytes", int(edited.n_bytes.sum()))
        for role, tables in tables_of.items():
            tables.append(_occurrences(_units(config, role, edited), edited, facts, part_key(work.task.name)))
    for role, tables in tables_of.items():
        table = pa.concat_tables([PASSAGES.empty_table(), *tables])
        work.count(role, len(table))
        write_keyed(work, role, PASSAGES, table, "key")


def survivors(work: Work) -> Iterator[tuple[Int64, pa.Table, pa.Table]]:
    """(rows, documents, decisions of selection) of what deduplication kept of a part, one row group at a time.

    Inputs: documents, decisions (of selection), kept (decisions of dedup). Raises InputError where they do not belong
    together."""
    yield from survivors_of(work.input("documents"), work.input("decisions"), work.input("kept"))


def survivors_of(documents: str, decisions: str, kept: str) -> Iterator[tuple[Int64, pa.Table, pa.Table]]:
    """`survivors` of one part, from the paths of its three tables."""
    select, dedup = read_table(decisions, _SELECT), read_table(kept, ["doc_id", "keep"])
    check_aligned(select["doc_id"], dedup["doc_id"], kept)
    with open_table(documents) as file:
        start = 0
        for index in range(file.num_row_groups):
            group = file.read_row_group(index, columns=_DOCUMENTS, use_threads=False)
            keep = dedup["keep"].slice(start, len(group))
            selected = select.slice(start, len(group))
            check_aligned(group["doc_id"], selected["doc_id"], decisions)
            rows = start + np.flatnonzero(keep.to_numpy())
            start += len(group)
            yield rows, group.filter(keep), selected.filter(keep)


_SELECT: Final = ["doc_id", "source", "quality_score", "edits"]
_DOCUMENTS: Final = ["doc_id", "text", "date", "n_bytes", "host"]


def host_keys(hosts: pa.ChunkedArray) -> UInt64:
    """xxh3-64 of each host, uint64 [n], 0 where there is none; one C call a host."""
    coded = hosts.combine_chunks().dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):
        return np.empty(0, np.uint64)
    keys = np.array([*(xxhash.xxh3_64_intdigest(host.encode()) for host in coded.dictionary.to_pylist()), 0], np.uint64)
    return np.asarray(keys[pc.fill_null(coded.indices, len(keys) - 1).to_numpy()])


def _units(config: DedupRecipe, role: str, edited: EditedTexts) -> Units:
    buffers = string_buffers(edited.texts)
    if role == "sentences" and config.sentences is not None:
        return find_sentence_runs(*buffers, config.sentences.span)
    rule = config.paragraphs or ParagraphsConfig()
    return find_paragraphs(*buffers, rule.form is ParagraphForm.PAPER, rule.min_bytes)


def _occurrences(units: Units, edited: EditedTexts, facts: pa.Table, part: int) -> pa.Table:
    texts = np.repeat(np.arange(len(facts)), np.diff(units.bounds))
    columns: dict[str, Any] = {
        "key": units.keys, "part": np.full(len(texts), part, np.uint64),
        "start": edited.starts(texts, units.start), "end": edited.ends(texts, units.end),
        "before": edited.ends(texts, units.before)}
    own = facts.take(pa.array(texts))
    return pa.table([pa.array(columns[f.name]).cast(f.type) if f.name in columns else own[f.name] for f in PASSAGES],
                    schema=PASSAGES)
