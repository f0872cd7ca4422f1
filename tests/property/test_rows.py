"""Best-fit packing against the paper's algorithm spelled out over lists."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenizer.rows import fill_rows


def naive_best_fit(lengths: list[int], capacity: int) -> list[list[tuple[int, int, int]]]:
    """Rows as lists of (instance, offset, tokens): longest fragment first, into the fullest row that has room; of equal
    rows, into the one filled last. Rows stand where their first fragment's document stands."""
    fragments = [(i, at, min(n - at, capacity)) for i, n in enumerate(lengths) for at in range(0, n, capacity)]
    rows: list[list[tuple[int, int, int]]] = []
    filled: list[int] = []  # when each row was last added to
    for step, fragment in enumerate(sorted(fragments, key=lambda f: -f[2])):
        room = [capacity - sum(f[2] for f in row) for row in rows]
        fits = [r for r in range(len(rows)) if room[r] >= fragment[2]]
        if fits:
            chosen = min(fits, key=lambda r: (room[r], -filled[r]))
            rows[chosen].append(fragment)
            filled[chosen] = step
        else:
            rows.append([fragment])
            filled.append(step)
    return sorted(rows, key=lambda row: row[0][:2])


@settings(max_examples=200, deadline=None)
@given(lengths=st.lists(st.integers(1, 40), max_size=60), capacity=st.integers(1, 24))
def test_best_fit_equals_the_naive_packer(lengths: list[int], capacity: int) -> None:
    rows = fill_rows("best_fit", np.array(lengths, np.int64), capacity)
    found: list[list[tuple[int, int, int]]] = [[] for _ in range(rows.n_rows)]
    used = [0] * rows.n_rows
    columns = (rows.instance, rows.offset, rows.n_tokens, rows.row, rows.place)
    for instance, offset, n, row, place in zip(*(c.tolist() for c in columns), strict=True):
        assert place == used[row]
        used[row] += n
        found[row].append((instance, offset, n))
    assert found == naive_best_fit(lengths, capacity)
    assert max(used, default=0) <= capacity


@settings(max_examples=100, deadline=None)
@given(lengths=st.lists(st.integers(1, 4000), min_size=1, max_size=300), capacity=st.sampled_from([64, 100, 2048]),
       packing=st.sampled_from(["best_fit", "pad"]))
def test_nothing_is_discarded_and_only_long_documents_are_cut(lengths: list[int], capacity: int, packing: str) -> None:
    rows = fill_rows(packing, np.array(lengths, np.int64), capacity)
    assert np.bincount(rows.instance, rows.n_tokens).tolist() == lengths
    pieces = np.bincount(rows.instance)
    assert pieces.tolist() == [-(-n // capacity) for n in lengths]
    assert sorted(set(rows.row.tolist())) == list(range(rows.n_rows))
    if packing == "pad":
        assert rows.n_rows == len(rows.row) == pieces.sum()
    else:
        # No two rows could be one: best fit would have joined them.
        used = np.sort(np.bincount(rows.row, rows.n_tokens))
        assert len(used) < 2 or used[0] + used[1] > capacity
