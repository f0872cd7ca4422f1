"""Moving runs of tokens between flat files: the only code that touches every token of a corpus after encoding."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from manifests.errors import InputError
from manifests.shard import Tokens, payload_digest
from manifests.storage import is_local, local_path, open_read
from tokenizer.packing.token_blocks import TokenBlocks

_FEW_RUNS: Final = 1 << 14  # copied in a few milliseconds, where loading a kernel takes a quarter of a second

Offsets = npt.NDArray[np.int64]


def copy_runs(source: Tokens, source_starts: Offsets, target_starts: Offsets, lengths: Offsets, target: Tokens) -> None:
    """target[target_starts[i] : + lengths[i]] = source[source_starts[i] : + lengths[i]] for every i.

    Arrays of one dtype, uint16 or uint32; offsets int64 [n]. Raises ValueError where a run leaves its array."""
    if source.dtype != target.dtype:
        raise ValueError(f"cannot copy {source.dtype} tokens into {target.dtype}")
    if not len(lengths):
        return
    for starts, array in ((source_starts, source), (target_starts, target)):
        if int(starts.min()) < 0 or int((starts + lengths).max()) > len(array) or int(lengths.min()) < 0:
            raise ValueError("a run of tokens lies outside its array")
    if len(lengths) <= _FEW_RUNS:
        for s, t, n in zip(source_starts.tolist(), target_starts.tolist(), lengths.tolist(), strict=True):
            target[t : t + n] = source[s : s + n]
        return
    from tokenizer.packing.copying import copy_bytes

    # As bytes, so that the kernel is compiled once and not for every dtype.
    size = source.dtype.itemsize
    data = source.view(np.uint8)
    data.flags.writeable = False
    copy_bytes(data, source_starts * size, target_starts * size, lengths * size, target.view(np.uint8))


def copy_parts(paths: Sequence[str], part: Offsets, source_starts: Offsets, target_starts: Offsets, lengths: Offsets,
               target: Tokens) -> None:
    """`copy_runs` from several files (`token_blocks`), each read front to back, from its first run to its last.

    part: which of the files each run is of, int64 [n]. Memory beside the target: of a file what lies between its runs.
    """
    by_part = np.argsort(part, kind="stable")
    bounds = np.flatnonzero(np.diff(part[by_part], prepend=-1, append=-1))
    for a, b in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        runs = by_part[a:b]
        low = int(source_starts[runs].min())
        high = int((source_starts[runs] + lengths[runs]).max())
        with TokenBlocks(paths[int(part[runs[0]])]) as file:
            tokens = file.read(target.dtype, low, high - low)
        copy_runs(tokens, source_starts[runs] - low, target_starts[runs], lengths[runs], target)


def check_tokens(tokens: Tokens, path: str, digest: str | None) -> None:
    """Raise InputError where tokens of a whole file are not those of the digest that its record names, if there is one.
    """
    if digest is not None and payload_digest(tokens).hex() != digest:
        raise InputError("is damaged: its bytes are not those that its record names", where=path,
                         hint="remove it: the same command makes it again")


def read_tokens(path: str, dtype: np.dtype[Any], first: int = 0, count: int | None = None) -> Tokens:
    """Tokens [first, first + count) of a flat file: mapped where it is local, one read where it is behind a URL.

    count: None for all. Raises InputError where the file is shorter."""
    size = dtype.itemsize
    if not is_local(path):
        with open_read(path) as file:
            file.seek(first * size)
            data = file.read() if count is None else file.read(count * size)
        tokens: Tokens = np.frombuffer(data, dtype)
    else:
        have = os.path.getsize(local_path(path)) // size - first
        count = have if count is None else count
        if not 0 <= count <= have:
            raise InputError(f"holds {have + first} tokens, not {first + count}", where=path)
        tokens = np.memmap(local_path(path), dtype, "r", first * size, (count,)) if count else np.empty(0, dtype)
    if count is not None and len(tokens) != count:
        raise InputError(f"holds {len(tokens) + first} tokens, not {first + count}", where=path)
    return tokens.view(np.ndarray)
