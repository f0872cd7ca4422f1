"""What a packing mode does, and the modes by name.

`concat` is a stream; the others fill rows with whole documents, by a function of their own (`RowPacker`).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, Protocol, cast

import numpy as np

from manifests.packing import PACKINGS
from tokenizer.packing.config import PackConfig
from tokenizer.packing.fragments import Fragments, Ints, ShardRange, fragments_of
from tokenizer.packing.instances import Instances
from tokenizer.packing.rows import DocumentParts, Rows, begin_shards, cut_to_rows, used_tokens


class Packer(Protocol):
    """One packing mode, as the stages of packing ask it.

    fills_rows: whether pack/rows fills the rows of every group before shards can be laid out."""

    @property
    def fills_rows(self) -> bool: ...

    def first_buckets(self, sizes: Ints, shard_tokens: int) -> Ints:
        """The first bucket of each group that is packed together. sizes: tokens of a stream's buckets, int64 [n]."""

    def n_rows(self, config: PackConfig, lengths: Ints) -> int:
        """Rows that the documents of a group fill. lengths: tokens of its instances, int64 [n]."""

    def shards(self, config: PackConfig, n_tokens: int, n_rows: int) -> tuple[Ints, Ints, int]:
        """(payload tokens, first token in the stream) of every shard of a stream, int64 [shards], and the tokens of the
        stream that fill no row. n_tokens, n_rows: of the stream."""

    def fragments(self, config: PackConfig, instances: Instances, buckets: list[dict[str, Any]],
                  shard: ShardRange) -> Fragments | None:
        """What a shard holds of the instances of the buckets that it overlaps; None where these do not hold the tokens
        that the layout promises."""


class RowPacker:
    """Packing that fills rows with whole documents. Groups of buckets that make about a shard are packed together.

    fill: rows from parts of documents, a row length, and how many tokens are kept free; deterministic."""

    fills_rows: Final = True

    def __init__(self, fill: Callable[[DocumentParts, int, int], Rows]) -> None:
        self._fill = fill

    def fill_rows(self, lengths: Ints, row_length: int, shard_rows: int) -> Rows:
        """Documents packed into rows.

        However the rows are divided into shards of `shard_rows`, enough of them are not full: one for each shard that
        begins among them (`begin_shards`).

        Args:
            lengths: Tokens of the instances, int64 [n], each at least 1.
            row_length: Tokens of a row.
            shard_rows: Rows of a shard.
        """
        kept_free = 0
        while True:
            rows = self._fill(cut_to_rows(lengths, row_length, kept_free), row_length, kept_free)
            missing = -(-rows.n_rows // shard_rows) - np.count_nonzero(used_tokens(rows) < row_length)
            if missing <= 0:
                return rows
            kept_free = max(2 * kept_free, kept_free + int(missing))

    def first_buckets(self, sizes: Ints, shard_tokens: int) -> Ints:
        begins = np.cumsum(sizes) - sizes
        return np.flatnonzero(np.diff(begins // shard_tokens, prepend=-1))

    def n_rows(self, config: PackConfig, lengths: Ints) -> int:
        return self.fill_rows(lengths, config.row_length, config.shard_rows).n_rows

    def shards(self, config: PackConfig, n_tokens: int, n_rows: int) -> tuple[Ints, Ints, int]:
        full, rest = divmod(n_rows, config.shard_rows)
        sizes = np.array([config.shard_rows] * full + ([rest] if rest else []), np.int64) * config.row_length
        return sizes, np.zeros(len(sizes), np.int64), 0

    def fragments(self, config: PackConfig, instances: Instances, buckets: list[dict[str, Any]],
                  shard: ShardRange) -> Fragments | None:
        """Groups of buckets are filled one by one, as they were laid out."""
        bounds = np.cumsum([0, *(b["n_tokens"] for b in buckets)])
        if int(instances.n_tokens.sum()) != bounds[-1]:
            return None
        edges = np.searchsorted(np.cumsum(instances.n_tokens), bounds, "right")
        filled = []
        for bucket, low, high in zip(buckets, edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            rows = self.fill_rows(instances.n_tokens[low:high], config.row_length, config.shard_rows)
            rows = begin_shards(rows, config.row_length, bucket["row_start"], config.shard_rows)
            row = rows.row + (bucket["row_start"] - shard.first_row)
            here = np.flatnonzero((row >= 0) & (row < shard.n_rows))
            begin = row[here] * config.row_length + rows.start[here]
            filled.append((rows.instance[here] + low, begin, rows.n_tokens[here], rows.offset[here]))
        chosen, begin, n_tokens, offset = (np.concatenate(column) for column in zip(*filled, strict=True))
        return fragments_of(instances, chosen, begin, n_tokens, offset)


def packer(packing: str) -> Packer:
    """The packer of a packing mode.

    Args:
        packing: A name in `manifests.packing.PACKINGS`.
    """
    return cast(Packer, import_module(f"tokenizer.packing.modes.{PACKINGS[packing].name}").PACKER)


def row_packer(packing: str) -> RowPacker:
    """The packer of a packing mode that fills rows with whole documents."""
    return cast(RowPacker, packer(packing))
