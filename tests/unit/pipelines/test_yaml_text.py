"""Whatever is wrong with YAML is an error of one line that names where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from manifests.errors import CurateError, OwnershipError, RecipeError
from manifests.storage import Storage
from pipelines.cli.main import app
from pipelines.locking import LOCK_FILE, read_lock
from pipelines.yaml_text import parse_yaml, read_yaml

WRONG = [b"[", b"a: [\n", b"a: \xff", b"2024-13-45", b"[" * 5000, b"a: b: c", b"\x00", b"{[]: 1}"]


@pytest.mark.parametrize("data", WRONG)
def test_what_is_no_yaml_is_named(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(RecipeError, match="is not YAML") as error:
        parse_yaml(data, "--set x")
    assert error.value.where == "--set x"
    assert "\n" not in str(error.value)
    (tmp_path / "a.yaml").write_bytes(data)
    with pytest.raises(RecipeError, match="is not YAML") as error:
        read_yaml(str(tmp_path / "a.yaml"), "--config")
    assert error.value.where == f"--config {tmp_path / 'a.yaml'}"


def test_what_is_yaml_is_read(tmp_path: Path) -> None:
    assert parse_yaml("a: [1, é]", "") == parse_yaml("a: [1, é]".encode(), "") == {"a": [1, "é"]}
    assert parse_yaml("", "") is None
    for path, what in ((tmp_path / "absent", "there is no such file"), (tmp_path, "is no regular file")):
        with pytest.raises(RecipeError, match=what):
            read_yaml(str(path), "")


@pytest.mark.parametrize("words", [
    "filter x --out o --threshold gopher_too_few_words=[", "filter x --out o --rules wrong.yaml",
    "run demo --out o --set pack=[", "run wrong.yaml --out o", "recipe check wrong.yaml",
    "classifier train --positives x --negatives x --out o --set epochs=["])
def test_commands_end_with_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x").write_text("A text.")
    Path("wrong.yaml").write_bytes(b"name: \xff")
    error = CliRunner().invoke(app, words.split()).exception
    assert isinstance(error, CurateError), error
    assert error.exit_code == 2
    assert "is not YAML" in str(error)


@pytest.mark.parametrize("data", [*WRONG, b"[1]", b"text", b"recipe: 3"])
def test_a_damaged_lock_file_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / LOCK_FILE).write_bytes(data)
    with pytest.raises(OwnershipError, match=r"recipe\.lock\.yaml: is damaged"):
        read_lock(Storage(str(tmp_path)))


@pytest.mark.parametrize(("text", "what"), [
    ("a: 1\nb: {c: 1}\na: 2\n", "line 3, column 1: the key 'a' stands twice in one mapping, first at line 1"),
    ("a: {b: 1, b: 2}\n", "the key 'b' stands twice"),
    ("a:\n\tb: 1\n", "line 2, column 1.*(indent by spaces; YAML takes no tabs)"),
    ("a: {b: ${c}}\n", r'inside braces a variable is quoted: {files: "\${name}"}'),
    ("name mine\nb: 1\n", r"line 2.*line 1 has no colon: 'name mine'"),
    ("a: {b: 1\nc: 2\n", "line 2.*while parsing a flow mapping that begins at line 1"),
])
def test_usual_slips_are_named_with_their_line(text: str, what: str) -> None:
    with pytest.raises(RecipeError, match=what) as error:
        parse_yaml(text, "r.yaml")
    assert "byte string" not in str(error.value)
    assert "^" not in str(error.value)


def test_keys_that_a_merge_brings_may_be_set_again() -> None:
    assert parse_yaml("a: &a {b: 1, c: 2}\nd: {<<: *a, b: 3}\ne: {<<: *a, b: 4}\n", "")["e"] == {"b": 4, "c": 2}


BOMBS = [
    "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{c}: &{c} [{', '.join([f'*{b}'] * 9)}]\n" for b, c in zip("abcdefghij", "bcdefghijk", strict=True)),
    "a: &a {k: v}\n" + "".join(
        f"{c}: &{c} {{<<: [{', '.join([f'*{b}'] * 9)}]}}\n" for b, c in zip("abcdefghij", "bcdefghijk", strict=True)),
    "&a [*a]", "a: &a {b: *a}", "a: &a [1, [2, *a]]", "[" * 100 + "]" * 100, "{a: " * 5000 + "1" + "}" * 5000]


@pytest.mark.timeout(30)
@pytest.mark.parametrize("text", BOMBS)
def test_a_bomb_is_refused_at_once(text: str) -> None:
    with pytest.raises(RecipeError, match="is not YAML"):
        parse_yaml(text, "x")
