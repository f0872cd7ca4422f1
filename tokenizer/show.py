"""What `trace` shows: each fragment of a row decoded, beside the page it came from."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Any

from manifests.storage import Storage
from manifests.trace import Origin, packed_folder
from tokenizer.encoding.encode import Encoder, load_decoder

_SHOWN_CHARACTERS = 300
_NO_BYTES = -1  # the length of a row of a table, which has no bytes of its own in the file
_SHOWN_FIELDS = ("doc_id", "parent_id", "source", "url", "date", "origin_path", "origin_offset", "origin_length",
                 "edits")


def origin_facts(run: str, origins: Sequence[Origin], token: int | None = None) -> list[dict[str, Any]]:
    """JSON-ready facts of each fragment: its position in the row, its text, and its document's origin and text.

    token: The number in the row of one token that was asked for: what it is."""
    tokenizer = load_decoder(_tokenizer(Storage(run))) if origins else None
    facts = []
    for origin in origins:
        document = origin.document
        facts.append({
            "first_token": origin.first_token, "n_tokens": origin.n_tokens,
            "doc_token_offset": origin.doc_token_offset, "epoch": origin.epoch,
            "truncated_left": origin.truncated_left, "truncated_right": origin.truncated_right,
            **(_token(tokenizer, origin, token) if tokenizer and token is not None else {}),
            "decoded": tokenizer.decode(origin.tokens) if tokenizer else "",
            **{name: _plain(document.get(name)) for name in _SHOWN_FIELDS},
            "text": document.get("text")})
    return facts


def _token(tokenizer: Encoder, origin: Origin, token: int) -> dict[str, Any]:
    one = origin.tokens[token - origin.first_token :][:1]
    return {"token": token, "token_id": int(one[0]), "token_text": tokenizer.decode(one)}


def _tokenizer(storage: Storage) -> str:
    """The tokenizer of a run, or the one that lies in a packed folder."""
    names = ("tokenizer/tokenizer.json", f"{packed_folder(storage)}tokenizer.json")
    return next((storage.path(name) for name in names if storage.exists(name)), storage.path(names[0]))


def origin_lines(facts: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Fragments for a person."""
    if not facts:
        yield "no document here: the end-of-text token at the start of the shard, or padding"
    for fact in facts:
        first, n = fact["first_token"], fact["n_tokens"]
        yield (f"tokens {first} to {first + n - 1}: document {fact['doc_id']}, "
               f"its token {fact['doc_token_offset']} on, epoch {fact['epoch']}")
        yield f"  {fact['source']}: {fact['url'] or '(no URL)'}"
        if fact["origin_path"] is None:
            yield "  a packed folder alone knows documents by their ids; their pages are named where the run lies"
        else:
            length, date = fact["origin_length"], f", {fact['date']}" if fact["date"] else ""
            of_bytes = f", {length} bytes" if length is not None else ""
            place = f"row {fact['origin_offset']}" if length == _NO_BYTES else f"at {fact['origin_offset']}{of_bytes}"
            yield f"  {fact['origin_path']} {place}{date}"
        if fact.get("token") is not None:
            yield f"  token {fact['token']}: {fact['token_text']!r}, number {fact['token_id']} of the vocabulary"
        if fact["parent_id"]:
            yield f"  a part of document {fact['parent_id']}"
        yield f"  decoded: {_short(fact['decoded'])}"
        if fact["text"] is not None:
            yield f"  text:    {_short(fact['text'])}"


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…")


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex() if len(value) == 16 else base64.b64encode(value).decode()
    return str(value) if value is not None and not isinstance(value, int | str | list) else value
