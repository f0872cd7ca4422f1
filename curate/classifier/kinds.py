"""Kinds of training examples, and how large a share of each the parts need to look at."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What a training example is: a linked page, a document of a curated source, or unfiltered crawl."""

    LINKED = "linked"
    CURATED = "curated"
    NEGATIVE = "negative"


KINDS: Final = tuple(Kind)


def halvings(n_documents: int, max_documents: int) -> int:
    """How often the range of hashes can be halved so that twice the wanted number, or all there are, stays likely.

    What is left of n is expected to be 2 to 4 times max_documents; that it falls below the number itself has a chance
    under 1e-12 from a hundred documents on."""
    n = 0
    while n_documents >> (n + 2) >= max_documents and n < 63:
        n += 1
    return n
