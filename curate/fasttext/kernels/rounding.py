"""By how much fastText's float32 sums may stray from float64 ones, estimated for each text while it is scored.

A sum of n vectors is rounded n times, each time by a part of its own size that depends on the vector added: so a word
that stands c times errs c times alike, and in each dimension by itself. The logit, direction . h with h the mean of the
vectors, then strays by about _ROUNDING * |direction * h| * sqrt(sum of c * c), with |.| over dimensions.
"""

from __future__ import annotations

import numba as nb
import numpy as np

_SAMPLE, SLOTS = 256, 2048
_MIX = np.uint64(0x9E3779B97F4A7C15)
_ROUNDING = 2.5e-8  # standard deviation of float32's rounding, relative, over the range between two powers of two
_GROWING = 0.55  # of errors made while a sum grows evenly to its size, beside those made at that size


@nb.njit(nogil=True, cache=True)
def _squares(hashes, n, seen):  # type: ignore[no-untyped-def]
    """Sums of squares of how often each word, and each pair of neighbours, stands in a line: (words, pairs), estimates
    from at most _SAMPLE places. seen: uint16 [2, a power of two], scratch."""
    m, slots = min(n, _SAMPLE), np.uint64(seen.shape[1] - 1)
    if n < 32:
        return np.float64(n) * n, np.float64(n) * n
    seen[:] = 0
    same, same_pairs = 0, 0
    for k in range(m):
        i = k * n // m
        word, after = np.uint64(hashes[i]), np.uint64(hashes[i + 1 if i + 1 < n else 0])
        a = np.int64((word * _MIX >> np.uint64(40)) & slots)
        b = np.int64(((word * _MIX ^ after) * _MIX >> np.uint64(40)) & slots)
        same, same_pairs = same + seen[0, a], same_pairs + seen[1, b]
        seen[0, a] += 1
        seen[1, b] += 1
    share = 2.0 / (m * (m - 1.0))
    chance = 1.0 / seen.shape[1]  # of different ones in one slot
    return (n + max(0.0, same * share - chance) * n * n), (n + max(0.0, same_pairs * share - chance) * n * n)


@nb.njit(nogil=True, cache=True)
def stray(hashes, n, n_features, most, total, word_ngrams, max_chars, shape, seen):  # type: ignore[no-untyped-def]
    """Estimated standard deviation of fastText's logit of a line around ours.

    hashes: of its n words. most: greatest partial sum while words were added; total: the sum at the end. shape: of
    `stray_shape`. seen: uint16 [2, SLOTS], scratch. Words come first, while the sum grows; n-grams at its full size."""
    of_words, of_pairs = _squares(hashes, n, seen)
    growing = _GROWING if max_chars <= 0 else 2 * _GROWING  # a word's character n-grams err with it
    early = growing * (shape[0] * most / n_features + shape[1])
    late = shape[0] * max(most, abs(total)) / n_features + shape[1]
    return _ROUNDING * np.sqrt(early * early * of_words + late * late * (word_ngrams - 1.0) * of_pairs)


@nb.njit(nogil=True, cache=True)
def stray_shape(vectors, direction):  # type: ignore[no-untyped-def]
    """(share, rest): how large |direction * h| is for the mean h of vectors, as share * |direction . h| + rest.

    Vectors of two labels are trained along
    one direction, so h is nearly a multiple of it: share is exact for that. rest is what is not along it: half the root
    of its mean square over these vectors, where a mean of many that point anywhere has a tenth."""
    square = fourth = 0.0
    for j in range(direction.size):
        square += direction[j] ** 2
        fourth += direction[j] ** 4
    if square == 0.0:
        return 0.0, 0.0
    rest = 0.0
    for i in range(vectors.shape[0]):
        along = 0.0
        for j in range(direction.size):
            along += vectors[i, j] * direction[j]
        along /= square
        for j in range(direction.size):
            rest += ((vectors[i, j] - along * direction[j]) * direction[j]) ** 2
    return np.sqrt(fourth) / square, np.sqrt(rest / max(1, vectors.shape[0])) / 2.0
