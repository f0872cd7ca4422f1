"""How the last call of `run` over a folder ended, kept beside its records: for people who ask later why it stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from manifests.errors import CurateError
from manifests.storage import Storage
from pipelines.pulse import forget, held, is_dead, last_pulses
from pipelines.stopping import FinishedWhatRan

_NAME: Final = "_records/ending.json"
_MOST: Final = 2000  # characters of a reason
_NAMED: Final = 3  # tasks that a killed run was at


@contextmanager
def ending_noted(storage: Storage) -> Iterator[None]:
    """Note why the block ended, where it did not come to its end; while it lasts, and after it, nothing is noted."""
    storage.remove(_NAME)
    if storage.local:
        forget(storage.root)  # what an earlier call was at when it was killed says nothing of this one
    try:
        yield
    except BaseException as error:
        reason = str(error) if isinstance(error, CurateError) else (
            "it was asked to, and finished what ran" if isinstance(error, FinishedWhatRan) else
            "it was interrupted" if not isinstance(error, Exception) else f"{type(error).__name__}: {error}")
        storage.write_bytes(_NAME, json.dumps({"stopped": reason[:_MOST]}).encode())
        raise


def why_stopped(storage: Storage) -> str | None:
    """Why the last call stopped, or what it was at when it was killed; None where it came to its end or is at work."""
    try:
        data = storage.read_bytes(_NAME)
        reason = json.loads(data)["stopped"] if data is not None else None
    except (CurateError, ValueError, LookupError, TypeError, RecursionError):
        return None
    if isinstance(reason, str):
        return reason[:_MOST]
    if not storage.local or not is_dead(storage.root):
        return None
    left = sorted(last_pulses(storage.root).items(), key=lambda item: -item[1].memory_bytes)
    return ("it was killed, perhaps for its memory, at " + ", and ".join(
        f"{name}: {held(pulse)}" for name, pulse in left[:_NAMED]))[:_MOST]
