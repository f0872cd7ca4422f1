"""Removed documents in payloads, against a plain Python reading."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.removals import removed_ids
from manifests.rows import index_spans, join_runs
from manifests.schema import SPANS
from manifests.spans import spans_of
from tokenizer.packing.removed import take_out

EOT = 7


def shard(lengths: list[tuple[int, int, int]]) -> tuple[np.ndarray, pa.Table]:
    """A payload and spans from (gap before, tokens, document)."""
    tokens, rows = [EOT], []
    for gap, n, document in lengths:
        tokens += [EOT] * gap
        rows.append({"token_start": len(tokens), "n_tokens": n, "doc_id": bytes([document]) * 16, "source_id": 0,
                     "doc_token_offset": 0, "epoch": 0, "row": 0, "truncated_left": False, "truncated_right": False})
        tokens += [document % 5] * n
    return np.array(tokens, np.uint16), pa.Table.from_pylist(rows, SPANS)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 5), st.integers(0, 6)), max_size=12),
       st.sets(st.integers(0, 6), max_size=7))
def test_take_out_equals_the_plain_reading(lengths: list[tuple[int, int, int]], gone: set[int]) -> None:
    payload, spans = shard(lengths)
    before = payload.tolist()
    tokens, left = take_out(payload, spans, pa.array([bytes([g]) * 16 for g in sorted(gone)], pa.binary(16)), EOT)
    wanted = list(before)
    for row in spans.to_pylist():
        if row["doc_id"][0] in gone:
            wanted[row["token_start"] : row["token_start"] + row["n_tokens"]] = [EOT] * row["n_tokens"]
    assert tokens.tolist() == wanted
    assert payload.tolist() == before  # the mapped shard itself is never written to
    assert left.to_pylist() == [r for r in spans.to_pylist() if r["doc_id"][0] not in gone]
    inside = [any(r["token_start"] <= i < r["token_start"] + r["n_tokens"] for r in left.to_pylist())
              for i in range(len(wanted))]
    of_row = index_spans(spans_of(left), 1, len(wanted)).of(0)
    runs = join_runs(of_row, np.array([len(of_row)]), len(wanted))
    assert np.repeat(runs.learned, np.diff(runs.start, append=len(wanted))).tolist() == inside


def test_no_list_removes_nothing() -> None:
    payload, spans = shard([(0, 3, 1)])
    tokens, left = take_out(payload, spans, removed_ids([]), EOT)
    assert tokens is payload
    assert left.equals(spans)
