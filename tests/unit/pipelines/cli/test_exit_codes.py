"""What each command says by its exit code: 2 where a file or run that it is given does not exist, 1 where it is there
and is nothing that the command reads; one line names it, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from manifests.errors import CurateError
from pipelines.cli.main import app

ABSENT = "absent-file"
OVER_FILES: dict[str, tuple[str, ...]] = {
    "extract": ("IN", "--out", "OUT"),
    "filter": ("IN", "--out", "OUT"),
    "dedup": ("IN", "--out", "OUT"),
    "classifier train": ("--positives", "IN", "--negatives", "TEXTS", "--out", "OUT"),
    "classifier score": ("TEXTS", "--model", "IN", "--out", "OUT"),
    "classifier eval": ("--model", "IN", "--positives", "TEXTS", "--negatives", "TEXTS"),
    "decontaminate": ("TEXTS", "--benchmarks", "IN", "--out", "OUT"),
    "tokenizer train": ("IN", "--vocab-size", "300", "--out", "OUT.json"),
    "tokenizer encode": ("TEXTS", "--tokenizer", "IN", "--out", "OUT"),
    "tokenizer eval": ("TEXTS", "--tokenizer", "IN"),
    "tokenizer chat": ("DIALOGUES", "--tokenizer", "IN", "--out", "OUT"),
    "tokenizer export": ("IN", "--tiktoken", "OUT"),
    "classifier calibrate": ("IN",),
}
OVER_RUNS: dict[str, tuple[str, ...]] = {
    "status": ("IN",), "verify": ("IN",), "why": ("IN", "http://example.org/"), "trace": ("IN", "train/000000", "0"),
    "remove": ("IN", "--urls", "LIST"), "tune": ("IN",), "pack": ("IN", "--out", "OUT"),
    "export": ("IN", "--format", "megatron", "--out", "OUT"), "mix": ("--run", "IN", "demo", "--dry-run"),
    "report": ("IN",), "ui": ("IN",), "card": ("IN",), "sample": ("IN",), "domains": ("IN",), "stats": ("IN",),
    "diff": ("IN", "IN"),
}
RECIPES: dict[str, tuple[str, ...]] = {
    "run": ("IN", "--out", "OUT"), "recipe check": ("IN",), "mix": ("IN", "--dry-run"), "estimate": ("IN",),
    "recipes": ("IN",),
}
WITHOUT_INPUT = {"init", "plugins", "recipe schema", "recipe reference", "models fetch", "kernels build"}
TABLE = [(name, arguments) for table in (OVER_FILES, OVER_RUNS, RECIPES) for name, arguments in table.items()]


def exit_code(command: str, arguments: tuple[str, ...], values: dict[str, str]) -> tuple[int, str]:
    """The exit code of a command, and all that it prints. values: by the capitals that stand for them."""
    result = CliRunner().invoke(app, [*command.split(), *(values.get(a, a) for a in arguments)])
    error = result.exception
    if isinstance(error, CurateError):
        return error.exit_code, f"{result.output}{error}"
    if error is not None and not isinstance(error, SystemExit):
        raise error
    return result.exit_code, result.output


@pytest.fixture
def values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.table({"id": ["a", "b"], "text": ["one text", "another text"]}), "texts.parquet")
    Path("chat.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    Path("list.txt").write_text("http://example.org/\n")
    return {"TEXTS": "texts.parquet", "OUT": "out", "OUT.json": "out.json", "LIST": "list.txt",
            "DIALOGUES": "chat.jsonl"}


def leaves(command: Any, name: str = "") -> Iterator[str]:
    """Every command that does something."""
    below = getattr(command, "commands", None)
    if below is None:
        yield name
    for word, inner in (below or {}).items():
        yield from leaves(inner, f"{name} {word}".strip())


def test_the_table_has_every_command() -> None:
    assert {name for name, _ in TABLE} | WITHOUT_INPUT == set(leaves(get_command(app)))


@pytest.mark.parametrize(("command", "arguments"), TABLE)
def test_what_does_not_exist_is_exit_code_2(command: str, arguments: tuple[str, ...], values: dict[str, str]) -> None:
    code, said = exit_code(command, arguments, {**values, "IN": ABSENT})
    assert code == 2, said
    assert ABSENT in said
    assert not {path.name for path in Path().iterdir()} & {"out", "out.json"}


@pytest.mark.parametrize(("command", "arguments"), OVER_FILES.items())
def test_a_file_that_cannot_be_read_is_exit_code_1(command: str, arguments: tuple[str, ...], values: dict[str, str]
                                                   ) -> None:
    name = "damaged.warc.gz" if command == "extract" else "damaged.parquet"
    Path(name).write_bytes(bytes(range(256)) * 8)
    code, said = exit_code(command, arguments, {**values, "IN": name})
    assert code == 1, said
    assert name in said


@pytest.mark.parametrize(("command", "arguments"), OVER_RUNS.items())
def test_a_folder_that_is_no_run_is_exit_code_1(command: str, arguments: tuple[str, ...], values: dict[str, str]
                                                ) -> None:
    Path("folder").mkdir()
    Path("folder/note.txt").write_text("of a user")
    code, said = exit_code(command, arguments, {**values, "IN": "folder"})
    assert code == 1, said
    assert "folder" in said
    assert [path.name for path in Path("folder").iterdir()] == ["note.txt"]
