"""How the last call of `run` over a folder ended, kept beside its records: for people who ask later why it stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from manifests.errors import CurateError
from manifests.storage import Storage
from pipelines.stopping import FinishedWhatRan

_NAME: Final = "_records/ending.json"
_MOST: Final = 2000  # characters of a reason


@contextmanager
def ending_noted(storage: Storage) -> Iterator[None]:
    """Note why the block ended, where it did not come to its end; while it lasts, and after it, nothing is noted."""
    storage.remove(_NAME)
    try:
        yield
    except BaseException as error:
        reason = str(error) if isinstance(error, CurateError) else (
            "it was asked to, and finished what ran" if isinstance(error, FinishedWhatRan) else
            "it was interrupted" if not isinstance(error, Exception) else f"{type(error).__name__}: {error}")
        storage.write_bytes(_NAME, json.dumps({"stopped": reason[:_MOST]}).encode())
        raise


def why_stopped(storage: Storage) -> str | None:
    """Why the last call stopped; None where it came to its end, is at work, or was killed."""
    try:
        data = storage.read_bytes(_NAME)
        reason = json.loads(data)["stopped"] if data is not None else None
    except (CurateError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return reason[:_MOST] if isinstance(reason, str) else None
