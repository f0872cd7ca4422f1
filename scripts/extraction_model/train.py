"""Rebuild the extractor's model: `python -m scripts.extraction_model.train OUT GOLD.parquet...`.

Writes OUT/model.json, the same bytes from the same gold pages and the same LightGBM; OUT/metrics.json, agreement with
the gold text out of fold; and OUT/pages.tsv, that of every page. Folds are whole sites, and the bound of a fold's pages
is chosen on the other folds, so no page is judged by anything that saw its site. The
pages in disguise are judged as well, by the same models and with the bounds of the pages as they are. Needs the extra
`train`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from curate.extraction.choice import page_bound
from curate.extraction.context import CONTEXT
from curate.extraction.extracted import PAGE_TYPES, Content
from curate.extraction.facts import PAGE_FACTS
from curate.extraction.features import F_WORDS, FEATURES
from curate.extraction.model import FORMAT, MODEL_FILE
from scripts.extraction_model.folds import N_FOLDS, Floats, FoldModels
from scripts.extraction_model.gold import POLICY_OF_SET, GoldPage, read_gold
from scripts.extraction_model.score import GRAM_WORDS, Agreement, agreement, mean_agreement

Bound = tuple[float, float]
_BOUNDS: Final = tuple((least, share) for least in (0.25, 0.3, 0.35, 0.4) for share in (0.25, 0.5, 0.75))
"""(least, share) of `choice.page_bound` that are tried."""
_WHOLE: Final[frozenset[int]] = frozenset()


def judge(page: GoldPage, scores: Floats, bound: Bound, name: str = "") -> Agreement:
    """How the blocks that a bound keeps agree with the page's gold text: by words for WCXB, as its authors measure, by
    4-grams for the others."""
    words = np.expm1(page.views[name].x[:, F_WORDS].astype(np.float64))
    least = page_bound(scores, words, *bound)
    kept = [w for words, score in zip(page.words, scores, strict=True) if score > least for w in words]
    return agreement(kept, page.gold, 1 if page.kind else GRAM_WORDS)


class Judged:
    """Every page's agreement out of fold under every bound, and what is chosen of it."""

    def __init__(self, pages: Sequence[GoldPage], models: FoldModels) -> None:
        self.pages, self.models = pages, models
        self._scores = [models.judge(i) for i in range(len(pages))]
        self._results = {bound: [judge(p, s, bound) for p, s in zip(pages, self._scores, strict=True)]
                         for bound in _BOUNDS}

    def best_bound(self, content: Content, without: int | None = None) -> Bound:
        """The bound with the best mean F1 over the pages whose set has this policy, a fold aside."""
        chosen = [i for i, p in enumerate(self.pages)
                  if POLICY_OF_SET[p.dataset] == content and self.models.folds[i] != without]
        return max(_BOUNDS, key=lambda bound: mean_agreement([self._results[bound][i] for i in chosen]).f1)

    def bounds(self) -> list[Bound]:
        """Of every page: the one chosen on the other folds."""
        chosen = {(c, f): self.best_bound(c, f) for c in Content for f in range(N_FOLDS)}
        return [chosen[POLICY_OF_SET[p.dataset], f] for p, f in zip(self.pages, self.models.folds, strict=True)]

    def agreements(self) -> list[Agreement]:
        """Of every page, out of fold."""
        return [self._results[bound][i] for i, bound in enumerate(self.bounds())]

    def disguised(self, name: str) -> list[Agreement]:
        """Of every page that has this disguise."""
        bounded = enumerate(zip(self.pages, self.bounds(), strict=True))
        return [judge(p, self.models.judge(i, name), bound, name) for i, (p, bound) in bounded
                if name in p.views and p.words]


def metrics_of(judged: Judged, disguises: Sequence[str]) -> dict[str, Any]:
    """Means by set, by kind of page and by disguise."""
    pages, found = judged.pages, judged.agreements()
    metrics: dict[str, Any] = {"pages": len(pages), "sites": len({p.site for p in pages}), "folds": N_FOLDS}
    groups = {name: [i for i, p in enumerate(pages) if p.dataset == name] for name in POLICY_OF_SET}
    groups["dragnet and cleaneval"] = groups["dragnet"] + groups["cleaneval"]
    groups |= {kind: [i for i, p in enumerate(pages) if p.kind == kind] for kind in PAGE_TYPES}
    for name, chosen in groups.items():
        metrics[name] = _mean([found[i] for i in chosen])
    for name in disguises:
        metrics[f"as {name}"] = _mean(judged.disguised(name))
    right = [PAGE_TYPES[int(_kinds_of(judged.models, i).argmax())] == p.kind for i, p in enumerate(pages) if p.kind]
    return metrics | {"kinds told": round(float(np.mean(right)), 4)}


def _mean(found: Sequence[Agreement]) -> dict[str, float]:
    return {k: round(v, 4) for k, v in mean_agreement(found)._asdict().items()} | {"pages": len(found)}


def _kinds_of(models: FoldModels, i: int) -> Floats:
    return models.kinds(i, "", frozenset((models.folds[i],)))


def write_pages(judged: Judged, path: Path) -> None:
    """A line a page, the worst first: what to look at."""
    lines = []
    for i, (page, found) in enumerate(zip(judged.pages, judged.agreements(), strict=True)):
        kinds = _kinds_of(judged.models, i)
        kind = f"{PAGE_TYPES[int(kinds.argmax())]}\t{kinds.max():.2f}"
        lines.append((found.f1, f"{page.dataset}\t{page.page_id}\t{page.kind or ''}\t{kind}\t{found.f1:.4f}"
                      f"\t{found.precision:.4f}\t{found.recall:.4f}\t{len(page.gold)}\t{page.url}"))
    head = "set\tid\tpage_type\tfound_type\ttype_score\tf1\tprecision\trecall\tgold_words\turl"
    path.write_text("\n".join([head, *(line for _, line in sorted(lines))]) + "\n", encoding="utf-8")


def model_file(models: FoldModels, bounds: dict[Content, Bound]) -> dict[str, Any]:
    """The model of all pages. Thresholds are rounded down to float32, which decides alike."""
    return {"format": FORMAT, "features": list(FEATURES), "context": list(CONTEXT), "facts": list(PAGE_FACTS),
            "page_types": list(PAGE_TYPES), "contents": [str(content) for content in Content],
            "bounds": [[list(bounds[content])] * len(PAGE_TYPES) for content in Content],
            "kinds": models.trees("kinds", _WHOLE), "first": models.trees("first", _WHOLE),
            "second": models.trees("second", _WHOLE)}


def main() -> None:
    """Train, judge and write."""
    parser = argparse.ArgumentParser(prog="python -m scripts.extraction_model.train", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("gold", type=Path, nargs="+")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--disguises", nargs="*", default=["cyrillic", "ideographs"])
    arguments = parser.parse_args()
    pages = [page for path in arguments.gold for page in read_gold(path, arguments.disguises)]
    models = FoldModels(pages)
    models.prepare(arguments.jobs)
    judged = Judged(pages, models)
    metrics = metrics_of(judged, arguments.disguises)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="ascii")
    write_pages(judged, arguments.out / "pages.tsv")
    print(json.dumps(metrics, indent=1))
    model = model_file(models, {content: judged.best_bound(content) for content in Content})
    (arguments.out / MODEL_FILE).write_text(json.dumps(model, separators=(",", ":")) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
