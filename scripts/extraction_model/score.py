"""How an extracted text is compared with a person's: words and word 4-grams, as multisets.

A word is a maximal run of `\\w`, lower-cased. A text of fewer than four words is one gram of all of them. Precision is
the share of the extracted grams that are in the gold text, recall the reverse, each gram counted as often as it
occurs in both; a collection's figure is the mean over its pages. An empty text where there should be none is right;
beside a text it counts as zero.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

GRAM_WORDS: Final = 4
_WORD: Final = re.compile(r"\w+")


class Agreement(NamedTuple):
    """Each from 0 to 1."""

    f1: float
    precision: float
    recall: float


def words_of(text: str) -> list[str]:
    """The words of a text, lower-cased."""
    return _WORD.findall(text.lower())


def grams_of(words: Sequence[str], size: int = GRAM_WORDS) -> Counter[tuple[str, ...]]:
    """The n-grams of words and how often each occurs."""
    if not words:
        return Counter()
    n = max(1, len(words) - size + 1)
    return Counter(tuple(words[i : i + size]) for i in range(n))


def agreement(words: Sequence[str], gold: Sequence[str], size: int = GRAM_WORDS) -> Agreement:
    """How well extracted words agree with the gold words of a page, by n-grams of this size."""
    if not words and not gold:
        return Agreement(1.0, 1.0, 1.0)
    found, wanted = grams_of(words, size), grams_of(gold, size)
    common = (found & wanted).total()
    precision, recall = common / max(1, found.total()), common / max(1, wanted.total())
    f1 = 2 * precision * recall / (precision + recall) if common else 0.0
    return Agreement(f1, precision, recall)


def mean_agreement(pages: Sequence[Agreement]) -> Agreement:
    """The mean over pages."""
    n = max(1, len(pages))
    return Agreement(*(sum(values) / n for values in zip(*pages, strict=True))) if pages else Agreement(0.0, 0.0, 0.0)
