"""The linear scorer against fastText's own predict, on every extracted text of a run: speed and greatest difference.

    python -m tests.benchmarks.scorer RUN

Trains a two-label model of dim 100 with bigrams and 2,000,000 buckets (DCLM's settings) on the run's own texts, curated
sources against a third of the crawl, and two harder ones. Then scores every text of the crawl with both, taking turns,
on one thread. Speeds are text per second of the process's own CPU time, the median of the rounds, so a busy machine
counts for little; the ratio is the median of each round's own.
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
from curate.classifier.scorer import NEGATIVE, POSITIVE, FoldedModel, load_scorer
from curate.fasttext.exact import SummedModel
from manifests.tables import read_table
from manifests.tasks import peak_memory_bytes

REPORTED_EXCESS = 1e-5  # fastText takes log(p + 1e-5)
ROUNDS = 5
MODELS: tuple[tuple[str, str, int, dict[str, object]], ...] = (
    ("softmax", "softmax", ROUNDS, {}), ("hs", "hs", 1, {}),
    ("hs, 25 epochs at 1.0, dim 8", "hs", 1, {"dim": 8, "bucket": 200_000, "minCount": 1, "epoch": 25, "lr": 1.0}),
    ("softmax, character n-grams", "softmax", 1, {"dim": 50, "bucket": 200_000, "minn": 3, "maxn": 5, "lr": 0.3}))
"""(name, loss, rounds, settings): DCLM's, and two whose float32 sums stray further."""
MIN_MB_PER_SECOND, MIN_RATIO, MAX_DIFFERENCE = 80, 5, 1e-6


def texts_of(run: str, crawl: bool) -> pa.Array:
    """Texts of the crawl, or of the other sources, as one line each."""
    paths = sorted(p for p in Path(run, "extract").glob("*/part-*.parquet") if (p.parent.name == "crawl") == crawl)
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


def compare(path: str, texts: pa.Array, rounds: int, exact: bool = False) -> tuple[
        list[float], list[float], np.ndarray]:
    """(seconds of ours, of fastText's, absolute difference of every score)."""
    scorer, model = load_scorer(path, exact=exact), fasttext.load_model(path)
    assert isinstance(scorer, SummedModel if exact else FoldedModel)
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
    place = [names.index(POSITIVE) for names in labels]
    said = np.array([found[i] for i, found in zip(place, chances, strict=True)]) - REPORTED_EXCESS
    return ours, theirs, np.abs(scores - said)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("run", help="a finished run, such as runs/gpt3")
    run = parser.parse_args().run
    good, bad = texts_of(run, crawl=False), texts_of(run, crawl=True)
    print("| texts | model | way | n | MB | ours MB/s | fastText MB/s | ratio | max difference | over 1e-6 |")
    print("| --- " * 10 + "|")
    worst, verdict = 0.0, ""
    with tempfile.TemporaryDirectory() as folder:
        for name_of_model, loss, rounds, settings in MODELS:
            path = train(folder, good, bad, name_of_model, loss, **settings)
            whole, cut = ("whole", bad), ("lines of 2,048 bytes", classifier_lines(bad, 2048))
            for (name, texts), exact in ((whole, False), (cut, False), (whole, True)):
                ours, theirs, difference = compare(path, texts, 1 if exact else rounds, exact)
                size = pc.sum(pc.binary_length(texts)).as_py() / 1e6
                ratio = np.median(np.array(theirs) / np.array(ours))
                way, worst = "summed" if exact else "folded", max(worst, float(difference.max()))
                if not verdict:
                    good_speed = size / np.median(ours) >= MIN_MB_PER_SECOND and ratio >= MIN_RATIO
                    verdict = "pass" if good_speed else "FAIL"
                print(f"| {name} | {name_of_model} | {way} | {len(texts)} | {size:.1f} | {size / np.median(ours):.0f} "
                      f"| {size / np.median(theirs):.1f} | {ratio:.1f} | {difference.max():.1e} "
                      f"| {(difference > 1e-6).sum()} |", flush=True)
    print(f"\nWhole texts, softmax, folded: {verdict} (at least {MIN_MB_PER_SECOND} MB/s, {MIN_RATIO} times fastText). "
          f"Differences: {'pass' if worst <= MAX_DIFFERENCE else 'FAIL'} (at most {MAX_DIFFERENCE:g}). Peak memory "
          f"{peak_memory_bytes() / 1e6:,.0f} MB.")


if __name__ == "__main__":
    main()
