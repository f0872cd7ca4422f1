from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from pipelines.terminal import ProtectedStream, console, json_text, printable, protect_streams

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eexe.txt[red]bold[/red] :warning: [/v1]"
ABSENT = "no\x1b[2Jfile"


@given(st.text(st.characters(codec=None)))
def test_nothing_printed_controls_a_terminal(text: str) -> None:
    shown = printable(text)
    assert not [c for c in shown if (ord(c) < 0x20 and c not in "\t\n") or 0x7F <= ord(c) < 0xA0]
    assert printable(shown) == shown


@given(st.text(st.characters(codec=None)))
def test_json_means_the_same_with_controls_written_as_escapes(text: str) -> None:
    line = json_text({"text": text})
    assert json.loads(line) == {"text": text}
    assert printable(line) == line
    assert "\n" not in line


def test_what_is_printed_is_protected_and_cannot_fail_for_its_encoding() -> None:
    raw = io.BytesIO()
    stream = ProtectedStream(io.TextIOWrapper(raw, encoding="ascii"))
    print(HOSTILE, "é", file=stream)
    stream.flush()
    assert raw.getvalue().startswith(b"\\x1b]0;owned\\x07\\x1b[2J\\x9b31m\\u202eexe.txt[red]bold[/red] :warning: [/v1]")
    assert raw.getvalue().endswith(b"\\xe9\n")


def test_tables_and_lines_show_strings_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("name", box=None)
    table.add_row(HOSTILE)
    console().print(table)
    console().print(HOSTILE, soft_wrap=True)
    console(to_stderr=True).print(Text.assemble(("failed:", "red"), printable(HOSTILE)), soft_wrap=True)
    out, err = capsys.readouterr()
    for shown in (out.splitlines()[-1], err):
        assert "\\x1b]0;owned\\x07" in shown
        assert "[red]bold[/red] :warning: [/v1]" in shown
        assert not {"\x1b", "\x9b"} & set(shown)


def test_streams_are_protected_once(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stdout", written)
    monkeypatch.setattr(sys, "stderr", None)
    protect_streams()
    first = sys.stdout
    protect_streams()
    assert sys.stdout is first
    print("a\x1bb\tc")
    assert written.getvalue() == "a\\x1bb\tc\n"


@pytest.mark.parametrize("arguments", [["status", f"{ABSENT}[/v1]"], ["extract", ABSENT, "--out", "o"], [ABSENT],
                                       ["run", "demo", "--set", f"{ABSENT}=1", "--out", "o"]])
def test_every_command_writes_control_characters_out(arguments: list[str], tmp_path: object) -> None:
    done = subprocess.run([sys.executable, "-m", "curate", *arguments], cwd=str(tmp_path), capture_output=True,
                          env={**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}, timeout=60)
    assert done.returncode == 2, done
    assert b"\\x1b" in done.stderr
    assert b"\x1b" not in done.stderr + done.stdout
    assert b"Traceback" not in done.stderr
