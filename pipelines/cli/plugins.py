"""`curate plugins`: what installed distributions add."""

from __future__ import annotations

from typing import Any

from pipelines.cli.options import Format, FormatOption, emit


def plugins_command(form: FormatOption = Format.TEXT) -> None:
    """List the installed plug-ins: curate plugins; curate plugins --format json

    They add signals, extractors, source kinds, scorers, edits and exports."""
    from manifests.plugins import installed

    found = installed()
    own = _own_names()
    seen = [(plugin.group, plugin.name) for plugin in found]
    rows: list[dict[str, Any]] = []
    for plugin in found:
        problem = None
        if plugin.name in own.get(plugin.group, ()):
            problem = "cannot be used: it is the name of one of the project's own"
        elif seen.count((plugin.group, plugin.name)) > 1:
            problem = "cannot be used: another distribution has one of this name"
        what, error = plugin.summary()
        rows.append({"group": plugin.group, "name": plugin.name, "distribution": plugin.distribution,
                     "version": plugin.version, "what": what, "problem": problem or error})
    emit(form, rows, lambda: _text(rows))


def _own_names() -> dict[str, tuple[str, ...]]:
    from curate.extraction.extractors import EXTRACTORS
    from curate.heuristics.signals import SIGNALS
    from curate.sources.config import OWN_KINDS
    from tokenizer.export.formats import FORMATS

    return {"extractors": tuple(EXTRACTORS), "sources": OWN_KINDS, "exports": tuple(FORMATS),
            "signals": tuple(signal.name for signal in SIGNALS)}


def _text(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    from pipelines.terminal import console

    if not rows:
        print("no plug-in is installed; docs/plugins.md says how to write one")
        return
    table = Table("kind", "name", "distribution", "what it does", box=None, pad_edge=False)
    for row in rows:
        what = f"{row['problem']}" if row["problem"] else row["what"]
        table.add_row(row["group"], row["name"], f"{row['distribution']} {row['version']}", what)
    console().print(table)
