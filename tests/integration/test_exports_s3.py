"""Exports from a bucket into a bucket: the same files as from and to local folders. A real S3 server on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from manifests.errors import InputError
from manifests.hashing import document_id
from tests.unit.tokenizer.small_run import SmallRun, byte_tokenizer
from tokenizer.export.formats import FORMATS, export_dataset
from tokenizer.mixture.mixture_config import MixtureConfig
from tokenizer.packing.config import PackConfig

s3fs = pytest.importorskip("s3fs", reason="needs the extra s3")
moto_server = pytest.importorskip("moto.server", reason="needs moto")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The file system of a server with a bucket `packed`; the environment says where it is."""
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    for name, value in {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "HOME": str(tmp_path / "home"),
                        "AWS_EC2_METADATA_DISABLED": "true", "AWS_DEFAULT_REGION": "us-east-1",
                        "AWS_ENDPOINT_URL": url}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    fs = s3fs.S3FileSystem(key="key", secret="secret", endpoint_url=url, skip_instance_cache=True)
    fs.mkdir("packed")
    yield fs
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


def test_from_a_bucket_into_a_bucket(bucket: Any, tmp_path: Path) -> None:
    run = SmallRun(tmp_path / "run", seed=1)
    run.write_tokens({"a": {"p": [(document_id("a", "p", i), [i] * (i % 9)) for i in range(60)]}}, np.uint16)
    run.pack(MixtureConfig(weights={"a": 1}, max_epochs=1, validation_fraction=0.2),
             PackConfig(row_length=8, shard_tokens=64, buckets=2), byte_tokenizer(tmp_path / "t.json", 257))
    for path in (p for p in (run.root / "packed").rglob("*") if p.is_file()):
        bucket.pipe_file(f"packed/corpus/{path.relative_to(run.root / 'packed')}", path.read_bytes())
    for form in FORMATS:
        zero_copy = FORMATS[form].zero_copy
        facts = export_dataset(str(run.root), form, str(tmp_path / form), zero_copy)
        assert export_dataset("s3://packed/corpus", form, f"s3://packed/out/{form}", zero_copy) == facts
        out = tmp_path / form
        local = {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}
        there = {name.removeprefix(f"packed/out/{form}/"): bucket.cat_file(name)
                 for name in bucket.find(f"packed/out/{form}")}
        assert there == local
    with pytest.raises(InputError, match="there is no such folder"):
        export_dataset("s3://packed/nothing", "hf", str(tmp_path / "x"))
