"""Pages with other class names, and gold texts that stop early: what keeps the trees from learning names and cuts.

What one forum's software calls posts another calls comments, and a third names by hashes. A thread is seen with posts
and comments exchanged, and without any class, so that its layout tells its posts; an article with readers' comments is
seen with them exchanged as well, so that they are no text by either name.

People stopped copying long threads after some posts: of what comes after their last word nothing is learnt, where it
stands in the same elements and classes as what they copied, but for what earlier posts hold too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from curate.extraction.facts import PAGE_FACTS
from curate.extraction.features import FEATURES

if TYPE_CHECKING:
    from scripts.extraction_model.gold import View

RENAMED: Final = "renamed"
BARE: Final = "bare"
VARIANTS: Final = (RENAMED, BARE)
_EXCHANGED: Final = [(FEATURES.index(f"{where}_comment"), FEATURES.index(f"{where}_message"))
                     for where in ("class", "near")]
_EXCHANGED_FACTS: Final = [(PAGE_FACTS.index(what.format("comment")), PAGE_FACTS.index(what.format("message")))
                           for what in ("text_of_class_{}", "blocks_of_class_{}", "prose_in_{}s")]
_CLASSES: Final = [i for i, name in enumerate(FEATURES) if name.startswith(("class_", "near_"))]
_CLASS_FACTS: Final = [i for i, name in enumerate(PAGE_FACTS) if "_of_class_" in name or name.startswith("prose_in_")]
_SEEN_BEFORE: Final = FEATURES.index("seen_before")
_COMMENTED: Final = 0.1  # share of an article's prose in comments from which it is seen renamed as well
_LEFT_OUT: Final = 0.1  # words after the end that look like the gold text, of its words, from which it stops early
_TAIL: Final = 0.02  # of the gold text's words that may be matched after its end: words occur by chance
_IN: Final = 0.6  # share of words in the gold text from which an element with these classes is its own
_MIN_WORDS: Final = 30


def variants_of(view: View, kind: str | None) -> dict[str, View]:
    """The variants of a page in which it is seen while training, by name; kind: of the page, where its set says it."""
    commented = view.facts[PAGE_FACTS.index("prose_in_comments")] > _COMMENTED
    names = VARIANTS if kind == "forum" else (RENAMED,) if kind == "article" and commented else ()
    return {name: _renamed(view) if name == RENAMED else _bare(view) for name in names}


def _renamed(view: View) -> View:
    x, facts = view.x.copy(), view.facts.copy()
    for a, b in _EXCHANGED:
        x[:, [a, b]] = x[:, [b, a]]
    for a, b in _EXCHANGED_FACTS:
        facts[[a, b]] = facts[[b, a]]
    return replace(view, x=x, facts=facts)


def _bare(view: View) -> View:
    x, facts = view.x.copy(), view.facts.copy()
    x[:, _CLASSES], facts[_CLASS_FACTS] = 0, 0
    return replace(view, x=x, facts=facts)


def learnt_blocks(view: View, words: Sequence[Sequence[str]], labels: npt.NDArray[np.float64],
                  n_gold: int) -> npt.NDArray[np.bool_]:
    """bool [blocks]: those of a thread that something is learnt from.

    words: of each block. labels: share of them in the gold text. n_gold: its words."""
    learnt = np.ones(len(words), np.bool_)
    size = np.array([len(w) for w in words], np.float64)
    matched = size * labels
    if not matched.sum():
        return learnt
    after = matched[::-1].cumsum()[::-1] < _TAIL * matched.sum()
    paths, n = view.alike[2], len(words)
    own = np.bincount(paths[~after], matched[~after], n)
    whole = np.bincount(paths[~after], size[~after], n)
    alike = after & ((own > _IN * whole) & (whole >= _MIN_WORDS))[paths]
    if size[alike].sum() > _LEFT_OUT * n_gold:
        learnt[after & (view.x[:, _SEEN_BEFORE] < 0.5)] = False
    return learnt
