"""Single commands over rows that a test or a measurement makes up."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from typer.testing import CliRunner

from manifests.tables import read_table
from pipelines.cli.main import app


def verb(*arguments: str) -> dict[str, Any]:
    """What a command prints for programs; its errors are raised."""
    result = CliRunner().invoke(app, [*arguments, "--format", "json"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    facts: dict[str, Any] = json.loads(result.stdout)
    return facts


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> str:
    """A JSON Lines file of rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def dedup(out: Path, files: Mapping[str, Sequence[Mapping[str, Any]]], settings: Mapping[str, Any],
          against: Sequence[Path] = ()) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """(decisions of every row, facts) of `curate dedup --no-apply` over JSON Lines files, by their names.

    settings: as under `dedup` in a recipe."""
    paths = [write_lines(out.with_name(f"{out.name}.in") / f"{name}.jsonl", rows) for name, rows in files.items()]
    config = out.with_name(f"{out.name}.yaml")
    config.write_text(yaml.safe_dump(dict(settings)))
    earlier = [argument for root in against for argument in ("--against", str(root))]
    facts = verb("dedup", *paths, "--out", str(out), "--no-apply", "--config", str(config), *earlier)
    rows = [row for name in files for row in read_table(str(out / f"part-{name}.parquet")).to_pylist()]
    return rows, facts
