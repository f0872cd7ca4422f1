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

from tests.unit.manifests.test_dataset import make_dataset  # noqa: E402

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
