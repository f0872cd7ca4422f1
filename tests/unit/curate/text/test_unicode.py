"""The tables of characters against the interpreter's own, and what is still left to the interpreter, on every Python.

docs/unicode.md lists what that is.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from curate.text.unicode import (
    CODE_POINTS,
    case_folded,
    combines,
    decomposed,
    flagged,
    in_category,
    lower_case,
)
from curate.text.versions import UNICODE_VERSION
from manifests.graph import Task, View, bind
from pipelines.stages import STAGES
from tests.paths import ROOT

# Modifier letters that are small since Unicode 15.
SMALL_SINCE_15 = {0x10FC, 0xA7F2, 0xA7F3, 0xA7F4, 0xAB69}
PYTHONS = ("3.11", "3.12", "3.13")
# What an interpreter makes of the characters from standard input: as `documents.normalise` and the readers of hosts and
# headers ask it.
ASKED = """
import hashlib, json, sys, unicodedata
digest = hashlib.sha256()
for first, last in json.load(sys.stdin):
    for code in range(first, last + 1):
        char = chr(code)
        for form in (unicodedata.normalize("NFC", char), unicodedata.normalize("NFC", "a" + char + "\\u0301\\u0323"),
                     char.lower(), char.strip(), (char + char).strip(), str(char.isspace())):
            digest.update(form.encode() + b"|")
print(digest.hexdigest())
"""


def assigned() -> list[int]:
    """Characters that this interpreter and the tables both know; surrogates are none."""
    unassigned = in_category("Cn", "Cs")
    return [c for c in range(CODE_POINTS) if not unassigned[c] and unicodedata.category(chr(c)) != "Cn"]


def test_tables_say_what_the_interpreter_says_of_the_characters_it_knows() -> None:
    codes = assigned()
    assert len(codes) > 280_000
    for category in ("L", "Lu", "Mn", "Nd", "N", "P", "Pe", "S", "Cc"):
        mask = in_category(category)
        assert all(mask[c] == unicodedata.category(chr(c)).startswith(category) for c in codes), category
    spaces, capitals, small, combining = flagged("s"), flagged("u"), flagged("l"), combines()
    for c in codes:
        char = chr(c)
        assert spaces[c] == char.isspace()
        assert capitals[c] == char.isupper()
        assert small[c] == char.islower() or c in SMALL_SINCE_15
        assert combining[c] == (unicodedata.combining(char) != 0)


def test_mappings_are_those_of_the_interpreter() -> None:
    never_in_nfc = flagged("n")
    for c in assigned():
        char = chr(c)
        assert lower_case(char) == char.lower()
        assert case_folded(char) == char.casefold()
        assert decomposed(char) == unicodedata.normalize("NFD", char)
        assert never_in_nfc[c] == (not unicodedata.is_normalized("NFC", char))


def test_a_character_that_composes_is_flagged() -> None:
    seconds = flagged("c")
    for c in assigned():
        parts = decomposed(chr(c))
        if len(parts) > 1 and unicodedata.normalize("NFC", parts) == chr(c):
            assert seconds[ord(parts[-1])], hex(c)


def test_both_files_are_of_the_version_that_records_name() -> None:
    for name in ("unicode.tsv", "unicode_mappings.tsv"):
        first = (ROOT / "curate/text" / name).read_text("ascii").split("\n", 1)[0]
        assert first == f"# Unicode {UNICODE_VERSION}"


def test_a_text_is_blank_by_the_same_white_space() -> None:
    """Arrow trims texts, to tell those without any."""
    chars = [c for c in range(CODE_POINTS) if not 0xD800 <= c < 0xE000]
    trimmed = pc.utf8_trim_whitespace(pa.array([chr(c) for c in chars], pa.large_string()))
    spaces = flagged("s")
    assert pc.equal(trimmed, "").to_pylist() == [bool(spaces[c]) for c in chars]


def test_no_module_asks_the_interpreter_what_a_character_is() -> None:
    """`unicodedata` is asked for one thing only: NFC."""
    users = [path for package in ("curate", "manifests", "pipelines", "tokenizer")
             for path in sorted((ROOT / package).rglob("*.py")) if "import unicodedata" in path.read_text("utf-8")]
    assert users == [ROOT / "curate/documents/normalise.py"]


def test_stages_that_read_the_tables_name_their_version_in_records() -> None:
    named = {stage.name for stage in STAGES if stage.unicode is not None}
    assert named >= {"extract", "signals", "select", "classifier/samples", "classifier/examples", "classifier/scores",
                     "dedup/signatures", "dedup/shingles", "dedup/passages", "dedup/bloom", "decontaminate/index",
                     "decontaminate/hits", "decontaminate/report_index", "decontaminate/overlaps"}
    extract = next(stage for stage in STAGES if stage.name == "extract")
    task = bind(extract, View(1, "", {"extract": None}, [], {}), Task("crawl/part-x", {}))
    assert task.identity.config == {"unicode": UNICODE_VERSION}


def interpreter(version: str) -> str | None:
    """The path of a Python, or None where it is not installed."""
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return sys.executable
    installed = sorted((Path.home() / ".pyenv/versions").glob(f"{version}.*/bin/python"))
    return str(installed[-1]) if installed else shutil.which(f"python{version}")


@pytest.mark.parametrize("version", PYTHONS)
def test_what_is_left_to_the_interpreter_is_the_same_on_every_python(version: str) -> None:
    path = interpreter(version)
    if path is None:
        pytest.skip(f"Python {version} is not installed")
    codes = np.array([c for c in assigned() if c < 0xE000 or c > 0xF8FF])
    breaks = np.flatnonzero(np.diff(codes) > 1)
    ranges = json.dumps(list(zip(codes[[0, *breaks + 1]].tolist(), codes[[*breaks, -1]].tolist(), strict=True)))
    digests = {subprocess.run([python, "-c", ASKED], input=ranges, capture_output=True, text=True, check=True).stdout
               for python in (sys.executable, path)}
    assert len(digests) == 1
