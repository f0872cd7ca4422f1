"""Rules that edit: the spans of a text that rules on lines leave."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from curate.edits.spans import edits_array
from curate.heuristics.kernels.edits import C4_OPEN, C4_STRICT, REFINEDWEB, edit_texts
from curate.heuristics.line_config import C4Lines, Editing, RefinedWebLines
from curate.text.strings import string_buffers

_KINDS: Final = {Editing.C4: C4_OPEN, Editing.C4_STRICT: C4_STRICT, Editing.REFINEDWEB: REFINEDWEB}


def line_edits(texts: pa.Array | pa.ChunkedArray, editing: Editing, c4: C4Lines, refinedweb: RefinedWebLines,
               ) -> pa.ListArray:
    """The spans that line rules leave of each text. A line feed between kept lines is the text's own where it has one.

    Args:
        texts: string or large_string [n].
        editing: Which rules.
        c4: Numbers of C4's rules.
        refinedweb: Numbers of RefinedWeb's.
    Returns:
        list<EDIT> [n]; an empty list where nothing is left.
    """
    data, offsets = string_buffers(texts)
    starts, ends, codes, bounds = edit_texts(data, offsets, _KINDS[editing], c4.as_tuple(), refinedweb.as_tuple())
    return edits_array(starts, ends, codes, bounds, pa.array(["\n"]))
