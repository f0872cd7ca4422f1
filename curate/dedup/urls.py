"""One document of each canonical URL: the latest, the longest or the first, before anything else is compared.

What is dropped here is not signed, so it costs nothing later. URLs are equal where xxh3-64 of their normal forms is:
among 3 billion different URLs, 0.24 pairs are expected to be taken for one by chance (n**2 / 2**65).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.dedup.config import DedupConfig, DedupReason, UrlRule
from curate.dedup.exact import best_first, survivor_index, write_dropped
from curate.dedup.layout import (
    COPIES,
    DUPLICATES,
    REMOVALS,
    URL_KEYS,
    check_aligned,
    column,
    gather,
    part_key,
    repeated,
    write_keyed,
    write_routed,
)
from curate.dedup.order import dates_of, order_of
from curate.text.urls import normalise_urls, url_keys
from manifests.hashing import UInt64
from manifests.tables import read_table
from manifests.tasks import Work

_LAST = np.uint64(0xFFFFFFFFFFFFFFFF)


def url_keys_stage(config: DedupConfig, work: Work) -> None:
    """dedup/url_keys, a part. Inputs: documents, decisions (of selection, same part). Variables: as of
    `order_of`.

    Output `url_keys`: every selected document with an http(s) URL, by partition of the URL's hash."""
    decisions = read_table(work.input("decisions"), ["doc_id", "source", "quality_score", "keep"])
    documents = read_table(work.input("documents"), ["doc_id", "url", "date", "n_bytes"])
    check_aligned(documents["doc_id"], decisions["doc_id"], work.input("decisions"))
    keys = url_keys(normalise_urls(documents["url"])["url"])
    enters = pc.and_(decisions["keep"], pa.array(keys.is_not_null().to_numpy()))
    rows = np.flatnonzero(enters.to_numpy())
    documents, decisions = documents.filter(enters), decisions.filter(enters)
    key = keys.to_numpy()[rows].astype(np.uint64)
    order = order_of(config.survivor_order, documents, decisions, rows, work.variables)
    table = pa.table({
        "key": key, "preference": _preference(config.urls, documents),
        "part": np.full(len(rows), part_key(work.task.name), np.uint64), "row": rows,
        **order, "doc_id": documents["doc_id"]})
    work.count("documents", len(rows))
    write_keyed(work, "url_keys", URL_KEYS, table, "key")


def _preference(rule: UrlRule | None, documents: pa.Table) -> npt.NDArray[np.uint64]:
    """uint64 [n], smaller for what the rule keeps; a document without a date is kept last."""
    if rule is UrlRule.LONGEST:
        return np.asarray(_LAST - documents["n_bytes"].to_numpy().astype(np.uint64))
    dates: UInt64 = np.maximum(dates_of(documents), 0).astype(np.uint64)
    if rule is UrlRule.LATEST:
        return np.asarray(_LAST - dates)
    return np.where(dates > 0, dates, _LAST)


def urls_stage(config: DedupConfig, work: Work) -> None:
    """dedup/urls, a partition. Input: url_keys (of dedup/url_keys and dedup/against). Variables: as of `gather` and
    `write_routed`.

    Outputs: `dropped`, routed: documents whose URL has one that stays; `copies`, by partition of the survivor's id.
    Memory: 56 bytes a document of the partition."""
    table = gather(work, "url_keys", URL_KEYS)
    work.count("documents", len(table))
    table = table.filter(pa.array(repeated(column(table, "key"))))
    dropped = best_first(table, ("preference",), ("key",))
    work.count("urls", pc.count_distinct(dropped["survivor_id"]).as_py())
    work.count("url_duplicates", len(dropped))
    write_dropped(work, dropped)


def url_copies_stage(config: DedupConfig, work: Work) -> None:
    """dedup/url_copies, a partition. Inputs: copies (of dedup/urls), removals (of dedup/resolve, by id), duplicates (of
    dedup/copies, by id). Variables: as of `gather` and `write_routed`.

    Where the document that a URL keeps is itself an exact or a near-duplicate, its survivor is named instead, so that
    `duplicate_of` is always a kept document; no similarity is claimed. Output: `duplicates`, routed."""
    copies = gather(work, "copies", COPIES)
    gone = pa.concat_tables([gather(work, name, schema, ("doc_id", "survivor_id", "survivor_run"))
                             for name, schema in (("removals", REMOVALS), ("duplicates", DUPLICATES))])
    index = survivor_index(copies, gone["doc_id"])
    survivor, survivor_run = (pc.coalesce(gone[name].take(index), copies[name])
                              for name in ("survivor_id", "survivor_run"))
    reason = pa.repeat(DedupReason.URL_DUPLICATE.value, len(copies))
    duplicates = pa.table({
        "part": copies["part"], "row": copies["row"], "doc_id": copies["doc_id"], "survivor_id": survivor,
        "survivor_run": survivor_run, "similarity": pa.nulls(len(copies), pa.float32()), "reason": reason})
    work.count("url_duplicates", len(duplicates))
    write_routed(work, "duplicates", DUPLICATES, duplicates)


