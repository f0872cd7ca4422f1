"""One document of each canonical URL: the latest, the longest or the first, before anything else is compared.

What loses here is not signed, so it costs nothing later. URLs are equal where xxh3-64 of their normal forms is: among 3
billion different URLs, 0.24 pairs are expected to be taken for one by chance (n**2 / 2**65).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.dedup.config import DedupConfig, DedupReason, UrlRule
from curate.dedup.exact import best_first, place_among, write_losers
from curate.dedup.layout import (
    COPIES,
    DROPS,
    REMOVALS,
    URL_KEYS,
    check_aligned,
    column,
    gather,
    part_key,
    repeated,
    routes,
)
from curate.dedup.order import dates_of, order_of
from curate.text.urls import normalise_urls, url_keys
from manifests.hashing import UInt64
from manifests.tables import read_table, write_partitions
from manifests.tasks import Work

_LAST = np.uint64(0xFFFFFFFFFFFFFFFF)


def url_keys_stage(config: DedupConfig, work: Work) -> None:
    """dedup/url_keys, a part. Inputs: documents, decisions (of selection, same part). Variables: source_rank.

    Output `url_keys`: every selected document with an http(s) URL, by partition of the URL's hash."""
    decisions = read_table(work.input("decisions"), ["doc_id", "source", "quality_score", "keep"])
    documents = read_table(work.input("documents"), ["doc_id", "url", "date", "n_bytes"])
    check_aligned(documents["doc_id"], decisions["doc_id"], work.input("decisions"))
    keys = url_keys(normalise_urls(documents["url"])["url"])
    mine = pc.and_(decisions["keep"], pa.array(keys.is_not_null().to_numpy()))
    rows = np.flatnonzero(mine.to_numpy())
    documents, decisions, key = documents.filter(mine), decisions.filter(mine), keys.to_numpy()[rows].astype(np.uint64)
    order = order_of(config.survivor_order, documents, decisions, work.variables["source_rank"])
    table = pa.table({
        "key": key, "preference": _preference(config.urls, documents),
        "part": np.full(len(rows), part_key(work.task.name), np.uint64), "row": rows,
        "order": np.ascontiguousarray(order[:, 0]), "order_low": np.ascontiguousarray(order[:, 1]),
        "doc_id": documents["doc_id"]})
    work.count("documents", len(rows))
    write_partitions(work.output("url_keys"), URL_KEYS, table, key % np.uint64(config.partitions))


def _preference(rule: UrlRule | None, documents: pa.Table) -> npt.NDArray[np.uint64]:
    """uint64 [n], smaller for what the rule keeps; a document without a date is kept last."""
    if rule is UrlRule.LONGEST:
        return np.asarray(_LAST - documents["n_bytes"].to_numpy().astype(np.uint64))
    dates: UInt64 = np.maximum(dates_of(documents), 0).astype(np.uint64)
    if rule is UrlRule.LATEST:
        return np.asarray(_LAST - dates)
    return np.where(dates > 0, dates, _LAST)


def urls_stage(config: DedupConfig, work: Work) -> None:
    """dedup/urls, a partition. Inputs: url_keys (manifest of dedup/url_keys), old_url_keys (manifest of dedup/against).
    Variables: partition.

    Outputs: `losers`, routed: documents whose URL has a better document; `copies`, by partition of the survivor's id.
    Memory: 56 bytes a document of the partition."""
    paths = [p for name in ("url_keys", "old_url_keys") for p in work.inputs(name, role="url_keys")]
    table = gather(paths, URL_KEYS, work.variables["partition"])
    work.count("documents", len(table))
    table = table.filter(pa.array(repeated(column(table, "key"))))
    losers = best_first(table, ("preference",), ("key",))
    work.count("urls", pc.count_distinct(losers["survivor_id"]).as_py())
    work.count("url_duplicates", len(losers))
    write_losers(work, losers, config.partitions)


def url_copies_stage(config: DedupConfig, work: Work) -> None:
    """dedup/url_copies, a partition. Inputs: copies (manifest of dedup/urls), removals (of dedup/resolve), drops_by_id
    (of dedup/copies). Variables: partition.

    Where the document that a URL keeps is itself an exact or a near-duplicate, its survivor is named instead, so that
    `duplicate_of` is always a kept document; no similarity is claimed. Output: `drops`, routed."""
    partition = work.variables["partition"]
    copies = gather(work.inputs("copies", role="copies"), COPIES, partition)
    gone = pa.concat_tables([
        gather(work.inputs(name, role=role), schema, partition, ("doc_id", "survivor_id"))
        for name, role, schema in (("removals", "removals_by_id", REMOVALS), ("drops", "drops_by_id", DROPS))])
    place = place_among(copies, gone["doc_id"])
    survivor = pc.coalesce(gone["survivor_id"].take(place), copies["survivor_id"])
    reason = pa.array([DedupReason.URL_DUPLICATE.value]).take(pa.array(np.zeros(len(copies), np.int64)))
    drops = pa.table({"part": copies["part"], "row": copies["row"], "doc_id": copies["doc_id"],
                      "survivor_id": survivor, "similarity": pa.nulls(len(copies), pa.float32()), "reason": reason})
    work.count("url_duplicates", len(drops))
    write_partitions(work.output("drops"), DROPS, drops, routes(column(drops, "part")))


