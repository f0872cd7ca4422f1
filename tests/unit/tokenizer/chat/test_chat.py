"""Dialogues to shards: what is learned, what lies together, what is left out, and that all of it reads back."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from manifests import PackedDataset, StageError
from manifests.errors import OwnershipError
from manifests.tables import read_table
from tokenizer.chat.chat import ChatConfig
from tokenizer.chat.chat_dataset import ChatFile, pack_dialogues
from tokenizer.encoding.encode import END_OF_TEXT, byte_alphabet, load

USER, BOT = "user", "assistant"


@pytest.fixture(params=[False, True], ids=["markers are text", "markers are tokens"])
def tokenizer(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Bytes as tokens, with and without ChatML's markers among the special ones."""
    tok = Tokenizer(models.BPE({c: i for i, c in enumerate(byte_alphabet())}, []))
    tok.pre_tokenizer, tok.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tok.add_special_tokens([END_OF_TEXT, *(["<|im_start|>", "<|im_end|>"] if request.param else [])])
    tok.save(str(tmp_path / "tokenizer.json"))
    return str(tmp_path / "tokenizer.json")


def talk(*turns: str) -> dict[str, Any]:
    return {"messages": [{"role": (USER, BOT)[i % 2], "content": t} for i, t in enumerate(turns)]}


def pack(tmp_path: Path, tokenizer: str, rows: list[Any], **config: Any) -> tuple[Path, Any]:
    path = tmp_path / "in.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows).encode()))
    out = tmp_path / "out"
    counts = pack_dialogues(ChatConfig(**({"row_length": 256} | config)),
                            [ChatFile(str(path), "in.jsonl.gz", "part-in.parquet")], tokenizer, str(out))
    return out, counts


def learned_text(data: PackedDataset, row: int, tokenizer: str) -> str:
    """What the targets of a row spell."""
    targets = data.targets(row)
    return load(tokenizer).decode(targets[targets >= 0])


def test_answers_alone_are_learned(tmp_path: Path, tokenizer: str) -> None:
    out, counts = pack(tmp_path, tokenizer, [talk("Hi <|im_end|>?", "Hello, <|endoftext|>.", "And é?", "Bye ☃")],
                       packing="pad")
    data = PackedDataset(out, "train")
    assert learned_text(data, 0, tokenizer) == "Hello, <|endoftext|>.<|im_end|>\nBye ☃<|im_end|>\n<|endoftext|>"
    first, end = data.documents(0).cu_seqlens[1:3]  # behind the end-of-text token that begins the shard
    assert (first, data[0][0]) == (1, data.eot_id)
    dialogue = data[0][first:end]
    assert load(tokenizer).decode(dialogue) == (
        "<|im_start|>user\nHi <|im_end|>?<|im_end|>\n<|im_start|>assistant\nHello, <|endoftext|>.<|im_end|>\n"
        "<|im_start|>user\nAnd é?<|im_end|>\n<|im_start|>assistant\nBye ☃<|im_end|>\n<|endoftext|>")
    known = Tokenizer.from_file(tokenizer).token_to_id("<|im_end|>")
    # Only the template's four markers are the special token; the one that the user spells is text.
    assert known is None or int((dialogue == known).sum()) == 4
    assert int((dialogue == data.eot_id).sum()) == 1
    assert (counts.dialogues, counts.learned_tokens) == (1, int((data.targets(0) >= 0).sum()))


def test_targets_follow_the_spans(tmp_path: Path, tokenizer: str) -> None:
    """Any packing: a target is learned where, and only where, the next token lies in a turn with loss."""
    rows = [talk(*("word " * ((i * 7 + j) % 5 + 1) for j in range(i % 3 + 2))) for i in range(60)]
    out, counts = pack(tmp_path, tokenizer, rows, shard_tokens=2048)
    data = PackedDataset(out, "train")
    assert len(read_table(str(out / "manifest.parquet"))) > 1
    expected = np.zeros((len(data), 256), np.bool_)
    for shard in read_table(str(out / "manifest.parquet")).to_pylist():
        for span in read_table(str(out / shard["spans_path"])).to_pylist():
            for turn in span["turns"]:
                start = span["token_start"] - span["row"] * 256 + turn["start"]
                expected[shard["first_row"] + span["row"], start : start + turn["n_tokens"]] |= turn["loss"]
    tokens, targets = data.batch(np.arange(len(data))[::-1].copy())
    assert ((targets[::-1, :-1] >= 0) == expected[:, 1:]).all()
    assert (targets[:, -1] == -100).all()
    assert np.array_equal(targets[targets >= 0], tokens[:, 1:][targets[:, :-1] >= 0])
    assert int((targets >= 0).sum()) == counts.learned_tokens
    assert counts.dialogues == sum(data.documents(r).doc_ids.count(d) for r in range(len(data))
                                   for d in set(data.documents(r).doc_ids) if d is not None) == 60


def test_answers_to_one_prompt_share_a_row(tmp_path: Path, tokenizer: str) -> None:
    rows = [{"id": 7 + i, "prompt": "Why? " * (i + 1), "chosen": "Because.", "rejected": "No."} for i in range(6)]
    rows.append({"id": "k", "prompt": [{"role": "system", "content": "Rank."}], "completions": ["a", "b", "c"]})
    rows.append({"id": "p", "prompt": "Only a prompt"})
    out, counts = pack(tmp_path, tokenizer, rows)
    data = PackedDataset(out, "train")
    groups: dict[bytes, list[tuple[int, int]]] = {}
    for row in range(len(data)):
        found = data.documents(row)
        for group, rank in zip(found.group_ids, found.ranks.tolist(), strict=True):
            if group is not None:
                groups.setdefault(group, []).append((row, rank))
    assert sorted(len(g) for g in groups.values()) == [2] * 6 + [3]
    for members in groups.values():
        assert [rank for _, rank in members] == list(range(len(members)))  # preferred first
        assert len({row for row, _ in members}) == 1
    documents = read_table(str(out / "documents/part-in.parquet"))
    assert documents["record_id"].to_pylist() == [*(str(7 + i // 2) for i in range(12)), "k", "k", "k", "p"]
    in_rows = {d for r in range(len(data)) for d in data.documents(r).doc_ids if d is not None}
    assert set(documents["doc_id"].to_pylist()) == in_rows
    assert counts.dialogues == 16


def test_plain_template_is_the_texts_themselves(tmp_path: Path, tokenizer: str) -> None:
    out, _ = pack(tmp_path, tokenizer, [{"prompt": "Q: 1+1\nA:", "completion": " 2"}], template="plain")
    data = PackedDataset(out, "train")
    assert load(tokenizer).decode(data[0][1:14]) == "Q: 1+1\nA: 2<|endoftext|>" + END_OF_TEXT
    assert learned_text(data, 0, tokenizer) == " 2<|endoftext|>"


def test_a_bad_line_costs_that_line(tmp_path: Path, tokenizer: str) -> None:
    rows = [talk("a", "b"), "{not json", "", '{"other": 1}', json.dumps({"id": "x", "messages": [{"role": "user"}]}),
            talk("long " * 100, "b"), '{"prompt": "\\ud800", "completion": "half a pair"}', "[1]",
            '{"chosen": "no", "rejected": "prompt"}']
    out, counts = pack(tmp_path, tokenizer, rows)
    assert counts.left_out == {"not_json": 2, "no_dialogue": 2, "bad_turn": 1, "too_long": 1}
    table = read_table(str(out / "exclusions/part-in.parquet")).to_pylist()
    assert [(r["origin_offset"], r["reason"]) for r in table] == [
        (1, "not_json"), (3, "no_dialogue"), (4, "bad_turn"), (5, "too_long"), (7, "not_json"), (8, "no_dialogue")]
    assert table[3]["value"] > table[3]["threshold"] == 255
    assert (counts.lines, counts.dialogues) == (8, 2)
    data = PackedDataset(out, "train")
    assert any("\ufffd" in load(tokenizer).decode(data[i]) for i in range(len(data)))  # the half pair


def test_nothing_to_pack(tmp_path: Path, tokenizer: str) -> None:
    with pytest.raises(StageError, match=r"no line could be packed \(left out: 1 no_dialogue\)"):
        pack(tmp_path, tokenizer, ["{}"])
    assert list((tmp_path / "out").iterdir()) == []


def test_what_is_no_dataset_is_not_replaced(tmp_path: Path, tokenizer: str) -> None:
    notes = tmp_path / "out/documents/notes.txt"
    notes.parent.mkdir(parents=True)
    notes.write_text("mine")
    with pytest.raises(OwnershipError, match="holds documents, and no dataset"):
        pack(tmp_path, tokenizer, [talk("a", "b")])
    assert notes.read_text() == "mine"
    notes.parent.rename(tmp_path / "documents")
    out, _ = pack(tmp_path, tokenizer, [talk("a", "b")])
    staged = out / ".curate-tokenizer-chat"  # a kill while the dataset was replaced: its manifest is still there
    staged.mkdir()
    (out / "manifest.parquet").rename(staged / "manifest.parquet")
    assert len(PackedDataset(pack(tmp_path, tokenizer, [talk("a", "b")])[0], "train")) == 1


def test_packings_that_cut_dialogues_are_refused() -> None:
    assert [ChatConfig(packing=name).packing for name in ("best_fit", "pad")] == ["best_fit", "pad"]
    for name in ("concat", "other"):
        with pytest.raises(ValueError, match="must be one of best_fit, pad"):
            ChatConfig(packing=name)


def test_same_bytes_again_and_nothing_stale(tmp_path: Path, tokenizer: str) -> None:
    def content(out: Path) -> dict[str, bytes]:
        return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}

    rows = [talk(f"question {i}", "answer " * (i % 9 + 1)) for i in range(80)]
    out, _ = pack(tmp_path, tokenizer, rows, shard_tokens=1024, validation_fraction=0.2)
    first = content(out)
    assert len(PackedDataset(out, "val")) > 0
    pack(tmp_path, tokenizer, rows[:3])
    assert len(content(out)) < len(first)
    pack(tmp_path, tokenizer, rows, shard_tokens=1024, validation_fraction=0.2)
    assert content(out) == first


def test_a_row_takes_dialogues_of_one_token_less(tmp_path: Path, tokenizer: str) -> None:
    """Any row may be a shard's first, so a dialogue that fills a row is left out, and one token less is not."""
    rows = [{"prompt": "x" * n, "completion": "y"} for n in (252, 253, 254)]  # and an end-of-text token
    out, counts = pack(tmp_path, tokenizer, rows, template="plain")
    assert counts.left_out == {"too_long": 1}
    assert read_table(str(out / "exclusions/part-in.parquet"))["value"].to_pylist() == [256]
    data = PackedDataset(out, "train")
    assert [data.documents(row).cu_seqlens.tolist() for row in range(2)] == [[0, 1, 255, 256], [0, 255, 256]]
