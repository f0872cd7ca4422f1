"""Survivor order: which of two duplicates stays.

Survivor order is the order in which documents are considered, the best first: of duplicates, the first in it survives.
Every document has a key of two words that compare as that order does, so each step sorts by two integers; the id of
the document decides between equal keys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.dedup.config import SurvivorKey
from curate.dedup.layout import id_order
from manifests.errors import StageError
from manifests.hashing import Int64, UInt64

_WORD: Final = 64
_BITS: Final = {SurvivorKey.SOURCE: 16, SurvivorKey.QUALITY: 32, SurvivorKey.LENGTH: 32, SurvivorKey.DATE: 47,
                SurvivorKey.POSITION: 40}
"""With the bit in front, 0 for documents of earlier runs, source, quality, length and date fill the two words; what
fewer leave is filled with the first bits of the id."""
_NARROW: Final = {SurvivorKey.QUALITY: 31, SurvivorKey.LENGTH: 32, SurvivorKey.DATE: 34, SurvivorKey.POSITION: 30}
"""Where all four of these are asked for: a quality has no sign, dates count in seconds."""
_NEW: Final = np.uint64(1 << 63)
_RUN_BITS: Final = 15


def survivor_order(keys: Sequence[SurvivorKey], facts: Mapping[SurvivorKey, npt.NDArray[Any]], ids: UInt64) -> UInt64:
    """The keys of documents in survivor order.

    Args:
        keys: What decides, the first first; then the whole id does.
        facts: Of each key, [n]. source: rank int64, 0 first. quality: float32, where missing, negative or no number is
            0. length: bytes of text, int64. date: milliseconds since 1970, int64, 0 where unknown. position: int64.
        ids: As of `id_order`, uint64 [n, 2].
    Returns:
        uint64 [n, 2], ascending word by word from the document that survives first.
    Raises:
        StageError: There are more documents than positions.
    """
    words = np.zeros((len(ids), 2), np.uint64)
    words[:, 0] = _NEW
    used = 1
    bits_of = _NARROW if set(keys) == set(_NARROW) else _BITS
    for key in keys:
        _put(words, _ascending(key, facts[key], bits_of), used, bits_of[key])
        used += bits_of[key]
    for half in (0, 1):
        bits = min(_WORD, 2 * _WORD - used)
        if bits:
            _put(words, ids[:, half] >> np.uint64(_WORD - bits), used, bits)
        used += bits
    return words


def order_before(run: int, order: UInt64) -> UInt64:
    """Keys before all documents of this run, for those that an earlier one kept: by run, then as they were there.

    order: uint64 [n, 2], as of `survivor_order` there, of which the last 15 bits no longer count."""
    words = np.zeros_like(order)
    rest = order[:, 0] & ~_NEW
    _put(words, np.full(len(order), run, np.uint64), 1, _RUN_BITS)
    _put(words, rest >> np.uint64(_RUN_BITS), 1 + _RUN_BITS, 63 - _RUN_BITS)
    _put(words, rest & np.uint64((1 << _RUN_BITS) - 1), _WORD, _RUN_BITS)
    _put(words, order[:, 1] >> np.uint64(_RUN_BITS), _WORD + _RUN_BITS, _WORD - _RUN_BITS)
    return words


def is_from_earlier_run(order: UInt64) -> npt.NDArray[np.bool_]:
    """Whether documents are of an earlier run, from the first words of their keys: they stay, whatever comes."""
    return np.asarray(order < _NEW)


def run_of(order: UInt64) -> npt.NDArray[np.int32]:
    """The earlier run that documents are of, by the first words of their keys; -1 for those of this run."""
    run = ((order & ~_NEW) >> np.uint64(_WORD - 1 - _RUN_BITS)).astype(np.int32)
    return np.where(is_from_earlier_run(order), run, np.int32(-1))


def _ascending(key: SurvivorKey, values: npt.NDArray[Any], bits_of: Mapping[SurvivorKey, int]) -> UInt64:
    """uint64 of so many bits as the key has, smaller for what survives."""
    top = np.uint64((1 << bits_of[key]) - 1)
    if key is SurvivorKey.SOURCE:
        return values.astype(np.uint64)
    if key is SurvivorKey.POSITION:
        if len(values) and values.max() > top:
            raise StageError(f"more than {int(top) + 1} rows have no position in survivor_order", where="dedup",
                             hint="leave position, length or date out of survivor_order")
        return values.astype(np.uint64)
    if key is SurvivorKey.QUALITY:
        score = np.where(values > 0, values, np.float32(0)).astype(np.float32)  # NaN compares false
        return np.asarray(top - score.view(np.uint32).astype(np.uint64))  # floats above 0 compare as their bits do
    if key is SurvivorKey.DATE and bits_of is _NARROW:
        values = values // 1000
    return np.asarray(top - np.clip(values, 0, int(top)).astype(np.uint64))


def _put(words: UInt64, values: UInt64, start: int, bits: int) -> None:
    """Or `bits` of each value into bits start.. of its row, counted from the most significant."""
    end = start + bits
    if end <= _WORD:
        words[:, 0] |= values << np.uint64(_WORD - end)
    elif start >= _WORD:
        words[:, 1] |= values << np.uint64(2 * _WORD - end)
    else:
        words[:, 0] |= values >> np.uint64(end - _WORD)
        words[:, 1] |= values << np.uint64(2 * _WORD - end)


_MAX_RANK: Final = 1 << _BITS[SurvivorKey.SOURCE]


def order_of(keys: Sequence[SurvivorKey], documents: pa.Table, decisions: pa.Table, rows: Int64,
             variables: Mapping[str, Any]) -> dict[str, UInt64]:
    """The columns order and order_low, uint64 [n], of documents: the two words of `survivor_order`.

    documents: date and n_bytes; decisions: doc_id, source, quality_score; rows: of the part; all of the same documents.
    variables: source_rank, the number of each source; first_position, rows before the part, where position is a key.
    Raises StageError where a source has no rank."""
    facts: dict[SurvivorKey, npt.NDArray[Any]] = {
        SurvivorKey.SOURCE: _ranks(decisions, variables["source_rank"]),
        SurvivorKey.QUALITY: pc.fill_null(decisions["quality_score"], 0.0).to_numpy(),
        SurvivorKey.LENGTH: documents["n_bytes"].to_numpy(), SurvivorKey.DATE: dates_of(documents),
        SurvivorKey.POSITION: variables.get("first_position", 0) + rows}
    return order_columns(survivor_order(keys, facts, id_order(decisions["doc_id"])))


def order_columns(order: UInt64) -> dict[str, UInt64]:
    """Keys of two words, uint64 [n, 2], as the columns that tables hold them in."""
    return {name: np.ascontiguousarray(order[:, half]) for half, name in enumerate(("order", "order_low"))}


def dates_of(documents: pa.Table) -> Int64:
    """Milliseconds since 1970 of each document's date, 0 where it has none."""
    milliseconds = documents["date"].cast(pa.timestamp("ms", "UTC")).cast(pa.int64())
    return np.asarray(pc.fill_null(milliseconds, 0).to_numpy())


def _ranks(decisions: pa.Table, source_rank: Mapping[str, int]) -> Int64:
    sources = decisions["source"].combine_chunks().dictionary_encode()
    if isinstance(sources, pa.ChunkedArray):  # no rows at all
        return np.empty(0, np.int64)
    names = sources.dictionary.to_pylist()
    for name in names:
        if not 0 <= source_rank.get(name, -1) < _MAX_RANK:
            raise StageError(f"source {name!r} has no rank in the order of survivors",
                             hint="list every source of the recipe, derived ones too")
    ranks = np.array([source_rank[name] for name in names], np.int64)
    return np.asarray(ranks[sources.indices.to_numpy()])
