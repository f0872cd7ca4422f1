"""The packed shard file: llm.c's header, our block, and every way of damaging it."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import xxhash

from manifests.errors import ShardError
from manifests.shard import HEADER_BYTES, Header, open_shard, payload_digest, read_header, write_shard


def header(vocab_size: int = 50_257, row_length: int = 8, eot_id: int = 256) -> Header:
    return Header(row_length=row_length, packing="concat", eot_id=eot_id, vocab_size=vocab_size,
                  tokenizer_sha256=bytes(range(32)), shard_index=3, n_spans=5)


@pytest.mark.parametrize(("vocab_size", "magic", "version", "dtype"),
                         [(65_536, 20240520, 1, "<u2"), (65_537, 20240801, 7, "<u4")])
def test_llm_c_reads_the_file(tmp_path: Path, vocab_size: int, magic: int, version: int, dtype: str) -> None:
    """The checks of llm.c's dataloader.h and modded-nanogpt's _load_data_shard."""
    ids = np.arange(64) * 1000 % vocab_size
    write_shard(str(tmp_path / "x.bin"), ids, header(vocab_size))
    data = (tmp_path / "x.bin").read_bytes()
    first = np.frombuffer(data, "<i4", 256)
    assert first[:3].tolist() == [magic, version, 64]
    assert len(data) == 1024 + 64 * np.dtype(dtype).itemsize
    assert np.array_equal(np.frombuffer(data, dtype, offset=1024), ids)


def test_documented_offsets(tmp_path: Path) -> None:
    ids = np.arange(16, dtype=np.uint16)
    write_shard(str(tmp_path / "x.bin"), ids, header())
    data = (tmp_path / "x.bin").read_bytes()
    assert data[16:24] == b"CURATE\0S"
    assert struct.unpack_from("<II", data, 24) == (1, 2)
    assert struct.unpack_from("<QIIIII", data, 32) == (16, 8, 0, 256, 50_257, 3)
    assert struct.unpack_from("<Q", data, 64) == (5,)
    assert data[72:104] == bytes(range(32))
    assert data[104:120] == xxhash.xxh3_128_digest(ids.tobytes())
    assert data[120:1020] == bytes(900)
    assert struct.unpack_from("<I", data, 1020) == (zlib.crc32(data[:1020]),)


def test_round_trip_from_blocks(tmp_path: Path) -> None:
    path = str(tmp_path / "x.bin")
    ids = np.arange(24, dtype=np.uint16)
    written = write_shard(path, (ids[a : a + 5] for a in range(0, 24, 5)), header())
    read, tokens = open_shard(path)
    assert read == written == read_header(path)
    assert (read.n_tokens, read.n_rows, tokens.dtype.name) == (24, 3, "uint16")
    assert np.array_equal(tokens, ids)
    assert payload_digest(tokens) == read.payload_digest
    with pytest.raises(ValueError, match="read-only"):
        tokens[0] = 1


@pytest.mark.parametrize("bad", [50_257, 70_000, -1])
def test_ids_outside_the_vocabulary_are_refused(tmp_path: Path, bad: int) -> None:
    with pytest.raises(ShardError, match=f"token id {bad} is outside the vocabulary of 50257"):
        write_shard(str(tmp_path / "x.bin"), np.array([1, 2, bad, 4, 5, 6, 7, 8]), header())


def test_the_last_id_of_the_vocabulary_is_allowed(tmp_path: Path) -> None:
    write_shard(str(tmp_path / "x.bin"), np.full(8, 65_535), header(65_536))
    assert open_shard(str(tmp_path / "x.bin"))[1].tolist() == [65_535] * 8


@pytest.mark.parametrize("n", [0, 7, 9])
def test_only_whole_rows(tmp_path: Path, n: int) -> None:
    with pytest.raises(ShardError, match=r"do not fill rows|a shard holds"):
        write_shard(str(tmp_path / "x.bin"), np.zeros(n, np.uint16), header())


@pytest.mark.parametrize("byte", [0, 4, 8, 12, 24, 28, 32, 40, 44, 48, 52, 56, 64, 80, 110, 500, 1019, 1020, 1023])
def test_any_damaged_header_byte_is_found(tmp_path: Path, byte: int) -> None:
    path = tmp_path / "x.bin"
    write_shard(str(path), np.arange(16), header())
    data = bytearray(path.read_bytes())
    data[byte] ^= 0x40
    path.write_bytes(data)
    with pytest.raises(ShardError, match="checksum"):
        open_shard(str(path))


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    write_shard(str(path), np.arange(16), header())
    whole = path.read_bytes()
    for data, message in [(whole[:-2], "is 1054 bytes, but its header says 1056"),
                          (whole + b"\0\0", "is 1058 bytes"),
                          (whole[:1000], "shorter than a header"),
                          (b"\0" * HEADER_BYTES, "is not a packed shard")]:
        path.write_bytes(data)
        with pytest.raises(ShardError, match=message) as caught:
            read_header(str(path))
        assert caught.value.where == str(path)
    with pytest.raises(ShardError, match="cannot be read"):
        open_shard(str(tmp_path / "absent.bin"))


def test_a_forged_header_is_still_checked_for_sense() -> None:
    """A right checksum over fields that contradict each other."""
    data = bytearray(Header(8, "concat", 256, 50_257, bytes(32), 0, 0, 16).pack())
    struct.pack_into("<i", data, 0, 20240801)
    struct.pack_into("<I", data, 1020, zlib.crc32(data[:1020]))
    with pytest.raises(ShardError, match="disagree"):
        Header.unpack(bytes(data))
