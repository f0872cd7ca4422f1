"""What a run keeps so that later ones can be deduplicated against it, and how a later one reads it. No text is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.dedup.bands import bands_of
from curate.dedup.config import DedupConfig, SignatureScheme
from curate.dedup.kernels.minhash import band_keys
from curate.dedup.layout import TEXT_HASHES, URL_KEYS, column, part_key, rows_of, signatures_schema, write_keyed
from curate.dedup.order import order_before, order_columns
from curate.dedup.signing import signatures
from curate.text.urls import normalise_urls, url_keys
from manifests.errors import RecipeError
from manifests.storage import Storage
from manifests.tables import one_array, open_table, read_row_groups, read_table
from manifests.tasks import MANIFEST, Work

FOLDER: Final = "dedup/index"  # of a run; beside the output of a command it is OUT.index
_MADE_WITH: Final = b"curate.dedup.index"
_TEXT_HASH: Final = "xxh3-128 of word hashes"
_DECIDES: Final = ("signature", "shingles", "ngram", "n_permutations", "seed")


def index_schema(config: DedupConfig) -> pa.Schema:
    """One row a kept document. url_key: xxh3-64 of its canonical URL. own_id: where the files have ids of their own.

    Its metadata says what signatures were made with: only like ones can be compared."""
    word = pa.uint64() if config.signature is SignatureScheme.DATATROVE64 else pa.uint32()
    minima = pa.list_(pa.field("item", word, nullable=False), config.n_permutations)
    fields = [pa.field(name, pa.uint64(), nullable=False) for name in ("order", "order_low", "hash_a", "hash_b")]
    made_with = {**config.model_dump(mode="json", include=set(_DECIDES)), "text_hash": _TEXT_HASH}
    return pa.schema([
        pa.field("doc_id", pa.binary(16), nullable=False), pa.field("own_id", pa.string()), *fields,
        pa.field("url_key", pa.uint64()), pa.field("n_shingles", pa.uint32(), nullable=False),
        pa.field("minima", minima, nullable=False)], metadata={_MADE_WITH: json.dumps(made_with, sort_keys=True)})


def index_stage(config: DedupConfig, work: Work) -> None:
    """dedup/index, a part. Inputs: documents, signatures and decisions (of deduplication, same part).
    Variables: own_ids, whether documents have ids of their user's.

    Output: `index`, one row for each document of the part that was kept, in order."""
    keep = read_table(work.input("decisions"), ["keep"])["keep"].to_numpy()
    documents = read_table(work.input("documents"), ["url", *(["record_id"] if work.variables.get("own_ids") else [])])
    n_rows = work.write("index", index_schema(config), _kept(config, work.input("signatures"), keep, documents),
                        dictionary=False)
    work.count("documents", n_rows)


def _kept(config: DedupConfig, path: str, keep: Any, documents: pa.Table) -> Iterator[pa.Table]:
    schema = index_schema(config)
    keys = url_keys(normalise_urls(documents["url"])["url"])
    for group in read_row_groups(path):
        kept = group.filter(pa.array(keep[column(group, "row")]))
        rows = column(kept, "row")
        own = documents["record_id"].take(pa.array(rows)) if "record_id" in documents.column_names else pa.nulls(
            len(kept), pa.string())
        kind = schema.field("minima").type
        minima = pa.FixedSizeListArray.from_arrays(one_array(kept["minima"]).flatten().cast(kind.value_type), type=kind)
        yield pa.table({**{name: kept[name] for name in schema.names if name in kept.column_names}, "own_id": own,
                        "url_key": keys.gather(rows).to_arrow(), "minima": minima}).select(schema.names)


def index_folder(root: str, where: str) -> str:
    """The folder of the index that later runs can be deduplicated against.

    Args:
        root: A run, or what `curate dedup --keep-index` was told as --output.
        where: What errors call it.
    Raises:
        RecipeError: It keeps none, or an incomplete one.
    """
    storage = Storage(root)
    manifest = f"{FOLDER}/{MANIFEST}"
    if storage.exists(manifest) and len(read_table(storage.path(manifest), ["path"])):
        return storage.path(FOLDER)
    for folder in (f"{root.rstrip('/')}.index", storage.path("index")):  # the latter as 0.1.0 left it
        if any(name.endswith(".parquet") for name in Storage(folder).list("")):
            return folder
    raise RecipeError(f"{root} keeps no index to deduplicate against", where=where,
                      hint="make it with `dedup.keep_index: true` in its recipe, or `curate dedup --keep-index`")


def check_index(path: str, config: DedupConfig, where: str) -> None:
    """Check that an index can be compared with what a configuration makes.

    Bands are made anew from signatures, so their number and the threshold may differ.

    Args:
        path: A file of the index.
        config: Of the run that is to be deduplicated against it.
        where: What errors call the index.
    Raises:
        RecipeError: The signatures were made in another way; it names the field.
    """
    with open_table(path) as file:
        data = (file.schema_arrow.metadata or {}).get(_MADE_WITH)
    made_with = json.loads(data) if data else {}
    wanted = config.model_dump(mode="json", include=set(_DECIDES))
    if made_with.get("text_hash") != _TEXT_HASH:
        raise RecipeError("holds other text hashes than this version makes", where=where, hint="run that run again")
    for name in _DECIDES:
        if made_with.get(name) != wanted[name]:
            raise RecipeError(f"{name} is {wanted[name]} here and {made_with.get(name)} in the index: signatures of "
                              "the two cannot be compared", where=where, hint=f"set dedup.{name} as it was there")


def against_stage(config: DedupConfig, work: Work) -> None:
    """dedup/against, a part of an earlier run. Inputs: index. Variables: run, its number among the runs.

    Its documents enter as those of a part whose signatures are known, before all others in survivor order. Outputs:
    `signatures`, `text_hashes` and `url_keys`, as of dedup/signatures and dedup/url_keys. Memory: a row group of the
    index, and 80 bytes a document."""
    check_index(work.input("index"), config, "against")
    facts = [_FACTS.empty_table()]
    work.write("signatures", signatures_schema(bands_of(config)[0]), _signed(config, work, facts), dictionary=False)
    table = pa.concat_tables(facts)
    work.count("documents", len(table))
    table = table.append_column("part", pa.array(np.full(len(table), part_key(work.task.name), np.uint64)))
    empty = signatures(pa.array([""]), config)
    worded = table.filter(pc.or_(*(pc.not_equal(table[k], empty[k][0]) for k in ("hash_a", "hash_b"))))
    write_keyed(work, "text_hashes", TEXT_HASHES, worded.select(TEXT_HASHES.names), "hash_b")
    urls = table.filter(pc.is_valid(table["key"]))
    urls = urls.append_column("preference", pa.array(np.zeros(len(urls), np.uint64)))
    write_keyed(work, "url_keys", URL_KEYS, urls.select(URL_KEYS.names), "key")


_FACTS: Final = pa.schema([f for f in TEXT_HASHES if f.name != "part"]).append(pa.field("key", pa.uint64()))


def _signed(config: DedupConfig, work: Work, facts: list[pa.Table]) -> Iterator[pa.Table]:
    """Tables as of dedup/signatures, row group by row group; what the other outputs need goes to `facts`."""
    n_bands, n_rows = bands_of(config)
    schema = signatures_schema(n_bands)
    start = 0
    for group in read_row_groups(work.input("index")):
        rows = np.arange(start, start + len(group))
        start += len(group)
        order = np.stack([column(group, name) for name in ("order", "order_low")], axis=1)
        order = order_before(work.variables["run"], order)
        keys = band_keys(rows_of(group["minima"]), n_bands, n_rows)
        table = pa.table({
            "row": rows, "doc_id": group["doc_id"], **order_columns(order), "hash_a": group["hash_a"],
            "hash_b": group["hash_b"], "n_shingles": group["n_shingles"],
            "bands": pa.FixedSizeListArray.from_arrays(pa.array(keys.ravel()), type=schema.field("bands").type)})
        facts.append(table.append_column("key", group["url_key"]).select(_FACTS.names).cast(_FACTS))
        yield table.cast(schema)
