"""The table of documents: conditions, and a page of what fits them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from html import escape
from typing import Final

from curate.extraction.extracted import PAGE_TYPES
from manifests.stage_files import DECIDING, StageFiles
from pipelines.asking.fates import KEPT, name_of
from pipelines.asking.lock import locked_recipe
from pipelines.ui.frame import choice, document_link, field, framed, link
from pipelines.ui.search import DROPPED, Conditions, Found, search

_ROWS: Final = 50
_MAX_ROWS: Final = 500
_NOT_SELECTED: Final = "not_selected"


def conditions_of(query: Mapping[str, str]) -> Conditions:
    """The conditions that a request names."""
    return Conditions(**{f.name: query.get(f.name, "").strip() for f in fields(Conditions)})


def documents_page(files: StageFiles, query: Mapping[str, str]) -> str:
    """The page. query: conditions; `after`, where it begins, as FILE-ROW; `n`, how many."""
    wanted, n = conditions_of(query), min(_MAX_ROWS, max(1, _whole(query.get("n"), _ROWS)))
    file, _, row = query.get("after", "").partition("-")
    found = search(files, wanted, (_whole(file, 0), _whole(row, 0)), n)
    return framed("Documents", "/documents", _form(files, wanted) + _table(found) + _more(found, wanted, query))


def fate_options(files: StageFiles) -> dict[str, str]:
    """Fates that documents of a run met, by their counters."""
    options = {KEPT: KEPT, DROPPED: DROPPED}
    for stage in ("extract", *DECIDING):
        reasons = {name.removeprefix("dropped_"): n for name, n in files.counters(stage).items()
                   if name.startswith("dropped_") and n and name != f"dropped_{_NOT_SELECTED}"}
        if reasons:
            options[stage] = f"{stage}: any reason ({sum(reasons.values()):,})"
        for reason, n in sorted(reasons.items(), key=lambda item: -item[1]):
            options[name_of(stage, reason)] = f"{stage}: {reason} ({n:,})"
    return options


def _form(files: StageFiles, wanted: Conditions) -> str:
    sources = list(locked_recipe(files.storage).get("sources") or {})
    kinds = list(PAGE_TYPES)
    return ('<form class="conditions" action="/documents">'
            + choice("source", "source", wanted.source, dict(zip(sources, sources, strict=True)))
            + choice("fate", "what became of it", wanted.fate, fate_options(files))
            + field("language", "language", wanted.language, placeholder="en", size=6)
            + choice("page_type", "kind of page", wanted.page_type, dict(zip(kinds, kinds, strict=True)))
            + field("domain", "domain or host", wanted.domain, placeholder="example.org")
            + field("url", "URL holds", wanted.url) + field("text", "text holds", wanted.text)
            + "<button>Search</button> " + link("/documents", {}, "all documents") + "</form>")


def _table(found: Found) -> str:
    if not found.rows:
        return "<p>No document fits.</p>" if found.after is None else ""
    head = "".join(f'<th class="text">{name}</th>' if is_text else f"<th>{name}</th>" for name, is_text in (
        ("document", True), ("what became of it", True), ("source", True), ("language", True), ("kind", True),
        ("value", False), ("threshold", False), ("bytes", False)))
    rows = "".join(
        f'<tr><td class="text">{document_link(row["doc_id"], row["url"])}</td>'
        + "".join(f'<td class="text">{escape(text)}</td>' for text in (
            name_of(row["stage"], row["reason"]), row["source"] or "", row["language"] or "", row["page_type"] or ""))
        + "".join(f"<td>{'' if row[name] is None else format(row[name], '.5g')}</td>"
                  for name in ("value", "threshold"))
        + f"<td>{'' if row['n_bytes'] is None else format(int(row['n_bytes']), ',')}</td></tr>" for row in found.rows)
    return ('<div class="wrap" data-plain><table id="documents">'
            f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>")


def _more(found: Found, wanted: Conditions, query: Mapping[str, str]) -> str:
    said = f"{len(found.rows):,} documents here; {found.n_files:,} of {found.of_files:,} files searched to their end."
    if found.after is None:
        return f'<p class="soft">{said} That is all.</p>'
    file, row = found.after
    further = link("/documents", {**asdict(wanted), "n": query.get("n"), "after": f"{file}-{row}"},
                   "more documents" if found.rows else "search on")
    return f'<p><span class="soft">{said}</span> {further}</p>'


def _whole(text: str | None, otherwise: int) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 12 else otherwise
