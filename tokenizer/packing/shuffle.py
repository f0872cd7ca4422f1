"""Stage `pack/shuffle`: the map side of a global shuffle of documents.

Each tokens part writes its *instances*, one for every pass that takes a document, sorted by a hash of (document, pass).
Contiguous ranges of the hash are buckets, so a packed shard later reads one run of every part's file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests.hashing import UInt64, id_words, ids_array, keyed_hash
from manifests.partitioned import SUFFIX, PartitionWriter
from manifests.schema import TOKENS
from manifests.tasks import Work
from tokenizer.encoding.encode import load
from tokenizer.encoding.token_index import read_index
from tokenizer.mixture.mix import read_plan
from tokenizer.mixture.mixture import Plan, SourcePlan, epoch_order, is_validation, phase_passes
from tokenizer.packing.config import PackConfig
from tokenizer.packing.gather import Offsets, check_tokens, copy_runs, read_tokens
from tokenizer.packing.instances import INSTANCES
from tokenizer.packing.token_blocks import TokenWriter

_BLOCK_TOKENS = 1 << 22


def bucket_of(key: UInt64, buckets: int) -> npt.NDArray[np.int64]:
    """Bucket of each shuffle hash, int64 [n]: equal ranges in ascending order, so bucket order is hash order."""
    return (((key >> np.uint64(32)) * np.uint64(buckets)) >> np.uint64(32)).astype(np.int64)


def shuffle_key(seed: int, epoch: int, words: UInt64) -> UInt64:
    """uint64 [n]: the order of documents in the stream of a split; every pass has an order of its own."""
    return keyed_hash(seed, f"shuffle-{epoch}", words)


def shuffle_part(config: PackConfig, work: Work) -> None:
    """pack/shuffle: the instances of a tokens part, both splits, in stream order.

    Inputs: tokens, index (TOKENS), plan, tokenizer. Variables: source. Outputs: tokens (.tokens, `token_blocks`: their
    ids, each with its end-of-text unless truncated) and index (INSTANCES, partitioned). Counters: documents,
    unselected_documents, truncated_documents, {train,val}_{instances,tokens}. Every phase of the training split is a
    stream of its own. Tokens are streamed from the mapped part;
    memory is that of the index."""
    plan = read_plan(work.input("plan"))
    encoder = load(work.input("tokenizer"))
    source = plan.source(str(work.variables["source"]))
    index: Any = pa.concat_tables([TOKENS.empty_table(), *read_index(work.input("index"))])
    words, lengths = id_words(index["doc_id"]), index["n_tokens"].to_numpy()
    held_out = is_validation(plan.seed, plan.validation_fraction, id_words(index["group_id"]))
    instances = _instances(plan, source, words, lengths, held_out, config.buckets)
    ends = np.cumsum(instances.n_tokens)
    tokens = read_tokens(work.input("tokens"), encoder.dtype)
    check_tokens(tokens, work.input("tokens"), work.digest("tokens"))
    starts = index["token_start"].to_numpy()[instances.document] + instances.first
    texts = lengths[instances.document] - instances.first
    with TokenWriter(work.output("tokens", ".tokens")) as file:
        for block in _blocks(tokens, starts, texts, ends, encoder.eot_id):
            file.write(block)
    n_partitions = len(plan.streams) * config.buckets
    with PartitionWriter(work.output("index", SUFFIX), INSTANCES, "key", n_partitions) as writer:
        writer.add_ordered(_table(instances, words, source.source_id, ends), instances.partition)
    work.count("documents", len(index))
    work.count("unselected_documents", len(index) - len(np.unique(instances.document)))
    work.count("truncated_documents", int(instances.truncated.sum()))
    is_train = instances.partition // config.buckets < len(plan.phases)
    for name, here in (("train", is_train), ("val", ~is_train)):
        work.count(f"{name}_instances", int(here.sum()))
        work.count(f"{name}_tokens", int(instances.n_tokens[here].sum()))


@dataclass(frozen=True, slots=True)
class _Instances:
    """Instances in stream order. document: row of the part's index. first: its first token that is taken. n_tokens:
    kept, end-of-text included."""

    document: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    epoch: npt.NDArray[np.int64]
    key: UInt64
    n_tokens: npt.NDArray[np.int64]
    truncated: npt.NDArray[np.bool_]
    partition: npt.NDArray[np.int64]


def _instances(plan: Plan, source: SourcePlan, words: UInt64, lengths: Offsets, held_out: npt.NDArray[np.bool_],
               buckets: int) -> _Instances:
    """Every (document, pass) of a part that the plan takes, sorted by (stream, key, id, epoch)."""
    train, val = np.flatnonzero(~held_out), np.flatnonzero(held_out if source.weight else np.zeros_like(held_out))
    order = epoch_order(plan.seed, words[train])
    takes = [(len(plan.phases), 0, val, np.zeros(len(val), np.int64), lengths[val] + 1)]
    for phase in range(len(plan.phases)):
        for epoch, rows, first, kept in phase_passes(source.phase(phase), order, words[train], lengths[train]):
            takes.append((phase, epoch, train[rows], first, kept))
    sizes = [len(rows) for _, _, rows, _, _ in takes]
    stream, epoch_of = np.repeat([t[0] for t in takes], sizes), np.repeat([t[1] for t in takes], sizes)
    document, first, n_tokens = (np.concatenate([t[i] for t in takes]) for i in (2, 3, 4))
    key = np.concatenate([shuffle_key(plan.seed, e, words[rows]) for _, e, rows, _, _ in takes])
    by = np.lexsort((epoch_of, words[document, 1], words[document, 0], key, stream))
    partition = stream * buckets + bucket_of(key, buckets)
    truncated = first + n_tokens <= lengths[document]
    return _Instances(document[by], first[by], epoch_of[by], key[by], n_tokens[by], truncated[by], partition[by])


def _blocks(tokens: Any, starts: Offsets, lengths: Offsets, ends: Offsets, eot_id: int) -> Iterator[npt.NDArray[Any]]:
    """The instances' tokens, joined, in blocks of bounded size; a document larger than a block is cut between them.

    starts, lengths: int64 [n], the documents in `tokens`. ends: int64 [n], where instances end in the result."""
    total = int(ends[-1]) if len(ends) else 0
    begins = np.concatenate([[0], ends[:-1]]).astype(np.int64)
    text_ends = np.minimum(begins + lengths, ends)  # without end-of-text
    for low in range(0, total, _BLOCK_TOKENS):
        high = min(low + _BLOCK_TOKENS, total)
        here = slice(int(np.searchsorted(ends, low, "right")), int(np.searchsorted(begins, high)))
        first, last = np.maximum(begins[here], low), np.minimum(text_ends[here], high)
        block = np.full(high - low, eot_id, tokens.dtype)
        some = last > first
        source_starts = (starts[here] + first - begins[here])[some]
        copy_runs(tokens, source_starts, (first - low)[some], (last - first)[some], block)
        yield block


def _table(instances: _Instances, words: UInt64, source_id: int, ends: Offsets) -> pa.Table:
    """The index."""
    n = len(ends)
    columns = {
        "key": instances.key, "doc_id": ids_array(words[instances.document]),
        "source_id": np.full(n, source_id, np.uint16), "epoch": instances.epoch.astype(np.uint16),
        "doc_token_offset": instances.first, "n_tokens": instances.n_tokens,
        "token_start": ends - instances.n_tokens, "truncated": instances.truncated}
    return pa.table(columns, schema=INSTANCES)
