"""A model of transformers and its Trainer on the data set: `make test-trainers`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("transformers", reason="transformers is not installed here: make test-trainers")

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

from manifests import PackedDataset, PackedLoader
from manifests.torch import PackedRows, PackedStream, TorchLoader
from tests.unit.manifests.test_dataset import make_dataset, span

pytestmark = pytest.mark.trainers
SPANS = [span(1, 3), span(4, 4), span(8, 8), span(16, 5)]


def model() -> Any:
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(vocab_size=257, hidden_size=16, intermediate_size=32, num_hidden_layers=1,
                                        num_attention_heads=2, num_key_value_heads=2))


@pytest.fixture
def data(tmp_path: Path) -> PackedDataset:
    return PackedDataset(make_dataset(tmp_path / "data", [3, 3, 3], packing="best_fit", spans=SPANS), "train")


def test_labels_are_the_models(data: PackedDataset) -> None:
    """A model that shifts labels itself has the loss of `targets`."""
    net = model()
    batch = next(TorchLoader(data, 9, order="sequence"))
    logits = net(input_ids=batch.tokens).logits
    wanted = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten())
    rows = torch.utils.data.default_collate(PackedRows(data).__getitems__(list(range(9))))
    assert torch.allclose(net(input_ids=rows["input_ids"], labels=rows["labels"]).loss, wanted, atol=1e-6)


def arguments(folder: Path, steps: int, **options: Any) -> TrainingArguments:
    return TrainingArguments(output_dir=str(folder), max_steps=steps, per_device_train_batch_size=2, save_steps=3,
                             logging_steps=1, report_to=[], use_cpu=True, learning_rate=1e-2, **options)


class Seen(Trainer):  # type: ignore[misc]
    """A Trainer that keeps the tokens it was given."""

    def training_step(self, net: Any, inputs: Any, *rest: Any) -> Any:
        self.seen = [*getattr(self, "seen", []), inputs["input_ids"].tolist()]
        return super().training_step(net, inputs, *rest)


def test_trainer_on_the_stream(data: PackedDataset, tmp_path: Path) -> None:
    """The order is the loader's, and a resumed training goes on in it."""
    order = PackedLoader(data, 2, seed=3)
    wanted = [next(order).tokens.tolist() for _ in range(8)]

    def stream() -> PackedStream:
        return PackedStream(data, 2, seed=3, batched=False)

    whole = Seen(model(), arguments(tmp_path / "whole", 8), train_dataset=stream())
    whole.train()
    assert whole.seen == wanted
    losses = [entry["loss"] for entry in whole.state.log_history if "loss" in entry]
    assert losses[-1] < losses[0]
    resumed = Seen(model(), arguments(tmp_path / "whole", 8), train_dataset=stream())
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole/checkpoint-3"))
    assert resumed.seen == wanted[3:]


def test_trainer_on_rows(data: PackedDataset, tmp_path: Path) -> None:
    """By number: the Trainer shuffles, and evaluates on the same kind of data set."""
    trainer = Seen(model(), arguments(tmp_path / "rows", 5), train_dataset=PackedRows(data),
                   eval_dataset=PackedRows(data))
    trainer.train()
    seen = [tuple(row) for step in trainer.seen for row in step]
    assert sorted(seen) == sorted(tuple(data[i].tolist()) for i in range(9))
    assert np.isfinite(trainer.evaluate()["eval_loss"])
