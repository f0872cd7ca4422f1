"""Where a task's files lie: parts and shards are spread over folders, so that none of them grows with their number.

A part is called by a name that people read, such as `crawl/part-x-1a2b3c4d`, and lies at `crawl/1a/part-x-1a2b3c4d`:
256 folders a source, by the first two digits of the hash that its name ends in. A number may follow the hash, where a
large archive became several parts: `part-x-1a2b3c4d-00003`. A source of a million files has 3,906 in a folder.

What is numbered by six digits, as packed shards are, lies flat up to number 2,999; `train/003000` and those after it
lie in `train/003/` and so on, a thousand in each. So a path depends on the number alone, small data sets are flat, and
`train/` never holds more than 9,000 files of three a shard. Partitions, of which there are at most 4,096, lie flat.
"""

from __future__ import annotations

import os
import re
from typing import Final

_PART: Final = re.compile(r"part-[^/.]*-([0-9a-f]{2})[0-9a-f]{6}(?:-[0-9]{5})?(?=\.|$)")
_NUMBERED: Final = re.compile(r"([0-9]{3})[0-9]{3}(?=\.|$)")
_THOUSAND: Final = re.compile(r"[0-9]{3}")
_FLAT: Final = 3000
_FOLDER: Final = re.compile(r"[0-9a-f]{2}")


def part_path(name: str) -> str:
    """Where the file or the task of a name lies.

    Args:
        name: Of a task, such as `crawl/part-x-1a2b3c4d`, or of a file, `counts/crawl/part-x-1a2b3c4d.parquet`.
    Returns:
        The path, relative as the name is: `crawl/1a/part-x-1a2b3c4d`. The name itself where it lies flat.
    """
    folder, slash, last = name.rpartition("/")
    spread = _spread(last)
    return f"{folder}{slash}{spread}/{last}" if spread else name


def spread_below(folder: str) -> str | None:
    """The folder whose parts are spread over one of this name; None where it is no such name."""
    parent, _, last = folder.rpartition("/")
    return parent if _FOLDER.fullmatch(last) or _THOUSAND.fullmatch(last) else None


def _spread(last: str) -> str | None:
    """The folder that something of this name lies in; None where it lies flat."""
    match = _PART.match(last)
    if match is None and (match := _NUMBERED.match(last)) is not None and int(last[:6]) < _FLAT:
        return None
    return match[1] if match else None


def part_name(path: str) -> str:
    """The name of what lies at a path: the inverse of `part_path`, and the path itself where a run of 0.1.0 left it."""
    folder, _, last = path.rpartition("/")
    parent, _, spread = folder.rpartition("/")
    if not spread or spread != _spread(last):
        return path
    return f"{parent}/{last}" if parent else last


def files_in(folder: str) -> list[str]:
    """Paths of the files of a local folder, by name; those of the folders that parts are spread over among them.

    Names that begin with a dot or an underscore are left out, as readers of datasets do."""
    paths = [os.path.join(folder, name) for name in os.listdir(folder) if not name.startswith((".", "_"))]
    folders = {path for path in paths if os.path.isdir(path)}
    spread = [path for path in folders if _FOLDER.fullmatch(os.path.basename(path))]
    own = [path for path in paths if path not in folders]
    return sorted([*own, *(path for other in spread for path in files_in(other))], key=os.path.basename)
