"""What a packed shard holds of the documents in its buckets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from manifests.hashing import UInt64
from tokenizer.packing.instances import Instances

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Fragments:
    """What a shard holds of each instance, in stream order. begin, end: offsets in the payload, int64 [n].

    offset: where the fragment begins in its document. source_start: where it begins in its part's .tokens file. part:
    number of that part. cut: the instance goes on after the fragment, or was truncated by its budget."""

    begin: Ints
    end: Ints
    offset: Ints
    source_start: Ints
    part: Ints
    cut: npt.NDArray[np.bool_]
    words: UInt64
    source_id: Ints
    epoch: Ints


@dataclass(frozen=True, slots=True)
class ShardRange:
    """The part of its stream that a shard holds: a phase of the training split, or the val split."""

    phase: int
    first_token: int
    n_tokens: int
    first_row: int
    n_rows: int


def fragments_of(instances: Instances, chosen: Ints, begin: Ints, n_tokens: Ints, offset: Ints) -> Fragments:
    """Fragments of chosen instances; offset: where each begins in its instance."""
    goes_on = offset + n_tokens < instances.n_tokens[chosen]
    return Fragments(
        begin=begin, end=begin + n_tokens, offset=instances.doc_token_offset[chosen] + offset,
        source_start=instances.token_start[chosen] + offset, part=instances.part[chosen],
        cut=goes_on | instances.truncated[chosen], words=instances.words[chosen],
        source_id=instances.source_id[chosen], epoch=instances.epoch[chosen])
