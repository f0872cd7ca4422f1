"""Chance by hashing: every choice of the demo is a function of (seed, purpose, key), so a web can be rendered again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import xxhash

T = TypeVar("T")


@dataclass(frozen=True)
class Chance:
    """Choices under one seed. Each method takes a purpose and a key; the same pair always gives the same answer."""

    seed: int

    def _word(self, purpose: str, key: object) -> int:
        return xxhash.xxh3_64_intdigest(f"{self.seed}\0{purpose}\0{key}".encode())

    def below(self, purpose: str, key: object, n: int) -> int:
        """An integer in [0, n)."""
        return self._word(purpose, key) % n

    def happens(self, purpose: str, key: object, percent: int) -> bool:
        """True for about `percent` of a hundred keys."""
        return self.below(purpose, key, 100) < percent

    def one(self, purpose: str, key: object, options: Sequence[T]) -> T:
        """One of the options."""
        return options[self.below(purpose, key, len(options))]

    def shuffled(self, purpose: str, items: Sequence[T]) -> list[T]:
        """The items in an order of their own for each purpose."""
        order = sorted(range(len(items)), key=lambda i: self._word(purpose, i))
        return [items[i] for i in order]
