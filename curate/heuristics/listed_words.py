"""Lists of words that a user gives, such as toxic ones, and the share of a text that they make up."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from curate.kernels.strings import string_buffers
from curate.kernels.words import GRAM_BASE, hash_words
from manifests.errors import InputError
from manifests.storage import open_read


class ListedReason(StrEnum):
    """Why a word list dropped a document."""

    TOXIC_WORDS = "toxic_words"


class ToxicWordsConfig(BaseModel):
    """Documents with too many words of given lists are dropped; C4 allowed none (Raffel et al. 2020, 2.2)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: tuple[str, ...] = Field(min_length=1, description=(
        "Text files with a word or a phrase a line; case and punctuation do not matter."))
    max_fraction: float = Field(default=0.0, ge=0, le=1, description=(
        "Greatest share of a document's words that stand in listed words and phrases."))


class WordList:
    """Words and phrases by the hashes of their words, as deduplication sees words: letters and digits, lower-cased."""

    def __init__(self, phrases: Sequence[str]) -> None:
        hashes, places = hash_words(*string_buffers(pa.array(phrases, pa.large_string())))
        self._keys: dict[int, npt.NDArray[np.uint64]] = {}
        lengths = np.diff(places)
        for length in sorted(set(lengths.tolist()) - {0}):
            first = places[:-1][lengths == length]
            self._keys[length] = np.unique(_grams(hashes, first, length))

    @staticmethod
    def read(paths: Sequence[str]) -> WordList:
        """From files; raises InputError naming one that is no UTF-8 text or holds no word."""
        phrases: list[str] = []
        for path in paths:
            with open_read(path) as stream:
                try:
                    lines = [line.strip() for line in stream.read().decode("utf-8").splitlines() if line.strip()]
                except UnicodeDecodeError as error:
                    raise InputError(f"is no UTF-8 text: {error}", where=path) from error
            if not lines:
                raise InputError("holds no word", where=path)
            phrases += lines
        return WordList(phrases)

    def fractions(self, texts: Any) -> npt.NDArray[np.float32]:
        """Share of each text's words that stand in listed words and phrases: float32 [n]."""
        hashes, places = hash_words(*string_buffers(texts))
        listed = np.zeros(len(hashes), bool)
        owner = np.repeat(np.arange(len(places) - 1), np.diff(places))
        for length, keys in self._keys.items():
            if len(hashes) < length:
                continue
            first = np.arange(len(hashes) - length + 1)
            first = first[owner[first] == owner[first + length - 1]]
            hits = first[np.isin(_grams(hashes, first, length), keys)]
            for step in range(length):
                listed[hits + step] = True
        counts = np.bincount(owner, weights=listed, minlength=len(places) - 1)
        return (counts / np.maximum(1, np.diff(places))).astype(np.float32)


def _grams(hashes: npt.NDArray[np.uint64], first: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.uint64]:
    """Hashes of runs of words; a run of one is its word."""
    with np.errstate(over="ignore"):
        total = np.zeros(len(first), np.uint64)
        for step in range(length):
            total = total * GRAM_BASE + hashes[first + step]
    return total
