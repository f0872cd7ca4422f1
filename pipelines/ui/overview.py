"""The first page, which a run's counters give at once, and the report's sections, which take a look at all parts."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from manifests.stage_files import StageFiles
from pipelines.api.runs import Run
from pipelines.asking.alarms import alarm_rows, alarms
from pipelines.asking.fates import name_of
from pipelines.asking.lock import locked_recipe
from pipelines.report.elements import Cell, number, table
from pipelines.report.gather import funnel, gather
from pipelines.report.page import SECTIONS
from pipelines.report.svg import bars
from pipelines.stages import STAGES
from pipelines.status import sentence, used
from pipelines.ui.frame import framed, link
from pipelines.ui.graph import edges, graph, group_rows

_STATE = ("extract", "select", "dedup/decisions", "decontaminate", "clean", "tokens", "pack/layout")
_PARTS_OF_FUNNEL = {"dedup/decisions": "dedup", "dedup/passage_decisions": "dedup", "dedup/substrings": "dedup"}


def overview_page(files: StageFiles) -> str:
    """The page: alarms, the stage graph, the funnel, and ways to all else."""
    recipe, run = locked_recipe(files.storage), Run(files.storage.root)
    facts = run.describe()
    stages = facts["stages"]
    stands = sentence(stages, facts["stopped"], facts["unused"])
    rows = funnel(files)
    warned = "".join(f'<div class="{escape(a["severity"])}"><strong>{escape(a["what"])}</strong><br>'
                     f'{escape(a["advice"])}</div>' for a in alarm_rows(alarms(files, recipe)))
    drawn = graph(group_rows(stages), edges({stage.name: stage.needs for stage in STAGES}), _kept(rows))
    sections = " ".join(f'<a href="/report#{key}">{escape(name)}</a>' for key, name, _ in SECTIONS)
    body = (f'<p class="soft">Recipe {escape(str(recipe.get("name")))}. {escape(stands)}</p>'
            '<form class="conditions" action="/find"><label>a URL, a host, a doc_id or the beginning of one'
            '<input type="search" name="q" required></label><button>Find</button></form>'
            f'<section id="alarms"><h2>What to look at first</h2>{warned or "<p>Nothing stands out.</p>"}</section>'
            f'<section id="graph"><h2>Stages</h2><p class="soft">A box leads to what its stages dropped.</p>{drawn}'
            f'{_every_stage(stages)}</section>'
            f'<section id="funnel"><h2>Where documents went</h2>{_funnel(rows)}</section>'
            f'<section id="more"><h2>The report</h2><p class="sections">{sections}</p></section>')
    return framed(_name(files), "/", body)


def _every_stage(stages: Sequence[Mapping[str, Any]]) -> str:
    needs = {stage.name: ", ".join(stage.needs) for stage in STAGES}
    rows = [(Cell(row["stage"]), Cell(needs.get(row["stage"], "")), number(row["tasks"]),
             Cell("yes" if row["done"] else "no"), number(row["seconds"], ",.1f"), number(row["n_bytes"]),
             number(row["damaged"])) for row in used(stages)]
    head = ("stage", "after", "tasks", "done", "core-seconds", "bytes", "damaged")
    return f"<details><summary>every stage</summary>{table(head, rows)}</details>"


def _kept(rows: Sequence[Mapping[str, Any]]) -> dict[str, tuple[int, int]]:
    """By group: documents that its first step saw, and that its last one kept."""
    found: dict[str, tuple[int, int]] = {}
    for row in rows:
        group = _PARTS_OF_FUNNEL.get(row["stage"], row["stage"])
        found[group] = (found[group][0] if group in found else row["documents"], row["kept"])
    return found


def _funnel(rows: Sequence[Mapping[str, Any]]) -> str:
    chart = bars("documents that each stage sees and keeps", [
        (row["stage"], row["documents"], row["kept"], f"{row['kept']:,} of {row['documents']:,}") for row in rows])
    cells = []
    for row in rows:
        for reason, n in sorted(row["dropped"].items(), key=lambda item: -item[1]):
            named = link("/documents", {"fate": name_of(row["stage"], reason)}, reason)
            cells.append(f'<tr><td class="text">{escape(row["stage"])}</td><td class="text">{named}</td>'
                         f"<td>{n:,}</td></tr>")
    if not cells:
        return chart
    return (f'{chart}<div class="wrap"><table><thead><tr><th class="text">stage</th><th class="text">dropped for</th>'
            f"<th>documents</th></tr></thead><tbody>{''.join(cells)}</tbody></table></div>")


class Report:
    """The facts of a run's report, made when they are first asked for and anew when the run has changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state = ""
        self._facts: dict[str, Any] = {}

    def page(self, files: StageFiles) -> str:
        """The report's sections on a page of the server."""
        state = files.state(*_STATE)
        with self._lock:
            if state != self._state:
                self._facts, self._state = gather(files, _name(files)), state
            facts = self._facts
        links = "".join(f'<a href="#{key}">{escape(name)}</a>' for key, name, _ in SECTIONS)
        body = "".join(f'<section id="{key}"><h2>{escape(name)}</h2>{make(facts)}</section>'
                       for key, name, make in SECTIONS)
        return framed(f"Report of {facts['run']}", "/report", f'<nav class="sections">{links}</nav>{body}')


def _name(files: StageFiles) -> str:
    root = files.storage.root.rstrip("/")
    return os.path.basename(root) or root
