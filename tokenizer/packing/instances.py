"""Instances: every (document, pass) that the mixture takes, as pack/shuffle leaves them and packing reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests.errors import ShardError
from manifests.hashing import UInt64, id_words
from manifests.partitioned import PartitionedFile

Ints = npt.NDArray[np.int64]

INSTANCES = pa.schema([
    pa.field("key", pa.uint64(), nullable=False, metadata={"comment": "shuffle hash of (document, epoch)"}),
    pa.field("doc_id", pa.binary(16), nullable=False, metadata={"comment": "clean document"}),
    pa.field("source_id", pa.uint16(), nullable=False, metadata={"comment": "as in sources.parquet"}),
    pa.field("epoch", pa.uint16(), nullable=False, metadata={"comment": "pass over the source, from 0"}),
    pa.field("doc_token_offset", pa.int64(), nullable=False,
             metadata={"comment": "offset of its first token in the document; not 0 where a phase took the rest"}),
    pa.field("n_tokens", pa.int64(), nullable=False, metadata={"comment": "tokens, with the end-of-text if any"}),
    pa.field("token_start", pa.int64(), nullable=False, metadata={"comment": "offset in the .tokens file, in tokens"}),
    pa.field("truncated", pa.bool_(), nullable=False, metadata={"comment": "cut by the token budget: no end-of-text"}),
])
"""pack/shuffle: rows in stream order, in a partitioned file; partition = stream * buckets + bucket."""

_NUMBERS = ["source_id", "epoch", "doc_token_offset", "n_tokens", "token_start"]


@dataclass(frozen=True, slots=True)
class Instances:
    """Instances of some partitions over all parts, in stream order; int64 [n] but for the ids and `truncated`.

    part: number of the shuffled part. token_start: offset in that part's .tokens file."""

    words: UInt64
    key: UInt64
    part: Ints
    source_id: Ints
    epoch: Ints
    doc_token_offset: Ints
    n_tokens: Ints
    token_start: Ints
    truncated: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.part)


def read_instances(paths: Sequence[str], partitions: Sequence[int]) -> Instances:
    """Instances of some partitions of every shuffled part, sorted by (key, id, epoch).

    Partitions are ranges of the key, so that is the order of the stream. Raises ShardError where no part has any."""
    instances = find_instances(paths, partitions)
    if instances is None:
        raise ShardError("no shuffled part holds these buckets", where="pack/shuffle")
    return instances


def find_instances(paths: Sequence[str], partitions: Sequence[int]) -> Instances | None:
    """`read_instances`, or None where no part has any."""
    tables, parts = [], []
    for part, path in enumerate(paths):
        with PartitionedFile(path) as file:
            for first, count in _runs(partitions):
                for table in file.tables(INSTANCES, first, count):
                    tables.append(table)
                    parts.append(np.full(len(table), part, np.int64))
    if not tables:
        return None
    rows: Any = pa.concat_tables(tables)
    words = id_words(rows["doc_id"])
    key, epoch = rows["key"].to_numpy(), rows["epoch"].to_numpy()
    order = np.lexsort((epoch, words[:, 1], words[:, 0], key))
    columns = {n: rows[n].to_numpy().astype(np.int64, copy=False)[order] for n in _NUMBERS}
    return Instances(words=words[order], key=key[order], part=np.concatenate(parts)[order],
                     truncated=rows["truncated"].to_numpy()[order], **columns)


def _runs(partitions: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(first, count) of neighbouring partitions; each once."""
    numbers = np.unique(np.asarray(partitions, np.int64))
    for run in np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1):
        if len(run):
            yield int(run[0]), len(run)


def read_index(path: str) -> pa.Table:
    """INSTANCES of a whole file."""
    with PartitionedFile(path) as file:
        return pa.concat_tables([INSTANCES.empty_table(), *file.tables(INSTANCES, 0, file.partitions)])
