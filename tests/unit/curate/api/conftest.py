"""A small web and a run over it: what functions over Arrow data must give as well."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pytest

from manifests.tables import read_table
from pipelines.demo.web import render
from tests.unit.curate.graph_runs import GraphRun, run_recipe


class Ran(NamedTuple):
    """A run from archives to clean documents, and the files that it read."""

    run: GraphRun
    archives: list[str]
    benchmark: str

    def tables(self, stage: str, role: str) -> list[pa.Table]:
        """What a stage left of every part, by the parts' names."""
        return [read_table(str(self.run.root / output.path)) for output in self.run.view.outputs(stage, role)]

    def table(self, stage: str, role: str) -> pa.Table:
        return pa.concat_tables(self.tables(stage, role)).combine_chunks()


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The run. Read-only."""
    root: Path = tmp_path_factory.mktemp("api")
    render(root / "web", 120)
    archives = sorted(str(path) for path in (root / "web" / "crawl").glob("*.warc.gz"))
    benchmark = str(root / "web" / "benchmarks" / "demo_questions.jsonl.gz")
    run = run_recipe(root / "run", {
        "sources": {"crawl": {"files": archives}}, "classifier": None, "extract": {"languages": None},
        "select": {"rules": {"preset": "gopher"}},
        "dedup": {"survivor_order": ["position"], "max_removed_fraction": 1.0},
        "decontaminate": {"benchmarks": [
            {"name": "demo_questions", "path": benchmark, "fields": ["question"], "id_field": "id"}]}},
        ["extract", "select", "dedup", "decontaminate", "decontaminate/", "clean"])
    return Ran(run, archives, benchmark)


@pytest.fixture(scope="session")
def documents(ran: Ran) -> pa.Table:
    """The documents that the stage `extract` left, by part and row."""
    return ran.table("extract", "documents")
