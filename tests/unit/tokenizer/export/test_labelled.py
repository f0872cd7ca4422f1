"""Exports of what else a dataset has: loss masks, ranks, phases and sources; and what is said to be lost."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from typer.testing import CliRunner

from manifests import PackedDataset
from manifests.errors import RecipeError
from manifests.hashing import document_id
from manifests.tables import read_table
from tests.unit.tokenizer.small_run import EOT, SmallRun, byte_tokenizer
from tokenizer.chat.chat import ChatConfig
from tokenizer.chat.chat_dataset import ChatFile, pack_dialogues
from tokenizer.encoding.encode import END_OF_TEXT, byte_alphabet
from tokenizer.export.formats import export_dataset
from tokenizer.mixture.mixture_config import MixtureConfig, PhaseConfig
from tokenizer.packing.config import PackConfig

LINES: list[dict[str, Any]] = [
    *({"messages": [{"role": "user", "content": "?" * (i % 7 + 1)}, {"role": "assistant", "content": "!" * (i % 5 + 1),
                     "weight": 0.5 if i == 3 else 1}]} for i in range(40)),
    {"prompt": "q", "completions": ["best", "worse", "worst"]}, {"prompt": "q", "completion": "bad", "label": False}]


@pytest.fixture(scope="module")
def dialogues(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dialogues_in(tmp_path_factory.mktemp("dialogues"), LINES)


def dialogues_in(root: Path, lines: list[dict[str, Any]]) -> Path:
    """Dialogues packed into rows of 128 bytes."""
    tok = Tokenizer(models.BPE({c: i for i, c in enumerate(byte_alphabet())}, []))
    tok.pre_tokenizer, tok.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tok.add_special_tokens([END_OF_TEXT, "<|im_start|>", "<|im_end|>"])
    tok.save(str(root / "tokenizer.json"))
    (root / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    pack_dialogues(ChatConfig(row_length=128, shard_tokens=512), [ChatFile(str(root / "in.jsonl"), "in", "p.parquet")],
                   str(root / "tokenizer.json"), str(root / "packed"))
    return root / "packed"


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sources in two phases."""
    run = SmallRun(tmp_path_factory.mktemp("staged"), seed=3)
    run.write_tokens({name: {"p": [(document_id(name, "p", i), [base + i] * 9) for i in range(30)]}
                      for name, base in (("a", 0), ("b", 100))}, np.uint16)
    phases = tuple(PhaseConfig(name=name, share=1, weights={"a": a, "b": 4 - a})
                   for name, a in (("one", 3), ("two", 1)))
    run.pack(MixtureConfig(phases=phases, max_epochs=1, validation_fraction=0.1),
             PackConfig(row_length=8, shard_tokens=64, buckets=2), byte_tokenizer(run.root / "t.json", 257))
    return run.root


def rows_of(folder: Path, pattern: str = "train/*.parquet") -> list[dict[str, Any]]:
    return [row for path in sorted(folder.glob(pattern)) for row in read_table(str(path)).to_pylist()]


def test_hugging_face_has_labels(dialogues: Path, tmp_path: Path) -> None:
    export_dataset(str(dialogues), "hf", str(tmp_path))
    data, rows = PackedDataset(dialogues, "train"), rows_of(tmp_path)
    tokens, targets = data.batch(np.arange(len(data)))
    assert [r["input_ids"] for r in rows] == tokens.tolist()
    labels = np.array([r["labels"] for r in rows])
    assert np.array_equal(labels[:, 1:], targets[:, :-1])
    assert ((np.array([r["loss_weights"] for r in rows]) > 0) == (labels >= 0)).all()
    assert {w for r in rows for w in r["loss_weights"]} == {0.0, 0.5, 1.0}
    ranks: list[int] = []
    for i, row in enumerate(rows):
        found = data.documents(i)
        assert row["cu_seqlens"] == found.cu_seqlens.tolist()
        assert row["source_ids"] == found.source_ids.tolist()
        assert [-1 if r is None else r for r in row["ranks"]] == found.ranks.tolist()
        assert row["group_ids"] == [None if g is None else g.hex() for g in found.group_ids]
        for rank, readout, end in zip(row["ranks"], row["readouts"], row["cu_seqlens"][1:], strict=True):
            assert readout == (None if rank is None else end - 1)
        ranks += [r for r in row["ranks"] if r is not None]
    assert ranks == [0, 1, 2]
    assert [v for r in rows for v in r["desirable"] if v is not None] == [0]


def test_megatron_fine_tuning_data(dialogues: Path, tmp_path: Path) -> None:
    """Sequences as the reader cuts them: inputs all but the last, labels all but the first, the mask of inputs."""
    export_dataset(str(dialogues), "megatron-sft", str(tmp_path))
    data, rows = PackedDataset(dialogues, "train"), rows_of(tmp_path, "train/*.idx.parquet")
    assert len(rows) == len(data) > 4
    for i, row in enumerate(rows):
        found = data.documents(i)
        segments = [(a, b) for a, b, d in zip(found.cu_seqlens[:-1].tolist(), found.cu_seqlens[1:].tolist(),
                                              found.doc_ids, strict=True) if d is not None]
        lengths = [b - a for a, b in segments]
        assert row["input_ids"] == [t for a, b in segments for t in data[i][a:b].tolist()]
        assert row["seq_start_id"] == (np.cumsum(lengths) - lengths).tolist()
        learned = data.targets(i) >= 0
        expected = [bit for a, b in segments for bit in [*learned[a : b - 1].tolist(), False]]
        assert [bool(m) for m in row["loss_mask"]] == expected
    assert any(any(row["loss_mask"]) for row in rows)


@pytest.mark.parametrize(("form", "lost"), [
    ("hf", []), ("megatron-sft", ["weights", "answers"]), ("megatron", ["labels", "weights", "answers"]),
    ("nanogpt", ["bounds", "labels", "weights", "answers"]),
    ("mds", ["bounds", "padding", "labels", "weights", "answers"])])
def test_what_is_lost_is_said(dialogues: Path, tmp_path: Path, form: str, lost: list[str]) -> None:
    from tokenizer.export.shards import FACETS

    facts = export_dataset(str(dialogues), form, str(tmp_path))
    assert facts["not_held"] == [FACETS[name] for name in lost]
    assert json.loads((tmp_path / "export.json").read_text())["not_held"] == facts["not_held"]


def test_a_person_is_told(dialogues: Path, tmp_path: Path) -> None:
    from pipelines.cli.main import app

    done = CliRunner().invoke(app, ["export", str(dialogues), "--format", "llmc", "--out", str(tmp_path / "m")])
    assert done.exit_code == 0, done.output
    assert "llmc does not hold which tokens are learned: a trainer learns prompts too" in done.stderr


def test_a_folder_for_every_source(staged: Path, tmp_path: Path) -> None:
    whole = export_dataset(str(staged), "nanogpt", str(tmp_path / "all"))
    facts = export_dataset(str(staged), "nanogpt", str(tmp_path / "each"), by_source=True)
    found = {name: np.fromfile(tmp_path / f"each/{name}/train.bin", "<u2") for name in "ab"}
    for name, low in (("a", 0), ("b", 100)):
        assert set(found[name].tolist()) - {EOT} <= set(range(low, low + 30))
        assert facts["sources"][name]["tokens"]["train"] == len(found[name])
    joined = np.sort(np.concatenate([*found.values()]))
    assert np.array_equal(joined, np.sort(np.fromfile(tmp_path / "all/train.bin", "<u2")))
    assert "the source of every token" in " ".join(whole["not_held"])
    assert "the source of every token" not in " ".join(facts["not_held"])
    for form in ("megatron", "olmo", "datatrove"):
        export_dataset(str(staged), form, str(tmp_path / form), zero_copy=form == "megatron", by_source=True)
    with pytest.raises(RecipeError, match="rows of mds hold documents of several sources"):
        export_dataset(str(staged), "mds", str(tmp_path / "x"), by_source=True)


def test_one_phase(staged: Path, tmp_path: Path) -> None:
    data = PackedDataset(staged, "train")
    first, second = data.phase_ends
    tokens: Counter[str] = Counter()
    for phase, low, high in ((0, 0, first), (1, first, second)):
        facts = export_dataset(str(staged), "hf", str(tmp_path / str(phase)), phase=phase)
        assert [r["input_ids"] for r in rows_of(tmp_path / str(phase))] == [data[i].tolist() for i in range(low, high)]
        assert (facts["phase"], [p["rows"] for p in facts["phases"]]) == (phase, [high - low])
        assert not (tmp_path / str(phase) / "val").exists()
        tokens.update(facts["tokens_by_source"]["train"])
        assert "val" not in facts["tokens_by_source"]
        plain = export_dataset(str(staged), "litdata", str(tmp_path / f"litdata-{phase}"), phase=phase)
        assert "phases" not in " ".join(plain["not_held"])
    both = export_dataset(str(staged), "hf", str(tmp_path / "both"))
    assert both["phases"] == [{"phase": 0, "first_row": 0, "rows": first},
                              {"phase": 1, "first_row": first, "rows": second - first}]
    assert both["tokens_by_source"]["train"] == dict(tokens)
    assert set(tokens) == {"a", "b"}
    with pytest.raises(RecipeError, match="it has 0, 1"):
        export_dataset(str(staged), "hf", str(tmp_path / "x"), phase=2)
