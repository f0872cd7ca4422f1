"""The blocks of code of a page, and how they are run: as a reader would, one after another, in one folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics

from tests.paths import ROOT

_BLOCK = re.compile(r"^(?:<!-- (?P<note>[^\n]*) -->\n)?```(?P<language>sh|python)\n(?P<code>.*?)^```$",
                    re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of a page. note: what a comment right above it says of its test."""

    language: str
    code: str
    line: int
    note: str


def blocks_of(page: Path) -> list[Block]:
    """The shell and Python blocks of a page, in order; those whose comment begins `not run` are left out."""
    text = page.read_text(encoding="utf-8")
    return [Block(m["language"], m["code"], text.count("\n", 0, m.start()) + 1, m["note"] or "")
            for m in _BLOCK.finditer(text) if not (m["note"] or "").startswith("not run")]


def own_texts(folder: Path) -> None:
    """What a reader has already: `pages.jsonl`, of Python's own manual."""
    with (folder / "pages.jsonl").open("w", encoding="utf-8") as stream:
        for name, chapter in sorted(topics.items()):
            for number, text in enumerate(chapter.split("\n\n\n")):
                stream.write(json.dumps({"id": f"{name}-{number}", "text": text}) + "\n")


def run_block(block: Block, folder: Path, timeout: float = 300) -> str:
    """Run a block in a folder, with the program `curate` and the packages of this environment; what it printed.

    A block of shell stops at its first failing command, `pip install` is left out, for the environment is there."""
    binaries = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    if block.language == "python":
        words = [sys.executable, "-c", block.code]
    else:
        code = "\n".join(line for line in block.code.split("\n") if "pip install" not in line)
        words = ["bash", "-e", "-o", "pipefail", "-c", code]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f"line {block.line}:\n{block.code}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout
