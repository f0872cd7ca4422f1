"""Tokens as a person reads them: each in a box of its own, with its id and its position."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from manifests.errors import CurateError
from manifests.storage import Storage
from tokenizer.encoding.encode import load_decoder

Decode = Callable[[int], str]


def decoder(storage: Storage) -> Decode | None:
    """What gives the text of a token of a run; None where the run has no tokenizer."""
    for name in ("tokenizer/tokenizer.json", "packed/tokenizer.json"):
        if storage.exists(name):
            encoder = load_decoder(storage.path(name))
            return lambda token: encoder.decode_bytes([token]).decode("utf-8", "replace")
    return None


def token_marks(decode: Decode, ids: Sequence[int] | Any, first: int = 0, chosen: int | None = None) -> str:
    """Markup of some tokens. first: position of the first one. chosen: the position that is marked out."""
    found = []
    for position, token in enumerate(map(int, ids), first):
        try:
            text = decode(token)
        except (CurateError, LookupError, ValueError, OverflowError):
            text = f"[{token}]"
        name, here = ("mark", ' id="chosen"') if position == chosen else ("span", "")
        found.append(f'<{name}{here} class="t" title="{position}: id {token}">{escape(text) or "∅"}</{name}>')
    return "".join(found)
