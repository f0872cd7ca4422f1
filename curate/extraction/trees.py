"""Boosted trees: arrays of nodes, and a compiled evaluation that gives LightGBM's own scores without LightGBM.

Blocks of a page are judged together. Walking each down every tree waits for one load after another, so their trees are
read the other way round (Lucchese et al. 2015, "QuickScorer"): a row starts with a bit for every leaf of a tree; each
inner node whose test sends the row right takes away the leaves on its left; the first leaf that remains is the row's.
Nodes need no order for that, and a test is made of many rows at once, in vector registers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from curate.extraction.compiled import kernel
from manifests.errors import InputError

_ZERO = np.float64(0)
_MAX_LEAVES: Final = 32  # of a tree: bits of a number
_ALL: Final = np.uint32(0xFFFFFFFF)
_ONE: Final = np.uint32(1)
_BATCH: Final = 128  # rows that are judged at once: their features stay in the processor's second cache
_PADDING: Final = 16  # parts columns whose distance would else be a power of two, which caches dislike
# A lowest bit times this has a number of its own in its upper five bits (Leiserson, Prokop and Randall 1998).
_DE_BRUIJN: Final = np.uint32(0x077CB531)
_UPPER: Final = np.uint32(27)


class Cuts(NamedTuple):
    """The inner nodes of an ensemble, tree by tree.

    used: int64 [columns], the features that some node asks for. columns: int64 [nodes], which of them a node asks for.
    lost: uint32 [nodes], the leaves that a row does not reach that is above the threshold. first: int64 [trees + 1].
    values: float64 [trees, 32], of leaves, each where `_DE_BRUIJN` puts its bit."""

    used: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]
    thresholds: npt.NDArray[np.float32]
    lost: npt.NDArray[np.uint32]
    first: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]


class Trees(NamedTuple):
    """An ensemble, all trees in one set of arrays. A node goes left where its feature is <= its threshold.

    A leaf is a node that leads to itself, so that every row takes as many steps as its tree is deep: no branch depends
    on the data. cuts: the same trees for many rows at once."""

    features: npt.NDArray[np.uint64]  # [nodes]: columns of the feature matrix; unsigned, as numba wraps signed indices
    thresholds: npt.NDArray[np.float32]  # [nodes]
    children: npt.NDArray[np.uint64]  # [2 * nodes]: left and right of node 0, of node 1, ...
    values: npt.NDArray[np.float64]  # [nodes]: of leaves
    roots: npt.NDArray[np.uint64]  # [trees]
    depths: npt.NDArray[np.int64]  # [trees]
    cuts: Cuts


@nb.njit(nogil=True, cache=True)
def tree_scores(trees, x, rows, out):  # type: ignore[no-untyped-def]
    """Put the sums of the trees' values for some rows of x, float32 [n, features], into out, float64 [n].

    rows: int64, those that are wanted; the others of out stay as they are."""
    cuts = trees.cuts
    columns = np.empty((cuts.used.size, _BATCH + _PADDING), np.float32)
    reached, sums = np.empty(_BATCH, np.uint32), np.empty(_BATCH, np.float64)
    for start in range(0, rows.size, _BATCH):
        n = min(_BATCH, rows.size - start)
        for i in range(n):
            for j in range(cuts.used.size):
                columns[j, i] = x[rows[start + i], cuts.used[j]]
            sums[i] = 0.0
        for t in range(cuts.first.size - 1):
            for i in range(n):
                reached[i] = _ALL
            for c in range(cuts.first[t], cuts.first[t + 1]):
                column, threshold, lost = cuts.columns[c], cuts.thresholds[c], cuts.lost[c]
                for i in range(n):  # a product, not a branch: one instruction then does it for eight rows or more
                    reached[i] &= ~(lost * np.uint32(columns[column, i] > threshold))
            for i in range(n):
                lowest = reached[i] & (~reached[i] + _ONE)
                sums[i] += cuts.values[t, np.uint32(lowest * _DE_BRUIJN) >> _UPPER]
        for i in range(n):
            out[rows[start + i]] = sums[i]


@kernel
def class_scores(trees, x, out):  # type: ignore[no-untyped-def]
    """Fill out float64 [classes] with the softmax of the sums of each class's trees for a row, x float32 [1, features].

    Trees of the classes take turns."""
    for c in range(out.size):
        out[c] = _ZERO
    for t in range(trees.roots.size):
        a = trees.roots[t]
        for _ in range(trees.depths[t]):
            a = _step(trees, x, 0, a)
        out[t % out.size] += trees.values[a]
    best, total = out[0], _ZERO
    for c in range(out.size):
        best = max(best, out[c])
    for c in range(out.size):
        out[c] = np.exp(out[c] - best)
        total += out[c]
    for c in range(out.size):
        out[c] /= total


@kernel
def _step(trees, x, i, k):  # type: ignore[no-untyped-def]
    right = x[i, trees.features[k]] > trees.thresholds[k]
    return trees.children[k + k + np.uint64(right)]


def trees_of(t: Mapping[str, Any]) -> Trees:
    """The ensemble of a model file's arrays: feature, threshold, left, right, value and root, a leaf being ~number.

    Raises InputError where a tree has more than 32 leaves."""
    n_inner, n_leaves = len(t["feature"]), len(t["value"])
    inner = np.array([t["left"], t["right"]], np.int32).T.reshape(-1, 2)
    inner = np.where(inner < 0, n_inner + ~inner, inner)
    leaves = n_inner + np.arange(n_leaves, dtype=np.int32)
    roots = np.array(t["root"], np.int32)
    roots = np.where(roots < 0, n_inner + ~roots, roots).astype(np.int32)
    children = np.concatenate([inner, np.column_stack([leaves, leaves])]).astype(np.int32)
    features = np.array(t["feature"] + [0] * n_leaves, np.uint64)
    thresholds = np.array(t["threshold"] + [0.0] * n_leaves, np.float32)
    values = np.array([0.0] * n_inner + t["value"], np.float64)
    return Trees(features, thresholds, children.ravel().astype(np.uint64), values, roots.astype(np.uint64),
                 np.array([_depth(children, int(root)) for root in roots], np.int64),
                 _cuts(features, thresholds, children, values, roots))


def _depth(children: npt.NDArray[np.int32], root: int) -> int:
    """Steps from a root to its deepest leaf."""
    level, depth = {root}, 0
    while below := {int(c) for k in level for c in children[k] if c != k}:
        level, depth = below, depth + 1
    return depth


def _cuts(features: npt.NDArray[np.uint64], thresholds: npt.NDArray[np.float32], children: npt.NDArray[np.int32],
          values: npt.NDArray[np.float64], roots: npt.NDArray[np.int32]) -> Cuts:
    """The trees with the leaves that each node takes away, leaves being numbered from left to right."""
    slots = [((1 << leaf) * int(_DE_BRUIJN) & int(_ALL)) >> int(_UPPER) for leaf in range(_MAX_LEAVES)]
    nodes: list[int] = []
    lost: list[int] = []
    first = [0]
    table = np.zeros((len(roots), _MAX_LEAVES), np.float64)
    for tree, root in enumerate(roots.tolist()):
        inner, leaves = _lost_leaves(children, root)
        if len(leaves) > _MAX_LEAVES:
            raise InputError(f"has a tree of {len(leaves)} leaves", where="model of blocks",
                             hint=f"train it with num_leaves of {_MAX_LEAVES} at most")
        nodes += inner
        lost += inner.values()
        first.append(len(nodes))
        table[tree, slots[: len(leaves)]] = values[leaves]
    asked = features[nodes].astype(np.int64) if nodes else np.empty(0, np.int64)
    used = np.unique(asked)
    return Cuts(used, np.searchsorted(used, asked).astype(np.int64),
                thresholds[nodes] if nodes else np.empty(0, np.float32),
                np.array(lost, np.uint32), np.array(first, np.int64), table)


def _lost_leaves(children: npt.NDArray[np.int32], root: int) -> tuple[dict[int, int], list[int]]:
    """(inner nodes of a tree, each with the bits of the leaves on its left; its leaves from left to right)."""
    lost: dict[int, int] = {}
    leaves: list[int] = []

    def visit(node: int) -> int:
        """The bits of the leaves below a node."""
        left, right = (int(child) for child in children[node])
        if left == node:
            leaves.append(node)
            return 1 << len(leaves) - 1
        lost[node] = visit(left)
        return lost[node] | visit(right)

    visit(root)
    return lost, leaves
