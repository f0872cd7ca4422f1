"""Instances: every (document, pass) that the mixture takes, as pack/shuffle leaves them and packing reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests.errors import ShardError
from manifests.hashing import UInt64, id_words
from manifests.tables import open_table

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
"""pack/shuffle: rows in stream order, one row group a partition; partition = stream * buckets + bucket."""

_NUMBERS = ["source_id", "epoch", "doc_token_offset", "n_tokens", "token_start"]


@dataclass(frozen=True, slots=True)
class Instances:
    """Instances of some partitions over all parts, in stream order; int64 [n] but for the ids and `truncated`.

    part: number of the shuffled part. token_start: offset in that part's .tokens file."""

    words: UInt64
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
    tables, parts = [], []
    for part, path in enumerate(paths):
        table = _read_partitions(path, set(partitions))
        if table is not None:
            tables.append(table)
            parts.append(np.full(len(table), part, np.int64))
    if not tables:
        raise ShardError("no shuffled part holds these buckets", where="pack/shuffle")
    rows: Any = pa.concat_tables(tables)
    words = id_words(rows["doc_id"])
    key, epoch = rows["key"].to_numpy(), rows["epoch"].to_numpy()
    order = np.lexsort((epoch, words[:, 1], words[:, 0], key))
    columns = {n: rows[n].to_numpy().astype(np.int64, copy=False)[order] for n in _NUMBERS}
    return Instances(words=words[order], part=np.concatenate(parts)[order],
                     truncated=rows["truncated"].to_numpy()[order], **columns)


def _read_partitions(path: str, wanted: set[int]) -> pa.Table | None:
    """Rows of some partitions of a shuffled part; None where it has none. The file is opened once."""
    with open_table(path) as file:
        metadata: Any = file.metadata
        groups = [i for i in range(file.num_row_groups) if metadata.row_group(i).column(0).statistics.min in wanted]
        return file.read_row_groups(groups, columns=INSTANCES.names, use_threads=False) if groups else None
