"""Leaks planted into real texts: whether every one is cut, and whether every cut is a leak, by plain Python.

A leak is a run of 13 to 40 words of a benchmark's item, as a site would quote it: other case, other spacing, quotation
marks. It is put between two words of a text; some leaks stand in several texts, none in more than `max_documents`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from curate.decontamination.config import Benchmark, DecontaminationConfig
from curate.decontamination.items import read_items
from tests.unit.curate.decontamination.test_decisions import words
from tests.verbs import verb, write_lines

FIELDS = {"lambada_openai": ("context", "continuation"), "winogrande": ("context_options", "continuation"),
          "piqa": ("query", "choices"), "gsm8k": ("context",), "human_eval": ("prompt",)}
_COPIES = (1, 1, 1, 2, 3, 10)
_A_BENCHMARK = 20  # or more leaks


class Quiet:
    """An account that only tells what was skipped."""

    def count(self, name: str, n: int = 1) -> None:
        return

    def report_damage(self, where: str, what: str) -> None:
        print(f"{where}: {what}")


@dataclass
class Truth:
    """Planted contamination. planted: documents with one, missed: those that keep a 13-gram of it; wrong: cuts
    whose words are no n-gram of the item they name. real: documents with a cut in their own words, by benchmark."""

    planted: int = 0
    missed: int = 0
    cuts: int = 0
    wrong: int = 0
    real: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)


def benchmarks_of(data: Path) -> DecontaminationConfig:
    """The evaluation sets of a folder, with the fields that hold questions."""
    paths = sorted(str(p) for p in (data / "benchmarks").glob("*.jsonl.gz"))
    names = [Path(p).name.split(".")[0] for p in paths]
    return DecontaminationConfig(benchmarks=tuple(
        Benchmark(name=n, path=p, fields=FIELDS.get(n, ("query",))) for n, p in zip(names, paths, strict=True)))


def plain(text: str) -> list[str]:
    """The words of a text as the rule has them."""
    return [word for word, _, _ in words(text)]


def grams(text: str, n: int = 13) -> set[tuple[str, ...]]:
    """Runs of n words."""
    listed = plain(text)
    return {tuple(listed[i : i + n]) for i in range(len(listed) - n + 1)}


def plant(texts: Sequence[str], items: dict[tuple[str, str], str], seed: int = 0) -> tuple[list[str], dict[int, str]]:
    """(texts with leaks in them, the leak of each text that has one)."""
    chance = random.Random(seed)
    hosts = [i for i, t in enumerate(texts) if t.count(" ") > 50]
    chance.shuffle(hosts)
    mixed, leaks = list(texts), dict[int, str]()
    by_set: dict[str, list[str]] = {}
    for (name, _), text in items.items():
        by_set.setdefault(name, []).append(text)
    used = Counter[tuple[str, ...]]()
    for _, found in sorted(by_set.items()):
        for text in chance.sample(found, min(2 * _A_BENCHMARK, len(found))):
            if len(plain(text)) < 13:
                continue
            leak = _quoted(chance, text)
            copies = chance.choice(_COPIES)
            # A run that several items share is only planted while it stands in no more documents than the rule allows.
            if len(hosts) < copies or any(used[g] + copies > 10 for g in grams(leak)):
                continue
            for gram in grams(leak):
                used[gram] += copies
            for _ in range(copies):
                host = hosts.pop()
                place = chance.choice([i for i, char in enumerate(mixed[host]) if char == " "])
                mixed[host] = f"{mixed[host][:place]} «{leak}»\n{mixed[host][place + 1 :]}"
                leaks[host] = leak
    return mixed, leaks


def _quoted(chance: random.Random, text: str) -> str:
    """13 to 40 words of a text, none of them only punctuation, in other case and spacing."""
    listed = [w for w in text.split() if plain(w)]
    n = min(len(listed), chance.randrange(13, 41))
    first = chance.randrange(len(listed) - n + 1)
    turns: list[Callable[[str], str]] = [str.upper, str.lower, str.title, str]
    turn = chance.choice(turns)
    return chance.choice([" ", "\n", "  ",  " - "]).join(turn(w) for w in listed[first : first + n])


def measure(texts: Sequence[str], data: Path, out: Path) -> Truth:
    """Plant leaks in texts, decontaminate them, and look at every mark with plain Python."""
    config = benchmarks_of(data)
    items = {(b.name, i): t for b in config.benchmarks for i, t in read_items(b, b.path, Quiet())}
    mixed, leaks = plant(texts, items)
    rows = [{"id": str(i), "text": t} for i, t in enumerate(mixed)]
    arguments = ["decontaminate", write_lines(out / "in/0.jsonl", rows)]
    for b in config.benchmarks:
        arguments += ["--benchmarks", b.path, "--fields", f"{b.name}={','.join(b.fields)}"]
    verb(*arguments, "--out", str(out / "out"))
    truth = Truth(planted=len(leaks))
    for i, row in enumerate(pq.read_table(out / "out.decisions/part-0.parquet").to_pylist()):
        raw = mixed[i].encode()
        if i in leaks:
            left = [grams(raw[p["start"] : p["end"]].decode()) for p in row["pieces"]]
            truth.missed += bool(grams(leaks[i]) & set[tuple[str, ...]]().union(*left)) or not row["removed_spans"]
        for cut in row["removed_spans"]:
            truth.cuts += 1
            quoted = plain(raw[cut["start"] : cut["end"]].decode())
            known = grams(items[cut["benchmark"], cut["item"]])
            truth.wrong += tuple(quoted[:13]) not in known or tuple(quoted[-13:]) not in known
        if i not in leaks and row["removed_spans"]:
            truth.real.update({c["benchmark"] for c in row["removed_spans"]})
            first = row["removed_spans"][0]
            truth.examples.append(f"{first['benchmark']} {first['item']}: "
                                  + " ".join(raw[first["start"] : first["end"]].decode().split())[:160])
    return truth
