"""Which input files become several parts: large archives, of which ranges can be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from curate.sources.archives import can_be_split
from curate.sources.config import SourceConfig
from curate.sources.http_config import HttpConfig
from curate.sources.http_file import open_source
from manifests.errors import InputError
from manifests.graph import InputFile
from manifests.storage import is_local
from pipelines.inputs import InputScanner

_KINDS: Final = ("auto", "warc", "wet")
_MOST_PARTS: Final = 100_000  # of a file: numbers of parts have five digits


def split_archives(files: Sequence[InputFile], source: SourceConfig, http: HttpConfig, scanner: InputScanner,
                   ) -> tuple[InputFile, ...]:
    """Files with the numbers of their parts.

    A number depends on the file and on `split_bytes` alone, so a file that is added to a source changes no other. Only
    of large files is the head read, once a run."""
    size = source.split_bytes
    if size is None or source.kind not in _KINDS:
        return tuple(files)

    def parts(file: InputFile) -> int:
        # Rounded, so that what is hardly larger stays whole and none of several is small.
        n = min((2 * file.n_bytes + size) // (2 * size), _MOST_PARTS)
        if n < 2:
            return 1
        known = scanner.remember(f"split {file.digest}", lambda: [str(_can_be_split(file.path, http))])
        return n if known == [str(True)] else 1

    return tuple(replace(file, n_parts=parts(file)) for file in files)


def _can_be_split(path: str, http: HttpConfig) -> bool:
    try:
        with open_source(path, http) as stream:
            return can_be_split(stream, is_local(path))
    except InputError:  # whoever reads it says so
        return False
