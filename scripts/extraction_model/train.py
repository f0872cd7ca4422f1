"""Rebuild the extractor's model: `python -m scripts.extraction_model.train GOLD.parquet OUT`.

Writes OUT/model.json, the same bytes from the same gold pages and the same LightGBM, and OUT/metrics.json: agreement
with the gold text out of fold. Folds are whole sites, and the bound of a fold's pages is chosen on the other folds, so
no page is judged by anything that saw its site. The pages in disguise are judged as well, by the same models and with
the bounds of the pages as they are. Needs the extra `train`.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import lightgbm
import numpy as np
import numpy.typing as npt
import xxhash

from curate.extraction.choice import page_bound
from curate.extraction.features import F_WORDS, FEATURES
from curate.extraction.trees import FORMAT, MODEL_FILE
from scripts.extraction_model.disguises import DISGUISES
from scripts.extraction_model.gold import GoldPage, read_gold
from scripts.extraction_model.score import Agreement, agreement, mean_agreement

N_FOLDS: Final = 5
N_TREES: Final = 250
PARAMETERS: Final[dict[str, Any]] = {
    "objective": "cross_entropy", "learning_rate": 0.05, "num_leaves": 28, "max_depth": 6, "min_data_in_leaf": 40,
    "max_bin": 127, "feature_fraction": 0.4, "bagging_fraction": 0.8, "bagging_freq": 1, "lambda_l2": 2.0, "seed": 1,
    "deterministic": True, "force_row_wise": True, "num_threads": 1, "verbose": -1}
_BOUNDS: Final = tuple((least, share) for least in (0.3, 0.35, 0.4, 0.45) for share in (0.0, 0.25, 0.5, 0.75, 1.0))
"""(least, share) of `choice.page_bound` that are tried."""
_COPIES: Final = ("cyrillic", "ideographs")
"""Disguises that a page may be seen in as well, one for each page, while training."""
_COPY_WEIGHT: Final = 0.3  # of a block in disguise, beside 1
_DIGITS: Final = 7  # of a leaf's value; far below what any decision turns on

Floats = npt.NDArray[np.float64]


def fit(pages: Sequence[GoldPage]) -> lightgbm.Booster:
    """Trees on the blocks of these pages and of one copy of each; a block weighs the square root of its words."""
    seen = [(p, p.features, 1.0) for p in pages]
    for page in pages:
        copy = page.copies.get(_COPIES[xxhash.xxh3_64_intdigest(page.page_id.encode()) % len(_COPIES)])
        if copy is not None:
            seen.append((page, copy, _COPY_WEIGHT))
    x = np.vstack([features for _, features, _ in seen])
    y = np.concatenate([p.labels for p, _, _ in seen])
    weights = np.concatenate([[share * math.sqrt(1 + len(w)) for w in p.words] for p, _, share in seen])
    names = [f"f{i}" for i in range(len(FEATURES))]
    return lightgbm.train(PARAMETERS, lightgbm.Dataset(x, y, weight=weights, feature_name=names), N_TREES)


def scores_out_of_fold(pages: Sequence[GoldPage], folds: Sequence[int]) -> list[dict[str, Floats]]:
    """Probabilities of every page's blocks by the model of the folds that its own is not among: as they are (""), and
    in each disguise."""
    scores: list[dict[str, Floats]] = [{} for _ in pages]
    for fold in range(N_FOLDS):
        model = fit([p for p, f in zip(pages, folds, strict=True) if f != fold])
        for i, page in enumerate(pages):
            if folds[i] == fold:
                for name, features in {"": page.features, **page.copies}.items():
                    scores[i][name] = np.asarray(model.predict(features)) if len(page.words) else np.zeros(0)
    return scores


def judge(page: GoldPage, scores: Floats, bound: tuple[float, float], disguise: str = "") -> Agreement:
    """How the blocks that a bound keeps agree with the page's gold text."""
    features = page.copies[disguise] if disguise else page.features
    least = page_bound(scores, np.expm1(features[:, F_WORDS].astype(np.float64)), *bound)
    kept = [w for words, score in zip(page.words, scores, strict=True) if score > least for w in words]
    return agreement(kept, page.gold)


def best_bound(results: dict[tuple[float, float], list[Agreement]], chosen: Sequence[int]) -> tuple[float, float]:
    """The bound with the best mean F1 over the chosen pages."""
    return max(_BOUNDS, key=lambda bound: mean_agreement([results[bound][i] for i in chosen]).f1)


def cross_validate(pages: Sequence[GoldPage]) -> tuple[dict[str, Any], tuple[float, float]]:
    """(metrics, the bound for the model of all pages)."""
    folds = [xxhash.xxh3_64_intdigest(p.site.encode()) % N_FOLDS for p in pages]
    scores = scores_out_of_fold(pages, folds)
    results = {bound: [judge(p, s[""], bound) for p, s in zip(pages, scores, strict=True)] for bound in _BOUNDS}
    everyone = range(len(pages))
    bounds = [best_bound(results, [i for i in everyone if folds[i] != fold]) for fold in range(N_FOLDS)]
    judged = [results[bounds[folds[i]]][i] for i in everyone]
    metrics: dict[str, Any] = {"pages": len(pages), "sites": len({p.site for p in pages}), "folds": N_FOLDS}
    groups = {"all": list(everyone)}
    for name in sorted({p.dataset for p in pages}):
        groups[name] = [i for i in everyone if pages[i].dataset == name]
    for name, chosen in groups.items():
        mean = mean_agreement([judged[i] for i in chosen])
        metrics[name] = {k: round(v, 4) for k, v in mean._asdict().items()} | {"pages": len(chosen)}
    for name in DISGUISES:
        disguised = [judge(pages[i], scores[i][name], bounds[folds[i]], name) for i in everyone if name in scores[i]]
        mean = mean_agreement(disguised)
        metrics[f"as {name}"] = {k: round(v, 4) for k, v in mean._asdict().items()} | {"pages": len(disguised)}
    return metrics, best_bound(results, everyone)


def model_of(booster: lightgbm.Booster, bound: tuple[float, float]) -> dict[str, Any]:
    """The model file: flat arrays over all trees. Thresholds are rounded down to float32, which decides alike."""
    trees: dict[str, list[Any]] = {k: [] for k in ("feature", "threshold", "left", "right", "value", "root")}
    for tree in booster.dump_model()["tree_info"]:
        trees["root"].append(_add(tree["tree_structure"], trees))
    return {"format": FORMAT, "features": list(FEATURES), "least": bound[0], "share": bound[1], "trees": trees}


def _add(node: dict[str, Any], trees: dict[str, list[Any]]) -> int:
    """Add a node and all below it; its number, or ~number of a leaf."""
    if "leaf_value" in node:
        trees["value"].append(round(node["leaf_value"], _DIGITS))
        return ~(len(trees["value"]) - 1)
    at = len(trees["feature"])
    trees["feature"].append(node["split_feature"])
    trees["threshold"].append(_down(node["threshold"]))
    trees["left"].append(0)
    trees["right"].append(0)
    trees["left"][at] = _add(node["left_child"], trees)
    trees["right"][at] = _add(node["right_child"], trees)
    return at


def _down(value: float) -> float:
    """The largest float32 that is not above a value: x <= value means the same for every float32 x."""
    low = np.float32(value)
    if low > value:
        low = np.nextafter(low, np.float32(-np.inf))
    return float(str(low))


def main() -> None:
    """Train and write both files."""
    parser = argparse.ArgumentParser(prog="python -m scripts.extraction_model.train", description=__doc__)
    parser.add_argument("gold", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    pages = read_gold(arguments.gold)
    metrics, bound = cross_validate(pages)
    model = model_of(fit(pages), bound)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / MODEL_FILE).write_text(json.dumps(model, separators=(",", ":")) + "\n", encoding="ascii")
    (arguments.out / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="ascii")
    print(json.dumps(metrics, indent=1))


if __name__ == "__main__":
    main()
