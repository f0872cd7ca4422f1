"""Compiled kernels that are carried to other machines: a folder or a zip file that `curate kernels build` made.

They are made for x86-64-v3, which every server of the last ten years runs, and not for the machine that compiles them.
`kernels.json` says what they fit; where that is not what is here, kernels are compiled here, and that is said. They are
code: who writes the folder decides what runs, as with any installed package.
"""

from __future__ import annotations

import io
import json
import os
import sys
import zipfile
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import xxhash

from curate.caches import writable_cache_folder
from manifests.errors import InputError
from manifests.storage import open_read, replacing

MANIFEST: Final = "kernels.json"
CPU: Final = "x86-64-v3"
FEATURES: Final = ("avx", "avx2", "bmi", "bmi2", "crc32", "cx16", "cx8", "f16c", "fma", "fxsr", "lzcnt", "mmx", "movbe",
                   "popcnt", "sahf", "sse", "sse2", "sse3", "sse4.1", "sse4.2", "ssse3", "xsave")
"""Of x86-64-v3 (System V ABI, AMD64 supplement 1.0, table 3.1), as LLVM calls them."""

_IN_PACKAGE: Final = Path(__file__).parent / "compiled"


@dataclass(frozen=True, slots=True)
class Carried:
    """What compiled kernels fit. cpu, features: as LLVM names them, the features with their signs."""

    python: str
    numba: str
    llvmlite: str
    cpu: str
    features: str

    @staticmethod
    def here() -> Carried:
        """What this installation compiles for x86-64-v3."""
        return Carried(f"{sys.version_info.major}.{sys.version_info.minor}", version("numba"), version("llvmlite"), CPU,
                       ",".join(f"+{feature}" for feature in FEATURES))

    def write(self, folder: Path) -> None:
        """Say in a folder what its kernels fit."""
        (folder / MANIFEST).write_text(json.dumps(asdict(self), indent=1) + "\n")

    def misfit(self) -> str | None:
        """Why these kernels cannot run here; None where they can."""
        for name, here in asdict(Carried.here()).items():
            if name in ("python", "numba", "llvmlite") and getattr(self, name) != here:
                return f"they were made with {name} {getattr(self, name)}, and this is {here}"
        from llvmlite import binding  # type: ignore[import-untyped]

        have: dict[str, bool] = dict(binding.get_host_cpu_features())
        asked = [feature.removeprefix("+") for feature in self.features.split(",")]
        lacking = [feature for feature in asked if not have.get(feature, False)]
        return f"this processor lacks {', '.join(lacking)} of {self.cpu}" if lacking else None


def carried_kernels() -> tuple[Path, Carried] | None:
    """The folder of carried kernels, and what they fit: of `$CURATE_KERNELS`, or of this package, where a wheel has
    them. None where there are none, or they do not fit, which is said.

    Raises:
        InputError: `$CURATE_KERNELS` names no such folder or file.
    """
    named = os.environ.get("CURATE_KERNELS")
    if named is None and not (_IN_PACKAGE / MANIFEST).exists():
        return None
    folder = _local(named) if named is not None else _IN_PACKAGE
    carried = _read(folder, named or str(folder))
    if (misfit := carried.misfit()) is not None:
        print(f"curate: kernels of {named or folder} are not used: {misfit}; compiled here instead", file=sys.stderr)
        return None
    return folder if os.access(folder, os.W_OK) else _copied(folder), carried


def _read(folder: Path, named: str) -> Carried:
    try:
        facts: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
        return Carried(**facts)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"holds no compiled kernels: {error}", where=f"CURATE_KERNELS={named}",
                         hint="`curate kernels build` makes a folder or a zip file of them") from error


def _local(named: str) -> Path:
    """A folder as it is; a zip file, here or behind a URL, unpacked into the user's cache once a node."""
    if not named.endswith(".zip"):
        return Path(named)
    folder = writable_cache_folder() / "kernels" / f"carried-{xxhash.xxh3_64_hexdigest(named.encode())}"
    if not (folder / MANIFEST).exists():
        with open_read(named) as stream, zipfile.ZipFile(io.BytesIO(stream.read())) as archive, \
                replacing(str(folder)) as staged:
            archive.extractall(staged)
    return folder


def _copied(folder: Path) -> Path:
    """A folder that cannot be written, copied into the user's cache: what it lacks is compiled into the copy."""
    import shutil

    target = writable_cache_folder() / "kernels" / f"carried-{xxhash.xxh3_64_hexdigest(str(folder.resolve()).encode())}"
    if not (target / MANIFEST).exists():
        with replacing(str(target)) as staged:
            shutil.copytree(folder, staged)
    return target
