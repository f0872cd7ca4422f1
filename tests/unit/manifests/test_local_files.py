"""Shards as arrays: mapped without descriptors, or read; how many a process holds open."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from manifests import PackedDataset, PackedLoader, ShardError
from manifests.local_files import OpenFiles, Pool, ReadFile, map_file
from tests.benchmarks.loader import make_sparse
from tests.paths import ROOT
from tests.unit.manifests.test_dataset import make_dataset, span

SPANS = [span(1, 3), span(4, 2), span(8, 8)]


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_maps_keep_no_descriptor(tmp_path: Path) -> None:
    data = PackedDataset(make_dataset(tmp_path, [2] * 20, packing="pad", spans=SPANS), "train")
    before = descriptors()
    everything = data.batch(np.arange(len(data)))
    assert descriptors() == before
    held = data[3]
    data.close()
    assert held.tolist() == everything[0][3].tolist()  # a row that somebody holds stays where it is
    assert np.array_equal(data.batch(np.arange(len(data)))[1], everything[1])


def test_reading_gives_the_same(tmp_path: Path) -> None:
    root = make_dataset(tmp_path, [3, 1, 2], packing="best_fit", spans=SPANS)
    mapped, read = PackedDataset(root, "train"), PackedDataset(root, "train", mmap=False)
    rows = np.array([5, 0, 3, 0, 2])
    before = descriptors()
    for ours, theirs in zip(mapped.batch(rows), read.batch(rows), strict=True):
        assert np.array_equal(ours, theirs)
    assert mapped.segments(rows).cu_seqlens.tolist() == read.segments(rows).cu_seqlens.tolist()
    assert read[-1].tolist() == mapped[-1].tolist()
    assert descriptors() == before + 6  # a payload and a row index of each shard
    read.close()
    assert descriptors() == before


def test_three_data_sets_under_a_low_limit(tmp_path: Path) -> None:
    """Several data sets of more shards than a process may have descriptors, mapped and read."""
    for name in "abc":
        make_dataset(tmp_path / name, [1] * 60, packing="pad", spans=SPANS[:1])
    code = ("import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (80, 80))\n"
            "from manifests import PackedDataset\n"
            "import numpy as np\n"
            "for mmap in (True, False):\n"
            "    opened = [PackedDataset(p, 'train', mmap=mmap) for p in sys.argv[1:]]\n"
            "    for _ in range(2):\n"
            "        for d in opened:\n"
            "            d.batch(np.arange(60)), d.segments(np.arange(60))\n"
            "print('ok')")
    done = subprocess.run([sys.executable, "-c", code, *(str(tmp_path / n) for n in "abc")], capture_output=True,
                          text=True, cwd=ROOT, check=False)
    assert done.stdout.strip() == "ok", done.stderr


def test_the_limit_is_the_processes() -> None:
    opened: list[int] = []
    pool = Pool(lambda: 4)

    def open_one(shard: int) -> int:
        opened.append(shard)
        return shard

    first, second = OpenFiles(open_one, pool), OpenFiles(open_one, pool)
    for shard in range(3):
        assert first[shard] == shard
    for shard in range(3):
        assert second[shard] == shard
    assert len(first) + len(second) == 4
    assert list(second) == [0, 1, 2]
    assert list(first) == [2]
    assert first[0] == 0
    assert opened == [0, 1, 2, 0, 1, 2, 0]


def test_a_map_of_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(ShardError, match="mmap=False"):
        map_file(str(tmp_path / "empty"))
    (tmp_path / "short").write_bytes(b"abc")
    file = ReadFile(str(tmp_path / "short"))
    assert file.read(1, 2) == b"bc"
    with pytest.raises(ShardError, match="too early"):
        file.read(2, 3)


def test_where_there_is_no_room_few_files_are_kept() -> None:
    """One in three of those that are opened is, and takes the place of the oldest; where somebody must be told of every
    file that is closed, all are."""
    opened: list[int] = []

    def open_one(shard: int) -> int:
        opened.append(shard)
        return shard

    files = OpenFiles(open_one, Pool(lambda: 2, 3))
    assert [files[shard] for shard in (0, 1, 2, 2, 2, 2)] == [0, 1, 2, 2, 2, 2]
    assert (opened, sorted(files)) == ([0, 1, 2, 2, 2], [1, 2])
    closed: list[int] = []
    told = OpenFiles(open_one, Pool(lambda: 2, 3), closed.append)
    assert [told[shard] for shard in (0, 1, 2, 3)] == [0, 1, 2, 3]
    assert (sorted(told), closed) == ([2, 3], [0, 1])


def test_a_data_set_can_be_pickled(tmp_path: Path) -> None:
    root = make_dataset(tmp_path, [3, 1], packing="best_fit", spans=SPANS)
    data = PackedDataset(root, "train", mmap=False, validate="lazy")
    loader = PackedLoader(data, 2, seed=3)
    next(loader)
    again, going_on = pickle.loads(pickle.dumps(data)), pickle.loads(pickle.dumps(loader))
    assert (again.mmap, again.validate, again.digest) == (False, "lazy", data.digest)
    assert again[2].tolist() == data[2].tolist()
    assert next(going_on).rows.tolist() == next(loader).rows.tolist()
    assert going_on.state_dict() == loader.state_dict()


@pytest.mark.parametrize("suffix", [".bin", ".rows"])
def test_digests_are_checked_as_asked(tmp_path: Path, suffix: str) -> None:
    """A changed byte behind the header: found at once, when the shard is touched, or not looked for."""
    root = make_dataset(tmp_path, [2, 2], packing="pad", spans=SPANS)
    for validate in ("open", "lazy", "never"):
        data = PackedDataset(root, "train", validate=validate)
        assert data.batch(np.arange(4))[0].shape == (4, 8)
    path = root / f"packed/train/000001{suffix}"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ShardError, match="digest"):
        PackedDataset(root, "train", validate="open")
    lazy = PackedDataset(root, "train", validate="lazy")
    lazy.batch(np.array([0, 1]))
    with pytest.raises(ShardError, match="digest"):
        lazy.batch(np.array([2]))
    PackedDataset(root, "train", validate="never").batch(np.array([2]))
    with pytest.raises(ValueError, match="open, lazy, never"):
        PackedDataset(root, "train", validate="always")


def test_large_splits_are_not_mapped(tmp_path: Path) -> None:
    """Eight shards of 2^26 tokens: rows are read, and nothing of them stays in the process's memory."""
    make_sparse(tmp_path, 8, 2048, "best_fit")
    data = PackedDataset(tmp_path, "train")
    before = descriptors()
    loader = PackedLoader(data, 16, seed=2)
    for _ in range(4):
        batch, segments = loader.with_segments(loader.position)
        next(loader)
        assert not batch.tokens.any()
        assert len(segments.cu_seqlens) > 17
    with open("/proc/self/maps", encoding="utf-8") as file:
        assert str(tmp_path) not in file.read()
    assert before < descriptors() <= before + 16
    data.close()
    assert descriptors() == before


def test_files_are_opened_again_after_they_were_closed_for_others(tmp_path: Path) -> None:
    """Fewer descriptors than shards: every shard is opened and closed over and over, and rows stay right."""
    root = make_dataset(tmp_path, [2] * 60, packing="best_fit", spans=SPANS)
    wanted = PackedDataset(root, "train").batch(np.arange(120))
    code = ("import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))\n"
            "from manifests import PackedDataset, PackedLoader\n"
            "import numpy as np\n"
            "data = PackedDataset(sys.argv[1], 'train', mmap=False)\n"
            "loader = PackedLoader(data, 40, seed=1, passes=3)\n"
            "for batch in loader: np.save(sys.stdout.buffer, np.concatenate([batch.rows[:, None], batch.targets], 1))")
    done = subprocess.run([sys.executable, "-c", code, str(root)], capture_output=True, cwd=ROOT, check=True)
    stream = io.BytesIO(done.stdout)
    for _ in range(9):
        rows, targets = np.split(np.load(stream), [1], axis=1)
        assert np.array_equal(targets, wanted[1][rows[:, 0]])
