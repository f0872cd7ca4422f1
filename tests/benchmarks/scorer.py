"""fastText models scored here and by fastText's own predict, on every text of a run: speed and greatest difference.

    python -m tests.benchmarks.scorer RUN

Trains a two-label model of dim 100 with bigrams and 2,000,000 buckets (DCLM's settings) on the run's own texts, curated
sources against a third of the crawl, and some of other forms. Then scores every text of the crawl with both, taking
turns, on one thread. Speeds are text per second of the process's own CPU time, the median of the rounds, so a busy
machine counts for little; the ratio is the median of each round's own.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import fasttext
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.classifier.lines import classifier_lines
from curate.classifier.scorers import NEGATIVE, POSITIVE, load_scorer
from curate.fasttext.exact import ExactModel
from manifests.tables import read_table
from manifests.tasks import peak_memory_bytes

REPORTED_EXCESS = 1e-5  # fastText takes log(p + 1e-5)
ROUNDS = 3
MODELS: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("softmax", "softmax", {}), ("hs", "hs", {}),
    ("hs, 25 epochs at 1.0, dim 8", "hs", {"dim": 8, "bucket": 200_000, "minCount": 1, "epoch": 25, "lr": 1.0}),
    ("one-vs-all, dim 50", "ova", {"dim": 50, "bucket": 200_000}),
    ("softmax, character n-grams", "softmax", {"dim": 50, "bucket": 200_000, "minn": 3, "maxn": 5, "lr": 0.3}),
    ("the project's own, dim 16", "softmax", {"dim": 16, "bucket": 200_000, "epoch": 4, "lr": 0.7}))
"""(name, loss, settings): DCLM's, and some of other forms."""
MIN_MB_PER_SECOND, MIN_RATIO, MAX_DIFFERENCE = 60, 2.5, 2e-7


def texts_of(run: str, crawl: bool) -> pa.Array:
    """Texts of the crawl, or of the other sources, as one line each."""
    paths = sorted(p for p in Path(run, "extract").glob("*/*/part-*.parquet")
                   if (p.parents[1].name == "crawl") == crawl)
    chunks = [chunk for path in paths for chunk in read_table(str(path), ["text"])["text"].chunks]
    return pc.replace_substring_regex(pa.concat_arrays(chunks), r"\s+", " ").cast(pa.large_string())


def train(folder: str, good: pa.Array, bad: pa.Array, name: str, loss: str, **settings: object) -> str:
    """Path of the model. settings: others than DCLM's."""
    lines = [f"{POSITIVE} {t}\n" for t in good.to_pylist()] + [f"{NEGATIVE} {t}\n" for t in bad.to_pylist()[::3]]
    order = np.random.default_rng(0).permutation(len(lines))
    Path(folder, "examples.txt").write_text("".join(lines[i] for i in order), encoding="utf-8")
    chosen = {"dim": 100, "wordNgrams": 2, "bucket": 2_000_000, "minCount": 3, "epoch": 3, "lr": 0.1, **settings}
    model = fasttext.train_supervised(f"{folder}/examples.txt", loss=loss, thread=1, seed=1, verbose=0, **chosen)
    model.save_model(f"{folder}/{name}.bin")
    return f"{folder}/{name}.bin"


def compare(path: str, texts: pa.Array, rounds: int) -> tuple[list[float], list[float], np.ndarray]:
    """(seconds of ours, of fastText's, absolute difference of every score)."""
    scorer, model = load_scorer(path), fasttext.load_model(path)
    assert isinstance(scorer, ExactModel)
    lines = [f"{text}\n" for text in texts.to_pylist()]
    scorer.score(texts.slice(0, 2))  # compiled before it is timed
    ours, theirs = [], []
    for _ in range(rounds):
        start = time.process_time()
        scores = scorer.score(texts)
        ours.append(time.process_time() - start)
        start = time.process_time()
        labels, chances = model.f.multilinePredict(lines, 2, -1.0, "strict")
        theirs.append(time.process_time() - start)
    reported = [chance[names.index(POSITIVE)] for names, chance in zip(labels, chances, strict=True)]
    return ours, theirs, np.abs(scores - (np.array(reported) - REPORTED_EXCESS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("run", help="a finished run, such as runs/gpt3")
    run = parser.parse_args().run
    good, bad = texts_of(run, crawl=False), texts_of(run, crawl=True)
    print("| texts | model | n | MB | ours MB/s | fastText MB/s | ratio | max difference |")
    print("| --- " * 8 + "|")
    worst, verdict = 0.0, ""
    with tempfile.TemporaryDirectory() as folder:
        for name, loss, settings in MODELS:
            path = train(folder, good, bad, name, loss, **settings)
            for what, texts in (("as they are", bad), ("lines of 2,048 bytes", classifier_lines(bad, 2048))):
                ours, theirs, difference = compare(path, texts, ROUNDS)
                size = pc.sum(pc.binary_length(texts)).as_py() / 1e6
                ratio, worst = np.median(np.array(theirs) / np.array(ours)), max(worst, float(difference.max()))
                if not verdict:
                    fast = size / np.median(ours) >= MIN_MB_PER_SECOND and ratio >= MIN_RATIO
                    verdict = "pass" if fast else "FAIL"
                print(f"| {what} | {name} | {len(texts)} | {size:.1f} | {size / np.median(ours):.0f} "
                      f"| {size / np.median(theirs):.1f} | {ratio:.1f} | {difference.max():.1e} |", flush=True)
    print(f"\nTexts as they are, softmax: {verdict} (at least {MIN_MB_PER_SECOND} MB/s, {MIN_RATIO} times fastText). "
          f"Differences: {'pass' if worst <= MAX_DIFFERENCE else 'FAIL'} (at most {MAX_DIFFERENCE:g}). Peak memory "
          f"{peak_memory_bytes() / 1e6:,.0f} MB.")


if __name__ == "__main__":
    main()
