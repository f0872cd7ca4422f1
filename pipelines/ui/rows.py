"""A packed row's page: its tokens, and the document that each fragment is of."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, Final

from manifests.errors import InputError
from manifests.stage_files import StageFiles
from manifests.tables import read_table
from manifests.trace import Origin
from pipelines.asking.trace import origins
from pipelines.report.elements import Cell, number, table
from pipelines.ui.frame import choice, document_link, field, framed, link
from pipelines.ui.tokens import Decode, decoder, token_marks

_MANIFEST: Final = "packed/manifest.parquet"
_TOKENS: Final = 20_000


def row_page(files: StageFiles, query: Mapping[str, str]) -> str:
    """The page. query: `shard`, `row`, and `position`, a token of the row; without a row, the shards.

    Raises InputError where there is no such shard, row or token."""
    shards = _shards(files)
    shard, row = query.get("shard", ""), _number(query.get("row"), "row")
    position = _number(query.get("position"), "token")
    form = ('<form class="conditions" action="/row">'
            + choice("shard", "shard", shard, {name: f"{name} ({n:,} rows)" for name, n in shards.items()})
            + field("row", "row, from 0", row, "number", min=0) + field(
                "position", "token of the row, from 0", position, "number", min=0) + "<button>Trace</button></form>")
    if not shards:
        return framed("Packed rows", "/row", "<p>Nothing is packed yet.</p>")
    if shard not in shards or row is None:
        rows = [(Cell(name), number(n)) for name, n in shards.items()]
        return framed("Packed rows", "/row", form + table(("shard", "rows"), rows))
    every = origins(files.storage.root, shard, row)
    decode = decoder(files.storage)
    chosen = [o for o in every if position is not None and o.first_token <= position < o.first_token + o.n_tokens]
    said = "" if position is None else (
        f'<p>Token {position:,} is of document {document_link(chosen[0].document["doc_id"].hex())}.</p>' if chosen
        else "<p>That token is of no document: padding, or the end-of-text token at a shard's start.</p>")
    around = " ".join(link("/row", {"shard": shard, "row": other}, text) for other, text in (
        (row - 1, "the row before"), (row + 1, "the row after")) if 0 <= other < shards[shard])
    shown = [_fragment(origin, decode, position, max(0, _TOKENS - origin.first_token)) for origin in every]
    return framed(f"{shard}, row {row:,}", "/row", f"{form}{said}<p>{around}</p>{''.join(shown)}")


def _fragment(origin: Origin, decode: Decode | None, position: int | None, budget: int) -> str:
    """A document of the row. budget: tokens to show of it, unless the chosen one is among them."""
    document = origin.document
    last = origin.first_token + origin.n_tokens - 1
    cut = "".join(f", cut on the {side}" for side, is_cut in (
        ("left", origin.truncated_left), ("right", origin.truncated_right)) if is_cut)
    about = (f"tokens {origin.first_token:,} to {last:,}, its token {origin.doc_token_offset:,} on, epoch "
             f"{origin.epoch}{cut}; {document['source']}, {document['origin_path']} at {document['origin_offset']}")
    name = document["url"] or document["doc_id"].hex()
    chosen = position is not None and origin.first_token <= position <= last
    tokens = origin.tokens if chosen else origin.tokens[:budget]
    shown = "" if decode is None else token_marks(decode, tokens, origin.first_token, position)
    shown += "" if len(tokens) == origin.n_tokens else " …"
    return (f"<article><strong>{document_link(document['doc_id'].hex(), name)}</strong>"
            f'<p class="soft">{escape(about)}</p><div class="body tokens">{shown}</div></article>')


def _shards(files: StageFiles) -> dict[str, int]:
    if not files.storage.exists(_MANIFEST):
        return {}
    rows: list[dict[str, Any]] = read_table(files.storage.path(_MANIFEST), ["path", "n_rows"]).to_pylist()
    return {row["path"].removesuffix(".bin"): row["n_rows"] for row in rows}


def _number(text: str | None, what: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise InputError(f"is no number of a {what}", where=text)
    return int(text)
