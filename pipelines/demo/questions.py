"""A small benchmark of our own: word problems and riddles from a grammar, to be planted in pages and cut again.

Every question has 15 words or more, and every 13 words in a row hold a name or number of that question alone, so no
13-gram is shared by two questions.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.demo.chance import Chance
from pipelines.demo.material import material

_NAMES, _TOWNS, _JOBS, _GOODS, _FORMS = material("words")["questions"].values()

NGRAM = 13


@dataclass(frozen=True)
class Question:
    """One item of the benchmark."""

    item: str
    question: str
    answer: str


def questions(chance: Chance, n_questions: int) -> list[Question]:
    """The first n_questions items, at most one a name."""
    return [_question(chance, index, name) for index, name in enumerate(_NAMES[:n_questions])]


def _question(chance: Chance, index: int, name: str) -> Question:
    b, c = 3 + chance.below("b", index, 17), 2 + chance.below("c", index, 9)
    a = b + c + 1 + chance.below("a", index, 60)
    form, rule = _FORMS[index % len(_FORMS)]
    answer = {"left": a - b - c, "sum": a + b + c, "product": a * b - c}[rule]
    text = form.format(name=name, a=a, b=b, c=c, town=chance.one("town", index, _TOWNS),
                       job=chance.one("job", index, _JOBS), goods=chance.one("goods", index, _GOODS))
    return Question(f"demo-{index:03}", text, str(answer))


def bare_words(text: str) -> list[str]:
    """GPT-3's words for overlap: split at whitespace, lower-cased, without punctuation (arXiv 2005.14165, App. C)."""
    bare = ("".join(c for c in token if c.isalnum()) for token in text.lower().split())
    return [word for word in bare if word]


def ngrams(text: str, n: int = NGRAM) -> set[str]:
    """The word n-grams of a text in that form, joined by spaces."""
    w = bare_words(text)
    return {" ".join(w[i : i + n]) for i in range(len(w) - n + 1)}
