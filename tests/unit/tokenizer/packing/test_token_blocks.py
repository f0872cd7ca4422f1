"""Files of tokens that are read by ranges: what is read is what was written, or an error that names the file."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from manifests.errors import InputError
from tokenizer.packing.token_blocks import BLOCK_BYTES, TokenBlocks, TokenWriter, ids_bytes, seal_tokens

U2, U4 = np.dtype("<u2"), np.dtype("<u4")


def write(path: Path, n: int, dtype: np.dtype[np.unsignedinteger] = U2) -> np.ndarray:
    ids = np.random.default_rng(1).integers(0, 60_000, n).astype(dtype)
    with TokenWriter(str(path)) as file:
        for start in range(0, n, 5_000):
            file.write(ids[start : start + 5_000])
    return ids


@pytest.mark.parametrize("n", [0, 1, BLOCK_BYTES // 2, BLOCK_BYTES // 2 + 1, 50_000])
@pytest.mark.parametrize("dtype", [U2, U4])
def test_ranges(tmp_path: Path, n: int, dtype: np.dtype[np.unsignedinteger]) -> None:
    path, chance = tmp_path / "x.tokens", random.Random(n)
    ids = write(path, n, dtype)
    assert ids_bytes(str(path)) == n * dtype.itemsize
    for where in (str(path), f"file://{path}"):
        with TokenBlocks(where) as file:
            assert np.array_equal(file.read(dtype, 0, n), ids)
            for _ in range(30):
                first = chance.randint(0, n)
                count = chance.randint(0, n - first)
                assert np.array_equal(file.read(dtype, first, count), ids[first : first + count])
            with pytest.raises(InputError, match=f"holds {n} tokens, not {n + 1}"):
                file.read(dtype, n, 1)


def read_or_none(path: Path, first: int) -> np.ndarray | None:
    try:
        with TokenBlocks(str(path)) as file:
            return file.read(U2, first, 9_000)
    except InputError as error:
        return None if "x.tokens: is damaged" in str(error) else np.empty(0)


def test_no_flipped_bit_and_no_end_that_is_cut_off_passes(tmp_path: Path) -> None:
    path, chance = tmp_path / "x.tokens", random.Random(3)
    ids = write(path, 20_000)
    data = path.read_bytes()
    found = 0
    for at in [*(chance.randrange(len(data)) for _ in range(150)), *range(len(data) - 50, len(data))]:
        first = chance.randrange(10_000)
        cut = at % 3 == 0
        path.write_bytes(data[:at] if cut else data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1:])
        got = read_or_none(path, first)
        found += got is None
        assert got is None or np.array_equal(got, ids[first : first + 9_000])
    assert found > 120


def test_ids_that_are_changed_on_purpose_get_new_digests(tmp_path: Path) -> None:
    path = tmp_path / "x.tokens"
    ids = write(path, 20_000)
    flat = np.memmap(path, U2, "r+", shape=(20_000,))
    flat[100:200] = 7
    flat.flush()
    n_bytes = ids_bytes(str(path))
    with TokenBlocks(str(path)) as file, pytest.raises(InputError):
        file.read(U2, 150, 1)
    seal_tokens(str(path), n_bytes)
    ids[100:200] = 7
    with TokenBlocks(str(path)) as file:
        assert np.array_equal(file.read(U2, 0, 20_000), ids)
