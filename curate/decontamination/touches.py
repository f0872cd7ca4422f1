"""Which items of evaluation sets a text touches, each benchmark by n-grams of its own length.

GPT-3's overlap analysis (Brown et al. 2020, appendix C): N is the 5th percentile of a benchmark's item lengths in
words, clipped to 8..13, and an item is dirty where any of its N-grams occurs in the training text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.decontamination.config import OverlapReportConfig
from curate.decontamination.kernels.overlaps import match_words, split_words
from curate.decontamination.overlap import GramIndex, index_of
from curate.text.strings import string_buffers
from curate.text.words import Hashes
from manifests.hashing import Int64
from manifests.tables import read_table

ITEMS: Final = pa.schema([
    pa.field("benchmark", pa.string(), nullable=False), pa.field("item", pa.string(), nullable=False),
    pa.field("n_words", pa.int64(), nullable=False, metadata={"comment": "words as the n-grams count them"}),
    pa.field("ngram", pa.uint8(), nullable=False, metadata={"comment": "N of the benchmark, in words"})])
"""One row an item, in the order of the benchmarks and their files; its number is the `item_row` of other tables."""

ITEM_GRAMS: Final = pa.schema([
    pa.field("ngram", pa.uint8(), nullable=False), pa.field("gram", pa.uint64(), nullable=False),
    pa.field("item_row", pa.int64(), nullable=False)])
"""N-grams of the items, by N, hash and item."""

FOUND: Final = pa.schema([
    pa.field("row", pa.int64(), nullable=False), pa.field("ngram", pa.uint8(), nullable=False),
    pa.field("gram", pa.uint64(), nullable=False),
    pa.field("start", pa.int64(), nullable=False), pa.field("end", pa.int64(), nullable=False)])
"""Occurrences of item n-grams in texts: row of the text, UTF-8 byte span."""

TOUCHES: Final = pa.schema([
    pa.field("item_row", pa.int64(), nullable=False), pa.field("row", pa.int64(), nullable=False),
    pa.field("start", pa.int64(), nullable=False), pa.field("end", pa.int64(), nullable=False),
    pa.field("left", pa.bool_(), nullable=False)])
"""One row an item and text that share an n-gram. start, end: UTF-8 bytes of the first n-gram, of one that is left where
any is. left: whether it lies in a piece that stays in the training text."""


def ngram_of(n_words: npt.NDArray[np.int64], config: OverlapReportConfig) -> int:
    """N of a benchmark: the percentile of its items' lengths in words, rounded down to a length that occurs, clipped.

    n_words: int64 [items]; items without a word do not count."""
    lengths = n_words[n_words > 0]
    if not len(lengths):
        return config.max_ngram
    return int(np.clip(int(np.percentile(lengths, config.percentile, method="lower")),
                       config.min_ngram, config.max_ngram))


def describe_items(benchmark: str, ids: Sequence[str], texts: pa.Array, config: OverlapReportConfig,
                   first_row: int) -> tuple[pa.Table, pa.Table]:
    """(ITEMS, ITEM_GRAMS unsorted) of one benchmark. texts: large_string. first_row: number of its first item."""
    buffers = string_buffers(texts)
    words = split_words(*buffers)
    n_words = np.diff(words.bounds)
    ngram = ngram_of(n_words, config)
    grams, rows, _, _ = match_words(words, ngram, None)
    items = pa.table({"benchmark": pa.repeat(pa.scalar(benchmark), len(ids)), "item": pa.array(ids, pa.string()),
                      "n_words": n_words, "ngram": np.full(len(ids), ngram, np.uint8)}, schema=ITEMS)
    occurrences = pa.table({"ngram": np.full(len(grams), ngram, np.uint8), "gram": grams,
                            "item_row": rows + first_row}, schema=ITEM_GRAMS)
    return items, occurrences


def sorted_grams(tables: Iterable[pa.Table]) -> pa.Table:
    """ITEM_GRAMS in order, each n-gram of an item once."""
    table = pa.concat_tables([ITEM_GRAMS.empty_table(), *tables])
    arrays = [table[name].to_numpy() for name in ITEM_GRAMS.names]
    order = np.lexsort(arrays[::-1])
    arrays = [array[order] for array in arrays]
    first = np.ones(len(order), np.bool_)
    first[1:] = np.logical_or.reduce([array[1:] != array[:-1] for array in arrays])
    return pa.table([array[first] for array in arrays], schema=ITEM_GRAMS)


@dataclass(frozen=True)
class _OneLength:
    """The n-grams of one N. grams: ascending, repeated where items share one; item_row: whose each is."""

    index: GramIndex
    grams: Hashes
    item_row: Int64


class ItemIndex:
    """The items' n-grams by N: texts are read once, and their words searched once for every N that a benchmark has."""

    def __init__(self, grams: pa.Table) -> None:
        """grams: ITEM_GRAMS, sorted."""
        self._lengths: dict[int, _OneLength] = {}
        for ngram in sorted(set(grams["ngram"].to_pylist())):
            of_length = grams.filter(pc.equal(grams["ngram"], pa.scalar(ngram, pa.uint8())))
            hashes = of_length["gram"].to_numpy()
            self._lengths[ngram] = _OneLength(index_of(hashes, ngram), hashes, of_length["item_row"].to_numpy())

    def find(self, texts: pa.Array | pa.ChunkedArray) -> pa.Table:
        """FOUND of texts (string or large_string), by N, text and offset."""
        tables = [FOUND.empty_table()]
        if not self._lengths:
            return FOUND.empty_table()
        words = split_words(*string_buffers(texts))
        for ngram, one in self._lengths.items():
            grams, rows, starts, ends = match_words(words, ngram, one.index.table)
            tables.append(pa.table({"row": rows, "ngram": np.full(len(rows), ngram, np.uint8), "gram": grams,
                                    "start": starts, "end": ends}, schema=FOUND))
        return pa.concat_tables(tables)

    def touches(self, occurrences: pa.Table, pieces: pa.ListArray) -> pa.Table:
        """TOUCHES, by item and text. pieces: list<struct<start, end>>, the byte spans of every text that stay."""
        left = _inside(occurrences, pieces)
        columns: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in TOUCHES.names}
        for ngram, one in self._lengths.items():
            here = np.flatnonzero(occurrences["ngram"].to_numpy() == ngram)
            grams = occurrences["gram"].to_numpy()[here]
            low, high = (np.searchsorted(one.grams, grams, side) for side in ("left", "right"))
            counts = high - low
            hit = np.repeat(here, counts)
            # Every occurrence of a gram that several items share touches all of them.
            index = np.arange(len(hit)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(low, counts)
            columns["item_row"].append(one.item_row[index])
            columns["left"].append(left[hit])
            for name in ("row", "start", "end"):
                columns[name].append(occurrences[name].to_numpy()[hit])
        arrays = {n: np.concatenate(c) if c else np.empty(0, np.int64) for n, c in columns.items()}
        order = np.lexsort((arrays["start"], ~arrays["left"].astype(bool), arrays["row"], arrays["item_row"]))
        item, row = arrays["item_row"][order], arrays["row"][order]
        first = np.ones(len(order), bool)
        first[1:] = (item[1:] != item[:-1]) | (row[1:] != row[:-1])
        return pa.table({n: a[order[first]] for n, a in arrays.items()}).cast(TOUCHES)


@lru_cache(maxsize=1)
def held_items(path: str, digest: str) -> ItemIndex:
    """The index of a file of ITEM_GRAMS, which a process keeps for its next part. digest: of the file."""
    return ItemIndex(read_table(path))


def _inside(occurrences: pa.Table, pieces: pa.ListArray) -> npt.NDArray[np.bool_]:
    """Whether each occurrence lies within one of its text's pieces, which are ascending and apart."""
    flat = pieces.flatten()
    starts, ends = (flat.field(i).to_numpy().astype(np.int64) for i in (0, 1))
    owners = pc.list_parent_indices(pieces).to_numpy().astype(np.int64)
    rows, start, end = (occurrences[n].to_numpy() for n in ("row", "start", "end"))
    room = np.int64(1 + max([0, *(int(a.max()) for a in (ends, end) if len(a))]))
    index = np.searchsorted(owners * room + starts, rows * room + start, "right") - 1
    known = np.maximum(index, 0)
    if not len(owners):
        return np.zeros(len(rows), bool)
    return np.asarray((index >= 0) & (owners[known] == rows) & (end <= ends[known]))
