"""What a command over files leaves: documents in OUT, decisions in OUT.decisions, reports beside them, all at the end.

Files are written in the command's work folder and renamed out of it when all are there, so that OUT holds a whole
result or the one before. A command that was killed while it renamed goes on by writing them again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa

from manifests.errors import OwnershipError, RecipeError
from manifests.tables import publish_table

DECISIONS: Final = ".decisions"
REPORT: Final = ".report"
INDEX: Final = ".index"
REPORTS: Final = ("items.parquet", "benchmarks.parquet", "boilerplate.parquet")
"""What lies in OUT.report."""


def target(out: str) -> str:
    """The absolute path of a command's output, beside which its other folders get names.

    Raises:
        RecipeError: It is empty, or the root of the file system, which has nothing beside it.
    """
    path = os.path.abspath(out).rstrip("/")
    if not out or not path:
        raise RecipeError("names no folder", where=f"--output {out!r}", hint="give --output a folder of its own")
    return path


def check_free(out: str, expected: Sequence[str]) -> None:
    """Refuse a folder that holds what a command does not make: whoever reads it whole would read that too.

    Args:
        out: The command's output.
        expected: Names of what it makes there.
    Raises:
        OwnershipError: Something else is there.
    """
    there = sorted(os.listdir(out)) if os.path.isdir(out) else []
    others = [name for name in there if name not in expected and not name.startswith(".")]
    if others:
        raise OwnershipError(f"holds {others[0]!r}, which this command does not make", where=out,
                             hint="give --output a folder of its own, or delete that one")


class VerbFiles:
    """Files of a command's output, staged in its work folder."""

    def __init__(self, work: str, out: str) -> None:
        self._ready = Path(work, "ready")
        self._out = os.path.abspath(out).rstrip("/")
        shutil.rmtree(self._ready, ignore_errors=True)

    def path(self, name: str, beside: str = "") -> str:
        """Where to write a file. beside: of OUT itself, or of the folder beside it with this suffix."""
        path = self._ready / (beside.lstrip(".") or "out") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return str(path)

    def write(self, name: str, tables: Iterable[pa.Table], schema: pa.Schema | None = None, beside: str = "") -> None:
        """Write one Parquet file."""
        publish_table(self.path(name, beside), tables, schema)

    def take(self, path: str, name: str, beside: str = "") -> None:
        """Have a file of the run in the work folder, which stays there too until that folder goes."""
        try:
            os.link(path, self.path(name, beside))
        except OSError:  # a file system without links
            shutil.copyfile(path, self.path(name, beside))

    def publish(self, expected: Sequence[str] = ()) -> None:
        """Rename everything to where it belongs: folders whole, in place of earlier ones, and OUT's own files last.

        expected: files of OUT that go, where an earlier call made one that this one does not replace."""
        if not self._ready.exists():
            return
        for folder in sorted(self._ready.iterdir(), key=lambda f: f.name == "out"):
            if folder.name != "out":
                self._swap(folder, f"{self._out}.{folder.name}")
                continue
            os.makedirs(self._out, exist_ok=True)
            for name in expected:
                if not (folder / name).exists():
                    Path(self._out, name).unlink(missing_ok=True)
            for staged in sorted(folder.iterdir(), key=lambda p: (p.is_file(), p.name)):
                self._swap(staged, os.path.join(self._out, staged.name))

    def _swap(self, staged: Path, target: str) -> None:
        if staged.is_dir() and os.path.isdir(target):
            os.rename(target, self._ready.parent / f"replaced-{os.path.basename(target)}")
            shutil.rmtree(self._ready.parent / f"replaced-{os.path.basename(target)}")
        os.replace(staged, target)
