"""Padding: every document has rows of its own."""

from __future__ import annotations

import numpy as np

from tokenizer.packing.packers import RowPacker
from tokenizer.packing.rows import Pieces, Rows


def _fill(pieces: Pieces, row_length: int, kept_free: int) -> Rows:
    n = len(pieces.instance)
    return Rows(pieces.instance, pieces.offset, pieces.n_tokens, np.arange(n), np.zeros(n, np.int64), n)


PACKER = RowPacker(_fill)
