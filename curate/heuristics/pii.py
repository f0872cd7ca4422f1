"""Personal data: what a recipe does about e-mail addresses, public IP addresses, phone, account and card numbers."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from curate.edits.kernels.pieces import COPIED
from curate.edits.spans import FlatEdits
from curate.heuristics.kernels.pii import find_pii
from curate.text.strings import string_buffers

Action = Literal["keep", "replace", "cut", "drop"]


class PiiReason(StrEnum):
    """Which kind of personal data dropped a document, in the kernels' order of kinds."""

    EMAIL = "pii_email"
    IP = "pii_ip"
    PHONE = "pii_phone"
    IBAN = "pii_iban"
    CARD = "pii_card"
    IPV6 = "pii_ipv6"


_KINDS: Final = ("email", "ip", "phone", "iban", "card", "ipv6")


class PiiConfig(BaseModel):
    """Personal data in texts: keep it, replace it, cut it out, or drop the document."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    email: Action = Field(default="replace", description="E-mail addresses.")
    ip: Action = Field(default="replace", description=(
        "Public IPv4 addresses; private and reserved ones stay. Version numbers of four parts look the same."))
    phone: Action = Field(default="keep", description=(
        "Phone numbers after `+`, and North American ones; they have no checksum, so some are not what they seem."))
    iban: Action = Field(default="replace", description="International bank account numbers with a right checksum.")
    card: Action = Field(default="replace", description="Payment card numbers with a right checksum.")
    ipv6: Action = Field(default="replace", description="Public IPv6 addresses; private and reserved ones stay.")
    email_text: str = Field(default="email@example.com", max_length=200, description="What replaces an e-mail address.")
    ip_text: str = Field(default="192.0.2.1", max_length=200, description="What replaces an IP address (RFC 5737).")
    phone_text: str = Field(default="+1 555 0100", max_length=200, description="What replaces a phone number.")
    iban_text: str = Field(default="IBAN", max_length=200, description="What replaces an IBAN.")
    card_text: str = Field(default="CARD", max_length=200, description="What replaces a card number.")
    ipv6_text: str = Field(default="2001:db8::1", max_length=200, description=(
        "What replaces an IPv6 address (RFC 3849)."))

    def actions(self) -> list[Action]:
        """What to do, in the kernels' order of kinds."""
        return [getattr(self, kind) for kind in _KINDS]

    def texts(self) -> list[str]:
        """What stands in for each kind; nothing where it is cut."""
        return [getattr(self, f"{kind}_text") if getattr(self, kind) == "replace" else "" for kind in _KINDS]


def pii_spans(config: PiiConfig, texts: Any) -> tuple[FlatEdits, np.ndarray]:
    """(edits that take personal data out of texts, counts int64 [n, 6] by kind).

    texts: string or large_string [n]; a null counts as empty. Kinds that are kept are not counted, kinds that drop a
    document are counted and left as they are."""
    data, offsets = string_buffers(texts)
    actions = config.actions()
    starts, ends, kinds, bounds = find_pii(data, offsets, [action != "keep" for action in actions])
    rows = np.repeat(np.arange(len(offsets) - 1), np.diff(bounds))
    counts = np.zeros((len(offsets) - 1, len(_KINDS)), np.int64)
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
