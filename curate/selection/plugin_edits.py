"""Edits of plug-ins: what they change of kept texts, as the spans of them that stay or are replaced."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.edits.kernels.pieces import COPIED
from curate.edits.spans import FlatEdits
from curate.selection.stages import EDITS_INPUT
from curate.text.strings import string_buffers
from manifests.hashing import Int64
from manifests.plugins import Loaded, load_for
from manifests.tables import one_array
from manifests.tasks import Work

_CHANGES: Final = pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64()), ("replacement", pa.string())]))
_CONTINUATION: Final = 0x80, 0xC0  # a byte b inside a character has b & 0xC0 == 0x80


def load_edits(work: Work) -> tuple[Loaded, ...]:
    """The edits that a task of stage select names, in the recipe's order."""
    return tuple(load_for(work, "edits", facts, f"{EDITS_INPUT}.{number}.parameters")
                 for number, facts in enumerate(work.variables.get("edits", ())))


def plugin_spans(plugin: Loaded, texts: pa.ChunkedArray[Any] | pa.Array[Any],
                 keep: pa.Array[Any]) -> tuple[FlatEdits, int]:
    """What an edit leaves of texts.

    Args:
        plugin: The edit.
        texts: string or large_string [n].
        keep: Which texts it is given, bool [n]; the others stay as they are.
    Returns:
        (spans of all n texts, number of texts that it changes).
    Raises:
        StageError: It raised, or what it returned are no changes of these texts.
    """
    rows = np.flatnonzero(keep.to_numpy(zero_copy_only=False))
    given = one_array(texts).cast(pa.large_string()).take(pa.array(rows))
    with plugin.blamed():
        found = plugin.object.changes(given)
    lists = _lists(plugin, found, len(given))
    counts = np.zeros(len(keep), np.int64)
    counts[rows] = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    flat = pc.list_flatten(lists)
    if any(flat.field(name).null_count for name in ("start", "end")):
        raise plugin.wrong("returned a change without a start or an end")
    starts, ends = (flat.field(name).to_numpy().astype(np.int64) for name in ("start", "end"))
    data, offsets = string_buffers(one_array(texts))
    owners = np.repeat(np.arange(len(keep)), counts)
    _check(plugin, data, offsets, owners, starts, ends)
    replaced = pc.fill_null(flat.field("replacement"), "").dictionary_encode()
    spans = _left(starts, ends, replaced.indices.to_numpy().astype(np.int64), replaced.dictionary.to_pylist(), counts,
                  np.diff(offsets))
    return spans, int((counts > 0).sum())


def _lists(plugin: Loaded, found: Any, n: int) -> pa.ListArray:
    """What a plug-in returned, as lists of changes."""
    try:
        array = one_array(found) if isinstance(found, pa.Array | pa.ChunkedArray) else pa.array(found, _CHANGES)
        lists: pa.ListArray = array.cast(_CHANGES)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, TypeError) as error:
        kind = getattr(found, "type", type(found).__name__)
        raise plugin.wrong(f"returned {kind}, not list<struct<start: int64, end: int64, replacement: string>>"
                           ) from error
    if len(lists) != n:
        raise plugin.wrong(f"returned changes of {len(lists)} texts for {n} texts")
    return lists


def _check(plugin: Loaded, data: npt.NDArray[np.uint8], offsets: Int64, owners: Int64, starts: Int64,
           ends: Int64) -> None:
    """Raise StageError where changes are not in order and apart, or begin or end outside a text or in a character."""
    bad = (starts < 0) | (ends < starts) | (ends > np.diff(offsets)[owners])
    bad[1:] |= (owners[1:] == owners[:-1]) & (starts[1:] < ends[:-1])
    if bad.any():
        at = int(np.argmax(bad))
        raise plugin.wrong(f"returned a change of bytes {starts[at]} to {ends[at]} of a text of "
                           f"{int(np.diff(offsets)[owners[at]])}, outside it or before the end of another")
    kind, mask = _CONTINUATION
    for edges in (starts, ends):
        inner = edges < np.diff(offsets)[owners]
        at_edge = data[np.minimum(offsets[owners] + edges, max(len(data) - 1, 0))] if len(data) else np.zeros(
            len(edges), np.uint8)
        if split := np.flatnonzero(inner & ((at_edge & mask) == kind)).tolist():
            raise plugin.wrong(f"returned a change at byte {edges[split[0]]}, inside a character")


def _left(starts: Int64, ends: Int64, codes: Int64, words: list[str], counts: Int64, sizes: Int64) -> FlatEdits:
    """The spans that stay or are replaced, in order: between changes what is copied, and changes that leave a text."""
    bounds = np.concatenate(([0], np.cumsum(2 * counts + 1)))  # before each text: copied, changed, copied, ...
    at = np.arange(len(starts)) * 2 + np.repeat(np.arange(len(counts)), counts) + 1
    kept_starts, kept_ends = np.zeros(bounds[-1], np.int64), np.zeros(bounds[-1], np.int64)
    kept_codes = np.full(bounds[-1], COPIED, np.int64)
    kept_ends[bounds[1:] - 1] = sizes
    kept_starts[at], kept_ends[at], kept_codes[at] = starts, ends, codes
    kept_ends[at - 1], kept_starts[at + 1] = starts, ends
    empty = np.array([not word for word in words] or [True])
    gone = (kept_codes == COPIED) & (kept_ends == kept_starts)
    gone |= (kept_codes != COPIED) & empty[np.maximum(kept_codes, 0)]
    left = np.concatenate(([0], np.cumsum(~gone)))
    return FlatEdits(kept_starts[~gone], kept_ends[~gone], kept_codes[~gone], left[bounds], words)
