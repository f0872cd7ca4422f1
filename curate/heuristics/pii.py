"""Personal data in texts: where e-mail addresses, public IP addresses, phone, account and card numbers stand."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import numpy as np

from curate.edits.kernels.pieces import COPIED
from curate.edits.spans import FlatEdits
from curate.heuristics.kernels.pii import find_pii
from curate.heuristics.pii_config import KINDS, PiiConfig
from curate.text.strings import string_buffers


class PiiReason(StrEnum):
    """Which kind of personal data dropped a document, in the kernels' order of kinds."""

    EMAIL = "pii_email"
    IP = "pii_ip"
    PHONE = "pii_phone"
    IBAN = "pii_iban"
    CARD = "pii_card"
    IPV6 = "pii_ipv6"


def pii_spans(config: PiiConfig, texts: Any) -> tuple[FlatEdits, np.ndarray]:
    """(edits that take personal data out of texts, counts int64 [n, 6] by kind).

    texts: string or large_string [n]; a null counts as empty. Kinds that are kept are not counted, kinds that drop a
    document are counted and left as they are."""
    data, offsets = string_buffers(texts)
    actions = config.actions()
    starts, ends, kinds, bounds = find_pii(data, offsets, [action != "keep" for action in actions])
    rows = np.repeat(np.arange(len(offsets) - 1), np.diff(bounds))
    counts = np.zeros((len(offsets) - 1, len(KINDS)), np.int64)
    np.add.at(counts, (rows, kinds), 1)
    edited = np.array([action in ("replace", "cut") for action in actions])[kinds]
    return _around(starts[edited], ends[edited], kinds[edited], rows[edited], np.diff(offsets), config.texts()), counts


def _around(starts: np.ndarray, ends: np.ndarray, kinds: np.ndarray, rows: np.ndarray, sizes: np.ndarray,
            texts: list[str]) -> FlatEdits:
    """Spans of whole texts: what is found is replaced, what lies between is copied; empty spans are left out."""
    n, m = len(sizes), len(starts)
    first = np.searchsorted(rows, np.arange(n))
    slot = np.arange(m) * 2 + rows + 1  # of what is found, when each text has a gap before, between and behind
    total = 2 * m + n
    out_starts, out_ends = np.zeros(total, np.int64), np.zeros(total, np.int64)
    codes, owner = np.full(total, COPIED, np.int64), np.empty(total, np.int64)
    gaps = np.ones(total, bool)
    gaps[slot] = False
    out_starts[slot], out_ends[slot], codes[slot], owner[slot] = starts, ends, kinds, rows
    begin = 2 * first + np.arange(n)
    counts = np.diff(np.append(first, m))
    owner[gaps] = np.repeat(np.arange(n), counts + 1)
    out_starts[begin] = 0
    out_starts[slot + 1] = ends
    out_ends[slot - 1] = starts
    out_ends[begin + 2 * counts] = sizes
    keep = out_ends > out_starts
    bounds = np.concatenate(([0], np.cumsum(np.bincount(owner[keep], minlength=n))))
    return FlatEdits(out_starts[keep], out_ends[keep], codes[keep], bounds, texts)
