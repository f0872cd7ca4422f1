"""`curate tokenizer train` and `export`: the files of one's own, and tiktoken as the judge of the ranks."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from typer.testing import CliRunner

from manifests.errors import InputError
from pipelines.cli.main import app
from tests.counted_words import count_texts
from tests.paths import DATA
from tests.unit.tokenizer.bpe.test_train import hugging_face, text_of
from tokenizer.bpe.ranks import pattern_of, special_tokens, tiktoken_ranks
from tokenizer.bpe.train import learn
from tokenizer.bpe.train_config import TokenizerConfig
from tokenizer.encoding.encode import Encoder
from tokenizer.encoding.patterns import Pattern

TEXTS = [*(text_of(i) for i in range(80)), "I'll see HTTPServer's 12345 naïve cafés\r\n\n  中文 ひらがな "] * 2


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["tokenizer", *arguments])
    assert getattr(result.exception, "exit_code", result.exit_code) == code, (result.output, result.exception)
    return result.stdout


def write_texts(folder: Path) -> list[str]:
    """The texts in a Parquet and a JSONL file, one of them null."""
    half = len(TEXTS) // 2
    pq.write_table(pa.table({"body": [*TEXTS[:half], None]}), folder / "a.parquet")
    lines = [json.dumps({"id": str(i), "body": text}) for i, text in enumerate(TEXTS[half:])]
    (folder / "b.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return [str(folder / "a.parquet"), str(folder / "b.jsonl")]


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.ray)])
def test_train_gives_the_file_of_tokenizers(tmp_path: Path, workers: str) -> None:
    files, out = write_texts(tmp_path), tmp_path / "new" / "tokenizer.json"
    facts = json.loads(run("train", *files, "--vocab-size", "400", "--out", str(out), "--text-column", "body",
                           "--workers", workers, "--format", "json").splitlines()[-1])
    assert out.read_text() == hugging_face(TEXTS, 400)
    assert [p.name for p in out.parent.iterdir()] == ["tokenizer.json"]
    tokenizer = Tokenizer.from_file(str(out))
    assert facts["tokens"] == sum(len(tokenizer.encode(t).ids) for t in TEXTS)
    assert (facts["documents"], facts["bytes"]) == (len(TEXTS), sum(len(t.encode()) for t in TEXTS))
    assert "no other pair occurs 9 times" in run("train", *files, "--vocab-size", "9999", "--out", str(out),
                                                 "--text-column", "body", "--min-frequency", "9")


def test_a_sample_does_not_depend_on_the_order_of_files(tmp_path: Path) -> None:
    files, budget = write_texts(tmp_path), 3000
    made = []
    for i, order in enumerate((files, files[::-1])):
        facts = json.loads(run("train", *order, "--vocab-size", "300", "--out", str(tmp_path / f"{i}.json"), "--format",
                               "json", "--sample-bytes", str(budget), "--text-column", "body").splitlines()[-1])
        assert 0.5 * budget < facts["bytes"] <= budget
        made.append((tmp_path / f"{i}.json").read_bytes())
    assert made[0] == made[1]


def test_what_train_refuses(tmp_path: Path) -> None:
    files, out = write_texts(tmp_path), str(tmp_path / "t.json")
    run("train", *files, "--vocab-size", "100", "--out", out, code=2)
    run("train", *files, "--vocab-size", "300", "--out", out, "--pattern", "gpt9", code=2)
    run("train", *files, "--vocab-size", "300", "--out", out, "--text-column", "nothing", code=1)
    run("train", str(tmp_path / "none.parquet"), "--vocab-size", "300", "--out", out, code=2)
    assert not Path(out).exists()


def trained(pattern: Pattern) -> bytes:
    config = TokenizerConfig(vocab_size=400, pattern=pattern.value)
    return learn(config, count_texts([pa.array(TEXTS, pa.large_string())], pattern)).data


def as_tiktoken(data: bytes) -> tiktoken.Encoding:
    ranks = {base64.b64decode(line.split()[0]): int(line.split()[1])
             for line in tiktoken_ranks(data, "t.json").splitlines()}
    return tiktoken.Encoding("test", pat_str=pattern_of(data, "t.json"), mergeable_ranks=ranks,
                             special_tokens=special_tokens(data))


ENCODERS = {pattern: (Encoder(trained(pattern), "t"), as_tiktoken(trained(pattern))) for pattern in Pattern}


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.sampled_from([t[7:60] for t in TEXTS]), st.text(max_size=30)), max_size=4).map("".join))
def test_tiktoken_gives_the_same_ids(text: str) -> None:
    for pattern, (encoder, theirs) in ENCODERS.items():
        assert theirs.encode_ordinary(text) == encoder.encode_reference(pa.array([text]))[0].tolist(), pattern


def test_export_writes_ranks(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_bytes(trained(Pattern.CL100K))
    printed = json.loads(run("export", str(tmp_path / "t.json"), "--tiktoken", str(tmp_path / "t.tiktoken")))
    assert printed == {"pat_str": pattern_of(trained(Pattern.CL100K), ""), "special_tokens": {"<|endoftext|>": 399}}
    lines = (tmp_path / "t.tiktoken").read_bytes().splitlines()
    assert len(lines) == 399
    assert lines[0] == base64.b64encode(b"!") + b" 0"


def test_tokenizers_without_ranks_are_refused() -> None:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    for extra, merges in ((["bc", "ab"], [("a", "b"), ("b", "c")]), (["zz", "ab"], [("a", "b")])):
        vocab = {t: i for i, t in enumerate([*letters, *extra])}
        tokenizer = Tokenizer(models.BPE(vocab, merges))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.add_special_tokens(["<|endoftext|>"])
        with pytest.raises(InputError):
            tiktoken_ranks(tokenizer.to_str().encode(), "t.json")


@pytest.mark.skipif(not (DATA / "tokenizers/gpt2/vocab.bpe").exists(), reason=f"no GPT-2 vocabulary under {DATA}")
def test_ranks_of_gpt2() -> None:
    vocab = json.loads((DATA / "tokenizers/gpt2/encoder.json").read_text())
    lines = (DATA / "tokenizers/gpt2/vocab.bpe").read_text(encoding="utf-8").splitlines()[1:]
    tokenizer = Tokenizer(models.BPE(vocab, [(a, b) for a, b in map(str.split, filter(None, lines))]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(["<|endoftext|>"])
    theirs = as_tiktoken(tokenizer.to_str().encode())
    assert theirs.n_vocab == 50_257
    assert theirs.encode_ordinary("Hello world") == [15496, 995]
    assert theirs.encode("<|endoftext|>", allowed_special="all") == [50_256]
