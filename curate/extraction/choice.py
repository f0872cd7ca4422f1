"""Which blocks of a page are its text: those above a probability that is the page's own.

The text with the best expected F1 is made of the blocks whose probability is above half of that F1 (Lipton, Elkan and
Naryanaswamy 2014, "Optimal thresholding of classifiers to maximize F1 measure"): a page that the trees are unsure of
has a lower bound, a clear one a higher. Probabilities are estimates, so the bound is drawn towards one
that is the same for all pages; how far, and which, is learnt.
"""

from __future__ import annotations

import numba as nb
import numpy as np


@nb.njit(nogil=True, cache=True)
def page_bound(probabilities, words, least, share):  # type: ignore[no-untyped-def]
    """The probability above which a block is kept. probabilities: float64 [n]. words: float64 [n], how much each block
    weighs. least: the bound of all pages. share: how much of the bound is the page's own, from 0 to 1."""
    order = np.argsort(-probabilities, kind="mergesort")
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
