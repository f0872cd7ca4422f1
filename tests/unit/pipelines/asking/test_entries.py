"""Look-up tables find what was put in, in one partition and in many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from manifests.storage import Storage
from pipelines.asking.entries import DamagedTableError, EntryReader, EntryWriter, bits_for, id_key, id_keys


@pytest.mark.parametrize("bits", [0, 3])
def test_every_key_leads_to_its_rows(bits: int, tmp_path: Path) -> None:
    storage = Storage(str(tmp_path / "run"))
    keys = np.random.default_rng(1).integers(0, 2**64, 500, np.uint64)
    keys[10:13] = keys[3]
    with storage.staging() as staging:
        writer = EntryWriter(staging, "ids", bits)
        writer.add(keys[:200], 0, np.arange(200))
        writer.add(keys[200:], 7, np.arange(300))
        writer.publish(storage, "_index/x")
    reader = EntryReader(storage, "_index/x", "ids", bits)
    assert reader.find(int(keys[3])) == [(0, 3), (0, 10), (0, 11), (0, 12)]
    assert reader.find(int(keys[450])) == [(7, 250)]
    assert reader.find(12345) == []
    low = int(np.sort(keys)[100])
    high = int(np.sort(keys)[200])
    assert len(reader.find(low, high)) == 100
    assert len(reader.find(0, 2**64)) == 500


def test_no_flipped_bit_and_no_end_that_is_cut_off_is_believed(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path / "run"))
    with storage.staging() as staging:
        writer = EntryWriter(staging, "ids", 0)
        writer.add(np.arange(20, dtype=np.uint64), 0, np.arange(20))
        writer.publish(storage, "_index/x")
    (path,) = (tmp_path / "run/_index/x").iterdir()
    data = path.read_bytes()
    assert EntryReader(storage, "_index/x", "ids", 0).find(3) == [(0, 3)]
    for at in range(0, len(data), 7):
        for changed in (data[:at], data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :], data + data[:at + 1]):
            path.write_bytes(changed)
            with pytest.raises(DamagedTableError):
                EntryReader(storage, "_index/x", "ids", 0).find(3)
    path.unlink()
    with pytest.raises(DamagedTableError):
        EntryReader(storage, "_index/x", "ids", 0).find(3)


def test_keys_of_ids_keep_the_order_of_their_digits() -> None:
    ids = [bytes.fromhex(digits) for digits in ("00ff" + "0" * 28, "0100" + "f" * 28, "ff" * 16)]
    words = np.frombuffer(b"".join(ids), np.uint64).reshape(-1, 2)
    assert id_keys(words).tolist() == [id_key(doc_id) for doc_id in ids] == sorted(map(id_key, ids))


def test_partitions_hold_four_million_entries_at_most() -> None:
    assert [bits_for(n) for n in (0, 1 << 22, (1 << 22) + 1, 1 << 30)] == [0, 0, 1, 8]
