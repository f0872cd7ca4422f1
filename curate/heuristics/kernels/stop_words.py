"""Stop words by language, as a table from a word's hash to bits."""

from __future__ import annotations

from typing import Final

import numpy as np

from curate.text.hash_table import hash_table, word_hash
from curate.text.yaml_tables import yaml_table

GOPHER: Final = ("the", "be", "to", "of", "and", "that", "have", "with")
"""English stop words of Gopher (Rae et al. 2021, A1.1)."""

LANGUAGES: Final[dict[str, str]] = yaml_table("curate.heuristics", "stop_words.yaml")
"""Frequent function words by ISO 639-1 code: enough of them to tell prose from lists, no more."""

LANGUAGE_CODES: Final = tuple(LANGUAGES)
LANGUAGE_SHIFT: Final = 8


def _bits() -> dict[str, int]:
    bits: dict[str, int] = {word: 1 << bit for bit, word in enumerate(GOPHER)}
    for bit, words in enumerate(LANGUAGES.values()):
        for word in words.split():
            bits[word] = bits.get(word, 0) | 1 << (LANGUAGE_SHIFT + bit)
    return bits


STOP_KEYS, STOP_BITS = hash_table({word_hash(word): bits for word, bits in _bits().items()}, np.uint32)
"""Hashes of lower-case words; bits: low eight for Gopher's words, then one for each language."""
