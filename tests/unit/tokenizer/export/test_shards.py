"""Exports, byte for byte: what the formats' documents say, spelled out here with struct and numpy alone."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from manifests import PackedDataset
from manifests.errors import InputError, OwnershipError, RecipeError, StageError
from manifests.hashing import document_id
from manifests.shard import open_shard
from manifests.storage import Storage
from manifests.tables import read_table
from tests.plugin_distribution import ENTRY_POINTS, SAMPLE, on_path, write_distribution
from tests.unit.tokenizer.small_run import EOT, SmallRun, byte_tokenizer
from tokenizer.export.formats import FORMATS, export_dataset
from tokenizer.export.megatron import index_bytes
from tokenizer.mixture.mixture_config import MixtureConfig
from tokenizer.packing.config import PackConfig

T = 8
SIZES = [5, 0, 40, 3, 9, 12]
DOCUMENTS = {document_id("a", "p", i): [(7 * i + k) % 250 for k in range(n)] for i, n in enumerate(SIZES)}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("run"), "concat")


def make(root: Path, packing: str, wide: bool = False) -> Path:
    run = SmallRun(root, seed=5)
    run.write_tokens({"a": {"p": list(DOCUMENTS.items())}}, np.uint32 if wide else np.uint16)
    pack = PackConfig(row_length=T, shard_tokens=4 * T, buckets=2, packing=packing)
    run.pack(MixtureConfig(weights={"a": 1}, max_epochs=1, validation_fraction=0), pack,
             byte_tokenizer(root / "t.json", 70_000 if wide else 257))
    return root


def shards(run: Path) -> list[Path]:
    return sorted((run / "packed/train").glob("*.bin"))


def spans(shard: Path) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = read_table(str(shard.with_suffix(".spans.parquet"))).to_pylist()
    return rows


def stream(run: Path) -> list[int]:
    return [t for shard in shards(run) for t in open_shard(str(shard))[1][1:].tolist()]


def test_megatron_index_golden() -> None:
    """The bytes that megatron-core's IndexedDatasetBuilder writes for documents of 3 and 2 uint16 tokens."""
    golden = ("4d4d494449445800000100000000000000080200000000000000030000000000000003000000020000000000000000000000"
              "0600000000000000000000000000000001000000000000000200000000000000")
    assert index_bytes(np.array([3, 2]), np.array([0, 6]), 2).hex() == golden
    assert index_bytes(np.array([3, 2]), np.array([0, 12]), 4)[17] == 4


def test_megatron(run: Path, tmp_path: Path) -> None:
    """One sequence a document, joined again where it straddles shards; the last may be cut by the dataset's end."""
    facts = export_dataset(str(run), "megatron", str(tmp_path))
    tokens = np.fromfile(tmp_path / "train.bin", "<u2").tolist()
    assert tokens == stream(run)
    index = (tmp_path / "train.idx").read_bytes()
    _, version, code, n, n_bounds = struct.unpack_from("<9sQBQQ", index)
    lengths = np.frombuffer(index, "<i4", n, 34)
    pointers = np.frombuffer(index, "<i8", n, 34 + 4 * n)
    assert (version, code, n_bounds, n) == (1, 8, n + 1, facts["documents"]["train"])
    assert np.frombuffer(index, "<i8", n + 1, 34 + 12 * n).tolist() == list(range(n + 1))
    assert pointers.tolist() == (2 * (np.cumsum(lengths) - lengths)).tolist()
    assert len(index) == 34 + 20 * n + 8
    found = [tokens[p // 2 : p // 2 + k] for p, k in zip(pointers.tolist(), lengths.tolist(), strict=True)]
    whole = sorted([*ids, EOT] for ids in DOCUMENTS.values())
    assert all(document in whole for document in found[:-1])
    assert any(document[: len(found[-1])] == found[-1] for document in whole)


def test_megatron_without_a_copy(run: Path, tmp_path: Path) -> None:
    export_dataset(str(run), "megatron", str(tmp_path), zero_copy=True)
    for shard in shards(run):
        linked = tmp_path / "train" / shard.name
        assert linked.samefile(shard)
        index = linked.with_suffix(".idx").read_bytes()
        n = struct.unpack_from("<Q", index, 18)[0]
        lengths, pointers = np.frombuffer(index, "<i4", n, 34), np.frombuffer(index, "<i8", n, 34 + 4 * n)
        assert pointers[0] == 1024 + 2  # behind the header and the end-of-text that belongs to no document
        data = shard.read_bytes()
        bodies = b"".join(data[p : p + 2 * k] for p, k in zip(pointers.tolist(), lengths.tolist(), strict=True))
        assert bodies == data[1026:]


def test_llmc_and_nanogpt(run: Path, tmp_path: Path) -> None:
    export_dataset(str(run), "llmc", str(tmp_path / "llmc"))
    for i, shard in enumerate(shards(run)):
        assert (tmp_path / f"llmc/curate_train_{i:06d}.bin").read_bytes() == shard.read_bytes()
    export_dataset(str(run), "nanogpt", str(tmp_path / "nano"))
    assert np.fromfile(tmp_path / "nano/train.bin", "<u2").tolist() == stream(run)


def test_olmo_and_datatrove(run: Path, tmp_path: Path) -> None:
    for form in ("olmo", "datatrove"):
        export_dataset(str(run), form, str(tmp_path / form))
    for i, shard in enumerate(shards(run)):
        tokens = open_shard(str(shard))[1][1:]
        flat = tmp_path / f"olmo/train/part-0-{i:05d}.npy"
        assert flat.read_bytes() == tokens.tobytes()
        with gzip.open(f"{flat.with_suffix('')}.csv.gz", "rt") as file:
            rows = list(csv.reader(file))
        assert [int(r[0]) for r in rows] == [0, *(int(r[1]) for r in rows[:-1])]
        for start, end, doc_id, source, place in rows:
            text = [*DOCUMENTS[bytes.fromhex(doc_id)], EOT]
            assert tokens[int(start) : int(end)].tolist() == text[int(place) : int(place) + int(end) - int(start)]
            assert source == "a"
        ds = tmp_path / f"datatrove/train/{i:05d}_shuffled.ds"
        assert ds.read_bytes() == tokens.tobytes()
        assert np.fromfile(f"{ds}.index", "<u8").tolist() == [int(r[1]) for r in rows]
        assert Path(f"{ds}.metadata").read_text().splitlines()[1] == str(len(tokens))


def test_mds_and_litdata(run: Path, tmp_path: Path) -> None:
    export_dataset(str(run), "mds", str(tmp_path / "mds"))
    export_dataset(str(run), "litdata", str(tmp_path / "litdata"))
    export_dataset(str(run), "litdata", str(tmp_path / "linked"), zero_copy=True)
    entries = json.loads((tmp_path / "mds/train/index.json").read_text())["shards"]
    chunks = json.loads((tmp_path / "litdata/train/index.json").read_text())["chunks"]
    linked = json.loads((tmp_path / "linked/train/index.json").read_text())["chunks"]
    for shard, entry, chunk, link in zip(shards(run), entries, chunks, linked, strict=True):
        tokens = open_shard(str(shard))[1]
        data = (tmp_path / "mds/train" / entry["raw_data"]["basename"]).read_bytes()
        n = entry["samples"]
        offsets = np.frombuffer(data, "<u4", n + 1, 4)
        assert (np.frombuffer(data, "<u4", 1)[0], n, offsets[-1]) == (n, len(tokens) // T, len(data))
        assert data[offsets[0] :] == tokens.tobytes()
        config = json.loads(data[4 * (n + 2) : offsets[0]])
        assert config == {k: v for k, v in entry.items() if k not in ("raw_data", "samples", "zip_data")}
        assert entry["raw_data"]["hashes"]["sha1"] == hashlib.sha1(data).hexdigest()
        for folder, found in (("litdata", chunk), ("linked", link)):
            data = (tmp_path / folder / "train" / found["filename"]).read_bytes()
            assert data[4 * (found["chunk_size"] + 2) :] == tokens.tobytes()
            assert (found["dim"], found["chunk_bytes"]) == (len(tokens), len(data))
        assert link["chunk_size"] == 254


@pytest.mark.parametrize("packing", ["concat", "best_fit", "pad"])
def test_hugging_face(tmp_path: Path, packing: str) -> None:
    (tmp_path / "run").mkdir()
    root = make(tmp_path / "run", packing)
    export_dataset(str(root), "hf", str(tmp_path / "hf"))
    files = sorted((tmp_path / "hf/train").glob("*.parquet"))
    rows = [r for f in files for r in read_table(str(f)).to_pylist()]
    data = PackedDataset(root, "train")
    assert [r["input_ids"] for r in rows] == [row.tolist() for row in data]
    assert [r["cu_seqlens"] for r in rows] == [data.documents(i).cu_seqlens.tolist() for i in range(len(data))]


@pytest.mark.parametrize("packing", ["best_fit", "pad"])
def test_padding_is_left_out(tmp_path: Path, packing: str) -> None:
    (tmp_path / "run").mkdir()
    root = make(tmp_path / "run", packing)
    export_dataset(str(root), "nanogpt", str(tmp_path / "out"))
    found = np.fromfile(tmp_path / "out/train.bin", "<u2")
    assert sorted(found.tolist()) == sorted(t for ids in DOCUMENTS.values() for t in [*ids, EOT])


def test_wide_ids(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    root = make(tmp_path / "run", "concat", wide=True)
    with pytest.raises(InputError, match="vocabulary of 70000; nanoGPT reads uint16"):
        export_dataset(str(root), "nanogpt", str(tmp_path / "out"))
    export_dataset(str(root), "megatron", str(tmp_path / "m"))
    assert np.fromfile(tmp_path / "m/train.bin", "<i4").tolist() == stream(root)
    assert (tmp_path / "m/train.idx").read_bytes()[17] == 4


@pytest.mark.parametrize("form", list(FORMATS))
def test_the_same_dataset_gives_the_same_bytes(run: Path, tmp_path: Path, form: str) -> None:
    """Exported twice, over itself too: the same files; the description names the dataset."""
    for _ in range(2):
        facts = export_dataset(str(run), form, str(tmp_path / "a"), FORMATS[form].zero_copy)
    export_dataset(str(run / "packed"), form, str(tmp_path / "b"), FORMATS[form].zero_copy)
    found = [{p.relative_to(d): p.read_bytes() for p in d.rglob("*") if p.is_file()}
             for d in (tmp_path / "a", tmp_path / "b")]
    assert found[0] == found[1]
    assert facts["dataset_digest"] == PackedDataset(run, "train").digest
    assert json.loads((tmp_path / "a/export.json").read_text()) == facts


def test_what_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="mds cannot be made without a copy"):
        export_dataset(str(run), "mds", str(tmp_path / "x"), zero_copy=True)
    with pytest.raises(InputError, match="holds no packed dataset"):
        export_dataset(str(tmp_path), "mds", str(tmp_path / "x"))
    with pytest.raises(OwnershipError, match="holds files but no export"):
        export_dataset(str(run), "mds", str(run))


def test_the_verb(run: Path, tmp_path: Path) -> None:
    from pipelines.cli.main import app

    done = CliRunner().invoke(app, ["export", str(run), "--format", "megatron", "--out", str(tmp_path / "m")])
    assert done.exit_code == 0, done.output
    assert "megatron: documents train" in done.stdout
    with pytest.raises(RecipeError, match=r"no export is called 'tar'.*built in: megatron"):
        export_dataset(str(run), "tar", str(tmp_path / "x"))


@pytest.mark.parametrize("url", ["", "memory://exports/a"])
def test_an_earlier_export_leaves_nothing(run: Path, tmp_path: Path, url: str) -> None:
    """Files that only the earlier one had go; what somebody else put there stays, and no other folder is taken."""
    out = url or str(tmp_path / "out")
    storage = Storage(out)
    export_dataset(str(run), "hf", out)
    storage.write_bytes("mine.txt", b"mine")
    facts = export_dataset(str(run), "nanogpt", out)
    assert storage.list("") == sorted([*facts["written"], "export.json", "mine.txt"])
    assert not [name for name in storage.list("") if name.endswith(".parquet")]
    storage.remove("export.json")
    with pytest.raises(OwnershipError, match="holds files but no export"):
        export_dataset(str(run), "nanogpt", out)
    assert "train.bin" in storage.list("")


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_killed_export_is_made_again(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over what it left, and over what the export before it left; the folder of somebody else stays refused."""
    out = tmp_path / "out"
    export_dataset(str(run), "hf", str(out))
    with monkeypatch.context() as patch:
        patch.setattr("tokenizer.export.writing.Folder.finish", _stop)
        with pytest.raises(KeyboardInterrupt):
            export_dataset(str(run), "nanogpt", str(out))
    assert not (out / "export.json").exists()
    facts = export_dataset(str(run), "llmc", str(out))
    left = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert left == {*facts["written"], "export.json", "train.bin"}  # nobody listed the killed one's


@pytest.mark.parametrize("written", ["[\"../mine.txt\"]", "7", "[[]]"])
def test_a_description_that_names_other_files(run: Path, tmp_path: Path, written: str) -> None:
    (tmp_path / "mine.txt").touch()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/export.json").write_text(f'{{"written": {written}}}')
    with pytest.raises(InputError, match="names a file"):
        export_dataset(str(run), "nanogpt", str(tmp_path / "out"))
    (tmp_path / "out/export.json").write_text("[]")
    with pytest.raises(OwnershipError, match="does not say which files"):
        export_dataset(str(run), "nanogpt", str(tmp_path / "out"))
    assert (tmp_path / "mine.txt").exists()


def test_a_format_of_a_plugin(run: Path, tmp_path: Path) -> None:
    write_distribution(tmp_path / "site", "sample-plugins", SAMPLE, ENTRY_POINTS)
    with on_path(tmp_path / "site"):
        facts = export_dataset(str(run), "count", str(tmp_path / "out"), parameters={"name": "n.txt"})
        assert (tmp_path / "out/n.txt").read_text() == str(facts["shards"])
        assert facts["plugin"]["distribution"] == "sample-plugins"
        assert json.loads((tmp_path / "out/export.json").read_text()) == facts
        with pytest.raises(RecipeError, match=r"parameters\.nam: .*did you mean 'name'"):
            export_dataset(str(run), "count", str(tmp_path / "other"), parameters={"nam": "n.txt"})
        with pytest.raises(RecipeError, match="count cannot be made without a copy"):
            export_dataset(str(run), "count", str(tmp_path / "other"), zero_copy=True)
    with pytest.raises(RecipeError, match="the format llmc takes no parameters"):
        export_dataset(str(run), "llmc", str(tmp_path / "other"), parameters={"name": "x"})
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(("body", "message"), [("raise OSError('full')", "raised OSError: full"),
                                               ("return 5", "returned int, not facts by name")])
def test_a_format_of_a_plugin_that_fails(run: Path, tmp_path: Path, body: str, message: str) -> None:
    code = f"class Bad:\n    def write(self, dataset, folder):\n        {body}\n"
    write_distribution(tmp_path / "site", "bad-plugins", code, {"exports": {"bad": "Bad"}})
    with on_path(tmp_path / "site"), pytest.raises(StageError, match=message):
        export_dataset(str(run), "bad", str(tmp_path / "out"))
    assert not (tmp_path / "out/export.json").exists()
