"""Documents taken out of tokens: their ids become the end-of-text token, and no other token moves."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from manifests.removals import is_removed


def take_out(payload: npt.NDArray[Any], spans: pa.Table, removed: pa.Array,
             eot_id: int) -> tuple[npt.NDArray[Any], pa.Table]:
    """A shard's payload and SPANS without the removed documents: their tokens are end-of-text, their spans gone.

    payload: uint16 or uint32 [N], copied where it changes. The tokens are in no span, so readers neither learn nor name
    them: `targets` is -100 there, as on padding."""
    gone = is_removed(spans["doc_id"], removed)
    removed = spans.filter(gone)
    if not len(removed):
        return payload, spans
    return blank(payload, removed["token_start"].to_numpy(), removed["n_tokens"].to_numpy(), eot_id), spans.filter(
        pc.invert(gone))


def blank(tokens: npt.NDArray[Any], starts: npt.NDArray[Any], lengths: npt.NDArray[Any],
          eot_id: int) -> npt.NDArray[Any]:
    """A copy of tokens [n] with runs overwritten by the end-of-text token; runs are apart."""
    change = np.zeros(len(tokens) + 1, np.int8)
    np.add.at(change, starts.astype(np.int64), 1)
    np.add.at(change, starts.astype(np.int64) + lengths.astype(np.int64), -1)
    out = np.array(tokens)
    out[np.cumsum(change, dtype=np.int8)[:-1].astype(bool)] = eot_id
    return out
