"""The SQL page: a box, the tables that there are, and the answer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from manifests.stage_files import StageFiles
from manifests.tables import open_table
from pipelines.report.elements import Cell, table
from pipelines.ui.frame import document_link, framed, link
from pipelines.ui.querying import MEMORY_BYTES, ROWS, SECONDS, ask, views

_ID: Final = re.compile(r"[0-9a-f]{32}")
_EXAMPLES: Final = (
    "SELECT source, count(*) AS documents, sum(n_bytes) AS bytes FROM clean GROUP BY source ORDER BY bytes DESC",
    'SELECT reason, count(*) AS documents FROM "select" WHERE NOT keep GROUP BY reason ORDER BY documents DESC',
    "SELECT doc_id, url, n_bytes FROM documents ORDER BY n_bytes DESC LIMIT 20",
    "SELECT doc_id, count(*) AS spans, count(DISTINCT epoch) AS epochs FROM spans GROUP BY doc_id ORDER BY spans DESC "
    "LIMIT 20")


def sql_page(files: StageFiles, query: Mapping[str, str]) -> str:
    """The page. query: `q`, a query."""
    sql = query.get("q", "").strip()
    examples = "".join(f"<li>{link('/sql', {'q': example}, example)}</li>" for example in _EXAMPLES)
    form = (f'<p class="soft">One SELECT, or EXPLAIN of one, of DuckDB, over the tables below and nothing else; '
            f"{SECONDS:g} seconds, {MEMORY_BYTES >> 20:,} MiB and {ROWS:,} rows at most.</p>"
            '<form class="query" action="/sql"><textarea name="q" rows="4" spellcheck="false" aria-label="query">'
            f"{escape(sql)}</textarea><button>Ask</button></form>")
    shown = f"<details open><summary>examples</summary><ul>{examples}</ul></details>"
    answer = _answer(ask(files, sql)) if sql else shown
    return framed("SQL", "/sql", form + answer + _tables(files))


def _answer(found: Mapping[str, Any]) -> str:
    if "error" in found:
        return f'<div class="alarm" id="refused">{escape(str(found["error"]))}</div>'
    head = "".join(f'<th class="{_kind(kind)}" title="{escape(kind)}">{escape(name)}</th>'
                   for name, kind in found["columns"])
    kinds = [_kind(kind) for _, kind in found["columns"]]
    rows = "".join(f"<tr>{_cells(row, kinds)}</tr>" for row in found["rows"])
    more = " There are more." if found["more"] else ""
    return (f'<p class="soft" id="answered">{len(found["rows"]):,} rows.{more}</p><div class="wrap"><table><thead>'
            f"<tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>")


def _cells(row: Sequence[Any], kinds: Sequence[str]) -> str:
    shown = []
    for value, kind in zip(row, kinds, strict=True):
        text = "" if value is None else str(value)
        shown.append(f'<td class="{kind}">{document_link(text) if _ID.fullmatch(text) else escape(text)}</td>')
    return "".join(shown)


def _kind(kind: str) -> str:
    return "number" if re.match(r"NUMBER|.*INT|FLOAT|DOUBLE|DECIMAL", kind, re.IGNORECASE) else "text"


def _tables(files: StageFiles) -> str:
    rows = []
    for name, paths in views(files).items():
        with open_table(paths[0]) as opened:
            columns = ", ".join(opened.schema_arrow.names)
        rows.append((Cell(f'"{name}"' if name == "select" else name), Cell(f"{len(paths):,}"), Cell(columns)))
    return f"<h2>Tables</h2>{table(('table', 'files', 'columns'), rows)}"
