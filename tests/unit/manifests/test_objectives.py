"""What is learned of rows: fill-in-the-middle turned back, end-of-text tokens as targets, weights of tokens."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from manifests import InputError, PackedDataset, PackedLoader
from manifests.hashing import document_id
from manifests.objectives import FillInTheMiddle, Objective, ObjectiveDataset, fim_markers
from tests.unit.tokenizer.small_run import EOT, SmallRun, byte_tokenizer
from tokenizer.mixture.mixture_config import MixtureConfig
from tokenizer.packing.config import PackConfig

T = 32
PRE, MID, SUF = 250, 251, 252
FILL = FillInTheMiddle(PRE, MID, SUF, rate=1.0)
Run = Callable[[str], Path]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two sources of documents whose tokens count up, so that an order can be read from them."""
    made: dict[str, Path] = {}

    def make(packing: str) -> Path:
        if packing not in made:
            run = SmallRun(tmp_path_factory.mktemp(packing), seed=2)
            sizes = [(7 * i) % 23 + 1 for i in range(60)]
            run.write_tokens({name: {"p": [(document_id(name, "p", i), list(range(base, base + n)))
                                           for i, n in enumerate(sizes)]} for name, base in (("a", 0), ("b", 100))},
                             np.uint16)
            run.pack(MixtureConfig(weights={"a": 1, "b": 1}, max_epochs=1, validation_fraction=0),
                     PackConfig(row_length=T, shard_tokens=8 * T, buckets=2, packing=packing),
                     byte_tokenizer(run.root / "t.json", 257))
            made[packing] = run.root
        return made[packing]

    return make


def turned_back(tokens: list[int]) -> tuple[list[int], str]:
    """A turned segment as it was, without the three tokens that it gave up, and which order it had."""
    eot = tokens[-1:] if tokens[-1] == EOT else []
    body = tokens[: len(tokens) - len(eot)]
    middle = body.index(MID)
    if body[1] == SUF:
        after, rest = body[2:middle], body[middle + 1 :]
        return [*rest, *after, *eot], "spm"
    suffix = body.index(SUF)
    return [*body[1:suffix], *body[middle + 1 :], *body[suffix + 1 : middle], *eot], "psm"


@pytest.mark.parametrize("packing", ["concat", "best_fit", "pad"])
def test_every_segment_turns_back(runs: Run, packing: str) -> None:
    plain = PackedDataset(runs(packing), "train")
    filled = ObjectiveDataset(runs(packing), "train", Objective(fill=FILL))
    rows = np.arange(len(plain))[::-1].copy()
    before, _, segments = plain.batch_with_segments(rows)
    after, targets, same = filled.batch_with_segments(rows)
    assert np.array_equal(segments.cu_seqlens, same.cu_seqlens)
    assert np.array_equal(filled.tokens(rows), after)
    orders, n_turned = set(), 0
    for a, b, source in zip(segments.cu_seqlens[:-1].tolist(), segments.cu_seqlens[1:].tolist(),
                            segments.source_ids.tolist(), strict=True):
        old, new = before.reshape(-1)[a:b].tolist(), after.reshape(-1)[a:b].tolist()
        eot = old[-1:] if old[-1] == EOT else []
        body = old[: len(old) - len(eot)]
        if source < 0 or len(body) <= 3:
            assert new == old
            continue
        found, order = turned_back(new)
        assert found == [*body[:-3], *eot]
        orders.add(order)
        n_turned += 1
    assert orders == {"psm", "spm"}
    assert n_turned > 60
    known = targets != -100
    known[:, -1] = False
    shifted = np.concatenate([after[:, 1:], after[:, :1]], axis=1)
    assert np.array_equal(targets[known], shifted[known])
    assert np.array_equal(known[:, :-1], plain.batch(rows)[1][:, :-1] != -100)
    assert (targets[:, -1] == -100).all()


def test_rates_by_source_and_stateless(runs: Run) -> None:
    fill = FillInTheMiddle(PRE, MID, SUF, rate=0.25, rates={"b": 0.75}, spm=0.0, seed=3)
    data = ObjectiveDataset(runs("best_fit"), "train", Objective(fill=fill))
    tokens, _, segments = data.batch_with_segments(np.arange(len(data)))
    flat = tokens.reshape(-1)
    turned: dict[int, list[bool]] = {0: [], 1: []}
    for a, b, source in zip(segments.cu_seqlens[:-1].tolist(), segments.cu_seqlens[1:].tolist(),
                            segments.source_ids.tolist(), strict=True):
        if source >= 0 and b - a > 4:
            turned[source].append(flat[a] == PRE)
    assert abs(np.mean(turned[0]) - 0.25) < 0.17
    assert abs(np.mean(turned[1]) - 0.75) < 0.17
    for rows in (np.array([5]), np.array([2, 5])):  # whatever else is in the batch, and in another process
        assert np.array_equal(pickle.loads(pickle.dumps(data)).tokens(rows)[-1], tokens[5])
    another = FillInTheMiddle(PRE, MID, SUF, rate=0.25, rates={"b": 0.75}, spm=0.0, seed=4)
    other = ObjectiveDataset(runs("best_fit"), "train", Objective(fill=another))
    assert not np.array_equal(other.tokens(np.arange(len(data))), tokens)


@pytest.mark.parametrize("packing", ["concat", "best_fit"])
def test_end_of_text_tokens(runs: Run, packing: str) -> None:
    plain = PackedDataset(runs(packing), "train")
    rows = np.arange(len(plain))
    tokens, targets = plain.batch(rows)
    masked = ObjectiveDataset(runs(packing), "train", Objective(eod_mask_loss=True)).batch(rows)[1]
    assert np.array_equal(masked, np.where(tokens == EOT, -100, targets))
    assert (masked != targets).any()
    unlearned = ObjectiveDataset(runs(packing), "train", Objective(learn_eot=False)).batch(rows)[1]
    assert np.array_equal(unlearned, np.where(targets == EOT, -100, targets))
    row = len(plain) - 1
    assert np.array_equal(ObjectiveDataset(runs(packing), "train", Objective(learn_eot=False)).targets(row),
                          unlearned[row])


def test_weights_of_sources(runs: Run) -> None:
    data = ObjectiveDataset(runs("best_fit"), "train", Objective(source_weights={"a": 0.5, "b": 0.0}))
    rows = np.arange(len(data))
    targets, weights = data.batch(rows)[1], data.loss_weights(rows)
    assert weights.dtype == np.float32
    assert set(np.unique(weights)) == {0.0, 0.5}
    assert np.array_equal(weights > 0, targets != -100)
    assert (targets[targets != EOT] < 100).all()  # none of b
    plain = PackedDataset(runs("best_fit"), "train").batch(rows)[1]
    assert ((plain >= 100) & (plain != EOT)).any()


def test_weights_of_turns(tmp_path: Path) -> None:
    from tests.unit.tokenizer.export.test_labelled import LINES, dialogues_in

    folder = dialogues_in(tmp_path, LINES)
    data = ObjectiveDataset(folder, "train", Objective())
    rows = np.arange(len(data))
    targets, weights = data.batch(rows)[1], data.loss_weights(rows)
    assert np.array_equal(targets, PackedDataset(folder, "train").batch(rows)[1])
    assert np.array_equal(weights > 0, targets != -100)
    half = weights == 0.5
    assert 0 < half.sum() < (weights == 1).sum()
    assert half.sum() == 7  # "!!!!", the marker of the turn's end, a line feed, end-of-text
    assert set(targets[half].tolist()) == {ord("!"), ord("\n"), 256, 258}


def test_a_loader_takes_it(runs: Run) -> None:
    data = ObjectiveDataset(runs("concat"), "train", Objective(fill=FILL, eod_mask_loss=True))
    batch = next(PackedLoader(data, 4))
    assert (batch.tokens == PRE).any()
    again = next(PackedLoader(pickle.loads(pickle.dumps(data)), 2, 1, 2))
    assert np.array_equal(again.tokens, batch.tokens[2:])


def test_what_is_refused(runs: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no source 'c' .it has a, b"):
        ObjectiveDataset(runs("concat"), "train", Objective(source_weights={"c": 1}))
    with pytest.raises(ValueError, match="ids are 0 to 256"):
        ObjectiveDataset(runs("concat"), "train", Objective(fill=FillInTheMiddle(1, 2, 257)))
    with pytest.raises(ValueError, match=r"rate 1.5 is not in 0 to 1"):
        FillInTheMiddle(1, 2, 3, rate=1.5)
    with pytest.raises(ValueError, match="below 0"):
        ObjectiveDataset(runs("concat"), "train", Objective(source_weights={"a": -1}))
    with pytest.raises(InputError, match="is not there"):
        fim_markers(tmp_path)
    tokens: list[dict[str, Any]] = [{"content": n, "id": i} for i, n in enumerate(
        ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"))]
    (tmp_path / "tokenizer.json").write_text(json.dumps({"added_tokens": tokens}))
    assert fim_markers(tmp_path) == {"prefix": 0, "middle": 2, "suffix": 1}
    (tmp_path / "run/packed").mkdir(parents=True)
    (tmp_path / "tokenizer.json").rename(tmp_path / "run/packed/tokenizer.json")
    assert fim_markers(tmp_path / "run") == fim_markers(tmp_path / "run/packed")
    for text, said in (("{}", "has no markers"), ("[]", "is no tokenizer"), ('{"added_tokens": [{}]}', "is no token")):
        (tmp_path / "tokenizer.json").write_text(text)
        with pytest.raises(InputError, match=said):
            fim_markers(tmp_path)
