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

from curate.extraction.choice import drawn_together, page_bound
from curate.extraction.context import CONTEXT
from curate.extraction.extracted import PAGE_TYPES, Content
from curate.extraction.facts import PAGE_FACTS
from curate.extraction.features import F_WORDS, FEATURES
from curate.extraction.model import FORMAT, MODEL_FILE
from scripts.extraction_model.folds import N_FOLDS, Floats, FoldModels
from scripts.extraction_model.gold import POLICY_OF_SET, GoldPage, read_gold
from scripts.extraction_model.score import GRAM_WORDS, Agreement, agreement, mean_agreement

Bound = tuple[float, float, float]
_BOUNDS: Final = tuple((least, share, alike) for least in (0.2, 0.25, 0.3, 0.35, 0.4, 0.45)
                       for share in (0.25, 0.5, 0.75, 1.0) for alike in (0.0, 0.3))
"""(least, share) of `choice.page_bound` and the share of `choice.drawn_together` that are tried."""
_PAGES_OF_ALL: Final = 60.0
"""How many pages the mean over all pages counts for, in choosing a bound for one kind."""
_WHOLE: Final[frozenset[int]] = frozenset()


def judge(page: GoldPage, scores: Floats, bound: Bound, name: str = "") -> Agreement:
    """How the blocks that a bound keeps agree with the page's gold text: by words for WCXB, as its authors measure, by
    4-grams for the others."""
    words = np.expm1(page.views[name].x[:, F_WORDS].astype(np.float64))
    if page.words:
        scores = drawn_together(scores, words, page.views[name].alike[2], bound[2])
    least = page_bound(scores, words, *bound[:2])
    kept = [w for words, score in zip(page.words, scores, strict=True) if score > least for w in words]
    return agreement(kept, page.gold, 1 if page.kind else GRAM_WORDS)


class Judged:
    """Every page's agreement out of fold under every bound, and what is chosen of it."""

    def __init__(self, pages: Sequence[GoldPage], models: FoldModels) -> None:
        self.pages, self.models = pages, models
        self.kinds = np.array([models.kinds(i, "", frozenset((models.folds[i],))) for i in range(len(pages))])
        self._scores = [models.judge(i) for i in range(len(pages))]
        self._f1 = np.array([[judge(p, s, bound).f1 for bound in _BOUNDS]
                             for p, s in zip(pages, self._scores, strict=True)])
        policies = [POLICY_OF_SET[p.dataset] for p in pages]
        self._of = {content: np.array([policy == content for policy in policies]) for content in Content}
        self._folds = np.array(models.folds)

    def best_bounds(self, content: Content, without: int | None = None) -> list[Bound]:
        """Of every kind of page the bound with the best mean F1 over the pages whose set has this policy, a fold aside.

        A page counts for a kind as much as it is likely to be of it, and all pages together as much as some pages, so
        that kinds with few have the bound of all, more or less."""
        chosen = self._of[content] & (self._folds != -1 if without is None else self._folds != without)
        f1 = self._f1[chosen]
        sums = self.kinds[chosen].T @ f1 + _PAGES_OF_ALL * f1.mean(axis=0)
        return [_BOUNDS[k] for k in sums.argmax(axis=1)]

    def bounds(self) -> list[Bound]:
        """Of every page: what was chosen on the other folds, mixed as its kind is likely."""
        chosen = {(c, f): np.array(self.best_bounds(c, f)) for c in Content for f in range(N_FOLDS)}
        mixed = [kinds @ chosen[POLICY_OF_SET[p.dataset], f]
                 for p, f, kinds in zip(self.pages, self.models.folds, self.kinds, strict=True)]
        return [(float(least), float(share), float(alike)) for least, share, alike in mixed]

    def agreements(self) -> list[Agreement]:
        """Of every page, out of fold."""
        return [judge(*each) for each in zip(self.pages, self._scores, self.bounds(), strict=True)]

    def disguised(self, name: str) -> list[Agreement]:
        """Of every page that has this disguise."""
        bounded = enumerate(zip(self.pages, self.bounds(), strict=True))
        return [judge(p, self.models.judge(i, name), bound, name) for i, (p, bound) in bounded
                if name in p.views and p.words]


def metrics_of(judged: Judged, found: Sequence[Agreement], disguises: Sequence[str]) -> dict[str, Any]:
    """Means by set, by kind of page and by disguise. found: `judged.agreements()`."""
    pages = judged.pages
    metrics: dict[str, Any] = {"pages": len(pages), "sites": len({p.site for p in pages}), "folds": N_FOLDS}
    groups = {name: [i for i, p in enumerate(pages) if p.dataset == name] for name in POLICY_OF_SET}
    groups["dragnet and cleaneval"] = groups["dragnet"] + groups["cleaneval"]
    groups |= {kind: [i for i, p in enumerate(pages) if p.kind == kind] for kind in PAGE_TYPES}
    for name, chosen in groups.items():
        metrics[name] = _mean([found[i] for i in chosen])
    for name in disguises:
        metrics[f"as {name}"] = _mean(judged.disguised(name))
    right = [PAGE_TYPES[int(judged.kinds[i].argmax())] == p.kind for i, p in enumerate(pages) if p.kind]
    return metrics | {"kinds told": round(float(np.mean(right)), 4)}


def _mean(found: Sequence[Agreement]) -> dict[str, float]:
    return {k: round(v, 4) for k, v in mean_agreement(found)._asdict().items()} | {"pages": len(found)}


def table_of(metrics: dict[str, Any]) -> str:
    """The figures as lines of a table."""
    lines = [f"{metrics['pages']} pages of {metrics['sites']} sites, out of fold by site ({metrics['folds']} folds)",
             f"{'':<22}{'pages':>8}{'F1':>8}{'P':>8}{'R':>8}"]
    lines += [f"{name:<22}{m['pages']:>8}{m['f1']:>8.3f}{m['precision']:>8.3f}{m['recall']:>8.3f}"
              for name, m in metrics.items() if isinstance(m, dict)]
    return "\n".join([*lines, f"kind of page told right: {metrics['kinds told']:.3f}"])


def write_pages(judged: Judged, agreements: Sequence[Agreement], path: Path) -> None:
    """A line a page, the worst first: what to look at."""
    lines = []
    for page, found, kinds in zip(judged.pages, agreements, judged.kinds, strict=True):
        kind = f"{PAGE_TYPES[int(kinds.argmax())]}\t{kinds.max():.2f}"
        lines.append((found.f1, f"{page.dataset}\t{page.page_id}\t{page.kind or ''}\t{kind}\t{found.f1:.4f}"
                      f"\t{found.precision:.4f}\t{found.recall:.4f}\t{len(page.gold)}\t{page.url}"))
    head = "set\tid\tpage_type\tfound_type\ttype_score\tf1\tprecision\trecall\tgold_words\turl"
    path.write_text("\n".join([head, *(line for _, line in sorted(lines))]) + "\n", encoding="utf-8")


def model_file(models: FoldModels, bounds: dict[Content, list[Bound]]) -> dict[str, Any]:
    """The model of all pages. Thresholds are rounded down to float32, which decides alike."""
    return {"format": FORMAT, "features": list(FEATURES), "context": list(CONTEXT), "facts": list(PAGE_FACTS),
            "page_types": list(PAGE_TYPES), "contents": [str(content) for content in Content],
            "bounds": [[list(bound) for bound in bounds[content]] for content in Content],
            "kinds": models.trees("kinds", _WHOLE), "first": models.trees("first", _WHOLE),
            "second": models.trees("second", _WHOLE), "other": models.trees("other", _WHOLE)}


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
    found = judged.agreements()
    metrics = metrics_of(judged, found, arguments.disguises)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="ascii")
    write_pages(judged, found, arguments.out / "pages.tsv")
    print(table_of(metrics))
    model = model_file(models, {content: judged.best_bounds(content) for content in Content})
    (arguments.out / MODEL_FILE).write_text(json.dumps(model, separators=(",", ":")) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
