"""Help: every command in a group, summaries whole, examples in a block, -h everywhere."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
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


def _leaves(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _leaves(command, (*words, name))
        else:
            yield (*words, name), command


LEAVES: dict[tuple[str, ...], Any] = dict(_leaves(typer.main.get_command(app)))
LONG = ("run", "verify", "remove", "report", "card", "diff", "tune", "extract", "filter", "dedup", "decontaminate",
        "mix", "pack", "export", "classifier train", "classifier score", "classifier eval", "tokenizer train",
        "tokenizer encode", "tokenizer eval", "tokenizer chat", "kernels build")


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_every_command_has_examples_that_its_options_allow(words: tuple[str, ...]) -> None:
    printed = CliRunner().invoke(app, [*words, "-h"]).output
    examples = re.findall(r"^    curate (.+)$", printed.partition("Examples:\n")[2], re.MULTILINE)
    assert examples, printed
    assert printed == CliRunner().invoke(app, [*words, "--help"]).output
    known = {name for option in LEAVES[words].params for name in (*option.opts, *option.secondary_opts)}
    for example in examples:
        called = shlex.split(example)
        assert tuple(called[:len(words)]) == words
        assert {word for word in called[len(words):] if re.match(r"--?[a-z]", word)} <= known


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_options_have_the_same_names_everywhere(words: tuple[str, ...]) -> None:
    by_name = {name: option for option in LEAVES[words].params for name in option.opts}
    assert by_name.get("--out") is by_name.get("--output") is by_name.get("-o")
    if "--format" in by_name:
        assert "text for people, json for programs" in by_name["--format"].help
    assert "--out " not in CliRunner().invoke(app, [*words, "-h"]).output
    if " ".join(words) in LONG:
        assert {"-q", "--quiet", "-v", "--verbose", "--progress"} <= set(by_name)


def test_every_command_that_works_long_is_there() -> None:
    assert set(LONG) <= {" ".join(words) for words in LEAVES}


def test_an_old_name_is_taken_and_not_shown() -> None:
    missing = CliRunner().invoke(app, ["extract", "pages.warc.gz"]).output
    assert "'--output' / '-o'" in missing
    assert "--out'" not in missing
    assert "No such option" not in CliRunner().invoke(app, ["extract", "absent.warc.gz", "--out", "x"]).output
