"""Which documents are positive examples, which source they belong to, and which fold their site falls in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from curate.classifier.config import LabelsConfig
from curate.classifier.links import read_linked_hosts
from curate.classifier.sites import registered_domains
from curate.text.urls import bare_host, normalise_urls, url_keys
from manifests.hashing import id_words, keyed_hash, text_hash64
from manifests.schema import LABELS
from manifests.tables import one_array, read_table
from manifests.tasks import Work

_FOLD = "fold"


class Label(StrEnum):
    """Why a document is a positive example, strongest first."""

    URL = "url"  # this very page was linked
    HOST = "host"  # enough pages of its host were linked
    CURATED = "curated"  # its source is curated, as the recipe says


def labels(config: LabelsConfig, work: Work) -> None:
    """Stage classifier/labels, one task a source part: label, fold and source after derivation of each document.

    Inputs: `documents` (DOCUMENTS part), `urls` and `hosts` (roles of classifier/link_index; absent where the recipe
    has no Reddit dumps). Variables: seed; source; curated (bool: every document of the source is positive); derived:
    a list of {"source": "webtext", "labels": ["url"], "page_types": [], "min_page_type_score": 0.5}: documents with one
    of these labels, or of these kinds of pages where there are any, take the first such source. Output
    `labels` (LABELS, one row a document, in order). Counters: documents, label_<label>, source_<source>."""
    derived = work.variables.get("derived") or []
    kinds = ["page_type", "page_type_score"] if any(d["page_types"] for d in derived) else []
    documents = read_table(work.input("documents"), ["doc_id", "url", "host", *kinds])
    pages = normalise_urls(documents["url"]).with_columns(
        pl.coalesce("host", pl.Series("archived_host", documents["host"])).alias("site"))
    label = _linked_label(config, work, pages)
    if work.variables.get("curated", False):
        label = label.fill_null(str(Label.CURATED))
    table = pa.table({
        "doc_id": one_array(documents["doc_id"]),
        "source": _effective_source(str(work.variables["source"]), derived, label, documents).to_arrow(),
        "label": label.to_arrow(),
        "fold": pa.array(folds(documents["doc_id"], pages["site"], config.folds, int(work.variables["seed"]),
                               config.fold_by)),
    }).cast(LABELS)
    _count(work, table)
    work.write("labels", LABELS, [table])


def _linked_label(config: LabelsConfig, work: Work, pages: pl.DataFrame) -> pl.Series:
    by_url = pl.Series("by_url", np.zeros(pages.height, np.bool_))
    by_host = by_url.alias("by_host")
    for path in work.inputs("urls", role="urls"):
        by_url = _contains(read_table(path)["url_key"].to_numpy(), url_keys(pages["url"])) | by_url
    for path in work.inputs("hosts", role="hosts"):
        hosts = read_linked_hosts(path, config.min_host_links)["host"]
        shared = [bare_host(host.lower()) for host in config.shared_hosts]
        by_host = pages["host"].is_in(hosts.filter(~hosts.is_in(shared)).implode()).fill_null(False) | by_host
    return pages.select(pl.when(by_url).then(pl.lit(str(Label.URL))).when(by_host).then(pl.lit(str(Label.HOST)))
                        .otherwise(None).cast(pl.String).alias("label"))["label"]


def _contains(sorted_keys: npt.NDArray[np.uint64], keys: pl.Series) -> pl.Series:
    """Whether each key is among the sorted ones; a null key is not."""
    if not len(sorted_keys):
        return pl.Series(np.zeros(len(keys), np.bool_))
    wanted = keys.fill_null(0).to_numpy()
    index = np.minimum(np.searchsorted(sorted_keys, wanted), len(sorted_keys) - 1)
    return pl.Series(sorted_keys[index] == wanted) & keys.is_not_null()


def _effective_source(own: str, derived: Sequence[Mapping[str, Any]], label: pl.Series,
                      documents: pa.Table) -> pl.Series:
    """The source of each document: the first derived one that it fits, else its own."""
    source = pl.repeat(None, len(label), dtype=pl.String, eager=True)
    for rule in derived:
        if rule["page_types"]:
            kind, score = pl.Series(documents["page_type"]), pl.Series(documents["page_type_score"])
            # Compared as the float32 that it is stored as.
            moved = kind.is_in(list(rule["page_types"])) & (score >= np.float32(rule["min_page_type_score"]))
        else:
            moved = label.is_in(list(rule["labels"]))
        moved = moved.fill_null(False) & source.is_null()
        source = pl.select(pl.when(moved).then(pl.lit(str(rule["source"]))).otherwise(source))["literal"]
    return source.fill_null(own).alias("source")


def folds(ids: pa.ChunkedArray[Any], sites: pl.Series, n_folds: int, seed: int,
          fold_by: str = "domain") -> npt.NDArray[np.uint8]:
    """uint8 [n]: hash(site) modulo n_folds, so that no site is in two folds; by doc_id where a document has no site.

    sites: String [n], host without `www.`. fold_by: `domain` for its registered domain, `host` for itself."""
    names = sites.unique(maintain_order=True).drop_nulls()
    own = [bare_host(name) for name in names]
    keys = registered_domains(own) if fold_by == "domain" else own
    hashed = pl.Series([text_hash64(seed, _FOLD, key) % n_folds for key in keys], dtype=pl.UInt8)
    by_id = pl.Series(keyed_hash(seed, _FOLD, id_words(ids)) % np.uint64(n_folds)).cast(pl.UInt8)
    by_site = sites.replace_strict(names, hashed, default=None, return_dtype=pl.UInt8)
    return by_site.fill_null(by_id).to_numpy().astype(np.uint8)


def _count(work: Work, table: pa.Table) -> None:
    work.count("documents", len(table))
    for column in ("label", "source"):
        for value, n in sorted(pl.Series(table[column]).drop_nulls().value_counts().iter_rows()):
            work.count(f"{column}_{value}", n)
