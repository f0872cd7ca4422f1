"""Near-duplicates of a known similarity: words of an article are replaced until it has just the Jaccard asked for."""

from __future__ import annotations

import re
from dataclasses import replace

from pipelines.demo.chance import Chance
from pipelines.demo.material import material
from pipelines.demo.prose import Article, jaccard

_FRESH, = material("words")["edits"].values()

_TOKEN = re.compile(r"\b[a-z]{4,}\b")


def near_duplicate(chance: Chance, article: Article, target: float) -> tuple[Article, float]:
    """(edited article, its exact Jaccard with the article): as many words replaced as keep it at `target` or above.

    The replaced words are spread over the text by hashing; at least one word is replaced, whatever the target."""
    tokens = [(p, m.start(), m.end()) for p, text in enumerate(article.paragraphs) for m in _TOKEN.finditer(text)]
    chosen = chance.shuffled(f"edits {article.origin}", tokens)
    low, high = 1, min(len(chosen), article.n_words)
    while low < high:  # similarity falls with the number of edits, so the last good number is found by bisection
        middle = (low + high + 1) // 2
        if jaccard(article.text, _edited(chance, article, chosen[:middle]).text) >= target:
            low = middle
        else:
            high = middle - 1
    edited = _edited(chance, article, chosen[:low])
    return edited, jaccard(article.text, edited.text)


def _edited(chance: Chance, article: Article, tokens: list[tuple[int, int, int]]) -> Article:
    paragraphs = list(article.paragraphs)
    for paragraph, start, end in sorted(tokens, reverse=True):
        word = chance.one("replacement", f"{article.origin}/{paragraph}/{start}", _FRESH)
        paragraphs[paragraph] = paragraphs[paragraph][:start] + word + paragraphs[paragraph][end:]
    return replace(article, paragraphs=tuple(paragraphs))
