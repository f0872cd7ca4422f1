"""How an extracted text is compared with a person's: word 4-grams, as multisets.

A word is a maximal run of `\\w`, lower-cased. A text of fewer than four words is one gram of all of them. Precision is
the share of the extracted grams that are in the gold text, recall the reverse, each gram counted as often as it
occurs in both; a collection's figure is the mean over its pages, an empty page counting as zero.
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


def grams_of(words: Sequence[str]) -> Counter[tuple[str, ...]]:
    """The 4-grams of words and how often each occurs."""
    if not words:
        return Counter()
    n = max(1, len(words) - GRAM_WORDS + 1)
    return Counter(tuple(words[i : i + GRAM_WORDS]) for i in range(n))


def agreement(words: Sequence[str], gold: Sequence[str]) -> Agreement:
    """How well extracted words agree with the gold words of a page."""
    found, wanted = grams_of(words), grams_of(gold)
    common = (found & wanted).total()
    precision, recall = common / max(1, found.total()), common / max(1, wanted.total())
    f1 = 2 * precision * recall / (precision + recall) if common else 0.0
    return Agreement(f1, precision, recall)


def mean_agreement(pages: Sequence[Agreement]) -> Agreement:
    """The mean over pages."""
    n = max(1, len(pages))
    return Agreement(*(sum(values) / n for values in zip(*pages, strict=True))) if pages else Agreement(0.0, 0.0, 0.0)
