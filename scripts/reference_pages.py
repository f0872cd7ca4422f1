"""docs/reference/cli.md, tables.md and signals.md: commands, tables, signals and presets, as the code declares them.

    python -m scripts.reference_pages            writes them (`make docs`)
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import typer

from curate.heuristics.presets import PRESETS
from curate.heuristics.signals import SIGNALS
from manifests import schema
from pipelines.cli.help import GROUPS
from pipelines.cli.main import app

_FOLDER: Final = Path(__file__).parent.parent / "docs" / "reference"
_MADE: Final = "Made from the code by `make docs`.\n"


def cli_page() -> str:
    """Every command with its examples, arguments and options."""
    group: Any = typer.main.get_command(app)
    lines = ["# Commands", "", _MADE, "Results go to stdout, progress and warnings to stderr. Exit "
             "codes: 0 done; 1 done, but tasks or checks failed, and they are named; 2 bad usage or recipe; 3 the "
             "folder is in use, stale or "
             "another run's; 130, 143, 129 ended by SIGINT, SIGTERM, SIGHUP, resumable.", ""]
    for title, names in GROUPS.items():
        lines += [f"## {title}", ""]
        for name in names:
            lines += _command((name,), group.commands[name])
    return "\n".join(lines).rstrip() + "\n"


def _command(words: tuple[str, ...], command: Any) -> Iterator[str]:
    if hasattr(command, "commands"):
        for name, below in command.commands.items():
            yield from _command((*words, name), below)
        return
    yield f"### curate {' '.join(words)}\n"
    yield _paragraphs(inspect.cleandoc(command.help or "")) + "\n"
    if command.epilog:
        yield "```sh"
        yield from (line.strip() for line in command.epilog.splitlines()[2:])
        yield "```\n"
    context = command.make_context(command.name, [], resilient_parsing=True)
    rows = [_parameter(p, context) for p in command.params if not getattr(p, "hidden", False)]
    yield "| | |\n|---|---|"
    yield from rows
    yield ""


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n")).replace("<", "&lt;").replace("*", "\\*")


def _parameter(parameter: Any, context: Any) -> str:
    if parameter.param_type_name == "argument":
        names, text = parameter.metavar or parameter.name.upper(), parameter.help or ""
    else:
        names, text = parameter.get_help_record(context)
    return f"| `{_cell(names)}` | {_cell(_paragraphs(text))} |"


def _cell(text: str) -> str:
    return text.replace("|", chr(92) + "|")


def tables_page() -> str:
    """Every table of a run, with its columns."""
    source = inspect.getsource(schema)
    docs = dict(re.findall(r'^(\w+) = pa\.schema\(.*?^\]\)\n"""(.*?)"""', source, re.MULTILINE | re.DOTALL))
    lines = ["# Tables", "", _MADE, "All are zstd Parquet with page checksums; each column carries its sentence "
             "as the field's `comment`. Ids are 16 bytes.", ""]
    for name, table in vars(schema).items():
        if isinstance(table, pa.Schema):
            lines += [f"## {name}", "", " ".join(docs.get(name, "").split()), "",
                      "| column | type | null | |", "|---|---|---|---|"]
            lines += [f"| `{field.name}` | {_kind(field.type)} | {'yes' * field.nullable} | {_comment(field)} |"
                      for field in table]
            lines.append("")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def _kind(kind: pa.DataType) -> str:
    return str(kind).replace("<", "&lt;").replace("|", "\\|")


def _comment(field: pa.Field[Any]) -> str:
    facts: Mapping[bytes, bytes] = field.metadata or {}
    return facts.get(b"comment", b"").decode().replace("|", "\\|").replace("<", "&lt;")


def signals_page() -> str:
    """Every signal, and the rules of every preset."""
    lines = ["# Signals and rules", "", _MADE, "A signal is a number of a text, a column `signal_NAME` "
             "of the documents; a rule compares one with a threshold. Thresholds are changed in a recipe under "
             "`select.rules`; "
             "[filters](../filters.md) says how each is counted.", "", "## Signals", "", "| signal | group | |",
             "|---|---|---|"]
    lines += [f"| `{s.name}` | {str(s.group.name).lower()} | {_cell(s.description)} |" for s in SIGNALS]
    for name, preset in PRESETS.items():
        if not preset.rules:
            lines += ["", f"## Preset {name}", "", "No rule on signals: it keeps by the classifier's score alone."]
            continue
        lines += ["", f"## Preset {name}", "", "| reason | signal | kept where it is | paper |", "|---|---|---|---|"]
        for rule in preset.rules:
            lines.append(f"| `{rule.reason}` | `{rule.signal}` | {_limits(rule)} | {rule.paper or ''} |")
    return "\n".join(lines).rstrip() + "\n"


def _limits(rule: Any) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:g}" for name in ("at_least", "at_most")
                     if (value := getattr(rule, name)) is not None)


PAGES: Final[Mapping[str, Callable[[], str]]] = {"cli.md": cli_page, "tables.md": tables_page,
                                                  "signals.md": signals_page}


def main() -> None:
    """Write the pages."""
    _FOLDER.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (_FOLDER / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
