"""Packed datasets in a bucket: a real S3 protocol server on loopback, whole, failing, away, and read by several."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("s3fs", reason="needs the extra s3")
pytest.importorskip("moto.server", reason="needs moto")

import s3fs  # type: ignore[import-untyped]

from manifests import InputError, PackedDataset, PackedLoader, ShardError
from manifests.object_stores import S3Access, StoreUrl
from manifests.verify import verify
from pipelines.cli.main import app
from tests.integration.streaming_server import StoreServer
from tests.paths import ROOT
from tests.unit.manifests.test_dataset import make_dataset, span

N_SHARDS = 8
SPANS = [span(1, 5), span(8, 8)]


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("local"), [6] * N_SHARDS, packing="pad", spans=SPANS)


@pytest.fixture
def server(local: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StoreServer]:
    for name, value in {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "HOME": str(tmp_path / "home"),
                        "AWS_EC2_METADATA_DISABLED": "true", "AWS_DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    server = StoreServer()
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    fs = s3fs.S3FileSystem(endpoint_url=server.url, skip_instance_cache=True)
    if not fs.exists("data"):  # the server's memory is the process's
        fs.mkdir("data")
    for path in local.rglob("*"):
        if path.is_file():
            fs.pipe_file(f"data/{path.relative_to(local)}", path.read_bytes())
    server.requests.clear()
    yield server
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


def same(remote: PackedDataset, local: Path, steps: int = 14, order: str = "rows") -> None:
    """Batches from behind the URL are those of the disk."""
    ours, theirs = (PackedLoader(data, 4, seed=1, order=order) for data in (remote, PackedDataset(local, "train")))
    for _ in range(steps):
        for a, b in zip(next(ours), next(theirs), strict=True):
            assert np.array_equal(a, b)
    rows = np.arange(0, len(remote), 5)
    assert np.array_equal(remote.segments(rows).cu_seqlens, PackedDataset(local, "train").segments(rows).cu_seqlens)


@pytest.mark.parametrize("folder", ["s3://data", "s3://data/packed/"])
def test_opened_by_the_manifest_alone(server: StoreServer, local: Path, tmp_path: Path, folder: str) -> None:
    data = PackedDataset(folder, "train", cache=tmp_path / "cache")
    assert not [name for name in server.requests if name.endswith((".bin", ".rows"))]
    assert (len(data), data.digest) == (6 * N_SHARDS, PackedDataset(local, "train").digest)
    same(data, local)
    assert data.source_names == {0: "a"}
    assert data.documents(1).doc_ids == PackedDataset(local, "train").documents(1).doc_ids
    assert data.table("tokenizer.json") is None
    state = PackedLoader(data, 1).state_dict()
    PackedLoader(pickle.loads(pickle.dumps(data)), 1).load_state_dict(state)
    n = len(server.requests)
    same(PackedDataset(folder, "train", cache=tmp_path / "cache"), local)
    assert not [name for name in server.requests[n:] if name.endswith((".bin", ".rows"))]  # all of it was here
    data.close()


def test_absent_data_and_wrong_keys(server: StoreServer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no packed dataset"):
        PackedDataset("s3://data/nothing", "train", cache=tmp_path)
    fs = s3fs.S3FileSystem(endpoint_url=server.url, skip_instance_cache=True)
    data = PackedDataset("s3://data", "train", cache=tmp_path, retry_seconds=1)
    fs.rm_file("data/packed/train/000003.bin")
    with pytest.raises(ShardError, match=r"000003\.bin.*cannot be fetched.*not there"):
        data[3 * 6]
    fs.pipe_file("data/packed/train/000004.bin", bytes(1024 + 6 * 16))
    with pytest.raises(ShardError, match=r"000004\.bin.*not those of the digest"):
        data[4 * 6]
    assert data[0][1] == 1
    data.close()


def test_one_request_in_ten_fails(server: StoreServer, local: Path, tmp_path: Path) -> None:
    server.fail_every = 10
    for folder in ("a", "b"):
        data = PackedDataset("s3://data", "train", cache=tmp_path / folder)
        same(data, local)
        data.close()


@pytest.mark.parametrize("seconds", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_the_server_goes_away(server: StoreServer, local: Path, tmp_path: Path, seconds: int) -> None:
    """A pause is waited for; one that is longer than the time for retries is an error that names shard and cause."""
    data = PackedDataset("s3://data", "train", cache=tmp_path / "a", retry_seconds=60)
    impatient = PackedDataset("s3://data", "train", cache=tmp_path / "b", retry_seconds=0.5)
    server.stop()
    back = threading.Timer(seconds, server.start)
    back.start()
    began = time.monotonic()
    with pytest.raises(ShardError, match=r"000000\.bin.*0\.5 s of retries"):
        impatient[0]
    assert time.monotonic() - began < seconds
    same(data, local)
    back.join()
    data.close()


def test_trace_walks_a_run_in_a_bucket(server: StoreServer, small_demo: tuple[Path, Any]) -> None:
    """The same document, archive and offset as on a disk, by the run and by its packed folder alone."""
    run = small_demo[0]
    fs = s3fs.S3FileSystem(endpoint_url=server.url, skip_instance_cache=True)
    for path in run.rglob("*"):
        if path.is_file():
            fs.pipe_file(f"data/demo/{path.relative_to(run)}", path.read_bytes())
    for folder in ("", "/packed"):
        words = ["train/000000", "1", "7", "--format", "json"]
        here, there = (CliRunner().invoke(app, ["trace", f"{where}{folder}", *words])
                       for where in (run, "s3://data/demo"))
        assert here.exit_code == there.exit_code == 0, there.output
        assert json.loads(there.stdout) == json.loads(here.stdout)
    assert json.loads(here.stdout)


def test_a_cache_of_half_the_data(server: StoreServer, local: Path, tmp_path: Path) -> None:
    """What is read stays; the rest goes and comes again; another dataset may share the folder."""
    size = (local / "packed/train/000000.bin").stat().st_size
    limit = N_SHARDS // 2 * (size + 200)
    data = PackedDataset("s3://data", "train", cache=tmp_path, cache_limit=limit)
    other = PackedDataset("s3://data/packed", "train", cache=tmp_path, cache_limit=limit)
    held = data[0]
    for _ in range(2):
        same(data, local, 12, order="rows")
        same(other, local, 12, order="shards")
        kept = sum(f.stat().st_size for f in tmp_path.iterdir() if f.is_file())
        assert kept <= limit + 2 * size
    assert held.tolist() == PackedDataset(local, "train")[0].tolist()
    assert len(server.requests) > 3 * N_SHARDS
    data.close()
    other.close()


READER = """
import os, sys
from manifests import PackedDataset, PackedLoader
data = PackedDataset("s3://data", "train", cache=sys.argv[1])
loader = PackedLoader(data, 4, int(sys.argv[2]), 2, seed=1, passes=1)
rows = [row for batch in loader for row in batch.rows.tolist()]
print(len(rows), flush=True)
"""


def reader(cache: Path, rank: int) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", READER, str(cache), str(rank)], cwd=ROOT, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_two_ranks_fetch_every_file_once(server: StoreServer, tmp_path: Path) -> None:
    ranks = [reader(tmp_path, rank) for rank in range(2)]
    for rank in ranks:
        out, err = rank.communicate(timeout=120)
        assert (out.strip(), rank.returncode) == ("24", 0), err
    fetched = [name for name in server.requests if name.endswith((".bin", ".rows"))]
    assert len(fetched) == len(set(fetched)) == 2 * N_SHARDS


def test_killed_in_a_download(server: StoreServer, local: Path, tmp_path: Path) -> None:
    """The lock of a killed process is nobody's, and what it fetched so far is no whole file."""
    reached, go = threading.Event(), threading.Event()

    def delay(name: str) -> None:
        if name.endswith(".bin"):
            reached.set()
            go.wait(60)

    server.delay = delay
    victim = reader(tmp_path, 0)
    assert reached.wait(60)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    server.delay = None
    go.set()
    assert not [f for f in tmp_path.iterdir() if f.suffix == ".bin"]
    data = PackedDataset("s3://data", "train", cache=tmp_path)
    same(data, local)
    data.close()


def test_a_part_is_gone_on_with(server: StoreServer, local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                ) -> None:
    """Blocks that are here are not asked for again; a part of other bytes is thrown away."""
    monkeypatch.setattr("manifests.node_cache.BLOCK_BYTES", 100)
    whole = (local / "packed/train/000002.bin").read_bytes()
    for start, requests in ((whole[:1000], 2), (b"x" * 1000, 2 + 12), (b"x" * 5000, 12)):
        cache = tmp_path / str(requests + len(start))
        data = PackedDataset("s3://data", "train", cache=cache)
        digest = data._manifest["payload_xxh3"][2].as_py()
        (cache / ".parts" / f"{digest}.bin").write_bytes(start)
        n = len(server.requests)
        assert data[2 * 6].tolist() == PackedDataset(local, "train")[2 * 6].tolist()
        assert len(server.requests) - n == requests
        data.close()


def test_files_that_were_damaged_in_the_cache(server: StoreServer, local: Path, tmp_path: Path) -> None:
    """One of another size is fetched again; one of other bytes where digests are asked for."""
    data = PackedDataset("s3://data", "train", cache=tmp_path)
    same(data, local)
    data.close()
    short, changed = sorted(tmp_path.glob("*.bin"))[:2]
    rows = sorted(tmp_path.glob("*.rows"))[0]
    whole = {path: path.read_bytes() for path in (short, changed, rows)}
    short.write_bytes(whole[short][:-7])
    for path in (changed, rows):
        path.write_bytes(whole[path][:-1] + bytes([whole[path][-1] ^ 1]))
    for validate, told in (("never", {short}), ("lazy", {short, changed, rows})):
        server.requests.clear()
        again = PackedDataset("s3://data", "train", cache=tmp_path, validate=validate)
        again.batch_with_segments(np.arange(len(again)))
        again.close()
        assert {path for path in whole if path.read_bytes() == whole[path]} == told
        assert len([name for name in server.requests if name.endswith((".bin", ".rows"))]) <= 4


@pytest.mark.parametrize(("size", "error"), [("16k", InputError), ("80k", ShardError)])
def test_a_cache_without_room(server: StoreServer, tmp_path: Path, size: str, error: type[Exception]) -> None:
    """For the tables of the data set, or for its shards."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this process may not mount a file system")
    try:
        with pytest.raises(error, match=r"cannot be kept in .*disk: No space left"):
            PackedDataset("s3://data", "train", cache=disk, validate="open")
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_cache_that_is_no_folder(server: StoreServer, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be the cache of shards: Not a directory"):
        PackedDataset("s3://data", "train", cache=tmp_path / "file")


def test_verify_reads_a_bucket(server: StoreServer, local: Path) -> None:
    """What is told of a dataset in a bucket is what is told of the same one here."""
    url = StoreUrl("s3://data/packed", S3Access(endpoint_url=server.url))
    here = [(f.check, f.problem) for f in verify(str(local / "packed"))]
    assert [(f.check, f.problem) for f in verify(url)] == here
    assert sum(problem is None for _, problem in here) > 5 * N_SHARDS


@pytest.mark.parametrize("fail_every", [0, 10])
def test_rows_fetched_by_themselves(server: StoreServer, local: Path, tmp_path: Path, fail_every: int) -> None:
    """The same batches; of payloads, headers and rows come, and no shard is kept."""
    server.fail_every = fail_every
    data = PackedDataset("s3://data", "train", cache=tmp_path / "cache", fetch="rows")
    same(data, local)
    assert data[-1].tolist() == PackedDataset(local, "train")[-1].tolist()
    again: PackedDataset = pickle.loads(pickle.dumps(data))
    assert again[3].tolist() == data[3].tolist()
    assert not list((tmp_path / "cache").rglob("*.bin"))
    data.close()
    fs = s3fs.S3FileSystem(endpoint_url=server.url, skip_instance_cache=True)
    other = PackedDataset("s3://data", "train", cache=tmp_path / "other", retry_seconds=1, fetch="rows")
    whole = (local / "packed/train/000004.bin").read_bytes()
    for damaged, said in ((whole[:104] + bytes(16) + whole[120:], "checksum"), (whole[:1030], "came where")):
        fs.pipe_file("data/packed/train/000004.bin", damaged)
        with pytest.raises(ShardError, match=rf"000004\.bin.*{said}"):
            other[4 * 6]
    with pytest.raises(ValueError, match="cannot be compared"):
        PackedDataset("s3://data", "train", fetch="rows", validate="lazy")
