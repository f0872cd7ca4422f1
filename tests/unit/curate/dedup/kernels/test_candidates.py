"""Greedy removal against plain Python sets, about the threshold, with sketches and without."""

from __future__ import annotations

import numpy as np
import pytest

from curate.dedup.kernels import candidates
from curate.dedup.kernels.candidates import Graph, Sets, resolve
from manifests.hashing import Int64, UInt64


def naive(keys: UInt64, nodes: Int64, sets: list[set[int]], threshold: float, pivots: int) -> tuple[list[int], int]:
    """(survivor of each node, -1 where kept; pairs checked)."""
    buckets: dict[int, list[int]] = {}
    of_node: dict[int, list[int]] = {}
    for key, node in zip(keys.tolist(), nodes.tolist(), strict=True):
        of_node.setdefault(node, []).append(key)
    survivor, checked = [-1] * len(sets), 0
    for node, own in enumerate(sets):
        others = {a for key in of_node.get(node, []) for a in buckets.get(key, [])[:pivots]}
        checked += len(others)
        like = {a: len(own & sets[a]) / len(own | sets[a]) for a in others}
        near = [(-s, a) for a, s in like.items() if s >= threshold]
        if near:
            survivor[node] = min(near)[1]
        else:
            for key in of_node.get(node, []):
                buckets.setdefault(key, []).append(node)
    return survivor, checked


@pytest.mark.parametrize("n_sketches", [0, 5, 1 << 17])
@pytest.mark.parametrize(("threshold", "size"), [(0.8, 400), (0.8, 9), (0.5, 3000), (1.0, 40), (0.05, 60)])
def test_the_outcome_is_that_of_plain_sets(monkeypatch: pytest.MonkeyPatch, n_sketches: int, threshold: float,
                                           size: int) -> None:
    monkeypatch.setattr(candidates, "_SKETCHES", n_sketches)
    chance = np.random.default_rng(size)
    template = chance.integers(1 << 63, size=size)
    # Each takes most of one template and adds of its own, so that similarities lie on both sides of the threshold.
    spread = 1 - 2 * threshold / (1 + threshold)
    shares = spread * chance.uniform(0.4, 1.3, 60)
    made = [np.unique(np.concatenate([template[: max(1, round(size * (1 - share)))],
                                      chance.integers(1 << 63, size=round(size * share))])) for share in shares]
    nodes = np.repeat(np.arange(60), 3)
    keys = np.where(np.arange(180) % 3 == 0, 7, chance.integers(4, size=180)).astype(np.uint64)
    once = np.unique(np.stack([keys, nodes.astype(np.uint64)], axis=1), axis=0)
    keys, nodes = once[:, 0], once[:, 1].astype(np.int64)
    ends = np.cumsum([0, *map(len, made)]).astype(np.int64)
    sets = Sets(np.concatenate(made).astype(np.uint64), ends[:-1], ends[1:])
    found = resolve(Graph.of(keys, nodes, 60, 6), sets, threshold, 6)
    wanted, checked = naive(keys, nodes, [set(values.tolist()) for values in made], threshold, 6)
    assert found.survivor.tolist() == wanted
    assert found.pairs_checked == checked
    if threshold < 1.0:
        assert 0 < sum(s >= 0 for s in wanted) < 60
