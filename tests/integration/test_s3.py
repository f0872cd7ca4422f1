"""Crawls and runs in a bucket: a real S3 protocol server on loopback, and one that fails on demand."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from manifests.errors import InputError, RecipeError
from manifests.object_stores import S3Access
from manifests.storage import Storage, open_read
from pipelines.inputs import InputScanner
from pipelines.loading import validate
from pipelines.recipe import Recipe
from pipelines.running import Result, Settings, run
from tests.unit.curate.sources.crawl_server import CRAWL, SEGMENT, Fault, crawl_files, serve, write_files

s3fs = pytest.importorskip("s3fs", reason="needs the extra s3")
moto_server = pytest.importorskip("moto.server", reason="needs moto")

FILES = crawl_files()
TEXT = "The library keeps a record of every book that was lent, and of the people who have taken it home with them. "


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A bucket `commoncrawl` with a crawl in it, and an empty one, `work`, at the server's address."""
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    fs = s3fs.S3FileSystem(key="key", secret="secret", endpoint_url=url, skip_instance_cache=True)
    fs.mkdir("commoncrawl", acl="public-read")
    fs.mkdir("corpora")
    for name, data in FILES.items():
        fs.pipe_file(f"commoncrawl/{name}", data, ACL="public-read")
    yield url
    server.stop()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Keys in the environment, where AWS's own tools look, and nothing of the machine's."""
    for name, value in {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "HOME": str(tmp_path / "home"),
                        "AWS_EC2_METADATA_DISABLED": "true", "AWS_DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    yield
    s3fs.S3FileSystem.clear_instance_cache()


def recipe(base_url: str, endpoint: str, source: dict[str, Any] | None = None, **s3: Any) -> Recipe:
    crawl = {"crawl": CRAWL, "base_url": base_url, **(source or {"archives": "all"})}
    return validate({
        "name": "crawl", "sources": {"crawl": {"commoncrawl": crawl}}, "classifier": None,
        "http": {"backoff_seconds": 0.001, "requests_per_second": 1000},
        "s3": {"endpoint_url": endpoint, **s3},
        "extract": {"identify_language": False}, "mixture": {"weights": {"crawl": 1}}})


def made(recipe: Recipe, out: Path | str) -> Result:
    return run(recipe, str(out), Settings(engine="inline", until="extract"))


def outputs(result: Result) -> list[tuple[str, str]]:
    return sorted((o.path, o.digest) for r in result.view.tasks("extract") for o in r.outputs)


@pytest.fixture(scope="module")
def from_disk(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    folder = tmp_path_factory.mktemp("disk")
    write_files(folder / "mirror", FILES)
    return outputs(made(recipe(str(folder / "mirror"), "http://127.0.0.1:1"), folder / "run"))


def test_a_bucket_a_web_server_and_a_disk_give_the_same_documents(endpoint: str, from_disk: list[tuple[str, str]],
                                                                  tmp_path: Path) -> None:
    bucket = made(recipe("s3://commoncrawl/", endpoint), tmp_path / "s3")
    assert bucket.exit_code == 0
    assert len(from_disk) == 6
    assert outputs(bucket) == from_disk
    with serve(FILES) as site:
        assert outputs(made(recipe(site.url, endpoint), tmp_path / "http")) == from_disk


def test_pages_chosen_by_an_index_in_a_bucket(endpoint: str, tmp_path: Path) -> None:
    chosen = {"index": {"parts": "all", "languages": ["eng"]}}
    write_files(tmp_path / "mirror", FILES)
    local = made(recipe(str(tmp_path / "mirror"), endpoint, chosen), tmp_path / "local")
    bucket = made(recipe("s3://commoncrawl", endpoint, chosen), tmp_path / "s3")
    assert bucket.view.counters("extract")["documents"] > 5
    assert outputs(bucket) == outputs(local)


def test_a_public_bucket_needs_no_keys(endpoint: str, from_disk: list[tuple[str, str]], tmp_path: Path,
                                       monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(InputError, match="NoCredentials") as caught:
        made(recipe("s3://commoncrawl/", endpoint), tmp_path / "refused")
    assert "anonymous_buckets" in (caught.value.hint or "")
    public = recipe("s3://commoncrawl/", endpoint, anonymous_buckets=["commoncrawl"])
    assert outputs(made(public, tmp_path / "public")) == from_disk


def test_how_a_bucket_is_reached_makes_nothing_stale(endpoint: str, tmp_path: Path) -> None:
    first = recipe("s3://commoncrawl/", endpoint)
    assert made(first, tmp_path / "run").n_done == 3
    other = recipe("s3://commoncrawl/", endpoint, anonymous_buckets=["commoncrawl"], attempts=3, region="us-west-2")
    assert other.digest == first.digest
    assert made(other, tmp_path / "run").n_done == 0


@pytest.mark.parametrize("faults", [
    [Fault(status=503), Fault(status=500)],
    [Fault(cut=9_000, how="reset"), Fault(cut=7_000)],
], ids=["busy", "broken"])
def test_a_failing_store_gives_the_documents_of_a_healthy_one(faults: list[Fault], from_disk: list[tuple[str, str]],
                                                               tmp_path: Path) -> None:
    with serve({f"commoncrawl/{name}": data for name, data in FILES.items()}) as site:
        for name in FILES:
            if name.startswith(f"{SEGMENT}/warc/"):
                site.faults[f"commoncrawl/{name}"] = list(faults)
        result = made(recipe("s3://commoncrawl", site.url), tmp_path)
        assert not any(site.faults.values())
    assert result.exit_code == 0
    assert outputs(result) == from_disk


def small(notes: str, endpoint: str) -> Recipe:
    return validate({
        "name": "tiny", "sources": {"notes": {"files": notes, "curated": True}}, "s3": {"endpoint_url": endpoint},
        "classifier": None, "dedup": {"partitions": 1, "max_removed_fraction": 1}, "tokenizer": {"vocab_size": 300},
        "extract": {"identify_language": False}, "mixture": {"weights": {"notes": 1}, "validation_fraction": 0},
        "pack": {"row_length": 16, "shard_tokens": 1024}})


@pytest.fixture
def notes(tmp_path: Path, endpoint: str) -> tuple[str, str]:
    """The same file on disk and in a bucket."""
    lines = (json.dumps({"id": str(n), "text": f"Number {n}. {TEXT * 4} note {n * 7919}"}) for n in range(8))
    data = "\n".join(lines)
    (tmp_path / "notes.jsonl").write_text(data)
    fs = s3fs.S3FileSystem(key="key", secret="secret", endpoint_url=endpoint, skip_instance_cache=True)
    fs.pipe_file("corpora/in/notes.jsonl", data.encode())
    return str(tmp_path / "notes.jsonl"), "s3://corpora/in/*.jsonl"


def same_as_local(out: str, endpoint: str, local: Path, differing: frozenset[str] = frozenset()) -> None:
    remote, here = Storage(out, S3Access(endpoint_url=endpoint)), Storage(str(local))
    names = [n for n in here.list("") if "_records/" not in n]
    assert [n for n in remote.list("") if "_records/" not in n] == names
    assert {n for n in names if remote.read_bytes(n) != here.read_bytes(n)} == differing


def test_a_run_in_a_bucket_has_the_bytes_of_a_local_one(endpoint: str, notes: tuple[str, str], tmp_path: Path) -> None:
    on_disk, _ = notes
    out = "s3://corpora/inline/run"
    assert run(small(on_disk, endpoint), out, Settings(engine="inline")).n_done > 20
    assert run(small(on_disk, endpoint), out, Settings(engine="inline")).n_done == 0
    run(small(on_disk, endpoint), str(tmp_path / "run"), Settings(engine="inline"))
    same_as_local(out, endpoint, tmp_path / "run")


@pytest.mark.ray
def test_ray_workers_reach_the_bucket_as_the_recipe_says(endpoint: str, notes: tuple[str, str], tmp_path: Path) -> None:
    on_disk, in_bucket = notes
    run(small(in_bucket, endpoint), "s3://corpora/ray/run", Settings(workers=2))
    run(small(on_disk, endpoint), str(tmp_path / "run"), Settings(engine="inline"))
    # These name the recipe, which names its sources by other addresses; a store's fingerprint is no file's digest.
    same_as_local("s3://corpora/ray/run", endpoint, tmp_path / "run",
                  frozenset({"recipe.lock.yaml", "packed/manifest.parquet"}))


def test_what_cannot_be_reached_is_named(endpoint: str, notes: tuple[str, str], tmp_path: Path) -> None:
    on_disk, _ = notes
    with pytest.raises(InputError, match="is not there") as caught:
        run(small(on_disk, endpoint), "s3://nobody-has-this/run", Settings(engine="inline"))
    assert str(caught.value.where).startswith("s3://nobody-has-this/run/")
    with pytest.raises(RecipeError, match="no file matches"):
        run(small("s3://corpora/none/*.jsonl", endpoint), str(tmp_path / "run"), Settings(engine="inline"))
    nowhere = Storage("s3://corpora", S3Access(endpoint_url="http://127.0.0.1:1", attempts=2))
    here = Storage("s3://corpora", S3Access(endpoint_url=endpoint))
    for storage in (nowhere, pickle.loads(pickle.dumps(nowhere))):
        with pytest.raises(InputError, match="cannot be reached"):
            open_read(storage.path("in/notes.jsonl"))
        with open_read(here.path("in/notes.jsonl")) as stream:  # two stores in one process, each reached in its way
            assert stream.read(1) == b"{"


def test_a_listing_and_a_question_agree_on_an_object(endpoint: str, tmp_path: Path) -> None:
    scanner = InputScanner(Storage(str(tmp_path), S3Access(endpoint_url=endpoint)))
    listed = scanner.scan(["s3://commoncrawl/**/*.warc.gz"], "f")
    asked = scanner.scan([f.path for f in listed], "f", in_order=True)
    assert listed
    assert [(f.path, f.n_bytes, f.digest) for f in asked] == [(f.path, f.n_bytes, f.digest) for f in listed]
