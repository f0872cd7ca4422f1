"""Small fastText models that tests train, texts of many forms, and what fastText itself says of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import fasttext
import numpy as np
import pyarrow as pa

from curate.fasttext.exact import ExactModel, exact_model
from curate.fasttext.model_file import read_model_file

POSITIVE: Final = "__label__positive"
NEGATIVE: Final = "__label__negative"
WORDS: Final = [
    "the", "of", "and", "größe", "weiß", "中", "国", "river", "stone", "house", "sell", "buy", "now", "cheap", "a", "b",
    "c", "é", "internationalisation", "internationalization", "eightchr", "ninechars"]
REPORTED_EXCESS: Final = 1e-5  # fastText takes log(p + 1e-5)
HARD: Final = [
    "", " ", "unknown words only", "river", "river </s> stone cheap", "</s>", "a __label__other b", "__label__",
    f"{POSITIVE} river", "tab\tstone\vhouse\fnow\rbuy\0sell", "xinternationalization internationalisationx",
    "<river>", "\ud7ff \U0010ffff", "a" * 100, "ñ" * 40]


def lines_of(n: int, seed: int) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS + [f"w{i}" for i in range(30)], random.integers(0, 30))) for _ in range(n)]


def train_model(folder: Path, negative: str = NEGATIVE, positive: str = POSITIVE, extra: str = "",
                **options: object) -> str:
    path = folder / "train.txt"
    lines = lines_of(200, 1)
    path.write_text(extra + "".join(f"{positive if 'river' in line else negative} {line}\n" for line in lines),
                    encoding="utf-8")
    settings = {"dim": 8, "epoch": 20, "lr": 0.5, "bucket": 5000, "minCount": 2, "thread": 1, "verbose": 0, **options}
    model = fasttext.train_supervised(str(path), **settings)
    model.save_model(str(folder / "m.bin"))
    return str(folder / "m.bin")


def reported_by(path: str, lines: list[str], positive: str = POSITIVE) -> np.ndarray:
    """What fastText's predict says of the positive label, less what it adds."""
    model = fasttext.load_model(path)
    labels, chances = model.f.multilinePredict([f"{line}\n" for line in lines], 2, -1.0, "strict")
    return np.array([dict(zip(names, chance, strict=True)).get(positive, 0.5 + REPORTED_EXCESS)
                     for names, chance in zip(labels, chances, strict=True)]) - REPORTED_EXCESS


def strings(lines: Sequence[str | None]) -> pa.LargeStringArray:
    return pa.array(lines, pa.large_string())


def scorer_of(path: str, label: str = POSITIVE) -> ExactModel:
    scorer = exact_model(read_model_file(path), label)
    assert scorer is not None
    return scorer
