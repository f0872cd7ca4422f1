"""What deduplication promises for any set of texts and pairs."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.dedup.config import DedupConfig, SurvivorKey
from curate.dedup.layout import repeated
from curate.dedup.order import survivor_order
from curate.dedup.signing import signatures
from curate.kernels.candidates import bucket_pairs, flatten, resolve, unite

SETS = st.lists(st.frozensets(st.integers(0, 9), max_size=8), min_size=1, max_size=10)


def jaccard(a: frozenset[int], b: frozenset[int]) -> float:
    return len(a & b) / len(a | b) if a | b else 0.0


@settings(max_examples=150, deadline=None)
@given(SETS, st.data(), st.sampled_from([0.3, 0.5, 0.8]))
def test_resolution_is_the_greedy_rule(sets: list[frozenset[int]], data: st.DataObject, threshold: float) -> None:
    n = len(sets)
    every = [(i, j) for i in range(n) for j in range(i + 1, n)]
    pairs = data.draw(st.lists(st.sampled_from(every), unique=True)) if every else []
    values = np.array([x for s in sets for x in sorted(s)], np.uint64)
    ends = np.cumsum([len(s) for s in sets]).astype(np.int64)
    starts = np.array([0, *ends[:-1]], np.int64)
    edges = np.array(pairs, np.int64).reshape(-1, 2)
    survivor, similarity, _, _ = resolve(edges, values, starts, ends, threshold)
    wanted: list[int] = []
    for b in range(n):
        near = [(jaccard(sets[a], sets[b]), -a) for a, x in pairs if x == b and wanted[a] < 0]
        near = [x for x in near if x[0] >= threshold]
        wanted.append(-max(near)[1] if near else -1)
    assert survivor.tolist() == wanted
    for b, a in enumerate(wanted):
        if a >= 0:
            assert wanted[a] < 0  # a survivor survives
            assert similarity[b] == jaccard(sets[a], sets[b])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15)), max_size=25))
def test_components_are_the_connected_ones(pairs: list[tuple[int, int]]) -> None:
    parent = np.arange(16, dtype=np.int64)
    edges = np.array(pairs, np.int64).reshape(-1, 2)
    unite(parent, np.ascontiguousarray(edges[:, 0]), np.ascontiguousarray(edges[:, 1]))
    flatten(parent)
    label = list(range(16))
    for _ in range(16):
        for a, b in pairs:
            label[a] = label[b] = min(label[a], label[b])
    assert parent.tolist() == label


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), unique=True, max_size=25), st.integers(1, 30))
def test_bucket_pairs(rows: list[tuple[int, int]], pivots: int) -> None:
    rows = sorted(rows)
    keys, nodes = np.array([k for k, _ in rows], np.uint64), np.array([v for _, v in rows], np.int64)
    pairs, oversize, left_out = bucket_pairs(keys, nodes, pivots)
    buckets = [[v for k, v in rows if k == key] for key in range(4)]
    wanted = {(a, b) for bucket in buckets for i, a in enumerate(bucket[:pivots]) for b in bucket[i + 1 :]}
    assert [tuple(p) for p in pairs.tolist()] == sorted(wanted)
    assert oversize == sum(len(b) > pivots + 1 for b in buckets)
    rest = [max(0, len(b) - pivots) for b in buckets]
    assert left_out == sum(r * (r - 1) // 2 for r in rest)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 300), st.floats(0, 1, width=32), st.integers(0, 2**32 - 1),
                          st.integers(0, 2**48 - 1), st.binary(min_size=16, max_size=16)), min_size=1, max_size=20),
       st.permutations(list(SurvivorKey)), st.integers(0, 4))
def test_survivor_order_is_the_keys_in_turn_then_the_id(rows: list[tuple[int, float, int, int, bytes]],
                                                        keys: list[SurvivorKey], n_keys: int) -> None:
    ids = np.frombuffer(b"".join(r[4] for r in rows), ">u8").reshape(-1, 2).astype(np.uint64)
    source, quality, length, date = (np.array([r[i] for r in rows]) for i in range(4))
    facts = {SurvivorKey.SOURCE: source, SurvivorKey.QUALITY: quality.astype(np.float32),
             SurvivorKey.LENGTH: length, SurvivorKey.DATE: date}
    order = survivor_order(keys[:n_keys], facts, ids).tolist()
    got = sorted(range(len(rows)), key=lambda i: (*order[i], rows[i][4], i))
    sign = {SurvivorKey.SOURCE: (0, 1), SurvivorKey.QUALITY: (1, -1), SurvivorKey.LENGTH: (2, -1),
            SurvivorKey.DATE: (3, -1)}

    def place(i: int) -> tuple[float, ...]:
        return tuple(sign[k][1] * rows[i][sign[k][0]] for k in keys[:n_keys])

    assert got == sorted(range(len(rows)), key=lambda i: (place(i), rows[i][4], i))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, 3), min_size=4, max_size=4), min_size=2, max_size=8))
def test_signatures_are_verified_by_their_equal_minima(minima: list[list[int]]) -> None:
    n = len(minima)
    edges = np.array([(i, j) for i in range(n) for j in range(i + 1, n)], np.int64)
    starts = np.arange(n, dtype=np.int64) * 4
    survivor, similarity, _, _ = resolve(edges, np.array(minima, np.uint64).ravel(), starts, starts + 4, 0.5, True)
    kept: list[int] = []
    for i, mine in enumerate(minima):
        equal = {k: sum(x == y for x, y in zip(minima[k], mine, strict=True)) / 4 for k in kept}
        best = max(equal.values(), default=0.0)
        if best < 0.5:
            kept.append(i)
            assert survivor[i] == -1
        else:
            assert (similarity[i], equal[survivor[i]]) == (best, best)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=20))
def test_repeated(keys: list[int]) -> None:
    assert repeated(np.array(keys, np.uint64)).tolist() == [keys.count(k) > 1 for k in keys]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=6))
def test_a_text_signs_alike_whatever_stands_beside_it(texts: list[str]) -> None:
    config = DedupConfig(n_permutations=16, n_bands=4, n_band_rows=4)
    together = signatures(pa.array(texts, pa.large_string()), config).to_pylist()
    assert together == [signatures(pa.array([t], pa.large_string()), config).to_pylist()[0] for t in texts]
