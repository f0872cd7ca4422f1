"""A truth set of near-duplicates made of real texts: what is found, what is removed wrongly, by known Jaccard.

    python -m tests.benchmarks.dedup_truth RUN [--documents 1500]

Of the texts of RUN's extracted crawl that are unrelated (exact Jaccard below 0.3, every pair checked), every second is
copied with random edits of one of five kinds, and the pair's similarity is measured by plain Python sets of word
5-grams. `curate dedup` at its defaults then sees originals and copies. A copy counts as found where it is removed for
its original or for a kept document as similar; a removal is wrong where its exact similarity with the document it names
is under 0.7.
"""

from __future__ import annotations

import argparse
import random
import re
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from manifests.tables import read_table
from tests.verbs import dedup

BINS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0001)
MIN_WORDS = 60


def grams(text: str) -> frozenset[tuple[str, ...]]:
    """Word 5-grams, by a plain reading of the rule that holds for texts of ASCII words."""
    words = re.findall(r"[a-z0-9]+", text.lower())
    return frozenset(tuple(words[i : i + 5]) for i in range(max(1, len(words) - 4)))


def jaccard(a: frozenset[tuple[str, ...]], b: frozenset[tuple[str, ...]]) -> float:
    return len(a & b) / len(a | b)


def unrelated(texts: Sequence[str], n: int) -> list[str]:
    """The first n texts of plain words none of which resembles an earlier one."""
    seen: dict[tuple[str, ...], list[int]] = {}
    kept: list[str] = []
    sets: list[frozenset[tuple[str, ...]]] = []
    for text in texts:
        plain = " ".join(re.findall(r"[A-Za-z0-9]+[.,!?;:]?", text.encode("ascii", "ignore").decode()))
        own = grams(plain)
        if len(own) < MIN_WORDS:
            continue
        shared = Counter(i for gram in own for i in seen.get(gram, ()))
        if any(count / (len(own) + len(sets[i]) - count) >= 0.3 for i, count in shared.items()):
            continue
        for gram in own:
            seen.setdefault(gram, []).append(len(kept))
        kept.append(plain)
        sets.append(own)
        if len(kept) == n:
            break
    return kept


def edit(text: str, chance: random.Random, share: float) -> str:
    """A copy with about this share of its words touched, in one of five ways."""
    words = text.split()
    n = max(1, round(share * len(words)))
    kind = chance.choice(("replace", "delete", "insert", "cut", "block"))
    if kind == "cut":
        return " ".join(words[:-n] if chance.random() < 0.5 else words[n:])
    if kind == "block":
        place = chance.randrange(len(words))
        return " ".join([*words[:place], *(f"new{chance.randrange(10**6)}" for _ in range(n)), *words[place:]])
    places = set(chance.sample(range(len(words)), max(1, n // 5)))  # each touches up to five shingles
    out = []
    for place, word in enumerate(words):
        if place in places and kind != "insert":
            out += [] if kind == "delete" else [f"new{chance.randrange(10**6)}"]
        else:
            out += [word, f"new{chance.randrange(10**6)}"] if place in places else [word]
    return " ".join(out)


@dataclass
class Result:
    """pairs and found: by bin of the exact similarity. wrong: removals whose survivor is less similar than 0.7.
    lost: unrelated documents that were removed. lowest: the least exact similarity of a removal."""

    pairs: Counter[float] = field(default_factory=Counter)
    found: Counter[float] = field(default_factory=Counter)
    removed: int = 0
    wrong: int = 0
    lost: int = 0
    lowest: float = 1.0

    def recall(self, low: float) -> float:
        return self.found[low] / self.pairs[low]


def measure(texts: Sequence[str], settings: Mapping[str, Any], out: Path) -> Result:
    """Copies of every second text among all of them. texts: as of `unrelated`."""
    chance = random.Random(7)
    originals = {f"o{i}": t for i, t in enumerate(texts)}
    copies = {f"c{i}": edit(t, chance, chance.choice((0.03, 0.05, 0.08, 0.12, 0.17, 0.22, 0.3)))
              for i, t in enumerate(texts) if i % 2}
    files = {name: [{"id": i, "text": t} for i, t in some.items()]
             for name, some in (("originals", originals), ("copies", copies))}
    decisions = {row["id"]: row for row in dedup(out, files, settings)[0]}
    sets = {i: grams(t) for i, t in {**originals, **copies}.items()}
    result = Result(lost=sum(not decisions[i]["keep"] for i in originals))
    for name in copies:
        similarity = jaccard(sets[name], sets[f"o{name[1:]}"])
        low = max(b for b in BINS if b <= similarity)
        result.pairs[low] += 1
        if decisions[name]["keep"]:
            continue
        with_survivor = jaccard(sets[name], sets[decisions[name]["duplicate_of"]])
        result.removed += 1
        result.found[low] += with_survivor >= similarity
        result.wrong += with_survivor < 0.7
        result.lowest = min(result.lowest, with_survivor)
    return result


SETTINGS: Final = {"max_removed_fraction": 1.0}
"""The defaults; originals come before copies."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("run")
    parser.add_argument("--documents", type=int, default=1500)
    args = parser.parse_args()
    paths = sorted(Path(args.run, "extract", "crawl").glob("*/part-*.parquet"))
    texts = unrelated([t for p in paths for t in read_table(str(p), ["text"])["text"].to_pylist()], args.documents)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(texts, SETTINGS, Path(folder, "out"))
    print(f"{len(texts):,} unrelated crawl texts, every second with an edited copy; threshold 0.8")
    print(f"{'exact Jaccard':<16}{'pairs':>8}{'found':>8}{'share':>8}")
    for low, high in pairwise(BINS):
        if result.pairs[low]:
            print(f"{f'{low:.1f} to {min(high, 1):.1f}':<16}{result.pairs[low]:>8}{result.found[low]:>8}"
                  f"{result.recall(low):>8.3f}")
    print(f"removed {result.removed}; removed for a document less similar than 0.7: {result.wrong}; least similarity "
          f"of a removal: {result.lowest:.3f}; unrelated documents removed: {result.lost}")
    met = result.recall(0.9) >= 0.95 and result.recall(0.8) >= 0.85 and not result.wrong and not result.lost
    print(f"{'PASS' if met else 'FAIL'}: 0.95 of pairs from 0.9, 0.85 of those from 0.8, no wrong removal")
    raise SystemExit(not met)


if __name__ == "__main__":
    main()
