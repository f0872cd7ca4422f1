"""Mixing and packing against a naive reference that holds everything in Python lists."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from manifests import PackedDataset
from manifests.hashing import keyed_hash, uniform
from manifests.shard import open_shard
from manifests.tables import read_table
from tests.unit.tokenizer.small_run import EOT, Corpus, SmallRun, byte_tokenizer, corpus
from tokenizer.mixture.mixture_config import MixtureConfig
from tokenizer.packing.config import PackConfig

SEED = 7
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # a run flushes hundreds of small files to disk


@dataclass
class Expected:
    """Per split: shard payloads and their spans as tuples; and the tokens dropped at the end."""

    payloads: dict[str, list[list[int]]] = field(default_factory=dict)
    spans: dict[str, list[list[tuple[Any, ...]]]] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)


def words_of(doc_id: bytes) -> np.ndarray:
    return np.frombuffer(doc_id, np.uint64).reshape(1, 2)


def hashed(purpose: str, doc_id: bytes) -> tuple[int, int, int]:
    low, high = words_of(doc_id)[0].tolist()
    return int(keyed_hash(SEED, purpose, words_of(doc_id))[0]), low, high


def naive_budgets(have: dict[str, int], mixture: MixtureConfig) -> dict[str, int]:
    whole = sum(Fraction(w) for w in mixture.weights.values())
    share = {n: Fraction(w) / whole for n, w in mixture.weights.items() if w}
    limits = {n: int(have[n] * Fraction(mixture.max_epochs_by_source.get(n, mixture.max_epochs))) for n in share}
    total = min([int(limits[n] / share[n]) for n in share] + [mixture.total_tokens or 1 << 60])
    parts = {n: int(total * share[n]) for n in share}
    for name in sorted(share, key=lambda n: (-(total * share[n] - parts[n]), n))[: total - sum(parts.values())]:
        parts[name] += 1
    return parts


def naive(documents: Corpus, mixture: MixtureConfig, pack: PackConfig) -> Expected:
    """(key, id words, epoch) -> tokens for both splits, then shards and spans token by token."""
    train: dict[str, list[tuple[bytes, list[int]]]] = {n: [] for n in mixture.weights}
    streams: dict[str, list[tuple[Any, ...]]] = {"train": [], "val": []}
    ids = {name: i for i, name in enumerate(sorted(mixture.weights))}
    for source, parts in documents.items():
        for doc_id, tokens in (d for docs in parts.values() for d in docs):
            if not mixture.weights[source]:
                continue
            full = [*tokens, EOT]
            if uniform(SEED, "validation", words_of(doc_id))[0] < mixture.validation_fraction:
                streams["val"].append((hashed("shuffle-0", doc_id), 0, doc_id, ids[source], full, False))
            else:
                train[source].append((doc_id, full))
    budgets = naive_budgets({n: sum(len(t) for _, t in docs) for n, docs in train.items()}, mixture)
    for source, budget in budgets.items():
        epoch, left = 0, budget
        available = sum(len(t) for _, t in train[source])
        while left:
            for doc_id, full in sorted(train[source], key=lambda d: hashed("mixture", d[0])):
                kept = full if left >= available else full[:left]
                if left and kept:
                    truncated = len(kept) < len(full)
                    entry = (hashed(f"shuffle-{epoch}", doc_id), epoch, doc_id, ids[source], kept, truncated)
                    streams["train"].append(entry)
                if left < available:
                    left -= len(kept)
            left = left - available if left >= available else 0
            epoch += 1
    expected = Expected()
    for split, stream in streams.items():
        naive_shards(expected, split, sorted(stream, key=lambda e: (e[0], e[1])), pack)
    return expected


def naive_shards(expected: Expected, split: str, stream: list[tuple[Any, ...]], pack: PackConfig) -> None:
    flat = [(token, (doc_id, source, epoch, place, place == len(kept) - 1, truncated))
            for _, epoch, doc_id, source, kept, truncated in stream for place, token in enumerate(kept)]
    expected.payloads[split], expected.spans[split] = [], []
    while flat:
        n = min(pack.shard_tokens, (len(flat) + 1) // pack.row_length * pack.row_length)
        if not n:
            break
        taken, flat = flat[: n - 1], flat[n - 1 :]
        expected.payloads[split].append([EOT, *(token for token, _ in taken)])
        spans: list[tuple[Any, ...]] = []
        open_at: tuple[Any, ...] | None = None
        for at, (_, (doc_id, source, epoch, place, last, truncated)) in enumerate(taken, start=1):
            row = at // pack.row_length
            key = (doc_id, source, epoch, row)
            if open_at == key and spans[-1][4] + spans[-1][1] == place:
                spans[-1] = (spans[-1][0], spans[-1][1] + 1, *spans[-1][2:])
            else:
                spans.append((at, 1, doc_id, source, place, epoch, row, place > 0, True))
                open_at = key
            spans[-1] = (*spans[-1][:8], not last or truncated)
        expected.spans[split].append(spans)
        if n < pack.shard_tokens:
            break
    expected.dropped[split] = len(flat)


def packed_spans(path: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in read_table(path).to_pylist()]


lengths = st.lists(st.integers(0, 30), min_size=4, max_size=25)


# No shrinking: an example is a whole run of the packing stages.
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow],
          phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(a=lengths, b=lengths, c=lengths, weights=st.tuples(*[st.integers(1, 60)] * 2, st.integers(0, 60)),
       total=st.one_of(st.none(), st.integers(60, 600)), epochs=st.sampled_from([0.7, 1.0, 2.5, 4.0]),
       fraction=st.sampled_from([0.0, 0.25]), row_length=st.integers(2, 9), rows=st.integers(2, 20),
       buckets=st.integers(1, 9))
def test_equals_the_naive_reference(a: list[int], b: list[int], c: list[int], weights: tuple[int, int, int],
                                    total: int | None, epochs: float, fraction: float, row_length: int, rows: int,
                                    buckets: int) -> None:
    documents = corpus({"a": {"p0": a, "p1": b}, "b": {"p0": [9, *b]}, "c": {"p0": [9, *c]}})
    mixture = MixtureConfig(weights=dict(zip("abc", weights, strict=True)), total_tokens=total, max_epochs=epochs,
                            max_epochs_by_source={"b": 3.0}, validation_fraction=fraction)
    pack = PackConfig(row_length=row_length, shard_tokens=row_length * rows, buckets=buckets)
    expected = naive(documents, mixture, pack)
    wanted = ["train", "val"] if fraction else ["train"]
    if not all(expected.payloads[split] for split in wanted):
        return  # refused: tests/unit/tokenizer/test_pack.py
    with TemporaryDirectory(dir=MEMORY) as folder:
        run = SmallRun(Path(folder), SEED)
        run.write_tokens(documents)
        run.pack(mixture, pack, byte_tokenizer(Path(folder) / "tokenizer.json"))
        counters = run.records["packed", "dataset"].counters
        for split in ("train", "val"):
            names = [f"{folder}/packed/{split}/{i:06d}" for i in range(len(expected.payloads[split]))]
            assert [open_shard(f"{n}.bin")[1].tolist() for n in names] == expected.payloads[split]
            assert [packed_spans(f"{n}.spans.parquet") for n in names] == expected.spans[split]
            assert counters[f"{split}_dropped_tokens"] == expected.dropped[split]


@settings(max_examples=6, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(data=st.data())
def test_parts_do_not_matter(data: st.DataObject) -> None:
    """The same documents in other parts give the same shards, byte for byte."""
    whole = corpus({"a": {"p": [5, 17, 0, 30, 8, 12, 3, 22, 14, 9]}, "b": {"p": [40, 3, 7, 19, 2]}})
    mixture = MixtureConfig(weights={"a": 2, "b": 1}, validation_fraction=0.2)
    pack = PackConfig(row_length=4, shard_tokens=32, buckets=3)
    split: Corpus = defaultdict(lambda: defaultdict(list))
    for source, parts in whole.items():
        for document in data.draw(st.permutations(parts["p"])):
            split[source][data.draw(st.sampled_from(["x", "y", "z"]))].append(document)
    found = []
    for documents in (whole, split):
        with TemporaryDirectory(dir=MEMORY) as folder:
            run = SmallRun(Path(folder), SEED)
            run.write_tokens(documents)
            run.pack(mixture, pack, byte_tokenizer(Path(folder) / "tokenizer.json"))
            files = sorted((Path(folder) / "packed").glob("**/*.*"))
            found.append({p.name: p.read_bytes() for p in files if "_records" not in p.parts})
            assert len(PackedDataset(folder, "train")) > 0
    assert found[0] == found[1]
