"""What deduplication promises for any set of texts and pairs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.dedup.config import DedupConfig, SurvivorKey
from curate.dedup.kernels.candidates import Graph, Sets, resolve
from curate.dedup.kernels.components import Components
from curate.dedup.layout import repeated
from curate.dedup.order import survivor_order
from curate.dedup.search import Buckets
from curate.dedup.signing import signatures
from curate.dedup.spool import Spool
from manifests.errors import StageError

SETS = st.lists(st.frozensets(st.integers(0, 9), max_size=8), min_size=1, max_size=10)


def jaccard(a: frozenset[int], b: frozenset[int]) -> float:
    return len(a & b) / len(a | b) if a | b else 0.0


def as_sets(sets: Sequence[frozenset[int]]) -> Sets:
    values = np.array([x for s in sets for x in sorted(s)], np.uint64)
    ends = np.cumsum([len(s) for s in sets]).astype(np.int64)
    return Sets(values, np.array([0, *ends[:-1]], np.int64), ends)


def greedy(sets: Sequence[frozenset[int]], entries: Iterable[tuple[int, int]], threshold: float,
           pivots: int) -> tuple[list[int], int]:
    """(survivor of each, or -1; how often one came to a full bucket), one document after another, as the rule says."""
    buckets: dict[int, list[int]] = {}
    of_node: dict[int, list[int]] = {}
    for key, node in sorted(entries):
        of_node.setdefault(node, []).append(key)
        buckets.setdefault(key, [])
    survivors: list[int] = []
    met_full = 0
    for node, mine in enumerate(sets):
        kept = [buckets[key] for key in of_node.get(node, [])]
        met_full += sum(len(k) >= pivots for k in kept)
        similar = {(jaccard(sets[a], mine), -a) for k in kept for a in k[:pivots]}
        similar = {s for s in similar if s[0] >= threshold}
        survivors.append(-max(similar)[1] if similar else -1)
        if not similar:
            for k in kept:
                k.append(node)
    return survivors, met_full


@settings(max_examples=200, deadline=None)
@given(SETS, st.data(), st.sampled_from([0.3, 0.5, 0.8]), st.integers(1, 12), st.sampled_from([1, 5000, 1 << 20]))
def test_resolution_is_the_greedy_rule(sets: list[frozenset[int]], data: st.DataObject, threshold: float, pivots: int,
                                       round_bytes: int) -> None:
    entry = st.tuples(st.integers(0, 5), st.integers(0, len(sets) - 1))
    entries = data.draw(st.lists(entry, unique=True, max_size=30))
    keys, nodes = np.array([e[0] for e in entries], np.uint64), np.array([e[1] for e in entries], np.int64)
    graph = Graph.of(keys, nodes, len(sets), pivots)
    got = resolve(graph, as_sets(sets), threshold, pivots, None, round_bytes)
    survivors, met_full = greedy(sets, entries, threshold, pivots)
    assert got.survivor.tolist() == survivors
    assert got.met_full == met_full
    assert got.rounds == (len(sets) if round_bytes == 1 else 1 + (round_bytes == 5000) * (got.rounds - 1))
    for b, a in enumerate(survivors):
        if a >= 0:
            assert survivors[a] < 0  # a survivor survives
            assert got.similarity[b] == jaccard(sets[a], sets[b])


def test_a_long_chain_and_a_star() -> None:
    """A thousand documents, each like the next alone; and as many like one hub alone."""
    chain = [frozenset(range(i, i + 20)) for i in range(1000)]
    entries = [(i, j) for i in range(999) for j in (i, i + 1)]
    keys, nodes = np.array([k for k, _ in entries], np.uint64), np.array([v for _, v in entries], np.int64)
    got = resolve(Graph.of(keys, nodes, 1000, 64), as_sets(chain), 0.9, 64)
    assert (got.survivor < 0).tolist() == [i % 2 == 0 for i in range(1000)]  # 19/21 for neighbours, 18/22 for the next
    hub = [frozenset(range(20)), *(frozenset([*range(19), 100 + i]) for i in range(1000))]
    star = resolve(Graph.of(np.zeros(1001, np.uint64), np.arange(1001), 1001, 64), as_sets(hub), 0.9, 64)
    assert star.survivor.tolist() == [-1] + [0] * 1000
    assert star.pairs_checked == 1000


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=90), st.sampled_from([1, 2, 7, 16, 1000]),
       st.sampled_from([1, 100, 1 << 20]))
def test_components_are_the_connected_ones(links: list[tuple[int, int]], size: int, held_bytes: int) -> None:
    """Whatever number of nodes is taken together, and whatever is held in memory."""
    pairs = [(max(link), min(link)) for link in links if link[0] != link[1]]
    with TemporaryDirectory() as folder:
        components = Components(f"{folder}/c", 61, size, held_bytes, 3)
        for some in (pairs[::2], pairs[1::2]):
            components.add(np.array([a for a, _ in some], np.int64), np.array([b for _, b in some], np.int64))
        found = [(np.empty(0, np.int64), np.empty(0, np.int64)), *components.rooted()]
        assert not [file for file in Path(folder).iterdir() if file.stat().st_size]
    nodes, roots = (np.concatenate([f[i] for f in found]) for i in (0, 1))
    label = {node: node for pair in pairs for node in pair}
    for a, b in pairs:  # plain union: one label takes the place of another everywhere
        old, new = max(label[a], label[b]), min(label[a], label[b])
        label = {node: new if of == old else of for node, of in label.items()}
    assert nodes.tolist() == sorted(label)
    assert roots.tolist() == [label[node] for node in sorted(label)]
    assert components.n_components == len(set(roots.tolist()))
    sizes = {root: roots.tolist().count(root) for root in sorted(set(roots.tolist()))}
    assert components.largest == max(sizes.values(), default=0)
    assert components.large.tolist() == [[root, n] for root, n in sizes.items() if n > 3]


def test_components_of_a_chain_a_star_and_many_pairs() -> None:
    """What takes label propagation as many rounds as it is long, and what one node has all links of."""
    chance = np.random.default_rng(5)
    names = chance.permutation(90_000)
    chain, star, pairs = names[:30_000], names[30_000:60_000], names[60_000:].reshape(-1, 2)
    centre = np.full(29_999, star[0])
    ends = np.concatenate([np.stack([chain[1:], chain[:-1]], 1), np.stack([star[1:], centre], 1), pairs])
    with TemporaryDirectory() as folder:
        components = Components(f"{folder}/c", 90_000, 1000)
        components.add(ends.max(axis=1), ends.min(axis=1))
        nodes, roots = (np.concatenate(some) for some in zip(*components.rooted(), strict=True))
    assert nodes.tolist() == list(range(90_000))
    assert set(roots[chain].tolist()) == {chain.min()}
    assert set(roots[star].tolist()) == {star.min()}
    assert (roots[pairs] == pairs.min(axis=1)[:, None]).all()
    assert (components.n_components, components.largest) == (15_002, 30_000)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 9)), max_size=60), st.sampled_from([1, 60, 1 << 20]))
def test_a_spool_keeps_the_order_within_a_range(records: list[tuple[int, int]], held_bytes: int) -> None:
    with TemporaryDirectory() as folder:
        spool = Spool(f"{folder}/s", 2, held_bytes)
        for some in (records[:7], records[7:30], records[30:]):
            spool.add(np.array([r[0] for r in some], np.int64), np.array(some, np.uint64).reshape(-1, 2))
        for number in (1, 0):
            for _ in range(2):
                read = [tuple(r) for chunk in spool.read(number) for r in chunk.tolist()]
                assert read == [r for r in records if r[0] == number]
            spool.drop(number)
            assert not list(spool.read(number))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 3)), max_size=40), st.integers(0, 40))
def test_buckets_are_those_of_several_documents(rows: list[tuple[int, int, int]], cut: int) -> None:
    buckets = Buckets()
    for some in (rows[:cut], rows[cut:]):
        buckets.add(np.array(some, np.uint64).reshape(-1, 3))
    several = buckets.of_several()
    wanted = {key: sorted(r[1:] for r in rows if r[0] == key) for key in sorted({r[0] for r in rows})}
    wanted = {key: documents for key, documents in wanted.items() if len(documents) > 1}
    assert several.keys.tolist() == list(wanted)
    assert several.sizes.tolist() == [len(d) for d in wanted.values()]
    assert [tuple(f) for f in several.first.tolist()] == [d[0] for d in wanted.values()]
    assert several.index(np.arange(7, dtype=np.uint64)).tolist() == [
        list(wanted).index(key) if key in wanted else -1 for key in range(7)]


Fact = tuple[int, float, int, int, int, bytes]  # source, quality, length, date, position, id
SIGN = {SurvivorKey.SOURCE: (0, 1), SurvivorKey.QUALITY: (1, -1), SurvivorKey.LENGTH: (2, -1),
        SurvivorKey.DATE: (3, -1), SurvivorKey.POSITION: (4, 1)}


def facts_of(rows: list[Fact]) -> tuple[dict[SurvivorKey, npt.NDArray[Any]], npt.NDArray[np.uint64]]:
    ids = np.frombuffer(b"".join(r[5] for r in rows), ">u8").reshape(-1, 2).astype(np.uint64)
    facts = {key: np.array([r[column] for r in rows]) for key, (column, _) in SIGN.items()}
    facts[SurvivorKey.QUALITY] = facts[SurvivorKey.QUALITY].astype(np.float32)
    return facts, ids


def in_plain_order(rows: list[Fact], keys: Sequence[SurvivorKey]) -> list[int]:
    def rank(i: int) -> tuple[Any, ...]:
        return tuple(SIGN[k][1] * rows[i][SIGN[k][0]] for k in keys)

    return sorted(range(len(rows)), key=lambda i: (rank(i), rows[i][5], i))


def facts(max_date: int, step: int = 1) -> st.SearchStrategy[list[Fact]]:
    """Few values of each, so that later keys decide too. step: milliseconds that dates are whole numbers of."""
    def some(top: int) -> st.SearchStrategy[int]:
        return st.one_of(st.integers(0, 3), st.integers(0, top))

    row = st.tuples(st.integers(0, 3), st.one_of(st.sampled_from([0.0, 0.5]), st.floats(0, width=32, allow_nan=False)),
                    some(2**32 - 1), some(max_date).map(lambda n: n * step), some(2**30 - 1),
                    st.binary(min_size=16, max_size=16))
    return st.lists(row, min_size=1, max_size=20)


@settings(max_examples=80, deadline=None)
@given(facts(2**47 - 1), st.permutations([k for k in SurvivorKey if k is not SurvivorKey.POSITION]), st.integers(0, 4))
def test_survivor_order_is_the_keys_in_turn_then_the_id(rows: list[Fact], keys: list[SurvivorKey],
                                                        n_keys: int) -> None:
    known, ids = facts_of(rows)
    order = survivor_order(keys[:n_keys], known, ids).tolist()
    assert sorted(range(len(rows)), key=lambda i: (*order[i], rows[i][5], i)) == in_plain_order(rows, keys[:n_keys])


@settings(max_examples=150, deadline=None)
@given(facts(2**34 - 1, 1000), st.permutations([k for k in SurvivorKey if k is not SurvivorKey.SOURCE]),
       st.integers(1, 4))
def test_survivor_order_with_positions(rows: list[Fact], keys: list[SurvivorKey], n_keys: int) -> None:
    """Also where all four fill the two words, and dates count in seconds."""
    known, ids = facts_of(rows)
    order = survivor_order(keys[:n_keys], known, ids).tolist()
    assert sorted(range(len(rows)), key=lambda i: (*order[i], rows[i][5], i)) == in_plain_order(rows, keys[:n_keys])


def test_more_rows_than_positions_are_refused() -> None:
    keys = [SurvivorKey.POSITION, SurvivorKey.QUALITY, SurvivorKey.LENGTH, SurvivorKey.DATE]
    known, ids = facts_of([(0, 0.5, 1, 1, 2**30, b"x" * 16)])
    assert len(survivor_order(keys[:3], known, ids)) == 1
    with pytest.raises(StageError, match="1073741824 rows"):
        survivor_order(keys, known, ids)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, 3), min_size=4, max_size=4), min_size=2, max_size=8))
def test_signatures_are_verified_by_their_equal_minima(minima: list[list[int]]) -> None:
    n = len(minima)
    starts = np.arange(n, dtype=np.int64) * 4
    sets = Sets(np.array(minima, np.uint64).ravel(), starts, starts + 4, 4, True)
    found = resolve(Graph.of(np.zeros(n, np.uint64), np.arange(n), n, n), sets, 0.5, n)
    survivor, similarity = found.survivor, found.similarity
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
@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=40), min_size=1, max_size=6))
def test_a_text_signs_alike_whatever_is_beside_it(texts: list[str]) -> None:
    config = DedupConfig(n_permutations=16, n_bands=4, n_band_rows=4)
    together = signatures(pa.array(texts, pa.large_string()), config).to_pylist()
    assert together == [signatures(pa.array([t], pa.large_string()), config).to_pylist()[0] for t in texts]
