"""CPU seconds of a command and of every process that it starts, whoever adopts them: Ray's are not its children."""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

_MARK = "CURATE_BENCHMARK"
_TICKS = os.sysconf("SC_CLK_TCK")
_EVERY_SECONDS = 0.05


def cpu_seconds(words: Sequence[str], environment: dict[str, str] | None = None) -> tuple[float, dict[str, float], str]:
    """(user and system seconds, the same by program, what it printed) of a command.

    Its processes are found by a variable of their environment, and their clocks are read twenty times a second, so of
    each up to a twentieth of a second at its end is missing."""
    mark = f"{_MARK}={uuid.uuid4().hex}"
    name, _, value = mark.partition("=")
    seen: dict[tuple[int, str], tuple[float, str]] = {}
    known: dict[tuple[int, str], bool] = {}
    with subprocess.Popen(words, env={**os.environ, **(environment or {}), name: value}, stdout=subprocess.PIPE,
                          text=True) as process:
        while process.poll() is None:
            _look(mark.encode(), seen, known)
            time.sleep(_EVERY_SECONDS)
        printed = process.stdout.read() if process.stdout else ""
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, words, printed)
    time.sleep(1)  # what it left is still ending
    _look(mark.encode(), seen, known)
    by_program: dict[str, float] = defaultdict(float)
    for seconds, program in seen.values():
        by_program[program] += seconds
    return sum(by_program.values()), dict(by_program), printed


def _look(mark: bytes, seen: dict[tuple[int, str], tuple[float, str]], known: dict[tuple[int, str], bool]) -> None:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            text = (folder / "stat").read_text()
            fields = text.rpartition(")")[2].split()
            process = int(folder.name), fields[19]
            if process not in known or not known[process]:
                known[process] = mark in (folder / "environ").read_bytes()
            if known[process]:
                program = text[text.index("(") + 1 : text.rindex(")")].partition(":")[0]
                seen[process] = (int(fields[11]) + int(fields[12])) / _TICKS, program
        except OSError:
            continue
