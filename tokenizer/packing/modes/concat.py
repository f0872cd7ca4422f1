"""Concatenation: the documents of a stream one after another, cut at every row."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tokenizer.packing.config import PackConfig
from tokenizer.packing.fragments import Fragments, Ints, ShardRange, fragments_of
from tokenizer.packing.instances import Instances
from tokenizer.packing.packers import Packer


def shard_sizes(n_stream: int, shard_tokens: int, row_length: int, pad_tail: bool = False
                ) -> tuple[npt.NDArray[np.int64], int]:
    """Payload tokens of every shard, int64 [n], and the stream's tokens that fill no row.

    All shards hold shard_tokens but the last, which holds as many whole rows as are left, and with pad_tail one for
    the tail too; each starts with one end-of-text token that is not of the stream."""
    full, rest = divmod(n_stream, shard_tokens - 1)
    last = (rest + 1) // row_length * row_length if rest else 0
    if pad_tail and rest + 1 > last and rest:
        return np.array([shard_tokens] * full + [last + row_length], np.int64), 0
    # A rest that fills no row at all is dropped whole; one that fills some rows loses what is beyond them.
    dropped = rest - max(last - 1, 0)
    return np.array([shard_tokens] * full + ([last] if last else []), np.int64), dropped


class _Concat:
    """Every bucket is a group by itself, of which nothing needs to be known but its tokens."""

    fills_rows: Final = False

    def first_buckets(self, sizes: Ints, shard_tokens: int) -> Ints:
        return np.arange(len(sizes))

    def n_rows(self, config: PackConfig, lengths: Ints) -> int:
        return 0

    def shards(self, config: PackConfig, n_tokens: int, n_rows: int) -> tuple[Ints, Ints, int]:
        sizes, dropped = shard_sizes(n_tokens, config.shard_tokens, config.row_length, config.pad_tail)
        return sizes, np.arange(len(sizes)) * (config.shard_tokens - 1), dropped

    def fragments(self, config: PackConfig, instances: Instances, buckets: list[dict[str, Any]],
                  shard: ShardRange) -> Fragments | None:
        """Tokens [first, first + n_tokens - 1) of the stream; padding follows its end."""
        first, high = shard.first_token, shard.first_token + shard.n_tokens - 1
        if config.pad_tail:
            high = min(high, buckets[-1]["token_start"] + buckets[-1]["n_tokens"])
        ends = buckets[0]["token_start"] + np.cumsum(instances.n_tokens)
        starts = ends - instances.n_tokens
        here = np.flatnonzero((ends > first) & (starts < high))
        ends, starts = ends[here], starts[here]
        begin, end = np.maximum(starts, first), np.minimum(ends, high)
        shift = 1 - first  # the payload's first token is the end-of-text that belongs to no document
        fragments = fragments_of(instances, here, begin + shift, end - begin, begin - starts)
        return fragments if int((end - begin).sum()) == high - first else None


PACKER: Packer = _Concat()
