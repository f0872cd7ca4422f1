"""Compiling all kernels beforehand, for machines that shall not: a small demo is run, and what it compiled is kept."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from curate.carried_kernels import Carried
from manifests.errors import StageError
from manifests.storage import replacing

_PAGES: Final = 300
_PRESETS: Final = ("c4", "fineweb", "refinedweb")  # rules that the demo's recipe does not use


def build_kernels(out: str) -> int:
    """Compile for x86-64-v3 what a run and the commands use.

    Args:
        out: A folder, or a zip file where the name ends in `.zip`; `CURATE_KERNELS` takes both.
    Returns:
        How many compiled functions lie in it.
    Raises:
        StageError: The demo's run failed.
    """
    with TemporaryDirectory() as work:
        folder = Path(work, "kernels") if out.endswith(".zip") else Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        Carried.here().write(folder)
        _run_everything(Path(work), folder)
        if out.endswith(".zip"):
            with replacing(out) as staged, zipfile.ZipFile(staged, "w", zipfile.ZIP_DEFLATED) as archive:
                for path in sorted(p for p in folder.glob("**/*") if p.is_file()):
                    archive.write(path, path.relative_to(folder))
        return len(list(folder.glob("**/*.nbc")))


def _run_everything(work: Path, folder: Path) -> None:
    web, run = work / "web", work / "run"
    _call(folder, "pipelines.demo.web", str(web), "--pages", str(_PAGES))
    _call(folder, "curate", "run", "demo", "--set", f"web={web}", "--output", str(run), "--engine", "inline")
    texts = str(web / "text" / "reference.jsonl.gz")
    for preset in _PRESETS:
        _call(folder, "curate", "filter", texts, "--preset", preset, "--output", str(work / preset))


def _call(folder: Path, *words: str) -> None:
    """A module in a process of its own, which compiles into the folder and for the processor that is asked for."""
    done = subprocess.run([sys.executable, "-m", *words],  # nosec B603 # modules of our own, no shell
                          env={**os.environ, "CURATE_KERNELS": str(folder)},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise StageError(f"ended with {done.returncode}: {done.stdout.strip()[-2000:]}", where=" ".join(words),
                         hint="`curate run demo` must work here")
