"""Help: every command in a group, summaries whole, examples in a block, -h everywhere."""

from __future__ import annotations

from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from pipelines.cli.help import GROUPS
from pipelines.cli.main import app


def _commands() -> dict[str, Any]:
    group: Any = typer.main.get_command(app)
    return dict(group.commands)


def test_every_command_is_in_a_group_and_none_is_made_up() -> None:
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(_commands())


def test_summaries_are_whole() -> None:
    printed = " ".join(CliRunner().invoke(app, ["-h"]).output.split())
    for command in _commands().values():
        assert " ".join(command.help.split("\n")[0].rstrip(".").split()) in printed
    assert "..." not in printed.replace("[ARGS]...", "")


@pytest.mark.parametrize("words", [(name,) for name in ("run", "why", "sample", "dedup", "recipes")]
                         + [("tokenizer", "train")])
def test_examples_stand_in_a_block(words: tuple[str, ...]) -> None:
    printed = CliRunner().invoke(app, [*words, "-h"]).output
    assert "Examples:\n    curate " in printed
    assert printed == CliRunner().invoke(app, [*words, "--help"]).output
