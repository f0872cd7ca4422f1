"""Small n-gram models for tests: interpolated absolute discounting, written as an ARPA file."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

Gram = tuple[str, ...]
START_LOG10 = -99.0  # of <s>, which is never foretold


def estimate(sentences: Sequence[Sequence[str]], order: int, discount: float = 0.7) -> tuple[
        dict[Gram, float], dict[Gram, float]]:
    """(log10 probabilities by n-gram, log10 back-off weights by context) of a model with <s>, </s> and <unk>."""
    counts: list[Counter[Gram]] = [Counter() for _ in range(order)]
    for sentence in sentences:
        words = ["<s>", *sentence, "</s>"]
        for n in range(1, order + 1):
            counts[n - 1].update(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    del counts[0][("<s>",)]
    total, reserve = sum(counts[0].values()), discount * len(counts[0])
    chance = {gram: (c - discount) / total + reserve / total / (len(counts[0]) + 1) for gram, c in counts[0].items()}
    chance[("<unk>",)] = reserve / total / (len(counts[0]) + 1)
    weights: dict[Gram, float] = {}
    for grams in counts[1:]:
        seen, kinds = Counter[Gram](), Counter[Gram]()
        for gram, c in grams.items():
            seen[gram[:-1]] += c
            kinds[gram[:-1]] += 1
        weights |= {context: discount * kinds[context] / seen[context] for context in seen}
        for gram, c in grams.items():
            chance[gram] = (c - discount) / seen[gram[:-1]] + weights[gram[:-1]] * chance[gram[1:]]
    logs = {gram: round(math.log10(p), 6) for gram, p in chance.items()} | {("<s>",): START_LOG10}
    return logs, {context: round(math.log10(w), 6) for context, w in weights.items()}


def arpa_text(logs: dict[Gram, float], weights: dict[Gram, float]) -> str:
    """The model as an ARPA file."""
    order = max(map(len, logs))
    by_order = [[gram for gram in logs if len(gram) == n] for n in range(1, order + 1)]
    lines = ["\\data\\", *(f"ngram {n}={len(grams)}" for n, grams in enumerate(by_order, 1))]
    for n, grams in enumerate(by_order, 1):
        lines += ["", f"\\{n}-grams:"]
        lines += [f"{logs[g]:.6f}\t{' '.join(g)}" + (f"\t{weights[g]:.6f}" if g in weights else "") for g in grams]
    return "\n".join([*lines, "", "\\end\\", ""])


def log10_of(logs: dict[Gram, float], weights: dict[Gram, float], words: Sequence[str]) -> float:
    """Sum of log10 probabilities of a sentence and its end, by the definition of back-off."""
    order = max(map(len, logs))
    known = [w if (w,) in logs else "<unk>" for w in ["<s>", *words, "</s>"]]
    total = 0.0
    for i in range(1, len(known)):
        total += _back_off(logs, weights, tuple(known[max(0, i - order + 1) : i + 1]))
    return total


def _back_off(logs: dict[Gram, float], weights: dict[Gram, float], gram: Gram) -> float:
    if gram in logs:
        return logs[gram]
    return weights.get(gram[:-1], 0.0) + _back_off(logs, weights, gram[1:])
