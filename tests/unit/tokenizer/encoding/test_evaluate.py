"""`curate tokenizer encode` and `eval`: files of one's own to token parts, to packed shards, and to figures."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from typer.testing import CliRunner

from manifests.dataset import PackedDataset
from manifests.hashing import document_id
from manifests.tables import read_table
from pipelines.cli.main import app
from tests.unit.tokenizer.bpe.test_train import text_of
from tests.unit.tokenizer.encoding.test_formats import trained, write_ranks
from tests.unit.tokenizer.small_run import byte_tokenizer
from tokenizer.encoding.config import EncodeConfig
from tokenizer.encoding.encode import Encoder, Ids, Offsets, load
from tokenizer.encoding.evaluate import evaluate, measure_texts
from tokenizer.encoding.patterns import EXPRESSIONS, Pattern

OWN = document_id("crawl", "part", 7).hex()
TEXTS = ["", *(text_of(i) for i in range(40)), "<|endoftext|>", "Grüße 中文 😀"]


def run(*arguments: object, code: int = 0) -> Any:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert getattr(result.exception, "exit_code", result.exit_code) == code, (result.output, result.exception)
    return result


@pytest.fixture
def inputs(tmp_path: Path) -> list[Path]:
    """The texts in Parquet and gzipped JSONL; a null, numbers as ids, and one of a run's own ids."""
    folder = tmp_path / "in"
    folder.mkdir()
    pq.write_table(pa.table({"id": range(21), "text": [*TEXTS[:20], None]}), folder / "a.parquet", row_group_size=6)
    lines = [json.dumps({"id": f"doc {i}", "text": text, **({"doc_id": OWN} if i == 3 else {})})
             for i, text in enumerate(TEXTS[20:])]
    (folder / "b.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    (tmp_path / "tokenizer.json").write_bytes(trained())
    return [folder / "a.parquet", folder / "b.jsonl.gz"]


def texts_of(out: Path, part: str, encoder: Encoder) -> list[str]:
    """Every row of a part decoded from its own place in the .tokens file."""
    ids = np.fromfile(out / "tokens" / f"{part}.tokens", encoder.dtype)
    index = read_table(str(out / f"{part}.parquet"))
    starts, lengths = index["token_start"].to_numpy(), index["n_tokens"].to_numpy()
    assert starts.tolist() == [0, *np.cumsum(lengths)[:-1].tolist()]
    assert lengths.sum() == len(ids)
    return [str(t) for t in encoder.decode(ids, np.append(starts, len(ids))).to_pylist()]


def test_encode_and_pack(tmp_path: Path, inputs: list[Path]) -> None:
    out = tmp_path / "mine"
    done = run("tokenizer", "encode", *inputs, "--tokenizer", tmp_path / "tokenizer.json", "--out", out, "--format",
               "json", "--check-fraction", 1)
    facts = json.loads(done.stdout.splitlines()[-1])
    encoder = load(str(tmp_path / "tokenizer.json"))
    assert texts_of(out, "part-a", encoder) == [*TEXTS[:20], ""]
    assert texts_of(out, "part-b", encoder) == TEXTS[20:]
    assert read_table(str(out / "part-a.parquet"))["id"].to_pylist() == [str(i) for i in range(21)]
    ids = read_table(str(out / "part-b.parquet"), ["doc_id"])["doc_id"].to_pylist()
    assert ids[3].hex() == OWN
    assert len(set(ids)) == len(ids) == 23
    n_bytes = sum(len(t.encode()) for t in TEXTS)
    assert {k: facts[k] for k in ("documents", "empty", "bytes", "checked_documents", "by_reference", "differing")} == {
        "documents": 44, "empty": 2, "bytes": n_bytes, "checked_documents": 44, "by_reference": False, "differing": []}
    assert sorted(p.name for p in out.iterdir()) == ["part-a.parquet", "part-b.parquet", "tokenizer", "tokens"]
    first = {p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()}
    run("tokenizer", "encode", *inputs, "--tokenizer", tmp_path / "tokenizer.json", "--out", out, "--reference")
    assert first == {p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()}
    run("pack", out, "--out", tmp_path / "dataset", "--row-length", 16, "--shard-tokens", 256, "--packing", "pad")
    dataset = PackedDataset(tmp_path / "dataset", "train")
    rows = [dataset[i] for i in range(len(dataset))]
    packed = encoder.decode(np.concatenate(rows)).replace("<|endoftext|>", "\0")
    assert TEXTS[-1] in packed


def test_groups_go_with_their_rows(tmp_path: Path) -> None:
    """A run's groups as they are, other names as ids of their own."""
    own = [bytes.fromhex(OWN), None, bytes.fromhex(OWN)]
    table = pa.table({"text": ["a", "b", "c"], "group_id": pa.array(own, pa.binary(16))})
    pq.write_table(table, tmp_path / "a.parquet")
    lines = [{"text": "x", "group_id": name} for name in ("p", "q", "p", None)]
    (tmp_path / "b.jsonl").write_text("\n".join(map(json.dumps, lines)))
    run("tokenizer", "encode", tmp_path / "a.parquet", tmp_path / "b.jsonl", "--tokenizer",
        byte_tokenizer(tmp_path / "t.json"), "--out", tmp_path / "out")
    assert read_table(str(tmp_path / "out/part-a.parquet"))["group_id"].to_pylist() == own
    groups = read_table(str(tmp_path / "out/part-b.parquet"))["group_id"].to_pylist()
    assert groups[0] == groups[2] != groups[1]
    assert [g is None for g in groups] == [False, False, False, True]


def wrong(self: Encoder, texts: pa.Array) -> tuple[Ids, Offsets]:
    """Wrong for one text alone."""
    ids, offsets = self.encode_reference(texts)
    if TEXTS[-1] in (found := texts.to_pylist()):
        ids = ids.copy()
        ids[offsets[found.index(TEXTS[-1])]] ^= 1
    return ids, offsets


def panics(self: Encoder, texts: pa.Array) -> tuple[Ids, Offsets]:
    raise RuntimeError("index out of bounds")


@pytest.mark.parametrize("broken", [wrong, panics])
def test_encode_says_when_the_fast_encoder_is_wrong(
        tmp_path: Path, inputs: list[Path], monkeypatch: pytest.MonkeyPatch, broken: object) -> None:
    """Files that were already encoded are encoded again: what differs in one file may differ unseen in another."""
    given = ["tokenizer", "encode", *inputs, "--tokenizer", tmp_path / "tokenizer.json", "--format", "json"]
    run(*given, "--out", tmp_path / "right", "--reference")
    monkeypatch.setattr(Encoder, "encode", broken)
    done = run(*given, "--out", tmp_path / "out", "--check-fraction", 1)
    facts = json.loads(done.stdout.splitlines()[-1])
    assert facts["by_reference"]
    if broken is wrong:
        assert facts["differing"] == [[str(inputs[1]), "doc 22"]]
        assert "gives other ids than tokenizers, first on 'doc 22'" in done.stderr
    assert "tokenizers encoded all texts" in done.stderr
    for name in ("part-a.parquet", "tokens/part-a.tokens", "tokens/part-b.tokens"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "right" / name).read_bytes()


def test_encode_refuses(tmp_path: Path, inputs: list[Path]) -> None:
    given = ["--tokenizer", tmp_path / "tokenizer.json", "--out", tmp_path / "out"]
    run("tokenizer", "encode", tmp_path / "nothing", *given, code=2)
    run("tokenizer", "encode", inputs[0], "--text-column", "body", *given, code=1)
    run("tokenizer", "encode", inputs[0], "--tokenizer", inputs[0], "--out", tmp_path / "out", code=1)
    run("tokenizer", "encode", inputs[0], *given, "--format", "xml", code=2)
    words = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    (tmp_path / "words.json").write_text(words.to_str())
    run("tokenizer", "encode", inputs[0], "--tokenizer", tmp_path / "words.json", "--out", tmp_path / "out", code=1)
    assert not (tmp_path / "out" / "part-a.parquet").exists()


def test_ranks_in_place_of_a_tokenizer_json(tmp_path: Path, inputs: list[Path]) -> None:
    write_ranks(tmp_path, "r.tiktoken", Pattern.O200K)
    said = {"pat_str": EXPRESSIONS[Pattern.O200K], "special_tokens": {"<|endoftext|>": 400}}
    (tmp_path / "r.tiktoken.json").write_text(json.dumps(said))
    run("tokenizer", "encode", *inputs, "--tokenizer", tmp_path / "r.tiktoken", "--out", tmp_path / "out")
    run("pack", tmp_path / "out", "--tokenizer", tmp_path / "r.tiktoken", "--out", tmp_path / "set", "--row-length", 16)
    assert PackedDataset(tmp_path / "set", "train").eot_id == 400


def test_eval_by_hand(tmp_path: Path) -> None:
    """Figures that can be counted by eye, for bytes and for a vocabulary of words."""
    texts = ["ab cd\u00a0é", "ab  ef\n", "", "中文 ab"]
    table = pa.table({"text": [*texts, None], "language": ["de", "en", None, "zh", "en"]})
    pq.write_table(table, tmp_path / "t.parquet")
    byte_tokenizer(tmp_path / "bytes.json")
    words = Tokenizer(models.WordLevel({"[UNK]": 0, "ab": 1, "cd": 2, "[SEP]": 3, "never": 4}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.add_special_tokens([AddedToken("[UNK]", special=True), AddedToken("[SEP]", special=True)])
    (tmp_path / "words.json").write_text(words.to_str())
    done = run("tokenizer", "eval", tmp_path / "t.parquet", "--tokenizer", tmp_path / "bytes.json", "--tokenizer",
               tmp_path / "words.json", "--by", "language", "--tokens", tmp_path / "n.parquet", "--format", "json")
    mine, theirs = json.loads(done.stdout.splitlines()[-1])["tokenizers"]
    n_bytes = [len(t.encode()) for t in texts]
    assert mine["bytes"] == mine["tokens"] == sum(n_bytes)
    assert (mine["documents"], mine["words"], mine["bytes_per_token"]) == (4, 7, 1.0)
    assert mine["characters"] == sum(map(len, texts))
    assert mine["fertility"] == round(sum(n_bytes) / 7, 4)
    assert mine["partial_share"] == round((2 + 2 + 6) / sum(n_bytes), 4)  # no-break space, é, two Chinese characters
    assert mine["by"]["zh"]["fertility"] == 4.5
    assert mine["by"]["(none)"]["fertility"] is None
    assert sorted(mine["by"]) == ["(none)", "de", "en", "zh"]
    assert (theirs["tokens"], theirs["unknown_share"]) == (7, round(3 / 7, 4))  # é, ef, 中文
    assert theirs["by"]["en"]["unknown_share"] == 0.5
    assert (theirs["ordinary_tokens"], theirs["used_tokens"], theirs["unused_examples"]) == (3, 2, ["never"])
    assert (theirs["encoder"], theirs["lossless"], mine["encoder"]) == ("tokenizers", False, "gigatoken")
    assert "the fast encoder does not take this tokenizer" in done.stderr
    counts = {(r["tokenizer"][-10:], r["id"]): r["n"] for r in read_table(str(tmp_path / "n.parquet")).to_pylist()}
    assert (counts["words.json", 1], counts["words.json", 4], counts["bytes.json", ord("a")]) == (3, 0, 3)
    table_of = run("tokenizer", "eval", tmp_path / "t.parquet", "--tokenizer", tmp_path / "bytes.json", "--by", "file")
    assert "file t.parquet" in table_of.stdout
    run("tokenizer", "eval", tmp_path / "t.parquet", "--tokenizer", tmp_path / "bytes.json", "--by", "nothing", code=1)


def test_measures_of_awkward_texts() -> None:
    texts = ["", " ", "\n\t", "a", " a ", "a\u2003b", "é\u0301 x", "\u200b"]
    found = measure_texts(pa.array(texts, pa.large_string()))
    assert found["words"].tolist() == [len(t.split()) for t in texts]
    assert found["characters"].tolist() == [len(t) for t in texts]
    assert found["bytes"].tolist() == [len(t.encode()) for t in texts]


def test_eval_distrusts_a_wrong_fast_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = [(pa.array(TEXTS, pa.large_string()), pa.nulls(len(TEXTS), pa.string()))]
    right = evaluate({"t": Encoder(trained(), "t")}, batches, EncodeConfig(check_fraction=1.0))[0].facts()
    encoder = Encoder(trained(), "t")
    monkeypatch.setattr(Encoder, "encode", wrong)
    found = evaluate({"t": encoder}, batches, EncodeConfig(check_fraction=1.0))[0].facts()
    assert "other ids than tokenizers" in found["encoder_distrusted"]
    assert found["encoder"] == "tokenizers"
    for name in ("tokens", "fertility", "unused_tokens", "partial_share"):
        assert found[name] == right[name]
    assert right["checked_documents"] == len(TEXTS)


def test_parquet_strings_that_are_no_utf8(tmp_path: Path) -> None:
    """Writers need not check: the bad bytes are replaced, and the other texts are as they were."""
    bad = pa.Array.from_buffers(pa.string(), 3, [
        None, pa.py_buffer(np.array([0, 3, 5, 7], np.int32)), pa.py_buffer(b"a\xffbhi\xf0\xff")])
    pq.write_table(pa.table({"text": bad}), tmp_path / "bad.parquet")
    tokenizer = byte_tokenizer(tmp_path / "t.json")
    for words in (("encode", "--out", tmp_path / "out"), ("train", "--vocab-size", 260, "--out", tmp_path / "t2.json"),
                  ("eval",)):
        named = () if words[0] == "train" else ("--tokenizer", tokenizer)
        run("tokenizer", words[0], tmp_path / "bad.parquet", *named, *words[1:])
    assert texts_of(tmp_path / "out", "part-bad", load(str(tokenizer))) == ["a\ufffdb", "hi", "\ufffd\ufffd"]
