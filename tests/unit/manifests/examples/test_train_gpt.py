"""The example trainer, as a person would run it: `make test-torch`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.paths import ROOT

torch = pytest.importorskip("torch", reason="torch is not installed here: make test-torch")

from tests.unit.manifests.test_dataset import make_dataset, span, write_tables  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.timeout(300)]  # processes that each import torch
TINY = ["--layers", "1", "--heads", "2", "--width", "16", "--batch-rows", "4", "--steps", "6", "--warm-up", "2",
        "--save-every", "2", "--sample", "5"]


def train(run: Path, out: Path, *arguments: str, launcher: tuple[str, ...] = ("-m",)) -> list[dict[str, Any]]:
    """What the log says after a training."""
    done = subprocess.run(
        [sys.executable, *launcher, "manifests.examples.train_gpt", str(run), "--out", str(out), *TINY, *arguments],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=140)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def facts(log: list[dict[str, Any]]) -> list[tuple[int, str, float]]:
    return [(entry["step"], entry["batch"], entry["loss"]) for entry in log]


def test_a_resumed_training_is_the_uninterrupted_one(tmp_path: Path) -> None:
    run = make_dataset(tmp_path / "run", [7, 6])
    whole = train(run, tmp_path / "whole")
    train(run, tmp_path / "cut", "--stop-after", "3")
    resumed = train(run, tmp_path / "cut")
    assert [entry["step"] for entry in whole] == [1, 2, 3, 4, 5, 6]
    assert facts(resumed) == facts(whole)  # batches and losses, to the last bit
    assert len({entry["batch"] for entry in whole}) == 6
    assert whole[-1]["loss"] < whole[0]["loss"]
    assert len((tmp_path / "whole/sample.txt").read_text().split()) == 5
    resident = train(run, tmp_path / "resident", "--resident", "--sample", "0")
    assert len({entry["batch"] for entry in resident}) == 1
    assert [p.name for p in (tmp_path / "resident").iterdir()] == ["log.jsonl"]  # nothing to go on from


def test_two_processes_go_on_where_one_stopped(tmp_path: Path) -> None:
    run = make_dataset(tmp_path / "run", [7, 6])
    train(run, tmp_path / "out", "--stop-after", "3")
    ddp = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", "-m")
    assert [entry["step"] for entry in train(run, tmp_path / "out", launcher=ddp)] == [1, 2, 3, 4, 5, 6]
    state = torch.load(tmp_path / "out/checkpoint.pt", weights_only=True)["loader"]
    assert state["rows"] == 6 * 4  # the global batch is the same, whatever the number of processes


@pytest.mark.parametrize("options", [["--fsdp"], ["--documents", "--accumulate", "2"]])
def test_the_losses_do_not_depend_on_how_they_are_computed(tmp_path: Path, options: list[str]) -> None:
    """Two processes, sharded or with accumulated gradients, train as one does; they go on from its checkpoint."""
    run = make_dataset(tmp_path / "run", [7, 6], packing="best_fit", spans=[span(1, 3), span(4, 4), span(8, 8)])
    make_val(run)
    documents = [o for o in options if o == "--documents"]
    whole = train(run, tmp_path / "whole", "--evaluate-every", "3", *documents)
    train(run, tmp_path / "out", "--stop-after", "2", *documents)
    torchrun = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", "-m")
    log = train(run, tmp_path / "out", "--evaluate-every", "3", *options, launcher=torchrun)
    assert [entry["step"] for entry in log] == [1, 2, 3, 4, 5, 6]
    for ours, theirs in zip(log, whole, strict=True):
        assert abs(ours["loss"] - theirs["loss"]) < 1e-4
        if "val_loss" in theirs and ours["step"] > 2:
            assert abs(ours["val_loss"] - theirs["val_loss"]) < 1e-4
        if documents:
            assert abs(ours["source_loss"]["a"] - theirs["source_loss"]["a"]) < 1e-4
    assert "val_loss" in log[-1]


def make_val(run: Path) -> None:
    """A val split of five rows beside train."""
    from manifests.tables import read_table

    rows = read_table(str(run / "packed/manifest.parquet")).to_pylist()
    make_dataset(run / "val", [3, 2], packing="best_fit", spans=[span(1, 7), span(8, 8)], split="val")
    rows += read_table(str(run / "val/packed/manifest.parquet")).to_pylist()
    (run / "val/packed/val").rename(run / "packed/val")
    write_tables(run / "packed", rows)


def test_it_can_be_read_in_one_sitting() -> None:
    assert len((ROOT / "manifests/examples/train_gpt.py").read_text().splitlines()) < 300


def test_another_model_is_named(tmp_path: Path) -> None:
    run = make_dataset(tmp_path / "run", [7])
    train(run, tmp_path / "out", "--stop-after", "2")
    done = subprocess.run([sys.executable, "-m", "manifests.examples.train_gpt", str(run), "--out",
                           str(tmp_path / "out"), *TINY, "--width", "32"], cwd=ROOT, capture_output=True, text=True,
                          check=False)
    assert "width is 16 there, 32 here" in done.stderr


def test_the_model_is_the_published_one() -> None:
    """Rotation by position differences at Su et al.'s frequencies; biases from zero; no decay but on matrices."""
    from manifests.examples.train_gpt import GPT, Shape, optimiser_of, rotate

    model = GPT(Shape(257, layers=2, heads=2, width=32))
    assert torch.allclose(model.frequencies, torch.tensor([10_000.0 ** (-2 * i / 16) for i in range(8)]))
    assert model.embed.weight.shape == (320, 32)
    for name, weight in model.named_parameters():
        if name.endswith("bias"):
            assert not weight.any()
    assert 0.7 < model.blocks[0].down.weight.std() / (0.02 / 2) < 1.3
    decayed, plain = (group["params"] for group in optimiser_of(model, 1e-3, False).param_groups)
    assert all(p.dim() == 2 for p in decayed)
    assert len(decayed) + len(plain) == len(list(model.parameters()))
    q, k = torch.randn(2, 1, 1, 1, 16)
    turned = []
    for m, n in ((3, 1), (10, 8), (4, 1)):
        cos_sin = [((p * model.frequencies).cos(), (p * model.frequencies).sin()) for p in (m, n)]
        turned.append(float((rotate(q, *cos_sin[0]) * rotate(k, *cos_sin[1])).sum()))
    assert abs(turned[0] - turned[1]) < 1e-4 < abs(turned[0] - turned[2])


def test_documents_are_apart(tmp_path: Path) -> None:
    """With the mask, a token's loss is what it is in its document alone."""
    from manifests import PackedDataset
    from manifests.examples.train_gpt import GPT, Shape, inputs_of
    from manifests.torch import TorchLoader

    root = make_dataset(tmp_path, [2], packing="best_fit", spans=[span(1, 3), span(4, 4), span(8, 8)])
    loader = TorchLoader(PackedDataset(root, "train"), 2, order="sequence", documents=True, segment_ids=True)
    batch = next(loader)
    loader.close()
    model = GPT(Shape(257, layers=1, heads=2, width=32))
    together = model(**(inputs_of(batch) | {"targets": None}))
    alone = model(batch.tokens[:1, 4:8])
    assert torch.allclose(together[0, 4:8], alone[0], atol=1e-5)
    assert not torch.allclose(model(batch.tokens)[0, 4:8], alone[0], atol=1e-3)
