"""DCLM's rule: documents pass, one after another, through a filter of the n-grams that were seen before.

The order within a filter is stated: parts by position, where survivor order names it, then by the
rank of their source and by name; rows as they come. A filter is
one process: what it has seen, other filters do not know.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.dedup.config import DedupRecipe
from curate.dedup.kernels.bloom import Seen, false_positive_rate, filter_size, pass_texts
from curate.dedup.layout import column, gather_part, part_key, write_routed
from curate.dedup.passage_config import BloomConfig, RemovalRule
from curate.dedup.passages.passages import survivors_of
from curate.dedup.passages.removed_spans import ROUTED_SPANS
from curate.edits.spans import FlatEdits
from curate.edits.texts import EditedTexts, what_is_left
from curate.text.strings import string_buffers
from manifests.errors import StageError
from manifests.hashing import Int64, UInt64
from manifests.tasks import Work

SEEN: Final = pa.schema([
    pa.field("part", pa.uint64(), nullable=False), pa.field("row", pa.int64(), nullable=False),
    pa.field("share", pa.float64(), nullable=False)])
"""Documents of whose n-grams more than the threshold was seen, routed to their parts."""


def bloom_stage(config: DedupRecipe, work: Work) -> None:
    """dedup/bloom, a filter. Inputs, one file for each part of the filter, in their order: documents, decisions (of
    selection), kept (decisions of dedup); and removed_spans (of dedup/removed_spans). Variables: routes; parts, their
    names; n_grams, which the filter must have room for: n words have no more n-grams than n.

    Texts are taken as selection's edits and the removal of paragraphs and sentences leave them. Outputs:
    `removed_spans`, ROUTED_SPANS, and `seen`, SEEN, both routed. Memory: the filter, and what is removed. Raises
    StageError where a filter would be too large."""
    rule = config.bloom or BloomConfig()
    bits, n_probes = _new_filter(rule, work.variables["n_grams"])
    spans, seen = [ROUTED_SPANS.empty_table()], [SEEN.empty_table()]
    files = [work.inputs(name) for name in ("documents", "decisions", "kept")]
    for part, *paths in zip(work.variables["parts"], *files, strict=True):
        earlier = gather_part(work, "removed_spans", ROUTED_SPANS, part)
        for rows, documents, decisions in survivors_of(*paths):
            texts = _left(documents, decisions["edits"], rows, earlier)
            passed = pass_texts(*string_buffers(texts.texts), bits, n_probes, rule.ngram, rule.min_ngram,
                                rule.threshold)
            work.count("documents", len(rows))
            work.count("grams", int(passed.n_grams.sum()))
            work.count("grams_seen", int(passed.seen.sum()))
            work.count("grams_added", passed.added)
            spans.append(_removed(part, rows, texts, passed))
            seen.append(_mostly_seen(part, rows, passed, rule.threshold))
    work.count("filter_bytes", bits.nbytes)
    work.count("false_positives_per_million", round(1e6 * false_positive_rate(bits, n_probes)))
    for role, schema, tables in (("removed_spans", ROUTED_SPANS, spans), ("seen", SEEN, seen)):
        table = pa.concat_tables(tables)
        work.count(f"bloom_{role}", len(table))
        write_routed(work, role, schema, table)


def _new_filter(rule: BloomConfig, n_grams: int) -> tuple[UInt64, int]:
    """(words of bits uint64, probes) of an empty filter for so many n-grams."""
    size = filter_size(n_grams, rule.false_positive_rate)
    if size.n_bytes > rule.max_filter_bytes:
        raise StageError(f"{n_grams} n-grams need a filter of {size.n_bytes} bytes, more than max_filter_bytes",
                         where="dedup.bloom", hint="raise dedup.bloom.filters, so that each holds fewer documents")
    return np.zeros(size.n_words, np.uint64), size.n_probes


def _left(documents: pa.Table, edits: pa.ChunkedArray, rows: Int64, earlier: pa.Table) -> EditedTexts:
    """Texts of a row group without what was removed before."""
    sizes = documents["n_bytes"].to_numpy()
    before = earlier.filter(pc.is_in(earlier["row"], value_set=pa.array(rows)))
    if not len(before):
        return EditedTexts.of(documents["text"], edits, sizes)
    texts = np.searchsorted(rows, column(before, "row"))
    left = what_is_left(texts, column(before, "start").astype(np.int64), column(before, "end").astype(np.int64), sizes)
    return EditedTexts.made_of(documents["text"], FlatEdits.of(edits, sizes).within(left)[0])


def _removed(part: str, rows: Int64, texts: EditedTexts, passed: Seen) -> pa.Table:
    texts_of = np.repeat(np.arange(len(rows)), np.diff(passed.bounds))
    return pa.table({
        "part": np.full(len(texts_of), part_key(part), np.uint64), "row": rows[texts_of],
        "start": texts.starts(texts_of, passed.start), "end": texts.ends(texts_of, passed.end),
        "before": texts.ends(texts_of, passed.before),
        "kind": pa.repeat(RemovalRule.BLOOM.value, len(texts_of)),
        "first_id": pa.nulls(len(texts_of), pa.binary(16))}).cast(ROUTED_SPANS)


def _mostly_seen(part: str, rows: Int64, passed: Seen, threshold: float) -> pa.Table:
    gone = np.flatnonzero(passed.seen > threshold * passed.n_grams)
    return pa.table({"part": np.full(len(gone), part_key(part), np.uint64), "row": rows[gone],
                     "share": passed.seen[gone] / passed.n_grams[gone]}, schema=SEEN)
