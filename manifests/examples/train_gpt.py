"""Train a GPT on a packed dataset, in plain PyTorch: one file to read, run and take apart.

    python -m manifests.examples.train_gpt runs/gpt3 --out model                         one device
    torchrun --nproc-per-node 8 -m manifests.examples.train_gpt runs/gpt3 --out model    DDP

The same command goes on from the checkpoint in --out, with any number of processes: the next batch is the one that
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
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
import xxhash
from torch import Tensor, nn

from manifests.dataset import PackedDataset
from manifests.torch import TorchLoader


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

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm_1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm_2(x))))


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding (Su et al. 2021, arXiv 2104.09864) of x [B, heads, T, d]."""
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1).to(x.dtype)


class GPT(nn.Module):  # type: ignore[misc]
    """Token ids [B, T] to logits [B, T, V]; with targets, to the mean loss over those that are not -100."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embed = nn.Embedding(shape.vocab_size, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width)
        frequencies = 10_000.0 ** -torch.linspace(0, 1, shape.width // shape.heads // 2)
        self.register_buffer("frequencies", frequencies, persistent=False)  # goes where the model goes
        for name, weight in self.named_parameters():
            if weight.dim() == 2:  # GPT-2's: 0.02, and what is added to the residual stream scaled by its depth
                residual = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(weight, std=0.02 / math.sqrt(2 * shape.layers) if residual else 0.02)

    def forward(self, tokens: Tensor, targets: Tensor | None = None) -> Tensor:
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        angles = torch.outer(positions, self.frequencies)
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x, angles.cos(), angles.sin())
        logits = F.linear(self.norm(x), self.embed.weight)  # embedding and output share their weights
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=-100)


def learning_rate(step: int, peak: float, warm_up: int, steps: int) -> float:
    """Linear warm-up, then a cosine down to a tenth of the peak (Brown et al. 2020, appendix B)."""
    if step < warm_up:
        return peak * (step + 1) / warm_up
    progress = min(1.0, (step - warm_up) / max(1, steps - warm_up))
    return peak * (0.1 + 0.45 * (1 + math.cos(math.pi * progress)))


@torch.no_grad()  # type: ignore[untyped-decorator]
def evaluate(model: nn.Module, dataset: PackedDataset, context: Any, device: torch.device, rows: int) -> float:
    """Mean loss of a token over the first rows of the val split."""
    model.eval()
    total, learned = 0.0, 0
    for row in range(min(rows, len(dataset))):
        tokens = torch.from_numpy(dataset[row].astype("int64"))[None].to(device)
        targets = torch.from_numpy(dataset.targets(row))[None].to(device)
        n = int((targets >= 0).sum())
        with context:
            total += model(tokens, targets).item() * n if n else 0.0
        learned += n
    model.train()
    return total / max(1, learned)


@torch.no_grad()  # type: ignore[untyped-decorator]
def generate(model: nn.Module, tokens: list[int], n: int, device: torch.device) -> list[int]:
    """n more tokens, each drawn from the 40 likeliest; the same ones at every call."""
    chance = torch.Generator(device).manual_seed(0)
    for _ in range(n):
        logits = model(torch.tensor([tokens[-1024:]], device=device))[0, -1].float()
        best = logits.topk(40)
        tokens = [*tokens, int(best.indices[torch.multinomial(best.values.softmax(-1), 1, generator=chance)])]
    return tokens


def save(path: Path, **parts: Any) -> None:
    """Write a checkpoint beside, then rename: a killed training leaves the last complete one."""
    torch.save(parts, path.with_suffix(".part"))
    os.replace(path.with_suffix(".part"), path)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("run", help="a finished run, or its packed folder")
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoint.pt, log.jsonl and sample.txt")
    for name, value, text in (("layers", 12, "blocks"), ("heads", 12, "attention heads"), ("width", 768, "model width"),
                              ("batch-rows", 8, "rows of a step, over all processes"), ("steps", 1000, "steps in all"),
                              ("warm-up", 100, "steps of warm-up"), ("evaluate-every", 100, "steps"),
                              ("save-every", 100, "steps"), ("val-rows", 64, "rows of an evaluation"),
                              ("stop-after", 0, "end at this step, as if killed"), ("sample", 60, "tokens to write")):
        parser.add_argument(f"--{name}", type=int, default=value, help=f"{text} (default {value})")
    parser.add_argument("--resident", action="store_true", help="train on one random batch that stays on the device: "
                        "its tokens per second beside the usual ones show what the loader costs")
    parser.add_argument("--peak", type=float, default=6e-4, help="highest learning rate (default GPT-3 Small's, 6e-4)")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    if world > 1:
        torch.distributed.init_process_group("nccl" if cuda else "gloo")
    if args.batch_rows % world:
        raise SystemExit(f"--batch-rows {args.batch_rows} is no multiple of {world} processes")
    torch.manual_seed(0)
    train, val = PackedDataset(args.run, "train"), PackedDataset(args.run, "val")
    loader = TorchLoader(train, args.batch_rows // world, rank, world, device=device)
    shape = Shape(train.vocab_size, args.layers, args.heads, args.width)
    model = GPT(shape).to(device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=args.peak, betas=(0.9, 0.95), weight_decay=0.1, fused=cuda)
    context = torch.autocast("cuda", torch.bfloat16) if cuda else nullcontext()
    args.out.mkdir(parents=True, exist_ok=True)
    checkpoint, step = args.out / "checkpoint.pt", 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        model.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])
        loader.load_state_dict(saved["loader"])  # refuses another dataset or tokenizer
        step = saved["step"]
    ready: Any = torch.compile(model) if cuda else model
    ready = nn.parallel.DistributedDataParallel(ready) if world > 1 else ready
    last = args.stop_after or args.steps
    resident = next(loader) if args.resident else None
    if resident is not None:
        resident.tokens.random_(train.vocab_size)
    with open(args.out / "log.jsonl", "a") as log:
        while step < last:
            began = time.perf_counter()
            batch = next(loader) if resident is None else resident
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(step, args.peak, args.warm_up, args.steps)
            with context:
                loss = ready(batch.tokens, batch.targets)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            step += 1
            if rank:
                continue
            facts = {"step": step, "loss": loss.item(), "batch": xxhash.xxh3_64_hexdigest(batch.tokens.cpu().numpy()),
                     "tokens_per_second": world * batch.tokens.numel() / (time.perf_counter() - began)}
            if len(val) and (step % args.evaluate_every == 0 or step == last):
                facts["val_loss"] = evaluate(model, val, context, device, args.val_rows)
            print(json.dumps(facts), file=log, flush=True)
            print(" ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in facts.items()))
            if resident is None and (step % args.save_every == 0 or step == last):
                save(checkpoint, model=model.state_dict(), optimiser=optimiser.state_dict(),
                     loader=loader.state_dict(), step=step, shape=asdict(shape))
    loader.close()
    if not rank and args.sample:
        write_sample(model.eval(), train, args, device)
    if world > 1:
        torch.distributed.destroy_process_group()


def write_sample(model: nn.Module, dataset: PackedDataset, args: argparse.Namespace, device: torch.device) -> None:
    """sample.txt: what the model writes after an end-of-text token, as text where the run's tokenizer is at hand."""
    ids = generate(model, [dataset.eot_id], args.sample, device)[1:]
    path, text = dataset.folder.parent / "tokenizer" / "tokenizer.json", " ".join(map(str, ids))
    if path.exists():
        try:
            from tokenizers import Tokenizer
            text = Tokenizer.from_file(str(path)).decode(ids)
        except ImportError:
            pass
    (args.out / "sample.txt").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
