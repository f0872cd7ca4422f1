"""Lists of words that a user gives, such as toxic ones, and the share of a text that they make up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.text.strings import string_buffers
from curate.text.words import GRAM_BASE, folded_table, hash_words
from manifests.errors import InputError
from manifests.storage import open_read


class ListedReason(StrEnum):
    """Why a word list dropped a document."""

    TOXIC_WORDS = "toxic_words"


@lru_cache(maxsize=1)
def _folded() -> npt.NDArray[np.uint32]:
    return folded_table()


def _hashes(texts: Any) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    return hash_words(*string_buffers(texts), _folded())


class WordList:
    """Words and phrases by the hashes of their words, as deduplication sees words: runs of letters and digits, with
    cases folded; a letter of a script written without spaces is a word."""

    def __init__(self, phrases: Sequence[str]) -> None:
        hashes, bounds = _hashes(pa.array(phrases, pa.large_string()))
        self._keys: dict[int, npt.NDArray[np.uint64]] = {}
        lengths = np.diff(bounds)
        for length in sorted(set(lengths.tolist()) - {0}):
            first = bounds[:-1][lengths == length]
            self._keys[length] = np.unique(_grams(hashes, first, length))

    def fractions(self, texts: Any) -> npt.NDArray[np.float32]:
        """Share of each text's words that are part of listed words and phrases: float32 [n]."""
        hashes, bounds = _hashes(texts)
        listed = np.zeros(len(hashes), bool)
        owner = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
        for length, keys in self._keys.items():
            if len(hashes) < length:
                continue
            first = np.arange(len(hashes) - length + 1)
            first = first[owner[first] == owner[first + length - 1]]
            hits = first[np.isin(_grams(hashes, first, length), keys)]
            for step in range(length):
                listed[hits + step] = True
        counts = np.bincount(owner, weights=listed, minlength=len(bounds) - 1)
        return (counts / np.maximum(1, np.diff(bounds))).astype(np.float32)


class WordLists:
    """Lists for all documents and for those of one language."""

    def __init__(self, phrases: Mapping[str | None, Sequence[str]]) -> None:
        common = list(phrases.get(None, ()))
        self._common = WordList(common)
        self._own = {language: WordList([*common, *own]) for language, own in phrases.items() if language is not None}

    @staticmethod
    def read(paths: Mapping[str | None, Sequence[str]]) -> WordLists:
        """From files by language, None for all; raises InputError naming one that is no UTF-8 text or holds no word."""
        return WordLists({language: [phrase for path in files for phrase in _phrases(path)]
                          for language, files in paths.items()})

    def fractions(self, texts: Any, languages: Any) -> npt.NDArray[np.float32]:
        """Share of each text's words that are part of listed words and phrases: float32 [n]. languages: string [n]."""
        shares = np.zeros(len(texts), np.float32)
        left = np.ones(len(texts), np.bool_)
        for language, words in self._own.items():
            rows = pc.fill_null(pc.equal(languages, language), False).to_numpy(zero_copy_only=False)
            left &= ~rows
            shares[rows] = words.fractions(texts.take(pa.array(np.flatnonzero(rows))))
        shares[left] = self._common.fractions(texts if left.all() else texts.take(pa.array(np.flatnonzero(left))))
        return shares


def _phrases(path: str) -> list[str]:
    with open_read(path) as stream:
        try:
            lines = [line.strip() for line in stream.read().decode("utf-8-sig").splitlines() if line.strip()]
        except UnicodeDecodeError as error:
            raise InputError(f"is no UTF-8 text: {error}", where=path) from error
    if not lines:
        raise InputError("holds no word", where=path)
    return lines


def _grams(hashes: npt.NDArray[np.uint64], first: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.uint64]:
    """Hashes of runs of words; a run of one is its word."""
    with np.errstate(over="ignore"):
        total = np.zeros(len(first), np.uint64)
        for step in range(length):
            total = total * GRAM_BASE + hashes[first + step]
    return total
