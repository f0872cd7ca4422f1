"""A keyed permutation of 0..n-1 that needs no array: any position of any epoch costs the same, at once.

An unbalanced Feistel network over the smallest power of two that holds n, with cycle walking for values that fall
outside (Black and Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002). A loader's state is then one number.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xxhash

_ROUNDS = 8


def _mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """MurmurHash3's 64-bit finaliser (Appleby 2011), elementwise: the round function."""
    x = (x ^ (x >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    x = (x ^ (x >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return x ^ (x >> np.uint64(33))


class Permutation:
    """The permutation of range(n) that (seed, purpose) names. n: 1 to 2**62."""

    def __init__(self, n: int, seed: int, purpose: str) -> None:
        if not 0 < n <= 1 << 62:
            raise ValueError(f"a permutation needs 1 to 2**62 values, not {n}")
        bits = (n - 1).bit_length()
        self.n = n
        self._low_bits = np.uint64(bits - bits // 2)
        self._low = np.uint64((1 << int(self._low_bits)) - 1)
        self._high = np.uint64((1 << (bits // 2)) - 1)
        self._keys = [np.uint64(xxhash.xxh3_64_intdigest(f"{seed}\0{purpose}\0{r}".encode())) for r in range(_ROUNDS)]

    def __call__(self, positions: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        """Values at positions, each in [0, n): int64, the shape of the argument."""
        values = self._network(positions.astype(np.uint64))
        outside = np.flatnonzero(values >= np.uint64(self.n))
        while len(outside):
            values[outside] = self._network(values[outside])
            outside = outside[values[outside] >= np.uint64(self.n)]
        return values.astype(np.int64)

    def _network(self, values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        """One pass of the Feistel network: a bijection of [0, 2**bits)."""
        low, high = values & self._low, values >> self._low_bits
        with np.errstate(over="ignore"):
            for r, key in enumerate(self._keys):
                if r % 2:
                    low = low ^ (_mix(high + key) & self._low)
                else:
                    high = high ^ (_mix(low + key) & self._high)
        return (high << self._low_bits) | low
