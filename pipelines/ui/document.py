"""A document's page: what became of it and why, its text with what was removed, and where it went."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, Final

from curate.selection.config import SelectConfig
from curate.why import History
from manifests.errors import CurateError, InputError
from manifests.single_rows import read_one
from manifests.stage_files import StageFiles
from pipelines.asking.index import Index
from pipelines.asking.lock import locked_recipe
from pipelines.asking.telling import fate, sentence
from pipelines.report.elements import Cell, number, pieces, table
from pipelines.report.texts import in_pieces
from pipelines.ui.archive import archived_page
from pipelines.ui.documents_of import (
    clean_spans,
    copies_of,
    difference,
    history_of,
    locate,
    packed_spans,
    rule_rows,
    token_ids,
)
from pipelines.ui.frame import document_link, framed, link
from pipelines.ui.tokens import decoder, token_marks

_CHARACTERS: Final = 200_000
_ROWS_SHOWN: Final = 100
_ABOUT: Final = ("source", "host", "date", "language", "language_score", "page_type", "page_type_score", "n_bytes",
                 "record_id", "origin_path", "origin_offset", "origin_length")
_UNSHOWN: Final = ("text", "doc_id", "url")


def document_page(files: StageFiles, doc_id: str) -> str:
    """The page. Raises InputError where the run has no such document."""
    index, recipe = Index(files), locked_recipe(files.storage)
    place = locate(files, index, _bytes_of(doc_id))
    fields = read_one(files.path(place.file), place.row)
    history = history_of(files, index, place, recipe)
    own_id = fields["doc_id"]
    parts = [_about(fields, history), _decisions(history)]
    if place.is_extracted:
        rules = rule_rows(fields, history, SelectConfig.model_validate(recipe.get("select") or {}))
        spans, clean = clean_spans(files, index, own_id)
        parts += [_rules(rules), _text(fields["text"], spans, clean), _duplicates(files, index, fields, history),
                  _tokens(files, index, clean)]
    if fields.get("origin_length") or not place.is_extracted:
        way = link(f"/document/{own_id.hex()}/archived", {}, "The page in its archive")
        parts.append(f'<section id="archived"><h2>As it was archived</h2><p>{way}, as text.</p></section>')
    parts.append(_all_fields(fields))
    return framed(fields["url"] or own_id.hex(), "/documents", "".join(parts))


def archived(files: StageFiles, doc_id: str) -> str:
    """The page that shows a document's archived markup, as text. Raises InputError where it cannot be had."""
    place = locate(files, Index(files), _bytes_of(doc_id))
    fields = read_one(files.path(place.file), place.row,
                      ["doc_id", "url", "source", "origin_path", "origin_offset", "origin_length"])
    page = archived_page(locked_recipe(files.storage), fields, is_excluded=not place.is_extracted)
    rows = [(Cell(name), Cell(str(value))) for name, value in (
        ("URL", page.url), ("archive", page.archive), ("offset", page.offset), ("HTTP status", page.status),
        ("content type", page.content_type), ("encoding", page.encoding)) if value is not None]
    shown = page.source[: 4 * _CHARACTERS]
    cut = f" The first {len(shown):,} of {len(page.source):,} characters." if len(shown) < len(page.source) else ""
    body = (f"<p>{document_link(fields['doc_id'].hex(), 'back to the document')}</p>{table(('fact', 'value'), rows)}"
            f'<p class="soft">Text, which no browser runs.{cut}</p><pre class="source">{escape(shown)}</pre>')
    return framed(f"archived: {fields['url'] or fields['doc_id'].hex()}", "/documents", body)


def _bytes_of(doc_id: str) -> bytes:
    try:
        found = bytes.fromhex(doc_id)
    except ValueError:
        found = b""
    if len(found) != 16:
        raise InputError("is no doc_id: 32 hex digits", where=doc_id)
    return found


def _about(fields: Mapping[str, Any], history: History) -> str:
    rows = [(Cell(name.replace("_", " ")), Cell(str(fields[name]))) for name in _ABOUT if fields.get(name) is not None]
    return (f'<p class="fate">{escape(fate(history))}</p><p class="soft">document {document_link(history.doc_id)}, '
            f"an address that stays</p><div data-plain>{table(('fact', 'value'), rows)}</div>")


def _decisions(history: History) -> str:
    rows = [(Cell(d.stage), Cell(d.verdict), Cell(sentence(d))) for d in history.decisions]
    shown = table(("stage", "decision", "why"), rows)
    return f'<section id="decisions"><h2>Decisions</h2><div data-plain>{shown}</div></section>'


def _rules(rules: list[dict[str, Any]]) -> str:
    rows = [(Cell(r["rule"]), Cell(r["signal"]), number(None if r["value"] is None else float(r["value"])),
             Cell(r["side"]), number(r["threshold"]),
             Cell("" if r["passes"] is None else "passes" if r["passes"] else "fails")) for r in rules]
    body = table(("rule", "signal", "value", "must be", "threshold", "this document"), rows)
    return f'<section id="rules"><h2>Rules</h2>{body or "<p>The run asks no rules of texts.</p>"}</section>'


def _text(text: str, spans: list[tuple[int, int]], clean: list[dict[str, Any]]) -> str:
    if clean:
        parts = in_pieces(text.encode(), spans, _CHARACTERS, None)
        removed = sum(not part["kept"] for part in parts)
        said = "All of it was kept." if not removed else (
            f"What is marked was removed: {removed:,} span{'s' * (removed != 1)}.")
        body = pieces(parts)
    else:
        said, body = "The text as it was extracted; it is not in the clean corpus.", \
            f'<div class="body">{escape(text[:_CHARACTERS])}</div>'
    cut = f" The first {_CHARACTERS:,} of {len(text):,} characters." if len(text) > _CHARACTERS else ""
    return f'<section id="text"><h2>Text</h2><p class="soft">{said}{cut}</p>{body}</section>'


def _duplicates(files: StageFiles, index: Index, fields: Mapping[str, Any], history: History) -> str:
    parts = []
    for decision in history.decisions:
        of = decision.facts.get("duplicate_of")
        if decision.verdict == "dropped" and of and not decision.facts.get("of_run"):
            parts.append(f"<p>{escape(sentence(decision))}</p><p>Kept instead: {document_link(str(of))}</p>"
                         + _difference(files, index, str(of), fields["text"]))
    copies, complete = copies_of(files, fields["doc_id"])
    rows = [f'<li>{document_link(copy["doc_id"].hex())} <span class="soft">{escape(_likeness(copy))}</span></li>'
            for copy in copies]
    if rows:
        more = "" if complete else " There may be more: not all decisions were read."
        parts.append(f"<p>Dropped as duplicates of this document: {len(rows):,}.{more}</p><ul>{''.join(rows)}</ul>")
    return f'<section id="duplicates"><h2>Duplicates</h2>{"".join(parts) or "<p>None is known.</p>"}</section>'


def _likeness(copy: Mapping[str, Any]) -> str:
    similarity = copy["similarity"]
    return f"{copy['reason']}" + ("" if similarity is None else f", similarity {similarity:.3f}")


def _difference(files: StageFiles, index: Index, kept: str, text: str) -> str:
    try:
        place = locate(files, index, bytes.fromhex(kept))
        other = read_one(files.path(place.file), place.row, ["text"])["text"]
    except CurateError as error:
        return f"<p>{escape(str(error))}</p>"
    lines = difference(other, text)
    if not lines:
        return "<p>The same text.</p>"
    marks = {"+": "ins", "-": "del"}
    shown = "\n".join(f"<{marks[line[0]]}>{escape(line)}</{marks[line[0]]}>" if line[:1] in marks else escape(line)
                      for line in lines)
    return f'<p class="soft">From the one that was kept (-) to this one (+):</p><pre class="diff">{shown}</pre>'


def _tokens(files: StageFiles, index: Index, clean: list[dict[str, Any]]) -> str:
    parts, decode = [], decoder(files.storage)
    for document in clean:
        n, ids = token_ids(files, document)
        name = document["doc_id"].hex()
        if not n:
            parts.append(f"<p>{name} is not encoded.</p>")
            continue
        shown = token_marks(decode, ids) if decode is not None else ""
        more = f" The first {len(ids):,}." if len(ids) < n else ""
        parts.append(f'<p>{name}: {n:,} tokens, {document["n_bytes"] / n:.2f} bytes a token.{more}</p>'
                     f'<div class="body tokens">{shown}</div>{_rows(packed_spans(files, index, document["doc_id"]))}')
    body = "".join(parts) or "<p>It is not in the clean corpus.</p>"
    return f'<section id="tokens"><h2>Tokens and packed rows</h2>{body}</section>'


def _rows(spans: list[dict[str, Any]]) -> str:
    if not spans:
        return "<p>It is in no packed row: the mixture did not draw it, or nothing is packed yet.</p>"
    rows = []
    for span in spans[:_ROWS_SHOWN]:
        first, where = span["doc_token_offset"], {"shard": span["shard"], "row": span["row"]}
        text = f"{span['shard']}, row {span['row']:,}"
        rows.append(f"<li>{link('/row', where, text)} "
                    f'<span class="soft">its tokens {first:,} to {first + span["n_tokens"] - 1:,}, epoch '
                    f"{span['epoch']}</span></li>")
    return f"<ul>{''.join(rows)}</ul>"


def _all_fields(fields: Mapping[str, Any]) -> str:
    rows = [(Cell(name), Cell(value.hex() if isinstance(value, bytes) else str(value)[:2000]))
            for name, value in fields.items() if name not in _UNSHOWN and value is not None]
    return f"<details><summary>every column of its row</summary>{table(('column', 'value'), rows)}</details>"
