"""Signatures: text hash, MinHash bands and key in survivor order of every selected document of a part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.dedup.bands import bands_of
from curate.dedup.config import DedupConfig, ShingleUnit, SignatureScheme
from curate.dedup.kernels.datatrove import sign64, simplify
from curate.dedup.kernels.minhash import Signatures, band_keys, hash_texts, sign
from curate.dedup.layout import (
    DROPPED,
    TEXT_HASHES,
    check_aligned,
    column,
    gather_part,
    part_key,
    signatures_schema,
    write_keyed,
)
from curate.dedup.order import order_of
from curate.edits.texts import EditedTexts
from curate.text.strings import Offsets, string_buffers
from curate.text.words import Hashes, hash_characters, hash_words
from manifests.tables import read_row_groups, read_table
from manifests.tasks import Work

Minima = Signatures | Hashes

_MOST_MINIMA: Final = 1 << 24  # held at once: a published recipe has 9,000 of each text


def units(texts: pa.Array | pa.ChunkedArray, config: DedupConfig) -> tuple[Hashes, Offsets]:
    """Hashes of what shingles are n-grams of, words or characters: (uint64 [n], offsets int64 [n_texts + 1])."""
    hashed = hash_characters if config.shingles is ShingleUnit.CHARACTERS else hash_words
    return hashed(*string_buffers(texts))


def minhash(texts: pa.Array | pa.ChunkedArray, config: DedupConfig) -> Minima:
    """MinHash signatures of texts, for use with any index; `signatures` gives what the pipeline's steps exchange.

    Args:
        texts: string or large_string [n]; a null is an empty text.
        config: The scheme, the shingles, the number of permutations and their seed.
    Returns:
        [n, n_permutations]: uint32 in datasketch's `affine32` over our 32-bit shingle hashes, uint64 in datatrove's
        scheme. Of a text without words all ones.
    """
    return _sign(texts, config)[0]


def _sign(texts: pa.Array | pa.ChunkedArray, config: DedupConfig,
          words: tuple[Hashes, Offsets] | None = None) -> tuple[Minima, npt.NDArray[np.uint32]]:
    n, n_permutations, seed = config.ngram, config.n_permutations, config.seed
    if config.signature is SignatureScheme.DATATROVE64:
        return sign64(*string_buffers(simplify(texts)), n, n_permutations, seed)
    of_words = words is not None and config.shingles is ShingleUnit.WORDS
    return sign(*(words if of_words and words else units(texts, config)), n, n_permutations, seed)


def signatures(texts: pa.Array | pa.ChunkedArray, config: DedupConfig) -> pa.Table:
    """What deduplication needs of texts, a row each.

    Args:
        texts: string or large_string [n].
        config: How signatures and bands are made.
    Returns:
        hash_a, hash_b: uint64, equal for texts with the same words in the same order. n_words, n_shingles: uint32.
        bands: uint64 keys; two texts that have a shingle are candidates if they share one. minima: uint64, all of the
        signature, where candidates are verified by it or an index is kept.
    """
    step = max(1, _MOST_MINIMA // config.n_permutations)
    if len(texts) <= step:
        return _signatures(texts, config)
    return pa.concat_tables([_signatures(texts.slice(i, step), config) for i in range(0, len(texts), step)])


def _signatures(texts: pa.Array | pa.ChunkedArray, config: DedupConfig) -> pa.Table:
    words = hash_words(*string_buffers(texts))
    minima, n_shingles = _sign(texts, config, words)
    hashes = hash_texts(*words)
    n_bands, n_rows = bands_of(config)
    schema = schema_of(config)
    keys = pa.array(band_keys(minima, n_bands, n_rows).ravel())
    columns = {"hash_a": np.ascontiguousarray(hashes[:, 0]), "hash_b": np.ascontiguousarray(hashes[:, 1]),
               "n_words": np.diff(words[1]).astype(np.uint32), "n_shingles": n_shingles,
               "bands": pa.FixedSizeListArray.from_arrays(keys, type=schema.field("bands").type)}
    if config.keeps_minima:
        columns["minima"] = pa.FixedSizeListArray.from_arrays(
            pa.array(minima.astype(np.uint64).ravel()), type=schema.field("minima").type)
    return pa.table(columns)


def schema_of(config: DedupConfig) -> pa.Schema:
    """The schema of `signatures` files."""
    kept = config.n_permutations if config.keeps_minima else 0
    return signatures_schema(bands_of(config)[0], kept)


def signatures_stage(config: DedupConfig, work: Work) -> None:
    """dedup/signatures, a part. Inputs: documents, decisions (of selection, same part), dropped (of
    dedup/urls). Variables: as of `order_of`.

    Texts are taken as selection's edits leave them. Outputs: `signatures`, one row a selected document that is the best
    of its URL; `text_hashes`, the same documents by partition of their text hash, those without any word left out (they
    are never duplicates). Raises StageError where a source has no rank, InputError where the decisions belong to other
    documents."""
    decisions = read_table(work.input("decisions"), ["doc_id", "source", "quality_score", "keep", "edits"])
    lost = column(gather_part(work, "dropped", DROPPED), "row")
    enters = decisions["keep"].to_numpy().copy()
    enters[lost] = False
    facts: list[pa.Table] = []
    work.write("signatures", schema_of(config), _signed(config, work, decisions, enters, facts), dictionary=False)
    hashed = pa.concat_tables([_HASHES.empty_table(), *facts])
    part = pa.repeat(pa.scalar(part_key(work.task.name), pa.uint64()), len(hashed))
    table = hashed.add_column(2, TEXT_HASHES.field("part"), part)
    write_keyed(work, "text_hashes", TEXT_HASHES, table, "hash_b")


_HASHES = pa.schema([f for f in TEXT_HASHES if f.name != "part"])


def _signed(config: DedupConfig, work: Work, decisions: pa.Table, enters: npt.NDArray[np.bool_],
            facts: list[pa.Table]) -> Iterator[pa.Table]:
    start = 0
    for group in read_row_groups(work.input("documents"), ["doc_id", "text", "date", "n_bytes"]):
        decided, mask = decisions.slice(start, len(group)), enters[start : start + len(group)]
        check_aligned(group["doc_id"], decided["doc_id"], work.input("decisions"))
        work.count("documents", len(group))
        kept, selected = group.filter(pa.array(mask)), decided.filter(pa.array(mask))
        rows = start + np.flatnonzero(mask)
        start += len(group)
        edited = EditedTexts.of(kept["text"], selected["edits"], kept["n_bytes"].to_numpy())
        table = signatures(edited.texts, config)
        kept = kept.set_column(kept.column_names.index("n_bytes"), "n_bytes", pa.array(edited.n_bytes))
        work.count("documents_signed", len(table))
        work.count("bytes_signed", int(edited.n_bytes.sum()))
        work.count("words_signed", pc.sum(table["n_words"]).as_py() or 0)
        table = table.append_column("row", pa.array(rows, pa.int64())).append_column("doc_id", kept["doc_id"])
        for name, values in order_of(config.survivor_order, kept, selected, rows, work.variables).items():
            table = table.append_column(name, pa.array(values))
        worded = table.filter(pc.greater(table["n_words"], 0))
        work.count("documents_without_words", len(table) - len(worded))
        facts.append(worded.select(_HASHES.names).cast(_HASHES))
        yield table.select(schema_of(config).names)
    check_aligned(decisions["doc_id"].slice(start), decisions["doc_id"].slice(len(decisions)), work.input("decisions"))
