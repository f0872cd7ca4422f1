"""Signatures: text hash, MinHash bands and place in survivor order of every selected document of a part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.dedup.bands import bands_of
from curate.dedup.config import DedupConfig
from curate.dedup.layout import (
    TEXT_HASHES,
    Int64,
    check_aligned,
    column,
    id_order,
    part_key,
    signatures_schema,
    survivor_order,
)
from curate.kernels.minhash import Signatures, band_keys, hash_texts, sign
from curate.kernels.strings import string_buffers
from curate.kernels.words import hash_words
from manifests.errors import StageError
from manifests.tables import read_row_groups, read_table, write_partitions
from manifests.tasks import ShardWork

_MAX_RANK = 1 << 16


def minhash(texts: pa.Array | pa.ChunkedArray, config: DedupConfig) -> Signatures:
    """MinHash signatures of texts, uint32 [n, n_permutations]: datasketch's `affine32` over our 32-bit shingle hashes.

    For use on its own, with any index; `signatures` gives what the pipeline's steps exchange."""
    words, places = hash_words(*string_buffers(texts))
    return sign(words, places, config.ngram, config.n_permutations, config.seed)[0]


def signatures(texts: pa.Array | pa.ChunkedArray, config: DedupConfig) -> pa.Table:
    """What near-duplicate search needs of texts: one row each of hash_a, hash_b, n_shingles and bands.

    hash_a, hash_b: uint64, equal for texts with the same words in the same order. n_shingles: uint32, 0 for a text
    without words. bands: uint64 keys; two texts are candidates if they share one. texts: string or large_string."""
    words, places = hash_words(*string_buffers(texts))
    minima, n_shingles = sign(words, places, config.ngram, config.n_permutations, config.seed)
    hashes = hash_texts(words, places)
    n_bands, n_rows = bands_of(config)
    keys = pa.array(band_keys(minima, n_bands, n_rows).ravel())
    item = signatures_schema(n_bands).field("bands").type
    bands = pa.FixedSizeListArray.from_arrays(keys, type=item)
    return pa.table({"hash_a": np.ascontiguousarray(hashes[:, 0]), "hash_b": np.ascontiguousarray(hashes[:, 1]),
                     "n_shingles": n_shingles, "bands": bands})


def signatures_stage(config: DedupConfig, work: ShardWork) -> None:
    """dedup/signatures, a part. Inputs: documents, marks (of selection, same part). Variables: source_rank.

    Outputs: `signatures`, one row a selected document; `text_hashes`, the same documents by partition of their text
    hash, those without any word left out (they are never duplicates). Raises StageError where a source has no rank,
    InputError where the marks belong to other documents."""
    marks = read_table(work.input("marks"), ["doc_id", "source", "quality_score", "keep"])
    n_bands, _ = bands_of(config)
    facts: list[pa.Table] = []
    work.write("signatures", signatures_schema(n_bands), _signed(config, work, marks, facts))
    schema = pa.schema([f for f in TEXT_HASHES if f.name != "part"])
    found = pa.concat_tables([schema.empty_table(), *facts])
    part = pa.array(np.full(len(found), part_key(work.task.shard), np.uint64))
    table = found.add_column(2, TEXT_HASHES.field("part"), part)
    path = work.output("text_hashes", name=f"hashes/{work.task.shard}.parquet")
    write_partitions(path, TEXT_HASHES, table, column(found, "hash_b") % np.uint64(config.partitions))


def _signed(config: DedupConfig, work: ShardWork, marks: pa.Table, facts: list[pa.Table]) -> Iterator[pa.Table]:
    path = work.input("documents")
    start = 0
    for group in read_row_groups(path, ["doc_id", "text"]):
        mine = marks.slice(start, len(group))
        check_aligned(group["doc_id"], mine["doc_id"], work.input("marks"))
        work.count("documents", len(group))
        kept, marked = group.filter(mine["keep"]), mine.filter(mine["keep"])
        rows = start + np.flatnonzero(mine["keep"].to_numpy())
        start += len(group)
        table = signatures(kept["text"], config)
        work.count("documents_signed", len(table))
        work.count("bytes_signed", pc.sum(pc.binary_length(kept["text"])).as_py() or 0)
        order = survivor_order(_ranks(marked, work.variables["source_rank"]),
                               pc.fill_null(marked["quality_score"], 0.0).to_numpy(), id_order(marked["doc_id"]))
        table = table.append_column("row", pa.array(rows, pa.int64())).append_column("doc_id", kept["doc_id"])
        table = table.append_column("order", pa.array(order))
        worded = table.filter(pc.greater(table["n_shingles"], 0))
        work.count("documents_without_words", len(table) - len(worded))
        facts.append(worded.select(["hash_a", "hash_b", "row", "order", "doc_id"]).cast(
            pa.schema([f for f in TEXT_HASHES if f.name != "part"])))
        yield table.select(signatures_schema(bands_of(config)[0]).names)
    check_aligned(marks["doc_id"].slice(start), marks["doc_id"].slice(len(marks)), work.input("marks"))


def _ranks(marks: pa.Table, source_rank: Mapping[str, int]) -> Int64:
    sources = marks["source"].combine_chunks().dictionary_encode()
    if isinstance(sources, pa.ChunkedArray):  # no rows at all
        return np.empty(0, np.int64)
    names = sources.dictionary.to_pylist()
    for name in names:
        if not 0 <= source_rank.get(name, -1) < _MAX_RANK:
            raise StageError(f"source {name!r} has no rank in the order of survivors",
                             hint="list every source of the recipe, derived ones too")
    ranks = np.array([source_rank[name] for name in names], np.int64)
    return np.asarray(ranks[sources.indices.to_numpy()])


