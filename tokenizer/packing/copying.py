"""The kernel behind `gather.copy_runs`, in a module of its own: few runs are copied without it."""

from __future__ import annotations

import numba as nb


@nb.njit(nogil=True, cache=True)
def copy_bytes(source, source_starts, target_starts, lengths, target):  # type: ignore[no-untyped-def]
    """target[target_starts[i] : + lengths[i]] = source[source_starts[i] : + lengths[i]]: uint8 arrays, int64 [n]."""
    for i in range(len(lengths)):
        s, t, n = source_starts[i], target_starts[i], lengths[i]
        target[t : t + n] = source[s : s + n]
