"""How commands that ask something of a run print what they found: for people, for programs, or as a table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from pipelines.cli.options import before_result
from pipelines.terminal import json_text


class AnswerFormat(StrEnum):
    """How an answer is printed."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"


AnswerOption = Annotated[AnswerFormat, typer.Option(
    "--format", help="text for people, json for programs, csv for spreadsheets.")]
RunFolder = Annotated[str, typer.Argument(metavar="RUN", help="A run's folder or URL.")]


def answer(form: AnswerFormat, facts: Any, rows: Callable[[], Sequence[Mapping[str, Any]]],
           lines: Callable[[], Iterable[str]]) -> None:
    """Print an answer.

    Args:
        form: For whom.
        facts: What json holds.
        rows: Gives the rows of a table, with the same keys.
        lines: Gives the lines for a person.
    """
    before_result()
    if form is AnswerFormat.JSON:
        print(json_text(facts))
    elif form is AnswerFormat.CSV:
        print(csv_text(rows()), end="")
    else:
        for line in lines():
            print(line)


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV (RFC 4180 with line feeds); lists and mappings in a field are JSON."""
    out = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(out, names, lineterminator="\n", restval="")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _field(value) for name, value in row.items()})
    return out.getvalue()


def columns(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Rows of texts as aligned lines. left: how many columns, from the first, stand at their left edge."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))] if rows else []
    return ["  ".join(cell.ljust(width) if i < left else cell.rjust(width)
                      for i, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip() for row in rows]


def _field(value: Any) -> Any:
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return "" if value is None else value
