"""The fineweb preset beside datatrove's four filters on the same texts: speed, and verdicts rule by rule.

    python -m tests.benchmarks.filters RUN --datatrove build/datatrove/bin/python [--every N]

RUN holds extracted English pages (`curate run gpt3 --set data=DATA --until extract --out RUN`). Speeds are CPU seconds
of one thread, ours measured before and after datatrove's in one call; figures of different calls do not compare.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.edits.spans import FlatEdits
from curate.heuristics.config import RulesConfig
from curate.heuristics.presets import Preset
from curate.heuristics.reasons import RuleReason
from curate.heuristics.signals import Words
from curate.heuristics.verdicts import rule_edits
from manifests.tasks import peak_memory_bytes
from tests.judging import judge_texts

FINEWEB = RulesConfig(preset=Preset.FINEWEB)
ROUNDS = 3
MIN_MB_PER_SECOND = {Words.PAPER: 20, Words.DATATROVE: 8}
MIN_RATIO, MIN_AGREEMENT = 150, 0.99
NAMES = {
    "dup_para_frac": RuleReason.GOPHER_DUPLICATE_PARAGRAPHS, "dup_line_frac": RuleReason.GOPHER_DUPLICATE_LINES,
    "dup_para_char_frac": RuleReason.GOPHER_DUPLICATE_PARAGRAPH_CHARACTERS,
    "dup_line_char_frac": RuleReason.GOPHER_DUPLICATE_LINE_CHARACTERS,
    **{f"top_{n}_gram": RuleReason(f"gopher_top_{n}_gram") for n in (2, 3, 4)},
    **{f"duplicated_{n}_n_grams": RuleReason(f"gopher_duplicate_{n}_grams") for n in range(5, 11)},
    "gopher_short_doc": RuleReason.GOPHER_TOO_FEW_WORDS, "gopher_long_doc": RuleReason.GOPHER_TOO_MANY_WORDS,
    "gopher_below_avg_threshold": RuleReason.GOPHER_SHORT_WORDS,
    "gopher_above_avg_threshold": RuleReason.GOPHER_LONG_WORDS,
    "gopher_too_many_hashes": RuleReason.GOPHER_HASHES, "gopher_too_many_ellipsis": RuleReason.GOPHER_ELLIPSES,
    "gopher_too_many_bullets": RuleReason.GOPHER_BULLET_LINES,
    "gopher_too_many_end_ellipsis": RuleReason.GOPHER_ELLIPSIS_LINES,
    "gopher_below_alpha_threshold": RuleReason.GOPHER_FEW_ALPHABETIC_WORDS,
    "gopher_enough_stop_words": RuleReason.GOPHER_FEW_STOP_WORDS, "lorem_ipsum": RuleReason.C4_LOREM_IPSUM,
    "curly_bracket": RuleReason.C4_CURLY_BRACKET, "too_few_sentences": RuleReason.C4_FEW_SENTENCES,
    "line_punct_ratio": RuleReason.FINEWEB_FEW_TERMINAL_LINES, "short_line_ratio": RuleReason.FINEWEB_SHORT_LINES,
    "char_dup_ratio": RuleReason.FINEWEB_DUPLICATE_LINE_CHARACTERS, "list_ratio": RuleReason.FINEWEB_LINE_FEEDS,
}


def main() -> None:
    """Measure and print the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="run with extracted pages, such as runs/gpt3")
    parser.add_argument("--datatrove", required=True, help="python of an environment with datatrove 0.10.1 and spaCy")
    parser.add_argument("--every", type=int, default=1, help="take every N-th page")
    options = parser.parse_args()
    texts = english_texts(Path(options.run), options.every)
    for words in Words:
        judge_texts(FINEWEB, words, texts.slice(0, 20))  # compiles
    before = {words: seconds(texts, words) for words in Words}
    theirs = peer(texts, options.datatrove)
    best = {words: min(before[words], seconds(texts, words)) for words in Words}
    n_bytes = pc.sum(pc.binary_length(texts)).as_py()
    print("\n".join(speed_table(len(texts), n_bytes, best, theirs["seconds"])))
    for words in (Words.DATATROVE, Words.PAPER):
        print("\n".join(agreement_table(words, judge_texts(FINEWEB, words, texts).to_pylist(), theirs["reasons"])))
    print(edited_sentence(texts, theirs))
    print(verdict(n_bytes / 1e6, best, theirs["seconds"], judge_texts(FINEWEB, Words.DATATROVE, texts).to_pylist(),
                  theirs["reasons"]))


def verdict(size: float, ours: dict[Words, float], theirs: float, mine: list[str | None],
            other: list[str | None]) -> str:
    """Whether the figures reach what was asked for, and the most memory that this process held."""
    agree = sum((a is None) == (b is None) for a, b in zip(mine, other, strict=True)) / len(mine)
    checks = {
        f"at least {MIN_MB_PER_SECOND[words]} MB/s with words: {words}": size / ours[words] >= MIN_MB_PER_SECOND[words]
        for words in Words}
    checks[f"at least {MIN_RATIO} times datatrove with words: {Words.PAPER}"] = theirs / ours[Words.PAPER] >= MIN_RATIO
    checks[f"at least {MIN_AGREEMENT:.0%} of verdicts alike"] = agree >= MIN_AGREEMENT
    said = "; ".join(f"{'pass' if good else 'FAIL'}: {what}" for what, good in checks.items())
    return f"\n{said}. Peak memory here {peak_memory_bytes() / 1e6:,.0f} MB."


def english_texts(run: Path, every: int) -> pa.Array:
    """Texts of English pages of the crawl, large_string."""
    paths = sorted((run / "extract/crawl").glob("*/part-*.parquet"))
    table = pa.concat_tables([pq.read_table(path, columns=["language", "text"]) for path in paths])
    texts = table.filter(pc.equal(table["language"], "en"))["text"].combine_chunks()
    return texts.take(pa.array(np.arange(0, len(texts), every)))


def seconds(texts: pa.Array, words: Words) -> float:
    """CPU seconds for all verdicts, best of a few rounds."""
    found = []
    for _ in range(ROUNDS):
        started = time.process_time()
        judge_texts(FINEWEB, words, texts)
        found.append(time.process_time() - started)
    return min(found)


def peer(texts: pa.Array, python: str) -> Any:
    """datatrove's verdicts, edited texts and CPU seconds."""
    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(pa.table({"text": texts}), f"{folder}/texts.parquet")
        worker = Path(__file__).with_name("filters_peer.py")
        subprocess.run([python, str(worker), f"{folder}/texts.parquet", f"{folder}/out.json"], check=True,
                       stderr=subprocess.DEVNULL)
        return json.loads(Path(f"{folder}/out.json").read_text("utf-8"))


def speed_table(n: int, n_bytes: int, ours: dict[Words, float], theirs: float) -> list[str]:
    """Markdown: MB of text a CPU second, and the ratio to datatrove."""
    size = n_bytes / 1e6
    lines = [f"{n:,} English pages, {size:.1f} MB of text, one thread, CPU seconds:", "",
             "| filters | MB/s | times datatrove |", "|---|---|---|", f"| datatrove 0.10.1 | {size / theirs:.3f} | 1 |"]
    lines += [f"| fineweb preset, words: {words} | {size / spent:.1f} | {theirs / spent:.0f} |"
              for words, spent in ours.items()]
    return [*lines, ""]


def agreement_table(words: Words, ours: list[str | None], theirs: list[str | None]) -> list[str]:
    """Markdown: drops by rule, of datatrove, of both for the same reason, and of either alone."""
    named = [None if reason is None else str(NAMES.get(reason, reason)) for reason in theirs]
    both = Counter(a for a, b in zip(ours, named, strict=True) if a == b)
    mine, other = Counter(ours), Counter(named)
    n = len(ours)
    keep = sum((a is None) == (b is None) for a, b in zip(ours, named, strict=True))
    lines = [f"words: {words}: {keep / n:.2%} of documents get the same verdict, {sum(both.values()) / n:.2%} the same "
             "reason too.", "", "| rule | datatrove drops | same reason here | datatrove alone | here alone |",
             "|---|---|---|---|---|"]
    for reason in RuleReason:
        if mine[reason] or other[reason]:
            lines.append(_row(str(reason), other[reason], both[reason], mine[reason]))
    return [*lines, _row("kept", other[None], both[None], mine[None]), ""]


def _row(name: str, theirs: int, both: int, ours: int) -> str:
    return f"| {name} | {theirs} | {both} | {theirs - both} | {ours - both} |"


def edited_sentence(texts: pa.Array, theirs: Any) -> str:
    """How many of the kept texts C4's line rules leave the same, byte by byte."""
    keep = pa.array([reason is None for reason in theirs["reasons"]])
    sizes = pc.binary_length(texts).to_numpy().astype(np.int64)
    edited = FlatEdits.of(rule_edits(FINEWEB, texts, keep), sizes).texts(texts).to_pylist()
    rows = [i for i, reason in enumerate(theirs["reasons"]) if reason is None]
    same = sum(edited[i] == theirs["texts"][i] for i in rows)
    changed = sum(edited[i] != texts[i].as_py() for i in rows)
    return (f"Of the {len(rows)} texts that datatrove keeps, {same} are the same here, byte by byte, after C4's line "
            f"rules, which cut something out of {changed}.")


if __name__ == "__main__":
    main()
