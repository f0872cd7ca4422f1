"""Train a GPT on a packed dataset, in plain PyTorch: one file to read, run and take apart.

    python -m manifests.examples.train_gpt runs/gpt3 --output model                         one device
    torchrun --nproc-per-node 8 -m manifests.examples.train_gpt runs/gpt3 --output model    DDP, or --fsdp

The same command goes on from the checkpoint in --output, with any number of processes: the next batch is the one that
would have come. On GPUs it computes in bf16 and compiles the model; on a CPU it runs at toy size.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
import xxhash
from torch import Tensor, nn
from torch.distributed.checkpoint import state_dict as sharded
from torch.distributed.fsdp import fully_shard

from manifests.dataset import PackedDataset
from manifests.torch import TorchBatch, TorchLoader


@dataclass(frozen=True)
class Shape:
    """GPT-2's architecture (Radford et al. 2019, section 2.3), with rotary positions instead of learned ones."""
    vocab_size: int
    layers: int = 12
    heads: int = 12
    width: int = 768


class Block(nn.Module):  # type: ignore[misc]
    """Pre-norm attention and MLP, each added to its input."""
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.norm_1, self.norm_2 = nn.LayerNorm(shape.width), nn.LayerNorm(shape.width)
        self.qkv, self.out = nn.Linear(shape.width, 3 * shape.width), nn.Linear(shape.width, shape.width)
        self.up, self.down = nn.Linear(shape.width, 4 * shape.width), nn.Linear(4 * shape.width, shape.width)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None) -> Tensor:
        q, k, v = self.qkv(self.norm_1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        mixed = F.scaled_dot_product_attention(q, k, v, mask, is_causal=mask is None)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm_2(x)), approximate="tanh"))


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding (Su et al. 2021, arXiv 2104.09864, equation 34) of x [B, heads, T, d]."""
    a, b = x[..., ::2], x[..., 1::2]
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2).to(x.dtype)


class GPT(nn.Module):  # type: ignore[misc]
    """Token ids [B, T] to logits [B, T, V]; with targets, to the sum of the losses of those that are not -100, and each
    [B, T]. positions, mask: where documents are apart."""
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embed = nn.Embedding(-(-shape.vocab_size // 64) * 64, shape.width)  # sizes that GPUs multiply fast
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width)
        size = shape.width // shape.heads
        frequencies = 10_000.0 ** (-torch.arange(0, size, 2) / size)  # theta_i of section 3.2.2
        self.register_buffer("frequencies", frequencies, persistent=False)  # goes where the model goes
        for name, weight in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(weight)
            elif weight.dim() == 2:  # GPT-2's: 0.02, and what is added to the residual stream scaled by its 2 n terms
                residual = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(weight, std=0.02 / math.sqrt(2 * shape.layers) if residual else 0.02)

    def forward(self, tokens: Tensor, targets: Tensor | None = None, positions: Tensor | None = None,
                mask: Tensor | None = None) -> Any:
        positions = torch.arange(tokens.shape[1], device=tokens.device)[None] if positions is None else positions
        angles = (positions[..., None] * self.frequencies)[:, None]  # [B or 1, 1, T, d / 2]
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x, angles.cos(), angles.sin(), mask)
        logits = F.linear(self.norm(x), self.embed.weight)  # embedding and output share their weights
        if targets is None:
            return logits
        losses = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=-100, reduction="none")
        return losses.sum(), losses.detach().view_as(targets)


def learning_rate(step: int, peak: float, warm_up: int, steps: int) -> float:
    """Linear warm-up, then a cosine down to a tenth of the peak (Brown et al. 2020, appendix B)."""
    if step < warm_up:
        return peak * (step + 1) / warm_up
    progress = min(1.0, (step - warm_up) / max(1, steps - warm_up))
    return peak * (0.1 + 0.45 * (1 + math.cos(math.pi * progress)))


def optimiser_of(model: nn.Module, peak: float, fused: bool) -> torch.optim.Optimizer:
    """AdamW; weight decay on matrices alone, not on biases and norms."""
    groups = [{"params": [p for p in model.parameters() if (p.dim() >= 2) == matrices],
               "weight_decay": 0.1 if matrices else 0.0} for matrices in (True, False)]
    return torch.optim.AdamW(groups, lr=peak, betas=(0.9, 0.95), fused=fused)


def inputs_of(batch: TorchBatch) -> dict[str, Tensor | None]:
    """What the model is given; with document_ids, attention stays within documents and positions count in each."""
    given: dict[str, Tensor | None] = {"tokens": batch.tokens, "targets": batch.targets}
    if (ids := batch.document_ids) is None:
        return given
    mask = (ids[:, None, :, None] == ids[:, None, None, :]).tril()  # padding attends to padding: no row is empty
    return given | {"positions": batch.position_ids, "mask": mask}


def add_losses(sums: Tensor, batch: TorchBatch, losses: Tensor) -> None:
    """Add losses, and how many they are, to row 0 of sums [1 + sources, 2] and, with documents, to their source's."""
    learned = batch.targets >= 0
    each = torch.stack([losses.double(), learned.double()], -1)[learned]
    sums[0] += each.sum(0)
    if batch.document_ids is not None and batch.segment_sources is not None:
        source_of = F.pad(batch.segment_sources, (0, 1), value=-1).long()  # padding is document -1
        source = source_of[batch.document_ids][learned]
        sums[1:].index_add_(0, source.clamp(min=0), each * (source >= 0)[:, None])


def over_ranks(values: Tensor) -> Tensor:
    """The sum of a tensor over all processes."""
    if dist.is_initialized():
        dist.all_reduce(values)
    return values


@torch.no_grad()  # type: ignore[untyped-decorator]
def evaluate(model: nn.Module, loader: TorchLoader, context: Any) -> float:
    """Mean loss of a token over a pass of the loader, shared by all processes."""
    model.eval()
    sums = torch.zeros(2 + max(loader.dataset.source_names), 2, dtype=torch.float64, device=loader.device)
    for batch in loader:
        with context:
            add_losses(sums, batch, model(**inputs_of(batch))[1])
    model.train()
    loss, n = over_ranks(sums)[0].tolist()
    return float(loss / max(1, n))


@torch.no_grad()  # type: ignore[untyped-decorator]
def generate(model: nn.Module, tokens: list[int], n: int, vocab_size: int, device: torch.device) -> list[int]:
    """n more tokens, each drawn from the 40 likeliest; the same ones at every call."""
    chance = torch.Generator(device).manual_seed(0)
    for _ in range(n):
        logits = model(torch.tensor([tokens[-1024:]], device=device))[0, -1, :vocab_size].float()
        best = logits.topk(min(40, vocab_size))
        tokens = [*tokens, int(best.indices[torch.multinomial(best.values.softmax(-1), 1, generator=chance)])]
    return tokens


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("run", help="a finished run or its packed folder, here or behind a URL")
    parser.add_argument("--output", "--out", dest="out", type=Path, required=True, help="folder of what is written")
    parser.add_argument("--peak", type=float, default=6e-4, help="highest learning rate (default GPT-3 Small's, 6e-4)")
    for name, value, text in (("layers", 12, "blocks"), ("heads", 12, "attention heads"), ("width", 768, "model width"),
                              ("batch-rows", 8, "rows of a step, over all processes"), ("warm-up", 100, "steps"),
                              ("accumulate", 1, "batches whose gradients make a step"), ("steps", 1000, "in all"),
                              ("evaluate-every", 100, "steps"), ("save-every", 100, "steps"),
                              ("stop-after", 0, "end at this step, as if killed"), ("sample", 60, "tokens to write")):
        parser.add_argument(f"--{name}", type=int, default=value, help=f"{text} (default {value})")
    for name, text in (("documents", "attention within documents alone"), ("fsdp", "shard model and optimiser (FSDP2)"),
                       ("accept-successor", "go on after `curate remove` took documents out of the dataset"),
                       ("resident", "train on one random batch, whose tokens per second show what the loader costs")):
        parser.add_argument(f"--{name}", action="store_true", help=text)
    return parser.parse_args()


class Training:
    """Everything that a step needs, made of the arguments or read from the checkpoint in --output."""
    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.world, cuda = args, int(os.environ.get("WORLD_SIZE", 1)), torch.cuda.is_available()
        self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if cuda else torch.device("cpu")
        if cuda:
            torch.cuda.set_device(self.device)
        if self.world > 1:
            dist.init_process_group("nccl" if cuda else "gloo")
        self.rank = dist.get_rank() if self.world > 1 else 0
        if args.batch_rows % (self.world * args.accumulate):
            raise SystemExit(f"--batch-rows is no multiple of {self.world} processes times --accumulate")
        self.rows = args.batch_rows // self.world // args.accumulate
        torch.manual_seed(0)
        self.train, self.val = PackedDataset(args.run, "train"), PackedDataset(args.run, "val")
        self.loader = self.loader_of(self.train)
        self.shape = Shape(self.train.vocab_size, args.layers, args.heads, args.width)
        self.model = GPT(self.shape).to(self.device)
        for part in (*self.model.blocks, self.model) if args.fsdp else ():
            fully_shard(part)
        self.optimiser = optimiser_of(self.model, args.peak, fused=cuda)
        self.context = torch.autocast("cuda", torch.bfloat16) if cuda else nullcontext()
        self.checkpoint, self.step = args.out / "checkpoint.pt", 0
        if self.checkpoint.exists():
            self.load()
        ready: Any = torch.compile(self.model) if cuda else self.model
        self.ready = nn.parallel.DistributedDataParallel(ready) if self.world > 1 and not args.fsdp else ready

    def loader_of(self, data: PackedDataset, **options: Any) -> TorchLoader:
        options |= {"documents": self.args.documents, "segment_ids": self.args.documents}
        return TorchLoader(data, self.rows, self.rank, self.world, device=self.device, **options)

    def load(self) -> None:
        """Go on from the checkpoint; another dataset, tokenizer or shape of the model is refused."""
        saved = torch.load(self.checkpoint, map_location="cpu", weights_only=True, mmap=True)
        own = asdict(self.shape)
        if wrong := [f"{n} is {saved['shape'][n]} there, {own[n]} here" for n in own if saved["shape"][n] != own[n]]:
            raise SystemExit(f"{self.checkpoint} is of another model: {'; '.join(wrong)}")
        self.loader.load_state_dict(saved["loader"], self.args.accept_successor)
        sharded.set_state_dict(self.model, self.optimiser, model_state_dict=saved["model"], optim_state_dict=saved[
            "optimiser"], options=sharded.StateDictOptions(full_state_dict=True))
        self.step = saved["step"]

    def save(self) -> None:
        """Write a checkpoint beside, then rename: a killed training leaves the last complete one."""
        model, optimiser = sharded.get_state_dict(self.model, self.optimiser, options=sharded.StateDictOptions(
            full_state_dict=True, cpu_offload=True))  # by every process, written by one
        if not self.rank:
            torch.save({"model": model, "optimiser": optimiser, "loader": self.loader.state_dict(), "step": self.step,
                        "shape": asdict(self.shape)}, self.checkpoint.with_suffix(".part"))
            os.replace(self.checkpoint.with_suffix(".part"), self.checkpoint)

    def advance(self, resident: TorchBatch | None) -> dict[str, Any]:
        """One step of training: what is to be logged of it."""
        began, args = time.perf_counter(), self.args
        batches = [resident or next(self.loader) for _ in range(args.accumulate)]
        learned = over_ranks(torch.stack([(b.targets >= 0).sum() for b in batches]).sum()).clamp(min=1)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.step, args.peak, args.warm_up, args.steps)
        names = self.train.source_names if args.documents else {}
        sums = torch.zeros(2 + max(names, default=-1), 2, dtype=torch.float64, device=self.device)
        for i, batch in enumerate(batches):
            more = i + 1 < len(batches) and isinstance(self.ready, nn.parallel.DistributedDataParallel)
            with self.ready.no_sync() if more else nullcontext(), self.context:
                loss, losses = self.ready(**inputs_of(batch))
                # Gradients are averaged over processes; each token counts as much wherever it is.
                (loss * self.world / learned).backward()
            add_losses(sums, batch, losses)
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.step += 1
        means = (over_ranks(sums)[:, 0] / sums[:, 1].clamp(min=1)).tolist()
        digest = xxhash.xxh3_64_hexdigest(b"".join(b.tokens.cpu().numpy().tobytes() for b in batches))
        n_tokens = self.world * sum(b.tokens.numel() for b in batches)
        sources = {"source_loss": {name: means[1 + number] for number, name in names.items()}} if names else {}
        return {"step": self.step, "loss": means[0], "batch": digest, **sources,
                "tokens_per_second": n_tokens / (time.perf_counter() - began)}

    def run(self) -> None:
        args, last = self.args, self.args.stop_after or self.args.steps
        args.out.mkdir(parents=True, exist_ok=True)
        resident = next(self.loader) if args.resident else None
        if resident is not None:
            resident.tokens.random_(self.train.vocab_size)
        with open(args.out / "log.jsonl", "a") if not self.rank else open(os.devnull, "w") as log:
            while self.step < last:
                facts = self.advance(resident)
                if len(self.val) and (self.step % args.evaluate_every == 0 or self.step == last):
                    once = self.loader_of(self.val, order="sequence", passes=1, ahead=0)
                    facts["val_loss"] = evaluate(self.ready, once, self.context)
                print(json.dumps(facts), file=log, flush=True)
                if not self.rank:
                    print(" ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in facts.items()))
                if resident is None and (self.step % args.save_every == 0 or self.step == last):
                    self.save()
        self.loader.close()
        if args.sample and not args.fsdp and not self.rank:
            self.write_sample()
        if self.world > 1:
            dist.barrier()  # nobody leaves while somebody still writes
            dist.destroy_process_group()

    def write_sample(self) -> None:
        """sample.txt: what the model writes after an end-of-text token, as text where `tokenizers` is installed."""
        data, model = self.train, self.model.eval()
        ids = generate(model, [data.eot_id], self.args.sample, data.vocab_size, self.device)[1:]
        path, text = data.table("tokenizer.json"), " ".join(map(str, ids))
        if path is not None and find_spec("tokenizers") is not None:
            from tokenizers import Tokenizer
            text = Tokenizer.from_file(path).decode(ids)
        else:
            print("what the model writes, as numbers of tokens; `pip install tokenizers` shows it as text:")
        (self.args.out / "sample.txt").write_text(text, encoding="utf-8")
        print(text)


if __name__ == "__main__":
    Training(arguments()).run()
