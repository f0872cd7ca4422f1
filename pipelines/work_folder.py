"""The folder that a command works in, beside its output: known by a file that nothing but a command writes there.

A folder of that name may be anybody's, and a run in it of any recipe. One without that file, or with that of another
command, is neither written to nor removed.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

from manifests.errors import OwnershipError
from manifests.records import RECORDS_FOLDER
from manifests.storage import replacing
from pipelines.locking import LOCK_FILE

_COMMAND: Final = "command"
COMMAND_FILE: Final = f"{RECORDS_FOLDER}/{_COMMAND}"
"""Name, in a work folder, of the file that says which command made it."""


def claim(out: str, command: str) -> str:
    """The work folder of a command: made now, or left by an earlier call that was ended.

    Args:
        out: The command's output, a local path; `OUT.work` beside it is the folder.
        command: The command's name, as `dedup`.
    Returns:
        The folder's absolute path.
    Raises:
        OwnershipError: Something else has that name. It is left as it is.
    """
    work = f"{os.path.abspath(out).rstrip('/')}.work"
    text = f"curate {command}\n"
    if not os.path.lexists(work):
        with replacing(work) as staged:  # with its file from the start: a kill leaves no folder that nobody knows
            path = Path(staged, COMMAND_FILE)
            path.parent.mkdir(parents=True)
            path.write_text(text)
    try:
        owner = Path(work, COMMAND_FILE).read_text(errors="replace")
    except OSError:
        owner = ""
    if owner != text:
        whose = f"is the work folder of `{owner.strip()}`" if owner else "is there already, and no command made it"
        raise OwnershipError(f"{whose}; `curate {command}` works in a folder of that name", where=work,
                             hint="choose another --output, or move or delete that folder")
    return work


def remove_unused(work: str) -> None:
    """Remove a work folder in which nothing was begun, as when an input of the command is not there."""
    with suppress(OSError):
        if os.listdir(work) == [RECORDS_FOLDER] and os.listdir(os.path.join(work, RECORDS_FOLDER)) == [_COMMAND]:
            remove(work)


def remove(work: str) -> None:
    """Remove a work folder. What says whose it is goes last, so that one half removed is still known."""
    last = (LOCK_FILE, RECORDS_FOLDER)
    for name in [*(n for n in os.listdir(work) if n not in last), *last]:
        path = os.path.join(work, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                os.unlink(path)
    with suppress(OSError):
        os.rmdir(work)
