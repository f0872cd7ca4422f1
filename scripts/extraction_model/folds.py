"""Models that have not seen some folds, so that no page is judged by anything that saw its site.

The second trees learn from what the first make of pages that those have not seen, and the first from kinds that the
trees of kinds have not seen. So a judgement of fold f needs first trees without f and g for the pages of every other
fold g: ten pairs, five single folds. Models are made when they are asked for, and kept.
"""

from __future__ import annotations

import math
import multiprocessing
import sys
from collections.abc import Mapping, Sequence
from itertools import combinations
from types import MappingProxyType
from typing import Any, Final

import lightgbm
import numba as nb
import numpy as np
import numpy.typing as npt
import xxhash

from curate.extraction.choice import HOPELESS
from curate.extraction.context import CONTEXT, put_context
from curate.extraction.extracted import PAGE_TYPES, Content
from curate.extraction.features import F_POLICY, K_BASE
from curate.extraction.trees import Trees, class_scores, tree_scores, trees_of
from scripts.extraction_model.arrays import arrays_of
from scripts.extraction_model.gold import N_SEEN, POLICY_OF_SET, GoldPage, View
from scripts.extraction_model.variants import VARIANTS

N_FOLDS: Final = 5
_SHARED: Final[dict[str, Any]] = {
    "max_bin": 63, "feature_fraction": 0.4, "bagging_fraction": 0.8, "bagging_freq": 1, "seed": 1,
    "deterministic": True, "force_row_wise": True, "num_threads": 1, "verbose": -1}
KIND_TREES: Final[dict[str, Any]] = {
    **_SHARED, "objective": "multiclass", "num_class": len(PAGE_TYPES), "learning_rate": 0.1, "num_leaves": 8,
    "max_depth": 4, "min_data_in_leaf": 8, "feature_fraction": 0.3, "lambda_l2": 5.0}
FIRST_TREES: Final[dict[str, Any]] = {
    **_SHARED, "objective": "cross_entropy", "learning_rate": 0.18, "num_leaves": 18, "max_depth": 6,
    "min_data_in_leaf": 60, "lambda_l2": 2.0}
SECOND_TREES: Final[dict[str, Any]] = {
    **_SHARED, "objective": "cross_entropy", "learning_rate": 0.1, "num_leaves": 28, "max_depth": 7,
    "min_data_in_leaf": 60, "lambda_l2": 2.0}
WEIGHTS: Final[Mapping[str, float]] = MappingProxyType({
    "forum": 1.7, "listing": 2.2, "collection": 2.4, "product": 2.0, "service": 1.5, "documentation": 1.5})
"""How much a page of a kind weighs beside an article: of most kinds there are few."""
WEIGHTS_OF_OTHERS: Final = {"wcxb": 0.15}
N_KIND_ROUNDS, N_FIRST, N_SECOND = 50, 50, 160
_MAX_BLOCKS: Final = 160  # of a page that are learnt from; the others are as many more of the same kind
_USUAL, _LEAST, _EVENLY = 530.0, 20.0, 0.5
"""What the blocks of a usual page weigh, what those of a page count for at least, and how far all pages weigh alike: 0
is by their blocks alone, 1 is each as much as any other."""
_COPIES: Final = ("cyrillic", "ideographs")
"""Disguises, in one of which one page of three is seen as well, while training."""

_NUMBER: Final = {content: i for i, content in enumerate(Content)}

Floats = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float32]
Folds = frozenset[int]
Arrays = dict[str, list[Any]]
"""Trees as the model file has them."""


def fold_of(page: GoldPage) -> int:
    """The fold of a page's site."""
    return xxhash.xxh3_64_intdigest(page.site.encode()) % N_FOLDS


class FoldModels:
    """Trees without any set of folds, and what they say of pages. An empty set of folds means of all pages."""

    def __init__(self, pages: Sequence[GoldPage]) -> None:
        self.pages = pages
        self.folds = [fold_of(p) for p in pages]
        self._models: dict[tuple[str, Folds], Arrays] = {}
        self._ready: dict[tuple[str, Folds], Trees] = {}
        self._kinds: dict[tuple[int, str, Folds], Floats] = {}
        self._judged: dict[tuple[int, str, Folds], Floats] = {}

    def prepare(self, jobs: int) -> None:
        """Make the trees that judging every page, and the model of all pages, take; in so many processes."""
        pairs = [frozenset(pair) for pair in combinations(range(N_FOLDS), 2)]
        single = [frozenset((f,)) for f in range(N_FOLDS)]
        nothing: list[Folds] = [frozenset()]
        triples = [frozenset(triple) for triple in combinations(range(N_FOLDS), 3)]
        for which, wanted in (("kinds", triples + pairs + single + nothing), ("first", pairs + single + nothing),
                              ("second", single + nothing), ("other", single + nothing)):
            tasks = [(which, without) for without in wanted]
            with multiprocessing.get_context("fork").Pool(jobs, _remember, (self,)) as pool:
                for task, arrays in zip(tasks, pool.imap(_make, tasks), strict=True):
                    self._models[task] = arrays
                    print(which, *task[1], file=sys.stderr, flush=True)

    def kinds(self, i: int, name: str, without: Folds) -> Floats:
        """Probabilities of the kinds of page i, as it is ("") or in a disguise, by trees without these folds."""
        key = (i, name, without)
        if key not in self._kinds:
            self._kinds[key] = np.empty(len(PAGE_TYPES))
            _class_scores(self._trees("kinds", without), self.pages[i].views[name].facts[None], self._kinds[key])
        return self._kinds[key]

    def _kind_trees(self, without: Folds) -> Arrays:
        """Trees for the kinds of pages, of the pages whose set says what kind they are."""
        chosen = [p for p, f in zip(self.pages, self.folds, strict=True) if f not in without and p.kind]
        seen = [(p.views[name].facts, p.kind) for p in chosen for name in ("", *VARIANTS) if name in p.views]
        x = np.vstack([facts for facts, _ in seen])
        y = [PAGE_TYPES.index(kind) for _, kind in seen if kind]
        return arrays_of(lightgbm.train(KIND_TREES, lightgbm.Dataset(x, y), N_KIND_ROUNDS))

    def _first_trees(self, without: Folds) -> Arrays:
        """Trees on blocks and what surrounds them."""
        rows = [(i, name, self._features(i, name, without | {self.folds[i]}, content))
                for i, name, content in self._training(without)]
        return self._fit(rows, FIRST_TREES, N_FIRST)

    def _second_trees(self, without: Folds) -> Arrays:
        """Trees on blocks, what surrounds them, and what the first trees make of that."""
        rows = [(i, name, self._in_context(i, name, without | {self.folds[i]}, content))
                for i, name, content in self._training(without)]
        return self._fit(rows, SECOND_TREES, N_SECOND)

    def _other_trees(self, without: Folds) -> Arrays:
        """As the second, for `article` and `everything`: the sets with these policies weigh more."""
        rows = [(i, name, self._in_context(i, name, without | {self.folds[i]}, content))
                for i, name, content in self._training(without) if content is None]
        return self._fit(rows, SECOND_TREES, N_SECOND, WEIGHTS_OF_OTHERS)

    def judge(self, i: int, name: str = "", content: Content | None = None) -> Floats:
        """Probabilities of the blocks of page i by trees that did not see its fold.

        content: the policy; that of its set where it is None."""
        without = frozenset((self.folds[i],))
        if not self.pages[i].words:
            return np.zeros(0)
        x = self._in_context(i, name, without, content)
        policy = content or POLICY_OF_SET[self.pages[i].dataset]
        second = probabilities(self._trees("second" if policy == Content.AUTO else "other", without), x)
        first = self._judged[i, f"{name}/{content}", without]
        return np.where(first.astype(np.float32) < HOPELESS, first, second)

    def trees(self, which: str, without: Folds) -> Arrays:
        """The trees of kinds, or the first, second or other, without these folds, as the model file has them."""
        if (which, without) not in self._models:
            make = {"kinds": self._kind_trees, "first": self._first_trees, "second": self._second_trees,
                    "other": self._other_trees}[which]
            self._models[which, without] = make(without)
        return self._models[which, without]

    def _trees(self, which: str, without: Folds) -> Trees:
        if (which, without) not in self._ready:
            self._ready[which, without] = trees_of(self.trees(which, without))
        return self._ready[which, without]

    def _training(self, without: Folds) -> list[tuple[int, str, Content | None]]:
        """(page, disguise, policy) of all that trees without these folds may see.

        An article is the same text under `auto` and `article`: some are seen under both."""
        seen: list[tuple[int, str, Content | None]] = []
        for i, page in enumerate(self.pages):
            if self.folds[i] in without or not page.words:
                continue
            seen.append((i, "", None))
            h = xxhash.xxh3_64_intdigest(page.page_id.encode())
            if (copy := _COPIES[h // N_SEEN % len(_COPIES)]) in page.views:
                seen.append((i, copy, None))
            seen += [(i, name, None) for name in VARIANTS if name in page.views]
            if page.dataset == "dragnet":
                seen.append((i, "", Content.AUTO))
            elif page.kind == "article" and h % N_SEEN == 1:
                seen.append((i, "", Content.ARTICLE))
        return seen

    def _features(self, i: int, name: str, without: Folds, content: Content | None = None) -> Matrix:
        x = self.pages[i].views[name].x.copy()
        x[:, K_BASE : K_BASE + len(PAGE_TYPES)] = self.kinds(i, name, without)
        x[:, F_POLICY] = _NUMBER[content or POLICY_OF_SET[self.pages[i].dataset]]
        return x

    def _in_context(self, i: int, name: str, without: Folds, content: Content | None = None) -> Matrix:
        x = self._features(i, name, without, content)
        key = (i, f"{name}/{content}", without)
        if key not in self._judged:
            self._judged[key] = probabilities(self._trees("first", without), x)
        return with_context(self.pages[i].views[name], x, self._judged[key])

    def _fit(self, rows: Sequence[tuple[int, str, Matrix]], parameters: dict[str, Any], n: int,
             weight_of: Mapping[str, float] = MappingProxyType({})) -> Arrays:
        """Trees on blocks; a block weighs the square root of its words, times what is given for its page's kind and
        set, or 1; those of a long page less, since pages are judged one by one."""
        parts, labels, weights = [], [], []
        for i, name, x in rows:
            page = self.pages[i]
            chosen = _sample(f"{page.page_id}/{name}", len(x))
            share = weight_of.get(page.dataset, 1.0) * WEIGHTS.get(page.kind or "", 1.0) * len(x) / len(chosen)
            parts.append(x[chosen])
            labels.append(page.labels[chosen])
            sizes = np.sqrt(1 + np.array([len(page.words[k]) for k in range(len(x))]))
            share *= (_USUAL / max(_LEAST, float(sizes.sum()))) ** _EVENLY
            weights.append(share * sizes[chosen] * page.learnt[chosen])
        data = lightgbm.Dataset(np.vstack(parts), np.concatenate(labels), weight=np.concatenate(weights))
        return arrays_of(lightgbm.train(parameters, data, n))


_IN_PROCESS: list[FoldModels] = []


def _remember(models: FoldModels) -> None:
    _IN_PROCESS.append(models)


def _make(task: tuple[str, Folds]) -> Arrays:
    which, without = task
    return _IN_PROCESS[-1].trees(which, without)


def probabilities(trees: Trees, x: Matrix) -> Floats:
    """What trees of cross-entropy say of rows."""
    scores = np.empty(len(x))
    _scores(trees, x, scores)
    return np.asarray(1 / (1 + np.exp(-scores)))


@nb.njit(nogil=True, cache=True)
def _scores(trees, x, out):  # type: ignore[no-untyped-def]
    tree_scores(trees, x, np.arange(out.size), out)


@nb.njit(nogil=True, cache=True)
def _class_scores(trees, x, out):  # type: ignore[no-untyped-def]
    class_scores(trees, x, out)


def with_context(view: View, x: Matrix, judged: Floats) -> Matrix:
    """The features of a page's blocks and those that a first judgement gives."""
    context = np.zeros((len(x), len(CONTEXT)), np.float32)
    group, nearest, paths = view.alike
    put_context(view.page, len(x), judged.astype(np.float32), group, nearest, paths, context)
    return np.hstack([x, context])


def _sample(name: str, n: int) -> npt.NDArray[np.int64]:
    """At most `_MAX_BLOCKS` of a page's blocks, evenly spread from a start that its name decides."""
    if n <= _MAX_BLOCKS:
        return np.arange(n)
    start = xxhash.xxh3_64_intdigest(name.encode()) % math.ceil(n / _MAX_BLOCKS)
    return np.unique((start + np.arange(_MAX_BLOCKS) * n / _MAX_BLOCKS).astype(np.int64).clip(0, n - 1))
