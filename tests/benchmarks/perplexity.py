"""Perplexity under an ARPA model: our kernels beside KenLM's Python module, on every English page of a run's crawl.

    python -m tests.benchmarks.perplexity RUN

A 5-gram model (interpolated absolute discounting) is estimated on every eighth page. Both then score every line of all
pages, in CCNet's normal form, taking turns on one thread; speeds are text per second of the process's own CPU time, the
median of the rounds, and the ratio is the median of each round's own. KenLM gets its lines ready made.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import kenlm
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.perplexity.arpa import read_arpa
from curate.perplexity.kernels.ccnet import normalise_texts
from manifests.tables import read_table
from manifests.tasks import peak_memory_bytes
from tests.arpa_models import arpa_text, estimate

ORDER, EVERY, ROUNDS = 5, 8, 5
TOLERANCE = 1e-5  # of a sum of float32 numbers, relative


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("run", help="a run with extracted pages, such as runs/gpt3")
    paths = sorted(Path(parser.parse_args().run, "extract/crawl").glob("part-*.parquet"))
    table = pa.concat_tables([read_table(str(path), ["language", "text"]) for path in paths])
    texts = table.filter(pc.equal(table["language"], "en"))["text"].combine_chunks()
    normal = normalise_texts(texts, True)
    lines = [[line for line in text.encode().split(b"\n") if line.split()] for text in normal.to_pylist()]
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/model.arpa"
        sentences = [line.decode().split() for page in lines[::EVERY] for line in page]
        Path(path).write_text(arpa_text(*estimate(sentences, ORDER)), "utf-8")
        ours, theirs = read_arpa(path), kenlm.Model(path)
    ours.score(normal.slice(0, 2), True)
    spent: dict[str, list[float]] = {"normal form": [], "arpa": [], "kenlm": []}
    for _ in range(ROUNDS):
        start = time.process_time()
        normalise_texts(texts, True)
        spent["normal form"].append(time.process_time() - start)
        start = time.process_time()
        sums, _ = ours.score(normal, True)
        spent["arpa"].append(time.process_time() - start)
        start = time.process_time()
        said = [sum(map(theirs.score, page)) for page in lines]
        spent["kenlm"].append(time.process_time() - start)
    size = pc.sum(pc.binary_length(normal)).as_py() / 1e6
    worst = float(np.max(np.abs(sums - said) / np.maximum(1.0, np.abs(said))))
    n_grams = int((ours.grams[:, 0] != 0).sum()) + len(ours.words)
    print(f"{len(texts):,} English pages, {size:.1f} MB in normal form; {n_grams:,} n-grams up to order {ORDER}\n")
    print("| | MB/s | times KenLM |\n|---|---|---|")
    for name, times in spent.items():
        ratio = np.median(np.array(spent["kenlm"]) / np.array(times))
        print(f"| {name} | {size / np.median(times):.1f} | {ratio:.1f} |")
    print(f"\nGreatest relative difference of a page's log10 probability: {worst:.1e} "
          f"({'pass' if worst <= TOLERANCE else 'FAIL'}: at most {TOLERANCE:g}); "
          f"peak memory {peak_memory_bytes() / 1e6:,.0f} MB")


if __name__ == "__main__":
    main()
