"""Boosted trees: arrays of nodes, and a compiled evaluation that gives LightGBM's own scores without LightGBM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from curate.extraction.compiled import kernel

_ZERO = np.float64(0)


class Trees(NamedTuple):
    """An ensemble, all trees in one set of arrays. A node goes left where its feature is <= its threshold.

    A leaf is a node that leads to itself, so that every row takes as many steps as its tree is deep: no branch depends
    on the data, and several rows are in flight at once."""

    features: npt.NDArray[np.uint64]  # [nodes]: columns of the feature matrix; unsigned, as numba wraps signed indices
    thresholds: npt.NDArray[np.float32]  # [nodes]
    children: npt.NDArray[np.uint64]  # [2 * nodes]: left and right of node 0, of node 1, ...
    values: npt.NDArray[np.float64]  # [nodes]: of leaves
    roots: npt.NDArray[np.uint64]  # [trees]
    depths: npt.NDArray[np.int64]  # [trees]


@kernel
def tree_scores(trees, x, out):  # type: ignore[no-untyped-def]
    """Fill out float64 [n] with the sums of the trees' values for the rows of x float32 [n, features]."""
    n = out.size
    for i in range(n):
        out[i] = 0.0
    for t in range(trees.roots.size):
        root, depth = trees.roots[t], trees.depths[t]
        for i in range(0, n - 3, 4):
            a, b, c, d = root, root, root, root
            for _ in range(depth):
                a, b = _step(trees, x, i, a), _step(trees, x, i + 1, b)
                c, d = _step(trees, x, i + 2, c), _step(trees, x, i + 3, d)
            out[i] += trees.values[a]
            out[i + 1] += trees.values[b]
            out[i + 2] += trees.values[c]
            out[i + 3] += trees.values[d]
        for i in range(n // 4 * 4, n):
            a = root
            for _ in range(depth):
                a = _step(trees, x, i, a)
            out[i] += trees.values[a]


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
    """The ensemble of a model file's arrays: feature, threshold, left, right, value and root, a leaf being ~number."""
    n_inner, n_leaves = len(t["feature"]), len(t["value"])
    inner = np.array([t["left"], t["right"]], np.int32).T.reshape(-1, 2)
    inner = np.where(inner < 0, n_inner + ~inner, inner)
    leaves = n_inner + np.arange(n_leaves, dtype=np.int32)
    roots = np.array(t["root"], np.int32)
    roots = np.where(roots < 0, n_inner + ~roots, roots).astype(np.int32)
    children = np.concatenate([inner, np.column_stack([leaves, leaves])]).astype(np.int32)
    return Trees(np.array(t["feature"] + [0] * n_leaves, np.uint64),
                 np.array(t["threshold"] + [0.0] * n_leaves, np.float32), children.ravel().astype(np.uint64),
                 np.array([0.0] * n_inner + t["value"], np.float64), roots.astype(np.uint64),
                 np.array([_depth(children, int(root)) for root in roots], np.int64))


def _depth(children: npt.NDArray[np.int32], root: int) -> int:
    """Steps from a root to its deepest leaf."""
    level, depth = {root}, 0
    while below := {int(c) for k in level for c in children[k] if c != k}:
        level, depth = below, depth + 1
    return depth
