"""Rows of shards behind a URL, fetched by themselves: for few rows of many shards, where whole shards would take long.

Digests are of whole payloads, so a row that comes alone cannot be compared with one: its shard's header is, and that as
many bytes came as were asked for. All rows of a batch are asked for at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from manifests.errors import InputError, ShardError
from manifests.node_cache import retried
from manifests.object_stores import filesystem, store_errors
from manifests.packed_folder import below
from manifests.shard import HEADER_BYTES, Header

_AT_ONCE: Final = 64  # requests under way
_ADVICE: Final = "run `curate verify`, then fetch or pack the shard again"
Range = tuple[int, int, int]
"""(shard, first byte, byte behind the last one)"""


class RowRanges:
    """Bytes of shards by ranges.

    Args:
        url: The packed folder.
        names: Of the shards' files in it.
        digests: Of their payloads, by the manifest.
        retry_seconds: How long ranges are asked for again.
    """

    def __init__(self, url: str, names: Sequence[str], digests: Sequence[str], retry_seconds: float) -> None:
        self._url, self._names, self._digests, self._retry_seconds = url, names, digests, retry_seconds
        self._checked: set[int] = set()

    def read(self, ranges: list[Range], outs: list[npt.NDArray[Any]]) -> None:
        """Fill arrays with ranges of bytes of shards' files, whose headers are checked when they are first touched.

        Args:
            ranges: What is wanted.
            outs: Contiguous arrays, of as many bytes.
        Raises:
            ShardError: A header is of another shard than the manifest describes, or something cannot be fetched.
        """
        unseen = sorted({shard for shard, _, _ in ranges} - self._checked)
        for shard, data in zip(unseen, self._fetch([(shard, 0, HEADER_BYTES) for shard in unseen]), strict=True):
            where = below(self._url, self._names[shard])
            if Header.unpack(data, where).payload_digest.hex() != self._digests[shard]:
                raise ShardError("is another shard than the manifest describes", where=where, hint=_ADVICE)
            self._checked.add(shard)
        for out, data in zip(outs, self._fetch(ranges), strict=True):
            out[...] = np.frombuffer(data, out.dtype).reshape(out.shape)

    def _fetch(self, ranges: list[Range]) -> list[bytes]:
        """Bytes of ranges; those that fail are asked for again by themselves."""
        done: dict[int, bytes] = {}
        if ranges:
            url = below(self._url, self._names[ranges[0][0]])
            retried(lambda: self._ask(ranges, done), url, self._retry_seconds)
        return [done[i] for i in range(len(ranges))]

    def _ask(self, ranges: list[Range], done: dict[int, bytes]) -> None:
        """Ask for what is missing. Raises InputError where something still is, after all else has come."""
        missing = [i for i in range(len(ranges)) if i not in done]
        fs, _ = filesystem(self._url)
        paths = [filesystem(below(self._url, self._names[ranges[i][0]]))[1] for i in missing]
        answers = fs.cat_ranges(paths, [ranges[i][1] for i in missing], [ranges[i][2] for i in missing],
                                batch_size=_AT_ONCE, on_error="return")
        failed: InputError | None = None
        for i, answer in zip(missing, answers, strict=True):
            shard, first, last = ranges[i]
            try:
                with store_errors(below(self._url, self._names[shard])):
                    if isinstance(answer, BaseException):
                        raise answer
                    if len(answer) != last - first:
                        raise InputError(f"{len(answer)} bytes came where {last - first} were asked for",
                                         where=below(self._url, self._names[shard]))
                done[i] = answer
            except InputError as error:
                failed = error
        if failed is not None:
            raise failed
