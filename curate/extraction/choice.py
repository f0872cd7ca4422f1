"""Which blocks of a page are its text: those above a probability that is the page's own.

The text with the best expected F1 is made of the blocks whose probability is above half of that F1 (Lipton, Elkan and
Naryanaswamy 2014, "Optimal thresholding of classifiers to maximize F1 measure"): a page that the trees are unsure of
has a lower bound, a clear one a higher. Probabilities are estimates, so the bound is drawn towards one
that is the same for all pages; how far, and which, is learnt.

Before that a block's probability is drawn towards that of all blocks in the same chain of elements and classes, as far
as is learnt too: posts of a thread are kept or left together.
"""

from __future__ import annotations

from typing import Final

import numba as nb
import numpy as np

from curate.extraction.ranking import falling_order

HOPELESS: Final = 0.02
"""First judgement below which a block keeps it: the second trees are not asked. Out of fold none of such blocks was
ever kept, and they are two of five."""


@nb.njit(nogil=True, cache=True)
def page_bound(probabilities, words, least, share):  # type: ignore[no-untyped-def]
    """The probability above which a block is kept. probabilities: float64 [n]. words: float64 [n], how much each block
    weighs. least: the bound of all pages. share: how much of the bound is the page's own, from 0 to 1."""
    order = falling_order(probabilities)
    wanted = 0.0
    for i in range(probabilities.size):
        wanted += probabilities[i] * words[i]
    kept = right = best = 0.0
    for i in order:
        kept += words[i]
        right += probabilities[i] * words[i]
        if kept + wanted > 0.0:
            best = max(best, 2.0 * right / (kept + wanted))
    return share * best / 2.0 + (1.0 - share) * least


@nb.njit(nogil=True, cache=True)
def drawn_together(probabilities, words, paths, share):  # type: ignore[no-untyped-def]
    """The probabilities, drawn towards their mean over all blocks of the same path; float64 [n].

    probabilities, words: as of `page_bound`. paths: int64 [n], below n, of `repeats.put_repeats`. share: of the mean in
    what is returned, from 0 to 1."""
    n = probabilities.size
    sums, weights = np.zeros(n), np.zeros(n)
    for i in range(n):
        sums[paths[i]] += (1.0 + words[i]) * probabilities[i]
        weights[paths[i]] += 1.0 + words[i]
    drawn = np.empty(n)
    for i in range(n):
        drawn[i] = (1.0 - share) * probabilities[i] + share * sums[paths[i]] / weights[paths[i]]
    return drawn
